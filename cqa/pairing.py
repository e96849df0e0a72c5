"""Scores before and after, joined item by item."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from cqa.types import Score


@dataclass(frozen=True)
class Paired:
    """One quantity before and after, item by item.

    `tuned` has shape (seeds, items); `base` too, or (1, items) where one base stands before all.
    """

    ids: tuple[str, ...]
    works: tuple[str, ...]
    base: np.ndarray
    tuned: np.ndarray
    dropped: int
    """Items for which the quantity is null before, or after under any seed."""

    @property
    def by_seed(self) -> np.ndarray:
        """The changes, shape (seeds, items)."""
        return self.tuned - self.base

    def only(self, ids: Collection[str]) -> Paired:
        """The items of these ids; the others count as dropped."""
        at = [place for place, key in enumerate(self.ids) if key in ids]
        return Paired(
            tuple(self.ids[place] for place in at),
            tuple(self.works[place] for place in at),
            self.base[:, at],
            self.tuned[:, at],
            self.dropped + len(self.ids) - len(at),
        )

    @property
    def delta(self) -> np.ndarray:
        """The changes in the mean over the seeds, shape (items,)."""
        return self.by_seed.mean(axis=0)


def pair(base: Iterable[Score], *tuned: Iterable[Score], quantity: str) -> Paired:
    """Join the scores before with those after, one set for each seed, by id.

    Ids that are on one side only raise ValueError.
    """
    before = {score.id: score for score in base}
    after = [{score.id: score for score in scores} for scores in tuned]
    for seed in after:
        if before.keys() != seed.keys():
            raise ValueError(f"{len(before.keys() ^ seed.keys())} ids are scored on one side only")
    kept, dropped = [], 0
    for key in sorted(before):
        values = [side[key].quantities.get(quantity) for side in (before, *after)]
        if None in values:
            dropped += 1
        else:
            kept.append((key, before[key].work or key, values))
    ids, works, values = zip(*kept, strict=True) if kept else ((), (), ())
    table = np.array(values, dtype=float).reshape(-1, 1 + len(after)).T
    return Paired(tuple(ids), tuple(works), table[:1], table[1:], dropped)


def by_item(score: Score) -> Score:
    """The score of a written text under the name of its item and sample, whoever wrote it."""
    return score.model_copy(update={"id": f"{score.item}/{score.sample}"})
