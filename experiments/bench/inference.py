"""Do the intervals cover, do the tests keep their size, are planted effects found as promised?

    python experiments/bench/inference.py                      # simulated works
    python experiments/bench/inference.py --scores BASE TUNED  # the null on a study's own scores

Changes are simulated as a work's own part plus an item's own part of equal variance, one to three
items a work, normal or skewed (an exponential less its mean). BASE and TUNED are two score runs of
the same items: base and tuned are swapped by work for the paired test, and the group labels dealt
anew over works for the difference, 1,000 times each; the figure shows the distribution of p, which
has to lie on or below the diagonal.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from cqa import analysis, pairing, stats
from cqa.score import PRIMARY, load_scores
from cqa.table import run_of

RESAMPLES = 999
WORKS = (10, 30, 90)
SHAPES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "skewed": lambda rng, n: rng.exponential(size=n) - 1,
}


def changes(rng: np.random.Generator, works: int, shape: str, name: str = "") -> tuple:
    """(delta, work labels) with true mean 0 and, for an item, standard deviation 1."""
    work = np.repeat(np.arange(works), np.arange(works) % 3 + 1)
    draw = SHAPES[shape]
    delta = (draw(rng, works)[work] + draw(rng, len(work))) / np.sqrt(2)
    return delta, [f"{name}{label}" for label in work]


def covers(interval: stats.Interval, truth: float = 0.0) -> bool | None:
    if interval.low is None or interval.high is None:
        return None
    return interval.low <= truth <= interval.high


def intervals(rng: np.random.Generator, works: int, shape: str) -> Iterator[tuple[str, bool]]:
    """Each interval once on fresh data whose true value is 0."""
    delta, work = changes(rng, works, shape)
    other = changes(rng, works, shape, "control ")
    options = {"seed": rng, "resamples": RESAMPLES}
    yield "sign-flip interval of the mean", covers(stats.sign_flip_interval(delta, work, **options))
    yield "BCa bootstrap of the mean", covers(stats.bootstrap_interval(delta, work, **options))
    apart = stats.difference_of_differences(delta, work, *other, **options)
    yield "BCa bootstrap of literary − factual", covers(apart.interval)
    seeds = np.asarray(delta) + rng.normal(0, 0.5**0.5, (5, 1))  # as unlike as single works
    yield (
        "BCa of 5 seeds crossed with works",
        covers(stats.over_seeds(seeds, work, **options).interval),
    )
    if shape == "normal":  # the true d_z and rank-biserial correlation are 0 in symmetry only
        yield "d_z with Hedges' correction", covers(stats.cohens_dz(delta, work))
        yield "rank-biserial", covers(stats.rank_biserial(delta, work, **options))


def tests(rng: np.random.Generator, works: int, shape: str) -> Iterator[tuple[str, bool]]:
    """Each test once on fresh data for which its null hypothesis holds; whether it rejects."""
    delta, work = changes(rng, works, shape)
    other = changes(rng, works, shape, "control ")
    options = {"seed": rng, "resamples": RESAMPLES}
    yield "sign flips by work", stats.sign_flip_test(delta, work, **options).p <= 0.05
    if shape == "normal":  # Wilcoxon's null is symmetry
        yield "Wilcoxon on work means", stats.wilcoxon_on_work_means(delta, work).p <= 0.05
    apart = stats.difference_of_differences(delta, work, *other, **options)
    yield "permuted labels", apart.test.p <= 0.05
    family = {str(k): changes(rng, works, shape) for k in range(5)}
    adjusted = stats.max_t(family, **options).p
    yield "max-T, any of five", min(adjusted.values()) <= 0.05
    edge = 0.5  # a true change at the margin is not equivalent; this has to be said in 95 %
    within = stats.sign_flip_interval(np.asarray(delta) + edge, work, level=0.9, **options)
    yield "control at the margin called unmoved", stats.control_unmoved(within, edge).holds
    p = stats.tost(np.asarray(delta) + edge, work, edge)
    yield "TOST at the margin", p is not None and p <= 0.05


def power(rng: np.random.Generator, works: int, shape: str) -> Iterator[tuple[str, bool]]:
    """A change as large as the plan says is found at 80 %, planted and looked for."""
    delta, work = changes(rng, works, shape)
    sd = np.sqrt(5 / 6)  # works · Σ(c²/2 + c/2) / (Σc)², c = 1, 2, 3 items a work in turn
    effect = stats.planned_effect(works) * sd
    found = stats.sign_flip_test(np.asarray(delta) + effect, work, seed=rng, resamples=RESAMPLES)
    yield "planned for 80 %", found.p <= 0.05


def rates(
    once: Callable[..., Iterator[tuple[str, bool]]], repeats: int, seed: int
) -> dict[tuple[str, str, int], float]:
    """Share of repeats for each (name, shape, works); where there was no interval, not counted."""
    seen: dict[tuple[str, str, int], list[bool]] = {}
    for shape in SHAPES:
        for works in WORKS:
            rng = np.random.default_rng([seed, works, len(shape)])
            for _ in range(repeats):
                for name, value in once(rng, works, shape):
                    if value is not None:
                        seen.setdefault((name, shape, works), []).append(value)
    return {key: float(np.mean(values)) for key, values in seen.items()}


def show(title: str, found: dict[tuple[str, str, int], float]) -> None:
    """A Markdown table: a row for each name and shape, a column for each number of works."""
    print(f"\n{title}\n\n| | | " + " | ".join(f"{w} works" for w in WORKS) + " |")  # noqa: T201
    print("| --- | --- |" + " --- |" * len(WORKS))  # noqa: T201
    for name, shape in dict.fromkeys((name, shape) for name, shape, _ in found):
        cells = (found.get((name, shape, works)) for works in WORKS)
        said = " | ".join("no interval" if c is None else f"{100 * c:.1f} %" for c in cells)
        print(f"| {name} | {shape} | {said} |")  # noqa: T201


def null_of_a_study(base: str, tuned: str, repeats: int, out: Path) -> None:
    """p values on a study's own changes, made null by design; a table line each and a figure."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    one, two = (load_scores(run_of(name)) for name in (base, tuned))
    groups = {}
    for group in analysis.GROUPS:
        sides = [[s for s in side if s.group == group] for side in (one, two)]
        paired = pairing.pair(*sides, quantity=PRIMARY)
        groups[group] = paired.delta, paired.works
    found = {
        f"sign flips, {name}": stats.calibrate_sign_flips(*data, seed=1, repeats=repeats)
        for name, data in groups.items()
    }
    pair = [*groups["literary"], *groups["factual"]]
    found["literary − factual"] = stats.calibrate_difference(*pair, seed=1, repeats=repeats)
    pyplot.rcParams["svg.hashsalt"] = "cqa"
    figure, axes = pyplot.subplots(figsize=(5, 4))
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    for name, calibration in found.items():
        p = np.sort(calibration.p_values)
        axes.step(p, np.arange(1, len(p) + 1) / len(p), label=name)
        verdict = "keeps" if calibration.super_uniform else "BREAKS"
        print(  # noqa: T201
            f"{name}: {verdict} its promise, {100 * calibration.rate_at_05:.1f} % of p at most "
            f".05 over {repeats:,} repeats"
        )
    axes.set(xlabel="p", ylabel="share of repeats with a smaller p", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    figure.savefig(out, metadata={"Date": None})
    print(f"wrote {out}")  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--scores", nargs=2, metavar=("BASE", "TUNED"))
    parser.add_argument(
        "--figure", type=Path, default=Path(__file__).parent / "null-calibration.svg"
    )
    asked = parser.parse_args()
    if asked.scores:
        null_of_a_study(*asked.scores, asked.repeats, asked.figure)
        return
    show("Coverage of the 95 % intervals", rates(intervals, asked.repeats, 1))
    show("Rejections at .05 where nothing is to be found", rates(tests, asked.repeats, 2))
    show("Planted effects found", rates(power, asked.repeats, 3))


if __name__ == "__main__":
    main()
