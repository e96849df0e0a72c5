"""Rank correlation of two measurements of the same texts, with whole works resampled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from cqa.stats.interval import Interval, Seed
from cqa.stats.works import MIN_WORKS, FloatArray

MIN_TEXTS = 5
"""Below this a rank correlation takes a handful of values only, and no interval is given."""


def spearman(x: FloatArray, y: FloatArray, covariates: FloatArray | None = None) -> float:
    """Spearman's rho of x and y, shape (texts,); with covariates, shape (texts, k), partial.

    The partial correlation is Pearson's of the residuals of both rank vectors after least squares
    on the covariates' ranks (the rank form of Fisher 1924). NaN where one side has no spread left.
    """
    ranks = [stats.rankdata(x), stats.rankdata(y)]
    if covariates is not None:
        rest = [stats.rankdata(column) for column in covariates.T]
        design = np.column_stack([np.ones(len(x)), *rest])
        ranks = [r - design @ np.linalg.lstsq(design, r, rcond=None)[0] for r in ranks]
    a, b = (r - r.mean() for r in ranks)
    size = np.sqrt((a @ a) * (b @ b))
    # Ranks are up to n: what least squares leaves of nothing is rounding, and no spread.
    return float(a @ b / size) if size > 1e-9 * len(x) ** 3 else float("nan")


def rank_correlation(
    x: ArrayLike,
    y: ArrayLike,
    work: Sequence[str],
    *,
    covariates: ArrayLike | None = None,
    seed: Seed,
    level: float = 0.95,
    resamples: int = 999,
) -> Interval:
    """Spearman's rho with a percentile bootstrap interval, whole works drawn with replacement.

    Texts of one work (one prompt, one plot) are not independent; resampling texts would make the
    interval too short. A resample without spread on one side has no rho: it is left out, and
    `method` says how many were.

    Parameters
    ----------
    x, y : shape (texts,), finite. work : the work of each text.
    covariates : shape (texts, k); what is partialled out first (length, word frequency).
    """
    first, second = np.asarray(x, np.float64), np.asarray(y, np.float64)
    other = None if covariates is None else np.asarray(covariates, np.float64)
    labels, codes = np.unique(np.asarray(work, dtype=str), return_inverse=True)
    method = f"percentile bootstrap by work, {resamples} resamples"
    estimate = spearman(first, second, other) if len(first) >= MIN_TEXTS else float("nan")
    reason = None
    if len(first) < MIN_TEXTS:
        reason = f"{len(first)} texts; at least {MIN_TEXTS} are needed"
    elif np.isnan(estimate):
        reason = "one of the two has no spread"
    elif len(labels) < MIN_WORKS:
        reason = f"{len(labels)} works; at least {MIN_WORKS} are needed"
    known = None if np.isnan(estimate) else estimate
    if reason is not None:
        return Interval(known, None, None, level, method, len(labels), len(first), reason)
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(codes == code) for code in range(len(labels))]
    drawn = []
    for _ in range(resamples):
        chosen = rng.integers(len(labels), size=len(labels))
        at = np.concatenate([members[code] for code in chosen])
        drawn.append(spearman(first[at], second[at], None if other is None else other[at]))
    kept = np.array(drawn)[~np.isnan(drawn)]
    if len(kept) < resamples:
        method += f", {resamples - len(kept)} of them left out for want of spread"
    if not len(kept):
        reason = "no resample has spread on both sides"
        return Interval(known, None, None, level, method, len(labels), len(first), reason)
    tail = (1 - level) / 2
    low, high = np.quantile(kept, [tail, 1 - tail])
    return Interval(known, float(low), float(high), level, method, len(labels), len(first))
