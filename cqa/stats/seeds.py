"""Several training seeds, each measured on the same items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cqa.stats.interval import Interval, Seed, bca, bootstrap_interval, expanded
from cqa.stats.works import FloatArray, by_work, no_spread, standard_error

SEEDS_FOR_CROSSING = 5
"""From here on seeds are resampled too; fewer say too little about other seeds."""


@dataclass(frozen=True)
class OverSeeds:
    """The change averaged over training seeds.

    With `crossed` the interval speaks about new works and new seeds; without, about new works
    for these very seeds, and `between_seed_sd` (None for one seed) has to be read beside it.
    """

    interval: Interval
    seed_means: tuple[float, ...]
    between_seed_sd: float | None
    crossed: bool


def over_seeds(
    delta: ArrayLike,
    work: Sequence[str],
    *,
    seed: Seed,
    level: float = 0.95,
    resamples: int = 9999,
) -> OverSeeds:
    """Mean change over seeds and items, with the seeds crossed with the works.

    From 5 seeds on, seeds and works are resampled independently (the crossed or pigeonhole
    bootstrap: Owen 2007), which errs on the wide side where neither varies much, at the level
    that makes up for their being few (`expanded`). Below that the changes are averaged over seeds
    first and works alone are resampled.

    Parameters
    ----------
    delta : shape (seeds, items). An item without a value under one seed is left out for all.
    work : the work label of each item.

    Raises
    ------
    ValueError
        Not a table of at least one seed, or what `by_work` refuses.
    """
    table = np.asarray(delta, dtype=np.float64)
    if table.ndim != 2 or not len(table):
        raise ValueError(f"a table of seeds by items, got shape {table.shape}")
    per_seed = [by_work(row, work) for row in table]
    means = tuple(works.item_mean for works in per_seed if works.item_mean is not None)
    sd = float(np.std(means, ddof=1)) if len(means) > 1 else None
    averaged = table.mean(axis=0)
    crossed = len(table) >= SEEDS_FOR_CROSSING
    pooled = by_work(averaged, work)
    if not crossed or no_spread(pooled):
        interval = bootstrap_interval(averaged, work, seed=seed, level=level, resamples=resamples)
        return OverSeeds(interval, means, sd, crossed=False)

    sums, counts = np.array([works.sums for works in per_seed]), pooled.counts

    def grand_mean(seeds: np.ndarray, works: np.ndarray, axis: int = -1) -> FloatArray:
        cells = sums[seeds[..., :, None], works[..., None, :]]
        items = counts[works].sum(axis)
        return cells.sum((-2, -1)) / (items * seeds.shape[-1])

    sizes = [len(table), len(pooled)]
    variances = [np.var(means, ddof=1) / len(means), standard_error(pooled) ** 2]
    ends = bca(
        sizes,
        grand_mean,
        level=expanded(level, variances, sizes),
        resamples=resamples,
        seed=seed,
    )
    reason = None if ends else "the BCa correction is undefined for these data"
    low, high = ends or (None, None)
    method = f"BCa bootstrap, seeds crossed with works, expanded, {resamples} resamples"
    interval = Interval(
        pooled.item_mean, low, high, level, method, len(pooled), pooled.items, reason
    )
    return OverSeeds(interval, means, sd, crossed=True)
