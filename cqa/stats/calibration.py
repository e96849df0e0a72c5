"""Null calibration: on data made null by design, do the tests keep their promise?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from cqa.stats.control import label_p_value
from cqa.stats.interval import Seed
from cqa.stats.paired import p_value, sign_blocks
from cqa.stats.works import FloatArray, Works, by_work


@dataclass(frozen=True)
class NullCalibration:
    """p values over repeats in which the null hypothesis was made true.

    `super_uniform`: no more small p values than a uniform p would give, P(p ≤ x) ≤ x for every x,
    judged by a one-sided Kolmogorov-Smirnov test at .001. `rate_at_05` is the share of p ≤ .05.
    """

    p_values: tuple[float, ...]
    rate_at_05: float
    super_uniform: bool

    @classmethod
    def of(cls, p_values: ArrayLike) -> NullCalibration:
        """Judge p values, shape (repeats,)."""
        values = np.asarray(p_values, dtype=np.float64)
        too_small = stats.kstest(values, "uniform", alternative="greater").pvalue < 0.001
        return cls(tuple(values.tolist()), float(np.mean(values <= 0.05)), not too_small)


def calibrate_sign_flips(
    delta: ArrayLike,
    work: Sequence[str],
    *,
    seed: Seed,
    repeats: int = 1000,
    resamples: int = 999,
) -> NullCalibration:
    """Swap base and tuned for a random half of the works, test, repeat.

    Raises
    ------
    ValueError
        No items.
    """
    works = by_work(delta, work)
    if not len(works):
        raise ValueError("no items to calibrate on")
    rng = np.random.default_rng(seed)
    exact = 2 ** len(works) <= resamples
    p_values = []
    for _ in range(repeats):
        sums = works.sums * rng.choice([-1.0, 1.0], size=len(works))
        null = np.concatenate([signs @ sums for signs in sign_blocks(len(works), resamples, rng)])
        p_values.append(p_value(null, float(sums.sum()), exact=exact))
    return NullCalibration.of(p_values)


def calibrate_difference(
    delta_a: ArrayLike,
    work_a: Sequence[str],
    delta_b: ArrayLike,
    work_b: Sequence[str],
    *,
    seed: Seed,
    repeats: int = 1000,
    resamples: int = 999,
) -> NullCalibration:
    """Deal the works to the two groups at random, test the difference, repeat.

    Raises
    ------
    ValueError
        A group with fewer than two works.
    """
    a, b = by_work(delta_a, work_a), by_work(delta_b, work_b)
    if len(a) < 2 or len(b) < 2:
        raise ValueError(f"two works in each group, got {len(a)} and {len(b)}")
    rng = np.random.default_rng(seed)
    sums, counts = np.concatenate([a.sums, b.sums]), np.concatenate([a.counts, b.counts])
    p_values = []
    for _ in range(repeats):
        dealt = rng.permutation(len(sums))
        new_a = _pick(sums, counts, dealt[: len(a)])
        new_b = _pick(sums, counts, dealt[len(a) :])
        p, _ = label_p_value(new_a, new_b, resamples=resamples, rng=rng)
        p_values.append(p)
    return NullCalibration.of(p_values)


def _pick(sums: FloatArray, counts: FloatArray, chosen: np.ndarray) -> Works:
    return Works(tuple(str(index) for index in chosen), sums[chosen], counts[chosen])
