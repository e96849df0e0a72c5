"""Several questions asked of the same data: adjusted p values for everything but the primary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from statsmodels.stats.multitest import multipletests

from cqa.stats.interval import Seed
from cqa.stats.paired import just_below, sign_blocks
from cqa.stats.works import FloatArray, by_work


@dataclass(frozen=True)
class AdjustedP:
    """p values adjusted for the `tests` that were made; None where there was nothing to test."""

    p: Mapping[str, float | None]
    method: str
    tests: int


def holm(p_values: Mapping[str, float | None]) -> AdjustedP:
    """Holm's step-down adjustment (Holm 1979; statsmodels), valid under any dependence.

    The i-th smallest of m: max over j ≤ i of (m − j + 1) · p_(j), at most 1. None stays None and is
    not counted among the tests.

    Raises
    ------
    ValueError
        A p value outside [0, 1].
    """
    known = {name: p for name, p in p_values.items() if p is not None}
    for name, p in known.items():
        if not 0 <= p <= 1:
            raise ValueError(f"{name}: a p value lies between 0 and 1, got {p}")
    adjusted: dict[str, float | None] = dict.fromkeys(p_values)
    if known:
        corrected = multipletests(list(known.values()), method="holm")[1]
        adjusted |= {name: float(p) for name, p in zip(known, corrected, strict=True)}
    return AdjustedP(adjusted, "Holm", len(known))


def max_t(
    columns: Mapping[str, tuple[ArrayLike, Sequence[str]]],
    *,
    seed: Seed,
    resamples: int = 9999,
) -> AdjustedP:
    """Step-down max-T: adjusted p values of sign-flip tests made together.

    Each column is a (delta, work) pair: an epoch, a quantity, a group. One sign pattern over
    all works is applied to every column, which keeps their dependence, so that this loses less than
    Holm where columns are correlated. The statistic is the item mean over its cluster-robust
    standard error, recomputed under each pattern, so that units do not matter. The adjusted p of a
    column is the share of patterns whose largest statistic over this and all weaker columns
    reaches its own, made monotone (Westfall & Young 1993; Romano & Wolf 2005). A column with
    fewer than two works has None and is not counted.
    """
    grouped = {name: by_work(delta, work) for name, (delta, work) in columns.items()}
    tested = [name for name, works in grouped.items() if len(works) >= 2]
    adjusted: dict[str, float | None] = dict.fromkeys(columns)
    if not tested:
        return AdjustedP(adjusted, "step-down max-T, sign flips by work", 0)
    labels = sorted(set().union(*(grouped[name].labels for name in tested)))
    row = {label: index for index, label in enumerate(labels)}
    sums = np.zeros((len(labels), len(tested)))
    counts = np.zeros_like(sums)
    for column, name in enumerate(tested):
        rows = [row[label] for label in grouped[name].labels]
        sums[rows, column], counts[rows, column] = grouped[name].sums, grouped[name].counts

    observed = np.abs(_studentised(np.ones((1, len(labels))), sums, counts)[0])
    weakest_first = np.argsort(observed, kind="stable")
    reached = np.zeros(len(tested))
    patterns = 0
    for signs in sign_blocks(len(labels), resamples, np.random.default_rng(seed)):
        null = np.abs(_studentised(signs, sums, counts))
        largest = np.maximum.accumulate(null[:, weakest_first], axis=1)
        thresholds = [just_below(value) for value in observed[weakest_first]]
        reached += np.count_nonzero(largest >= thresholds, axis=0)
        patterns += len(signs)
    exact = 2 ** len(labels) <= resamples
    p = reached / patterns if exact else (1 + reached) / (1 + patterns)
    # A weaker column never gets a smaller p than a stronger one.
    p = np.maximum.accumulate(p[::-1])[::-1]
    for column, value in zip(weakest_first, p, strict=True):
        adjusted[tested[column]] = float(value)
    flips = f"all {patterns}" if exact else f"{patterns} random"
    return AdjustedP(adjusted, f"step-down max-T, {flips} sign flips by work", len(tested))


def _studentised(signs: FloatArray, sums: FloatArray, counts: FloatArray) -> FloatArray:
    """Item mean / SE for each row of signs and each column; works not in a column count 0."""
    total = counts.sum(axis=0)
    works = np.count_nonzero(counts, axis=0)
    mean = signs @ sums / total
    squares = np.sum(sums**2, axis=0)
    # Σ (s·sum − mean·count)², multiplied out; the squared sign is 1
    excess = squares - 2 * mean * (signs @ (sums * counts)) + mean**2 * np.sum(counts**2, axis=0)
    excess = np.where(excess <= 1e-12 * squares, 0.0, excess)
    se = np.sqrt(works / (works - 1) * excess) / total
    with np.errstate(divide="ignore", invalid="ignore"):
        studentised = mean / se
    # Without spread any mean is infinitely many standard errors; a column of zeros is 0.
    return np.where(np.isnan(studentised), 0.0, studentised)
