"""Standardised effect sizes of a paired change, on the means of works."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from cqa.stats.interval import Interval, Seed, bca
from cqa.stats.works import FloatArray, by_work, no_spread


def cohens_dz(delta: ArrayLike, work: Sequence[str], *, level: float = 0.95) -> Interval:
    """Cohen's d_z with Hedges' correction, on work means; interval from the noncentral t.

        d_z = mean(m_w) / sd(m_w, ddof=1)        estimate = J(W − 1) · d_z

    In standard deviations between works, not between items: works average out the noise of their
    items, so it is larger than a d_z over items. The interval holds the noncentralities δ for
    which t = √W · d_z is not in the outer (1 − level)/2 of t'(W − 1, δ), divided by √W and
    corrected by the same J (Cumming & Finch 2001; Hedges 1981). `estimate / hedges_factor(W − 1)`
    is the uncorrected value.
    """
    works = by_work(delta, work)
    method = "Cohen's d_z on work means, Hedges-corrected, noncentral t"
    if reason := no_spread(works):
        return Interval(None, None, None, level, method, len(works), works.items, reason)
    root, df = math.sqrt(len(works)), len(works) - 1
    dz = float(works.means.mean() / works.means.std(ddof=1))
    scale = hedges_factor(df)
    tail = (1 - level) / 2
    low, high = (_noncentrality(root * dz, df, p) / root * scale for p in (1 - tail, tail))
    return Interval(scale * dz, low, high, level, method, len(works), works.items)


def hedges_factor(df: float) -> float:
    """J(df) = Γ(df/2) / (√(df/2) · Γ((df − 1)/2)), about 1 − 3/(4·df − 1) (Hedges 1981)."""
    if df <= 1:
        raise ValueError(f"Hedges' correction needs more than 1 degree of freedom, got {df}")
    return math.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / math.sqrt(df / 2)


def _noncentrality(t: float, df: int, probability: float) -> float:
    """The δ with P(T'(df, δ) ≤ t) = probability; the left side falls as δ rises."""

    def excess(delta: float) -> float:
        return noncentral_t_cdf(t, df, delta) - probability

    reach = 4.0
    while excess(t - reach) < 0 or excess(t + reach) > 0:
        reach *= 2
    return float(optimize.brentq(excess, t - reach, t + reach, xtol=1e-10))


def noncentral_t_cdf(t: float, df: float, delta: float) -> float:
    """P(T'(df, δ) ≤ t). scipy returns NaN far out, where the value is 0 or 1 to twelve digits."""
    value = float(stats.nct.cdf(t, df, delta))
    if math.isnan(value):
        return 1.0 if delta < t else 0.0
    return value


def rank_biserial(
    delta: ArrayLike,
    work: Sequence[str],
    *,
    seed: Seed,
    level: float = 0.95,
    resamples: int = 9999,
) -> Interval:
    """Matched-pairs rank-biserial correlation on work means, from −1 to 1.

        r = (T₊ − T₋) / (T₊ + T₋)        T: sums of the ranks of |m_w|, m_w ≠ 0

    The effect size that belongs to the Wilcoxon signed-rank test (Kerby 2014): the share of
    rank that speaks for the change minus the share against. Interval: BCa by work; where all works
    moved the same way there is none. (Fisher's z with the null standard error, as in R's
    effectsize, covers 75 % where it says 95 % at r = 0.84 and 20 works.)
    """
    works = by_work(delta, work)
    method = f"matched-pairs rank-biserial on work means, BCa by work, {resamples} resamples"
    means = works.means
    if not np.any(means):
        reason = "no work changed" if len(works) else "no items"
        return Interval(None, None, None, level, method, len(works), works.items, reason)
    r, ends, reason = float(_rank_biserial(means)), None, no_spread(works)
    if reason is None and abs(r) == 1:
        reason = "every work that moved moved the same way"
    if reason is None:
        sizes, size_of = np.unique(np.abs(means), return_inverse=True)

        def statistic(chosen: np.ndarray, axis: int = -1) -> FloatArray:
            return _resampled_rank_biserial(chosen, size_of, np.sign(means), sizes)

        ends = bca([len(works)], statistic, level=level, resamples=resamples, seed=seed)
        reason = None if ends else "the BCa correction is undefined for these data"
    low, high = ends or (None, None)
    return Interval(r, low, high, level, method, len(works), works.items, reason)


def _rank_biserial(means: FloatArray) -> FloatArray:
    """(T₊ − T₋) / (T₊ + T₋) along the last axis; 0 where nothing changed."""
    unchanged = np.count_nonzero(means == 0, axis=-1, keepdims=True)
    # Zeros take the lowest ranks: without them every other rank is lower by their number.
    ranks = np.where(means == 0, 0.0, stats.rankdata(np.abs(means), axis=-1) - unchanged)
    total = ranks.sum(axis=-1)
    return (np.sign(means) * ranks).sum(axis=-1) / np.where(total == 0, 1.0, total)


def _resampled_rank_biserial(
    chosen: np.ndarray, size_of: np.ndarray, sign: FloatArray, sizes: FloatArray
) -> FloatArray:
    """`_rank_biserial` of every row of works chosen, shape (..., works), without sorting again.

    Works of one absolute mean (`size_of` numbers it among the sorted `sizes`) share a rank, the
    mean of the places they take; so their numbers in a row are all that its ranks depend on.
    """
    rows = chosen.reshape(-1, chosen.shape[-1])
    place = size_of[rows] + len(sizes) * np.arange(len(rows))[:, None]
    shape = len(rows), len(sizes)
    counts, signed = (
        np.bincount(place.ravel(), weights, minlength=math.prod(shape)).reshape(shape)
        for weights in (None, sign[rows].ravel())
    )
    if sizes[0] == 0:  # works that did not change have no rank
        counts[:, 0] = 0
    ranks = np.cumsum(counts, axis=-1) - (counts - 1) / 2
    total = (counts * ranks).sum(axis=-1)
    found = (signed * ranks).sum(axis=-1) / np.where(total == 0, 1.0, total)
    return found.reshape(chosen.shape[:-1])
