"""Tests of one group: did the change differ from zero?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from cqa.stats.interval import Interval, Seed
from cqa.stats.works import FloatArray, by_work, no_spread


@dataclass(frozen=True)
class SignificanceTest:
    """A two-sided p value and what it takes to read it.

    `p` and `statistic` are None exactly where `reason` says why.
    """

    statistic: float | None
    p: float | None
    method: str
    works: int
    items: int
    reason: str | None = None


def sign_flip_test(
    delta: ArrayLike,
    work: Sequence[str],
    *,
    seed: Seed,
    resamples: int = 9999,
) -> SignificanceTest:
    """Randomisation test of the item mean, the sign of whole works flipped (Fisher 1935, §21).

    Null hypothesis: base and tuned are exchangeable, so that the changes of a work, taken together,
    are as likely with the opposite sign. All 2^works sign patterns where they are no more
    than `resamples` (then p is exact and the seed unused), else random ones with
    p = (1 + as extreme) / (1 + resamples), which keeps the size (Phipson & Smyth 2010).
    """
    works = by_work(delta, work)
    if not len(works):
        return SignificanceTest(None, None, "sign flips by work", 0, 0, "no items")
    rng = np.random.default_rng(seed)
    sums = works.sums
    null = np.concatenate([signs @ sums for signs in sign_blocks(len(works), resamples, rng)])
    exact = 2 ** len(works) <= resamples
    flips = f"all {2 ** len(works)}" if exact else f"{resamples} random"
    return SignificanceTest(
        statistic=works.item_mean,
        p=p_value(null, float(sums.sum()), exact=exact),
        method=f"{flips} sign flips by work",
        works=len(works),
        items=works.items,
    )


def sign_flip_interval(
    delta: ArrayLike,
    work: Sequence[str],
    *,
    seed: Seed,
    level: float = 0.95,
    resamples: int = 9999,
) -> Interval:
    """The changes that the sign-flip test does not reject: its confidence interval.

    The test of "the true change is c" flips the signs of the works' changes less c. A pattern is as
    extreme as the data where the works it flips have an item mean of at most c, so the ends are
    order statistics of the item means of subsets of works (Hartigan 1969, "typical values"): the
    k-th smallest and largest, k = ⌊2^works · (1 − level)/2⌋. It covers at least `level` at any
    number of works where the changes of a work are symmetric around the true one, about `level`
    elsewhere. With fewer than 6 works there is no 95 % interval.
    """
    works = by_work(delta, work)
    exact = 2 ** len(works) <= resamples
    patterns = 2 ** len(works) if exact else 1 + resamples
    flips = f"all {patterns}" if exact else f"{resamples} random"
    method = f"inverted sign-flip test by work, {flips} patterns"
    low = high = None
    reason = no_spread(works)
    if reason is None:
        means = []
        for signs in sign_blocks(len(works), resamples, np.random.default_rng(seed)):
            flipped = (1 - signs)[np.any(signs < 0, axis=1)]
            means.append((flipped @ works.sums) / (flipped @ works.counts))
        ordered = np.sort(np.concatenate(means))
        # The patterns without a flip, the data itself among them, are as extreme for every c.
        without_flip = patterns - len(ordered)
        rejected = math.floor(patterns * (1 - level) / 2 + 1e-9) - without_flip
        if rejected < 0:
            reason = f"{len(works)} works have too few sign patterns for a {level:.0%} interval"
        else:
            low, high = float(ordered[rejected]), float(ordered[-1 - rejected])
    return Interval(works.item_mean, low, high, level, method, len(works), works.items, reason)


def sign_blocks(works: int, resamples: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Sign patterns as ±1 rows of length `works`, in blocks that fit in memory.

    All 2^works of them, the observed one (all +1) last, where that is no more than `resamples`;
    else `resamples` random ones.
    """
    exact = 2**works <= resamples
    total = 2**works if exact else resamples
    block = max(1, 2_000_000 // works)
    for start in range(0, total, block):
        rows = min(block, total - start)
        if exact:
            bits = np.arange(start, start + rows)[:, None] >> np.arange(works) & 1
        else:
            bits = rng.integers(0, 2, size=(rows, works), dtype=np.int8)
        yield 2.0 * bits - 1.0


def p_value(null: FloatArray, observed: float, *, exact: bool) -> float:
    """Share of the null distribution at least as far from 0 as what was observed.

    Unless the enumeration is exact, the observed arrangement is counted as one of the resamples.
    """
    extreme = int(np.count_nonzero(np.abs(null) >= just_below(abs(observed))))
    return extreme / len(null) if exact else (1 + extreme) / (1 + len(null))


def just_below(observed: float) -> float:
    """The observed value less 1e-9 of itself: equal arrangements differ in their last bits."""
    return observed - 1e-9 * abs(observed) if np.isfinite(observed) else observed


def wilcoxon_on_work_means(delta: ArrayLike, work: Sequence[str]) -> SignificanceTest:
    """Wilcoxon signed-rank test on the mean change of each work (scipy.stats.wilcoxon).

    Every work weighs the same here, unlike in `sign_flip_test`. Works without change are left out
    (Wilcoxon 1945). Exact up to 50 works without ties, else the normal approximation; with up to
    13 works, ties do not prevent an exact enumeration. The statistic is the rank sum of the
    positive changes.
    """
    works = by_work(delta, work)
    means = works.means
    changed = means[means != 0]
    if not len(changed):
        reason = "no work changed" if len(works) else "no items"
        return SignificanceTest(None, None, "Wilcoxon signed-rank", len(works), works.items, reason)
    ranks = stats.rankdata(np.abs(changed))
    distinct = len(np.unique(ranks)) == len(changed)
    exact = len(changed) <= 13 or (len(changed) <= 50 and distinct)
    if not exact:
        method: str | stats.PermutationMethod = "asymptotic"
    elif distinct:
        method = "exact"
    else:  # 2^13 = 8192 sign patterns are enumerated, none is drawn
        method = stats.PermutationMethod(n_resamples=2**13)
    test = stats.wilcoxon(changed, method=method)
    how = "exact" if exact else "normal approximation"
    return SignificanceTest(
        statistic=float(ranks[changed > 0].sum()),
        p=float(test.pvalue),
        method=f"Wilcoxon signed-rank on work means, {how}",
        works=len(works),
        items=works.items,
    )
