"""Items grouped by work, the unit of every resampling: texts of one work are not independent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

MIN_WORKS = 3
"""Below this no interval is given: two works show no spread worth the name."""


@dataclass(frozen=True, eq=False)
class Works:
    """What the items of each work add up to. Arrays have shape (works,), in the order of `labels`.

    `sums` and `means` are in the unit of the change, `counts` in items.
    """

    labels: tuple[str, ...]
    sums: FloatArray
    counts: FloatArray

    @property
    def means(self) -> FloatArray:
        """Mean change within each work."""
        return self.sums / self.counts

    @property
    def items(self) -> int:
        """Number of items over all works."""
        return int(self.counts.sum())

    @property
    def item_mean(self) -> float | None:
        """Mean change over items (a work weighs as much as it has items); None without items."""
        return float(self.sums.sum() / self.counts.sum()) if self.labels else None

    def __len__(self) -> int:
        return len(self.labels)


def by_work(delta: ArrayLike, work: Sequence[str]) -> Works:
    """Add up the items of each work, works sorted by label.

    The result is bitwise the same for any order of the items: they are summed in sorted order.

    Parameters
    ----------
    delta : shape (items,), the change of each item, finite.
    work : the work label of each item.

    Raises
    ------
    ValueError
        Different lengths, a value that is not finite, or a label that is not a non-empty string.
        A missing value is dropped and counted by the caller; here it would be a wrong number.
    """
    values = np.asarray(delta, dtype=np.float64)
    if values.ndim != 1 or len(values) != len(work):
        raise ValueError(f"one change and one work per item: got {values.shape} and {len(work)}")
    if not np.isfinite(values).all():
        first = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"delta[{first}] is {values[first]}: drop and count what is not scored")
    for index, label in enumerate(work):
        if not isinstance(label, str) or not label:
            raise ValueError(f"work[{index}] is {label!r}: every item names its work")
    if not len(values):
        return Works((), np.zeros(0), np.zeros(0))
    labels, codes = np.unique(np.asarray(work, dtype=str), return_inverse=True)
    order = np.lexsort((values, codes))
    starts = np.searchsorted(codes[order], np.arange(len(labels)))
    sums = np.add.reduceat(values[order], starts)
    counts = np.bincount(codes).astype(np.float64)
    return Works(tuple(str(label) for label in labels), sums, counts)


def standard_error(works: Works) -> float:
    """Cluster-robust standard error of the item mean, with works − 1 degrees of freedom.

        SE² = W/(W−1) · Σ_w (sum_w − mean · count_w)² / N²

    Linearised ratio of sums over counts: Liang & Zeger 1986, the small-sample factor as in Stata's
    and statsmodels' cluster option. With equally large works it is sd(work means)/√W.

    Raises
    ------
    ValueError
        Fewer than two works.
    """
    if len(works) < 2:
        raise ValueError(f"a standard error by work needs 2 works, got {len(works)}")
    total = works.counts.sum()
    excess = works.sums - works.sums.sum() / total * works.counts
    return math.sqrt(len(works) / (len(works) - 1) * float(excess @ excess)) / float(total)


def too_few(works: Works) -> str | None:
    """Why there are not enough works for an interval, or None where there are."""
    if not len(works):
        return "no items"
    if len(works) < MIN_WORKS:
        number = "1 work" if len(works) == 1 else f"{len(works)} works"
        return f"{number}; at least {MIN_WORKS} are needed"
    return None


def no_spread(works: Works) -> str | None:
    """Why nothing can be said about the spread between works, or None where it can."""
    if reason := too_few(works):
        return reason
    means = works.means
    # Equal means differ in the last bits after division: 1e-12 of their size is still equal.
    if np.ptp(means) <= 1e-12 * np.max(np.abs(means)):
        return "every work changed by the same amount: no spread to resample"
    return None


def why_not_apart(a: Works, b: Works) -> str | None:
    """Why two groups cannot be compared, or None where they can."""
    shared = sorted(set(a.labels) & set(b.labels))
    if shared:
        return f"works in both groups: {', '.join(shared[:5])}{' ...' if shared[5:] else ''}"
    for name, group in (("a", a), ("b", b)):
        if reason := too_few(group):
            return f"group {name}: {reason}"
    # One group without spread is no obstacle beside one that has some.
    return no_spread(a) if no_spread(a) and no_spread(b) else None
