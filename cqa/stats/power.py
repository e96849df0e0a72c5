"""What could have been found: power and the smallest detectable effect, clustering included."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from cqa.stats.effect_size import noncentral_t_cdf
from cqa.stats.seeds import SEEDS_FOR_CROSSING
from cqa.stats.works import FloatArray, Works, by_work, no_spread, standard_error


@dataclass(frozen=True)
class Power:
    """The chance `power` of finding a true change `effect`, in the unit of the change.

    Found means: the interval of the t test at `alpha` lies beyond `noise_floor` (on either side if
    `two_sided`). `effect` and `power` are None exactly where `reason` says why.
    """

    effect: float | None
    power: float | None
    alpha: float
    two_sided: bool
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
    two_sided: bool = True,
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
    spread = _Spread.of_seeds(np.atleast_2d(np.asarray(delta, np.float64)), work)
    return _smallest(spread, power, alpha, two_sided, noise_floor)


def smallest_detectable_difference(
    delta_a: ArrayLike,
    work_a: Sequence[str],
    delta_b: ArrayLike,
    work_b: Sequence[str],
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    two_sided: bool = True,
) -> Power:
    """As `smallest_detectable`, for the mean change of a minus that of b (Welch's t)."""
    spread = _Spread.of_two(by_work(delta_a, work_a), by_work(delta_b, work_b))
    return _smallest(spread, power, alpha, two_sided, 0.0)


def power_of_effect(
    effect: float,
    delta: ArrayLike,
    work: Sequence[str],
    *,
    alpha: float = 0.05,
    two_sided: bool = True,
    noise_floor: float = 0.0,
) -> Power:
    """The chance that a true change of `effect` would be found, given the spread seen.

    One-sided means greater. The inverse of `smallest_detectable`.
    """
    spread = _Spread.of_one(by_work(delta, work))
    _check(None, alpha, noise_floor)
    if spread.reason is not None:
        return spread.result(None, None, alpha, two_sided, noise_floor)
    chance = _power(effect, spread.se, spread.df, alpha, two_sided, noise_floor)
    return spread.result(effect, chance, alpha, two_sided, noise_floor)


def planned_effect(
    works: int,
    control_works: int | None = None,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    two_sided: bool = True,
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
    return _solve(se, df, power, alpha, two_sided, 0.0)


@dataclass(frozen=True)
class _Spread:
    """Standard error and degrees of freedom of an estimate, or why there are none."""

    se: float
    df: float
    works: int
    items: int
    reason: str | None = None

    @classmethod
    def of_one(cls, works: Works) -> _Spread:
        reason = no_spread(works)
        se = math.nan if reason else standard_error(works)
        return cls(se, len(works) - 1, len(works), works.items, reason)

    @classmethod
    def of_seeds(cls, table: FloatArray, work: Sequence[str]) -> _Spread:
        found = cls.of_one(by_work(table.mean(axis=0), work))
        seeds = len(table)
        if seeds < SEEDS_FOR_CROSSING or found.reason:
            return found
        var_works, var_seeds = found.se**2, float(table.mean(axis=1).var(ddof=1)) / seeds
        var = var_works + var_seeds
        df = var**2 / (var_works**2 / found.df + var_seeds**2 / (seeds - 1))  # Satterthwaite
        return replace(found, se=math.sqrt(var), df=df)

    @classmethod
    def of_two(cls, a: Works, b: Works) -> _Spread:
        works, items = len(a) + len(b), a.items + b.items
        if reason := no_spread(a) or no_spread(b):
            return cls(math.nan, math.nan, works, items, reason)
        var_a, var_b = standard_error(a) ** 2, standard_error(b) ** 2
        # Welch–Satterthwaite
        df = (var_a + var_b) ** 2 / (var_a**2 / (len(a) - 1) + var_b**2 / (len(b) - 1))
        return cls(math.sqrt(var_a + var_b), df, works, items)

    def result(
        self,
        effect: float | None,
        power: float | None,
        alpha: float,
        two_sided: bool,
        noise_floor: float,
    ) -> Power:
        se, df = (None, None) if self.reason else (self.se, self.df)
        return Power(
            effect, power, alpha, two_sided, noise_floor,
            se, df, self.works, self.items, self.reason,
        )  # fmt: skip


def _smallest(
    spread: _Spread, power: float, alpha: float, two_sided: bool, noise_floor: float
) -> Power:
    _check(power, alpha, noise_floor)
    if spread.reason is not None:
        return spread.result(None, None, alpha, two_sided, noise_floor)
    effect = _solve(spread.se, spread.df, power, alpha, two_sided, noise_floor)
    return spread.result(effect, power, alpha, two_sided, noise_floor)


def _solve(
    se: float, df: float, power: float, alpha: float, two_sided: bool, noise_floor: float
) -> float:
    """The effect above the noise floor at which `_power` reaches `power`; it rises with effect."""

    def missing(effect: float) -> float:
        return _power(effect, se, df, alpha, two_sided, noise_floor) - power

    reach = 4 * se
    while missing(noise_floor + reach) < 0:
        reach *= 2
    return float(optimize.brentq(missing, noise_floor, noise_floor + reach, xtol=1e-12 * se))


def _power(
    effect: float, se: float, df: float, alpha: float, two_sided: bool, noise_floor: float
) -> float:
    """P(estimate − t·SE > noise floor), or also P(estimate + t·SE < −noise floor)."""
    critical = float(stats.t.isf(alpha / 2 if two_sided else alpha, df))
    above = 1 - noncentral_t_cdf(critical, df, (effect - noise_floor) / se)
    if not two_sided:
        return above
    return above + noncentral_t_cdf(-critical, df, (effect + noise_floor) / se)


def _check(power: float | None, alpha: float, noise_floor: float) -> None:
    if not 0 < alpha < 1 or (power is not None and not alpha < power < 1):
        raise ValueError(f"0 < alpha < power < 1, got alpha {alpha} and power {power}")
    if not noise_floor >= 0:
        raise ValueError(f"a noise floor is not negative, got {noise_floor}")
