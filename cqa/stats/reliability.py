"""How far the mean of several raters can be trusted, and so how well anything can agree with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Reliability:
    """Reliability of the mean rating of a text, and the ceiling it puts on correlations.

    `icc_mean` is ICC(1,k), the share of the variance of mean ratings that lies between texts;
    `ceiling` its square root: the correlation that a perfect measure would be expected to reach
    (the correction for attenuation, Spearman 1904). Both are None exactly where `reason` says why.
    """

    icc_mean: float | None
    ceiling: float | None
    texts: int
    ratings: int
    reason: str | None = None


def reliability(ratings: Sequence[Sequence[float]]) -> Reliability:
    """One-way random effects: raters of different texts need not be the same people.

    ICC(1,k) = (MSB − MSW) / MSB (Shrout & Fleiss 1979, case 1). Texts with one rating enter MSB
    only; where there are two ratings of no text, nothing is known of the raters.

    Parameters
    ----------
    ratings : for each text, the values that its raters gave; at least one each.
    """
    groups = [np.asarray(values, np.float64) for values in ratings]
    counts = np.array([len(values) for values in groups])
    texts, total = len(groups), int(counts.sum())
    if texts < 2:
        return Reliability(None, None, texts, total, "one text has no others to differ from")
    if total == texts:
        return Reliability(None, None, texts, total, "one rating a text says nothing of raters")
    means = np.array([values.mean() for values in groups])
    grand = float(np.concatenate(groups).mean())
    between = float(counts @ (means - grand) ** 2) / (texts - 1)
    within = sum(float(((v - v.mean()) ** 2).sum()) for v in groups) / (total - texts)
    if between == 0:
        return Reliability(None, None, texts, total, "all texts have the same mean rating")
    icc = (between - within) / between
    return Reliability(icc, math.sqrt(max(0.0, icc)), texts, total)
