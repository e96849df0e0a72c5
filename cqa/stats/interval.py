"""Confidence intervals by resampling whole works."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from cqa.stats.works import FloatArray, by_work, no_spread

Seed = int | np.random.Generator


@dataclass(frozen=True)
class Interval:
    """An estimate and its two-sided confidence interval, in the unit of the estimate.

    `low` and `high` are None exactly where `reason` says why there is no interval; `estimate` is
    None only where it is undefined too. Never NaN.
    """

    estimate: float | None
    low: float | None
    high: float | None
    level: float
    method: str
    works: int
    items: int
    reason: str | None = None

    def above(self, bound: float) -> bool:
        """The lower end lies above `bound`; False without an interval."""
        return self.low is not None and self.low > bound

    def below(self, bound: float) -> bool:
        """The upper end lies below `bound`; False without an interval."""
        return self.high is not None and self.high < bound


def bootstrap_interval(
    delta: ArrayLike,
    work: Sequence[str],
    *,
    seed: Seed,
    level: float = 0.95,
    resamples: int = 9999,
) -> Interval:
    """BCa bootstrap interval of the mean change per item, whole works resampled.

    A resample draws W works with replacement and takes sum of sums over sum of counts, so that the
    estimate stays the item mean although resamples differ in their number of items. Bias
    correction and acceleration (jackknife over works): Efron 1987, JASA 82:171.

    With few works it is too short, as every bootstrap of clusters: simulated with normal works its
    95 % covers 83 % with 5 works, 91 % with 10, 93 % with 20, 94 % with 30.
    `sign_flip_interval` keeps its level at any number of works.
    """
    works = by_work(delta, work)
    method = f"BCa bootstrap by work, {resamples} resamples"
    ends, reason = None, no_spread(works)
    if reason is None:

        def item_mean(chosen: np.ndarray, axis: int = -1) -> FloatArray:
            return works.sums[chosen].sum(axis) / works.counts[chosen].sum(axis)

        ends = bca([len(works)], item_mean, level=level, resamples=resamples, seed=seed)
        reason = None if ends else "the BCa correction is undefined for these data"
    low, high = ends or (None, None)
    return Interval(works.item_mean, low, high, level, method, len(works), works.items, reason)


def bca(
    sizes: Sequence[int],
    statistic: Callable[..., FloatArray],
    *,
    level: float,
    resamples: int,
    seed: Seed,
) -> tuple[float, float] | None:
    """BCa interval of a statistic of indices, each of `sizes` resampled on its own.

    `statistic(chosen_1, ..., chosen_k, axis=-1)` gets one index array per size, works along the
    last axis. None where bias correction or acceleration is undefined.
    """
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        # scipy warns and returns NaN where the correction is undefined; here that is None.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        low, high = stats.bootstrap(
            [np.arange(size) for size in sizes],
            statistic,
            n_resamples=resamples,
            batch=max(100, 4_000_000 // math.prod(sizes)),
            vectorized=True,
            axis=-1,
            confidence_level=level,
            method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        return None
    return float(low), float(high)


def expanded(level: float, variances: Sequence[float], sizes: Sequence[int]) -> float:
    """The level at which a bootstrap has the width that a t interval has at `level`.

    A bootstrap of n draws spreads by (n − 1)/n of the variance that it stands for, and its ends are
    normal quantiles where Student's belong; both count when n is small. This is the expanded
    percentile of Hesterberg (2015, The American Statistician 69:371) for an estimate whose variance
    is a sum of parts, each resampled on its own, with Satterthwaite's degrees of freedom.

    `variances` are those of the estimate by part, not all 0; `sizes` is how many are drawn of each.
    """
    of_all = math.fsum(variances)
    parts = list(zip(variances, sizes, strict=True))
    drawn = math.fsum(part * (size - 1) / size for part, size in parts)
    df = of_all**2 / math.fsum(part**2 / (size - 1) for part, size in parts)
    quantile = stats.t.ppf((1 + level) / 2, df) * math.sqrt(of_all / drawn)
    return float(2 * stats.norm.cdf(quantile) - 1)
