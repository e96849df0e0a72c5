"""Before there are data: how sure a design will be, given the spread that a pilot showed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from cqa.stats.power import planned_effect
from cqa.stats.seeds import SEEDS_FOR_CROSSING

_MOST_WORKS = 100_000


@dataclass(frozen=True)
class Spread:
    """Standard deviations of the change of one work, in the unit of the change.

    `work` is what a work keeps under every seed, `within` what differs from seed to seed, `seed`
    what a seed does to all works alike. A pilot of one seed cannot part them: then `within` and
    `seed` are 0 and `work` is the whole, which for a few seeds is rather too much.
    """

    work: float
    within: float = 0.0
    seed: float = 0.0

    @classmethod
    def of(cls, by_seed: ArrayLike) -> Spread:
        """From the mean changes of works under each seed, shape (seeds, works), by mean squares."""
        table = np.asarray(by_seed, dtype=np.float64)
        seeds, works = table.shape
        if seeds < 2:
            return cls(float(table.std(ddof=1)))
        rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
        within = float((rest**2).sum() / ((seeds - 1) * (works - 1)))
        work = float(table.mean(0).var(ddof=1)) - within / seeds
        seed = float(table.mean(1).var(ddof=1)) - within / works
        return cls(*(math.sqrt(max(0.0, part)) for part in (work, within, seed)))

    def standard_error(self, works: int, seeds: int) -> float:
        """Of the mean change; below 5 seeds for these very seeds, so without what parts seeds."""
        variance = (self.work**2 + self.within**2 / seeds) / works
        if seeds >= SEEDS_FOR_CROSSING:
            variance += self.seed**2 / seeds
        return math.sqrt(variance)


def detectable(spread: Spread, works: int, seeds: int, *, power: float = 0.8) -> float:
    """The smallest change that so many works and seeds find, two-sided at .05."""
    return planned_effect(works, power=power) * spread.standard_error(works, seeds) * works**0.5


def chance_of_inconclusive(
    effect: float, se: float, df: float, *, margin: float, noise_floor: float = 0.0
) -> float:
    """The chance that the verdict rule ends in `inconclusive` where the true change is `effect`.

    Inconclusive is: lower end ≤ −margin and upper end ≥ −noise floor. The estimate is normal, its
    standard error comes from the data (chi-square with `df`), the interval is that of the t test;
    the first bracket (decay), which can only add to the chance, is left out.
    """
    quantiles = (np.arange(2000) + 0.5) / 2000
    half = stats.t.isf(0.025, df) * se * np.sqrt(stats.chi2.ppf(quantiles, df) / df)
    inside = stats.norm.cdf((half - margin - effect) / se) - stats.norm.cdf(
        (-half - noise_floor - effect) / se
    )
    return float(np.clip(inside, 0.0, None).mean())


def works_needed(
    spread: Spread, seeds: int, *, margin: float, chance: float = 0.2, effect: float = 0.0
) -> int | None:
    """Works with which an inconclusive end is no likelier than `chance`; None beyond 100,000."""

    def enough(works: int) -> bool:
        se = spread.standard_error(works, seeds)
        return chance_of_inconclusive(effect, se, works - 1, margin=margin) <= chance

    if not enough(_MOST_WORKS):
        return None
    low, high = 2, _MOST_WORKS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
