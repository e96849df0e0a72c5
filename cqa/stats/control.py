"""Against the control: did one group change more than the other, and did the control stay?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from cqa.stats.interval import Interval, Seed, bca, expanded
from cqa.stats.paired import SignificanceTest, p_value
from cqa.stats.seeds import SEEDS_FOR_CROSSING
from cqa.stats.works import (
    FloatArray,
    Works,
    by_work,
    no_spread,
    standard_error,
    why_not_apart,
)


@dataclass(frozen=True)
class DifferenceOfDifferences:
    """How much more group a changed than group b: estimate with interval, and its own test.

    With `crossed` the interval speaks about new works and new seeds; without, about new works for
    these very seeds, and `between_seed_sd` (None for one seed) has to be read beside it. The test
    is always one of the mean over these seeds.
    """

    interval: Interval
    test: SignificanceTest
    seed_means: tuple[float, ...] = ()
    """The difference under each seed."""
    between_seed_sd: float | None = None
    crossed: bool = False


def difference_of_differences(
    delta_a: ArrayLike,
    work_a: Sequence[str],
    delta_b: ArrayLike,
    work_b: Sequence[str],
    *,
    seed: Seed,
    level: float = 0.95,
    resamples: int = 9999,
) -> DifferenceOfDifferences:
    """Mean change of the items of a minus that of b, e.g. literary − factual.

    Interval: BCa, the works of each group resampled on their own (acceleration from the jackknife
    over both groups: Efron & Tibshirani 1993, ch. 14); from 5 seeds on the seeds too, the same ones
    for both groups, crossed with the works as in `over_seeds`. Test: the group labels are permuted
    over works; the statistic is studentised, which keeps the test exact where the groups have one
    distribution, and valid for many works where only their means agree but not their spread
    (Janssen 1997; Chung & Romano 2013). A work in both groups would link them: neither is
    computed.

    Parameters
    ----------
    delta_a, delta_b : shape (items,), or (seeds, items) with the same seeds in both.

    Raises
    ------
    ValueError
        Other seeds in a than in b, or what `by_work` refuses.
    """
    tables = [np.atleast_2d(np.asarray(delta, np.float64)) for delta in (delta_a, delta_b)]
    if len(tables[0]) != len(tables[1]):
        raise ValueError(f"{len(tables[0])} seeds in a and {len(tables[1])} in b")
    a, b = (by_work(t.mean(axis=0), w) for t, w in zip(tables, (work_a, work_b), strict=True))
    rng = np.random.default_rng(seed)
    reason = why_not_apart(a, b)
    crossed = len(tables[0]) >= SEEDS_FOR_CROSSING
    sums = [
        np.array([by_work(row, works).sums for row in table]) if crossed else one.sums[None]
        for table, works, one in zip(tables, (work_a, work_b), (a, b), strict=True)
    ]
    both = zip(*tables, strict=True) if a.items and b.items else ()
    means = [float(row_a.mean() - row_b.mean()) for row_a, row_b in both]
    return DifferenceOfDifferences(
        interval=_difference_interval(
            a, b, sums, reason, level=level, resamples=resamples, rng=rng
        ),
        test=_label_test(a, b, reason, resamples=resamples, rng=rng),
        seed_means=tuple(means),
        between_seed_sd=float(np.std(means, ddof=1)) if len(means) > 1 else None,
        crossed=crossed,
    )


def _difference(a: Works, b: Works) -> float | None:
    if a.item_mean is None or b.item_mean is None:
        return None
    return a.item_mean - b.item_mean


def _difference_interval(
    a: Works,
    b: Works,
    sums: Sequence[FloatArray],
    reason: str | None,
    *,
    level: float,
    resamples: int,
    rng: Seed,
) -> Interval:
    """`sums` are those of the works of a and of b, shape (seeds, works); one seed is not drawn."""
    ends, seeds = None, len(sums[0])
    if reason is None:

        def mean(
            group: Works, cells: FloatArray, drawn: np.ndarray, works: np.ndarray
        ) -> FloatArray:
            chosen = cells[drawn[..., :, None], works[..., None, :]].sum((-2, -1))
            return chosen / (group.counts[works].sum(-1) * drawn.shape[-1])

        def difference(*chosen: np.ndarray, axis: int = -1) -> FloatArray:
            *drawn, in_a, in_b = chosen
            of = drawn[0] if drawn else np.zeros((*in_a.shape[:-1], 1), dtype=int)
            return mean(a, sums[0], of, in_a) - mean(b, sums[1], of, in_b)

        sizes, drawn_at = [len(a), len(b)], level
        if seeds > 1:
            means = sums[0].sum(-1) / a.items - sums[1].sum(-1) / b.items
            variances = [np.var(means, ddof=1) / seeds, *(standard_error(x) ** 2 for x in (a, b))]
            sizes = [seeds, *sizes]
            drawn_at = expanded(level, variances, sizes)
        ends = bca(sizes, difference, level=drawn_at, resamples=resamples, seed=rng)
        reason = None if ends else "the BCa correction is undefined for these data"
    low, high = ends or (None, None)
    crossed = ", seeds crossed with works, expanded" if seeds > 1 else ""
    method = f"BCa bootstrap by work within each group{crossed}, {resamples} resamples"
    works, items = len(a) + len(b), a.items + b.items
    return Interval(_difference(a, b), low, high, level, method, works, items, reason)


def _label_test(
    a: Works,
    b: Works,
    reason: str | None,
    *,
    resamples: int,
    rng: np.random.Generator,
) -> SignificanceTest:
    works, items = len(a) + len(b), a.items + b.items
    method = "group labels permuted over works, studentised"
    if reason:
        return SignificanceTest(None, None, method, works, items, reason)
    p, arrangements = label_p_value(a, b, resamples=resamples, rng=rng)
    exact = arrangements <= resamples
    return SignificanceTest(
        statistic=_difference(a, b),
        p=p,
        method=f"{method}, {f'all {arrangements}' if exact else f'{resamples} random'}",
        works=works,
        items=items,
    )


def label_p_value(
    a: Works, b: Works, *, resamples: int, rng: np.random.Generator
) -> tuple[float, int]:
    """p of the studentised difference, and how many ways there are to assign the labels."""
    pooled_counts = np.concatenate([a.counts, b.counts])
    pooled_sums = np.concatenate([a.sums, b.sums])
    works, in_a = len(pooled_sums), len(a)
    arrangements = math.comb(works, in_a)
    exact = arrangements <= resamples
    if exact:
        chosen = np.array(list(itertools.combinations(range(works), in_a)))
    else:
        shuffled = np.broadcast_to(np.arange(works), (resamples, works))
        chosen = rng.permuted(shuffled, axis=1)[:, :in_a]
    member = np.zeros((len(chosen), works))
    np.put_along_axis(member, chosen, 1.0, axis=1)
    observed = np.zeros((1, works))
    observed[0, :in_a] = 1.0
    null = _studentised_difference(member, pooled_sums, pooled_counts)
    seen = float(_studentised_difference(observed, pooled_sums, pooled_counts)[0])
    return p_value(null, seen, exact=exact), arrangements


def _studentised_difference(member: FloatArray, sums: FloatArray, counts: FloatArray) -> FloatArray:
    """(mean_a − mean_b) / √(SE_a² + SE_b²) for each row of 0/1 memberships in group a."""
    # A shift common to all items changes nothing and would cost digits in the squares.
    sums = sums - sums.sum() / counts.sum() * counts
    difference = np.zeros(len(member))
    variance = np.zeros(len(member))
    for sign, group in ((1.0, member), (-1.0, 1.0 - member)):
        size, total = group.sum(axis=1), group @ counts
        mean = group @ sums / total
        # Σ (sum − mean·count)² over the group, multiplied out
        excess = group @ sums**2 - 2 * mean * (group @ (sums * counts))
        excess += mean**2 * (group @ counts**2)
        difference += sign * mean
        variance += size / (size - 1) * np.maximum(excess, 0) / total**2
    with np.errstate(divide="ignore", invalid="ignore"):
        studentised = difference / np.sqrt(variance)
    # Neither group has spread: a difference is infinitely many standard errors, none is 0.
    still = variance <= 1e-12 * np.sum(sums**2) / counts.sum() ** 2
    moved = np.abs(difference) > 1e-12 * np.abs(sums).max()
    studentised[still] = np.where(moved, np.copysign(np.inf, difference), 0.0)[still]
    return studentised


def tost(delta: ArrayLike, work: Sequence[str], margin: float) -> float | None:
    """p of two one-sided t tests: is the change smaller than `margin` either way?

    The larger p of t = (mean ± margin)/SE with the cluster-robust SE and works − 1 degrees of
    freedom (Schuirmann 1987); None where the works do not spread. It stands beside
    `control_unmoved`, which reads the 90 % interval, and can differ from it when close.

    Raises
    ------
    ValueError
        A margin that is not positive.
    """
    if not margin > 0:
        raise ValueError(f"an equivalence margin is positive, got {margin}")
    works = by_work(delta, work)
    if no_spread(works):
        return None
    mean, se = works.sums.sum() / works.counts.sum(), standard_error(works)
    # H0 mean ≤ −margin, and H0 mean ≥ margin; both must fall.
    above = stats.t.sf((mean + margin) / se, len(works) - 1)
    below = stats.t.cdf((mean - margin) / se, len(works) - 1)
    return float(max(above, below))
