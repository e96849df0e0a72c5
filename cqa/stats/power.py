"""What could have been found: power and the smallest detectable effect, clustering included."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from cqa.stats.effect_size import noncentral_t_cdf
from cqa.stats.seeds import SEEDS_FOR_CROSSING
from cqa.stats.works import FloatArray, Works, by_work, no_spread, standard_error, why_not_apart


@dataclass(frozen=True)
class Power:
    """The chance `power` of finding a true change `effect`, in the unit of the change.

    Found means: the interval of the t test at `alpha` lies beyond `noise_floor` on either side.
    `effect` and `power` are None exactly where `reason` says why.
    """

    effect: float | None
    power: float | None
    alpha: float
    noise_floor: float
    se: float | None
    df: float | None
    works: int
    items: int
    reason: str | None = None


def smallest_detectable(
    delta: ArrayLike,
    work: Sequence[str],
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    noise_floor: float = 0.0,
) -> Power:
    """The smallest true change that would be found with this power, given the spread seen.

    Noncentral t of the item mean over its cluster-robust standard error, works − 1 degrees
    of freedom: many items in few works count for what they are worth. This is design arithmetic,
    not "observed power": the observed change does not enter, only its standard error.

    Parameters
    ----------
    delta : shape (items,), or (seeds, items): from 5 seeds on the spread between them counts too.
    """
    table = _table(delta)
    works = by_work(table.mean(axis=0), work)
    reason = no_spread(works)
    by_seed = [] if reason else table.mean(axis=1)
    return _smallest(_Spread.of([works], by_seed, reason), power, alpha, noise_floor)


def smallest_detectable_difference(
    delta_a: ArrayLike,
    work_a: Sequence[str],
    delta_b: ArrayLike,
    work_b: Sequence[str],
    *,
    power: float = 0.8,
    alpha: float = 0.05,
) -> Power:
    """As `smallest_detectable`, for the mean change of a minus that of b (Welch's t).

    Parameters
    ----------
    delta_a, delta_b : shape (items,), or (seeds, items) with the same seeds in both.
    """
    tables = _table(delta_a), _table(delta_b)
    a, b = (by_work(t.mean(axis=0), w) for t, w in zip(tables, (work_a, work_b), strict=True))
    reason = why_not_apart(a, b)
    by_seed = [] if reason else tables[0].mean(axis=1) - tables[1].mean(axis=1)
    return _smallest(_Spread.of([a, b], by_seed, reason), power, alpha, 0.0)


def planned_effect(
    works: int,
    control_works: int | None = None,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
) -> float:
    """The smallest detectable effect before there are data, in standard deviations.

    For one group, in standard deviations of the change between works (d_z); with `control_works`,
    for the difference of two groups of equal spread (d). Independent items are works of one item:
    96 give 0.29, and 96 against 96 give 0.41.

    Raises
    ------
    ValueError
        Fewer than two works in a group, or power not above alpha.
    """
    if works < 2 or (control_works is not None and control_works < 2):
        raise ValueError(f"a plan needs 2 works in each group, got {works}, {control_works}")
    _check(power, alpha, 0.0)
    if control_works is None:
        se, df = math.sqrt(1 / works), works - 1
    else:
        se, df = math.sqrt(1 / works + 1 / control_works), works + control_works - 2
    return _solve(se, df, power, alpha, 0.0)


@dataclass(frozen=True)
class _Spread:
    """Standard error and degrees of freedom of an estimate, or why there are none."""

    se: float
    df: float
    works: int
    items: int
    reason: str | None = None

    @classmethod
    def of(cls, groups: Sequence[Works], by_seed: Sequence[float], reason: str | None) -> _Spread:
        """Of the mean of one group, or of the difference of two; `by_seed` is that of each seed.

        Degrees of freedom of a sum of variances: Welch 1947, Satterthwaite 1946.
        """
        works, items = sum(map(len, groups)), sum(group.items for group in groups)
        if reason:
            return cls(math.nan, math.nan, works, items, reason)
        parts = [(standard_error(group), len(group) - 1) for group in groups]
        if (seeds := len(by_seed)) >= SEEDS_FOR_CROSSING:
            parts.append((float(np.std(by_seed, ddof=1)) / math.sqrt(seeds), seeds - 1))
        se = math.hypot(*(part for part, _ in parts))
        df = 1 / math.fsum((part / se) ** 4 / free for part, free in parts)
        return cls(se, df, works, items)


def _table(delta: ArrayLike) -> FloatArray:
    """Changes of shape (items,) or (seeds, items) as (seeds, items)."""
    return np.atleast_2d(np.asarray(delta, np.float64))


def _smallest(spread: _Spread, power: float, alpha: float, noise_floor: float) -> Power:
    _check(power, alpha, noise_floor)
    counts = {"works": spread.works, "items": spread.items}
    if spread.reason is not None:
        return Power(None, None, alpha, noise_floor, None, None, **counts, reason=spread.reason)
    effect = _solve(spread.se, spread.df, power, alpha, noise_floor)
    return Power(effect, power, alpha, noise_floor, spread.se, spread.df, **counts)


def _solve(se: float, df: float, power: float, alpha: float, noise_floor: float) -> float:
    """The effect above the noise floor at which `_power` reaches `power`; it rises with effect."""

    def missing(effect: float) -> float:
        return _power(effect, se, df, alpha, noise_floor) - power

    reach = 4 * se
    while missing(noise_floor + reach) < 0:
        reach *= 2
    return float(optimize.brentq(missing, noise_floor, noise_floor + reach, xtol=1e-12 * se))


def _power(effect: float, se: float, df: float, alpha: float, noise_floor: float) -> float:
    """P(estimate − t·SE > noise floor) + P(estimate + t·SE < −noise floor)."""
    critical = float(stats.t.isf(alpha / 2, df))
    above = 1 - noncentral_t_cdf(critical, df, (effect - noise_floor) / se)
    return above + noncentral_t_cdf(-critical, df, (effect + noise_floor) / se)


def _check(power: float, alpha: float, noise_floor: float) -> None:
    if not 0 < alpha < power < 1:
        raise ValueError(f"0 < alpha < power < 1, got alpha {alpha} and power {power}")
    if not noise_floor >= 0:
        raise ValueError(f"a noise floor is not negative, got {noise_floor}")
