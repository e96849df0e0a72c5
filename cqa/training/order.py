"""The order of rows: steps as chance draws them, their micro-batches of like length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import Sampler


class LikeLengths(Sampler[int]):
    """The rows that accelerate would draw with this seed, sorted by length within each step.

    A step's gradient is a sum over its rows, so which of them share a micro-batch changes nothing
    but the padding. A last step with fewer rows is sorted as well.
    """

    def __init__(self, lengths: Sequence[int], rows_per_step: int, seed: int) -> None:
        """`lengths`: tokens of each row; `rows_per_step`: over all devices."""
        self.rows = SeedableRandomSampler(lengths, data_seed=seed)
        self.lengths, self.rows_per_step = lengths, rows_per_step

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        order = list(self.rows)
        for start in range(0, len(order), self.rows_per_step):
            step = order[start : start + self.rows_per_step]
            yield from sorted(step, key=self.lengths.__getitem__, reverse=True)

    def set_epoch(self, epoch: int) -> None:
        """Another order for each epoch; accelerate says which it is, also on resume."""
        self.rows.set_epoch(epoch)


def step_tokens(
    lengths: Sequence[int], rows_per_step: int, seed: int, epochs: int, at_once: int = 1
) -> Iterator[int]:
    """Tokens of every step of so many epochs, in their order; padding is not counted.

    at_once: rows that several devices read together, see `read_twice`.
    """
    sampler = LikeLengths(lengths, rows_per_step, seed)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        order = list(sampler)
        order += order[: read_twice(len(order), at_once)]
        for start in range(0, len(order), rows_per_step):
            yield sum(lengths[row] for row in order[start : start + rows_per_step])


def read_twice(rows: int, at_once: int) -> int:
    """Rows of the beginning of an epoch with which accelerate fills up its end, so that every
    device has as many; `at_once` is the micro-batch times the devices. None on one device."""
    return -rows % at_once
