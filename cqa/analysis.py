"""Scores of a base and of a tuned model -> effects, intervals, the verdict and its sentence.

Pure: no files, no clock. The order is that of a report: pair the items, look at the primary
quantity, at its brackets, at the control, then at everything else with its correction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cqa import stats
from cqa.errors import DataRefused
from cqa.types import Score

GROUPS = ("literary", "factual")
QUANTITIES = (
    "specific_gain_bits_per_token",
    "gain_bits_per_token",
    "surprise_bits_per_token",
    "residual_bits_per_token",
    "entropy_gain_bits_per_token",
    "contrast_bits_per_token",
    "novel_specific_gain_bits_per_token",
    "filler_gain_bits_per_token",
    "phi_intent_bits_per_token",
    "phi_audience_bits_per_token",
    "phi_reality_bits_per_token",
    "gain_share",
    "nce_bits",
    "match_rank",
)
_SEED = 20260525
"""Of the resampling; fixed, so that the same scores give the same report."""


@dataclass(frozen=True)
class Paired:
    """One quantity before and after, item by item.

    `tuned` has shape (seeds, items); `base` too, or (1, items) where one base stands before all.
    """

    ids: tuple[str, ...]
    works: tuple[str, ...]
    base: np.ndarray
    tuned: np.ndarray
    dropped: int
    """Items for which the quantity is null before, or after under any seed."""

    @property
    def by_seed(self) -> np.ndarray:
        """The changes, shape (seeds, items)."""
        return self.tuned - self.base

    @property
    def delta(self) -> np.ndarray:
        """The changes in the mean over the seeds, shape (items,)."""
        return self.by_seed.mean(axis=0)


@dataclass(frozen=True)
class Change:
    """How one quantity changed on one group of items."""

    quantity: str
    group: str
    base_mean: float | None
    tuned_mean: float | None
    interval: stats.Interval
    """Inverted sign-flip test by work, the test that decides; BCa is too short with few works. From
    5 seeds on seeds are crossed with works; with fewer it speaks of these very seeds."""
    bca: stats.Interval
    sign_flip: stats.SignificanceTest
    wilcoxon: stats.SignificanceTest
    dz: stats.Interval
    rank_biserial: stats.Interval
    detectable: stats.Power
    dropped: int
    seed_means: tuple[float, ...]
    """The change under each seed."""
    between_seed_sd: float | None
    """Of the seed means; None for one seed."""
    crossed: bool
    """Whether the interval speaks of new seeds too."""
    adjusted_p: float | None = None
    """Studentised max-T over everything that was looked at besides the one primary."""
    holm_p: float | None = None
    """Holm over the same tests, which is valid under any dependence."""


@dataclass(frozen=True)
class Comparison:
    """One tuned model against its base."""

    label: str
    changes: tuple[Change, ...]
    verdict: stats.Verdict
    brackets: Mapping[str, stats.Interval]
    """Of the primary on literary items: what became likelier, the text with its own brief
    (`own brief`) and with mismatched ones (`mismatched briefs`), in bits per token."""
    difference: stats.DifferenceOfDifferences | None
    selective: stats.Claim | None
    control: stats.Claim | None
    primary: str
    on: Literal["benchmark", "writing"]
    paired: Mapping[tuple[str, str], Paired]
    """(quantity, group) -> the items behind the change."""

    def change(self, quantity: str, group: str) -> Change | None:
        """The change of a quantity on a group, if it was scored."""
        found = [c for c in self.changes if (c.quantity, c.group) == (quantity, group)]
        return found[0] if found else None


def pair(base: Iterable[Score], *tuned: Iterable[Score], quantity: str) -> Paired:
    """Join the scores before with those after, one set for each seed, by id.

    Ids that are on one side only raise ValueError.
    """
    before = {score.id: score for score in base}
    after = [{score.id: score for score in scores} for scores in tuned]
    for seed in after:
        if before.keys() != seed.keys():
            raise ValueError(f"{len(before.keys() ^ seed.keys())} ids are scored on one side only")
    kept, dropped = [], 0
    for key in sorted(before):
        values = [side[key].quantities.get(quantity) for side in (before, *after)]
        if None in values:
            dropped += 1
        else:
            kept.append((key, before[key].work or key, values))
    ids, works, values = zip(*kept, strict=True) if kept else ((), (), ())
    table = np.array(values, dtype=float).reshape(-1, 1 + len(after)).T
    return Paired(tuple(ids), tuple(works), table[:1], table[1:], dropped)


def compare(
    label: str,
    base: Sequence[Score],
    *tuned: Sequence[Score],
    primary: str,
    margin: float,
    noise_floor: float,
    on: Literal["benchmark", "writing"] = "benchmark",
) -> Comparison:
    """Everything about one tuned model, or one arm with a set of scores for each of its seeds.

    Texts without a work are works of their own. What models wrote is paired by item and sample, and
    has no brackets: they are other texts before and after.
    """
    if on == "writing":
        base, *tuned = ([by_item(score) for score in scores] for scores in (base, *tuned))
    groups = {
        group: [
            [score for score in scores if (score.group or "literary") == group]
            for scores in (base, *tuned)
        ]
        for group in GROUPS
    }
    paired = {
        (quantity, group): pair(*groups[group], quantity=quantity)
        for group in GROUPS
        for quantity in QUANTITIES
    }
    paired = {key: value for key, value in paired.items() if value.ids}
    changes = [_change(quantity, group, p) for (quantity, group), p in paired.items()]
    if (primary, "literary") not in paired:
        raise DataRefused(
            f"{label}: {primary} is null for every literary text, so there is nothing to compare",
            next_step="see the reasons in scores.jsonl (a brief missing, or the pool too small)",
        )
    literary = paired[primary, "literary"]
    brackets = _brackets(paired, primary) if on == "benchmark" else {}
    difference = selective = control = None
    if (factual := paired.get((primary, "factual"))) is not None:
        difference = stats.difference_of_differences(
            literary.by_seed, literary.works, factual.by_seed, factual.works, seed=_SEED
        )
        selective = stats.selective(difference.interval)
        within = _interval(factual.by_seed, factual.works, level=0.9)
        control = stats.control_unmoved(within, margin)
    main = next(c for c in changes if (c.quantity, c.group) == (primary, "literary"))
    return Comparison(
        label=label,
        changes=tuple(changes),
        verdict=stats.verdict(main.interval, noise_floor, margin, brackets.get("own brief")),
        brackets=brackets,
        difference=difference,
        selective=selective,
        control=control,
        primary=primary,
        on=on,
        paired=paired,
    )


def corrected(compared: Sequence[Comparison]) -> list[Comparison]:
    """Correct together everything that was looked at: models, epochs, sizes, quantities, groups.

    Only the primary quantity of the first model on literary items stands alone.
    """
    alone = (0, compared[0].primary, "literary")
    columns = {
        (number, quantity, group): (paired.delta, paired.works)
        for number, comparison in enumerate(compared)
        for (quantity, group), paired in comparison.paired.items()
        if (number, quantity, group) != alone
    }
    max_t = stats.max_t({"|".join(map(str, k)): v for k, v in columns.items()}, seed=_SEED).p
    holm = stats.holm(
        {
            key: change.sign_flip.p
            for number, comparison in enumerate(compared)
            for change in comparison.changes
            if (key := f"{number}|{change.quantity}|{change.group}") in max_t
        }
    ).p
    return [
        replace(
            comparison,
            changes=tuple(
                replace(c, adjusted_p=max_t.get(key), holm_p=holm.get(key))
                for c in comparison.changes
                for key in [f"{number}|{c.quantity}|{c.group}"]
            ),
        )
        for number, comparison in enumerate(compared)
    ]


def against(one: Comparison, other: Comparison) -> list[Change]:
    """What one tuned model has over another (a placebo, say) in the primary quantity."""
    changes = []
    for group in GROUPS:
        mine, theirs = (c.paired.get((c.primary, group)) for c in (one, other))
        if mine and theirs and mine.ids == theirs.ids:
            same_seeds = len(mine.tuned) == len(theirs.tuned)
            before = theirs.tuned if same_seeds else theirs.tuned.mean(axis=0, keepdims=True)
            both = replace(mine, base=before)
            changes.append(_change(one.primary, group, both))
    return changes


def changes_of_writing(
    base: Sequence[Score], tuned: Sequence[Score], quantities: Sequence[str] = QUANTITIES
) -> list[Change]:
    """How the judge's view of the generated texts changed, paired by item and sample."""
    before = [by_item(score) for score in base]
    after = [by_item(score) for score in tuned]
    changes = []
    for group in GROUPS:
        one = [score for score in before if score.group == group]
        two = [score for score in after if score.group == group]
        for quantity in quantities:
            if one and (paired := pair(one, two, quantity=quantity)).ids:
                changes.append(_change(quantity, group, paired))
    return changes


def sentence(comparison: Comparison, cost: str) -> str:
    """The first line of every report: verdict, effect with interval, control, cost."""
    found = comparison.verdict
    word = {
        "improved": "Improved",
        "worse": "Worse",
        "no worse": "No worse",
        "inconclusive": "Inconclusive",
    }[found.word]
    if found.word == "improved" and comparison.selective and comparison.selective.holds:
        word += " and selective"
    if found.decay:
        word += " (decay: the texts with their briefs did not become likelier)"
    of = "of texts written for" if comparison.on == "writing" else "on"
    what = f"specific gain {of} literary items"
    parts = [f"{word}: {what} {said(found.interval)} bits per token{_over_seeds(comparison)}"]
    control = comparison.change(comparison.primary, "factual")
    if control is None or comparison.control is None:
        parts.append("no factual control")
    elif comparison.control.holds:
        parts.append(f"control unmoved within ±{found.margin:g}, {said(control.interval)}")
    else:
        parts.append(f"control {said(control.interval)}, not shown to be unmoved")
    return "; ".join([*parts, f"cost {cost}"]) + "."


def _over_seeds(comparison: Comparison) -> str:
    main = comparison.change(comparison.primary, "literary")
    if main is None or main.between_seed_sd is None:
        return ""
    whose = "" if main.crossed else "these "
    return (
        f", mean of {whose}{len(main.seed_means)} seeds "
        f"(SD between them {main.between_seed_sd:.4f})"
    )


def said(interval: stats.Interval) -> str:
    """An interval in words: `+0.031 (95 % interval 0.008 to 0.055)`."""
    if interval.estimate is None:
        return f"not estimable ({interval.reason})"
    if interval.low is None or interval.high is None:
        return f"{interval.estimate:+.4f} (no interval: {interval.reason})"
    return (
        f"{interval.estimate:+.4f} "
        f"({interval.level * 100:g} % interval {interval.low:+.4f} to {interval.high:+.4f})"
    )


def _change(quantity: str, group: str, p: Paired) -> Change:
    means = p.by_seed.mean(axis=1)
    return Change(
        quantity=quantity,
        group=group,
        base_mean=float(p.base.mean()),
        tuned_mean=float(p.tuned.mean()),
        interval=_interval(p.by_seed, p.works),
        bca=stats.bootstrap_interval(p.delta, p.works, seed=_SEED),
        sign_flip=stats.sign_flip_test(p.delta, p.works, seed=_SEED),
        wilcoxon=stats.wilcoxon_on_work_means(p.delta, p.works),
        dz=stats.cohens_dz(p.delta, p.works),
        rank_biserial=stats.rank_biserial(p.delta, p.works, seed=_SEED),
        detectable=stats.smallest_detectable(p.delta, p.works),
        dropped=p.dropped,
        seed_means=tuple(means.tolist()),
        between_seed_sd=float(means.std(ddof=1)) if len(means) > 1 else None,
        crossed=len(means) >= stats.SEEDS_FOR_CROSSING,
    )


def _interval(by_seed: np.ndarray, works: Sequence[str], level: float = 0.95) -> stats.Interval:
    """The interval that decides, of changes of shape (seeds, items)."""
    if len(by_seed) >= stats.SEEDS_FOR_CROSSING:
        return stats.over_seeds(by_seed, works, seed=_SEED, level=level).interval
    return stats.sign_flip_interval(by_seed.mean(axis=0), works, seed=_SEED, level=level)


def _brackets(paired: Mapping[tuple[str, str], Paired], primary: str) -> dict[str, stats.Interval]:
    """Δ specific_gain = Δlog2 p(x|y,c) − mean_k Δlog2 p(x|y'_k,c), per token, item by item."""
    gain = paired[primary, "literary"]
    residual = paired["residual_bits_per_token", "literary"]
    by_id = dict(zip(residual.ids, -residual.by_seed.T, strict=True))
    own = np.array([by_id[key] for key in gain.ids]).T
    return {
        "own brief": _interval(own, gain.works),
        "mismatched briefs": _interval(own - gain.by_seed, gain.works),
    }


def by_item(score: Score) -> Score:
    """The score of a written text under the name of its item and sample, whoever wrote it."""
    return score.model_copy(update={"id": f"{score.item}/{score.sample}"})
