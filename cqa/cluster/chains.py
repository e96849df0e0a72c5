"""The steps of a study as chains that do not need each other: one arm with one seed each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from cqa.study.steps import Step


@dataclass(frozen=True)
class Chain:
    """What one arm with one seed, or the base, still has to do; each step after what it needs."""

    steps: tuple[Step, ...]

    @property
    def label(self) -> str:
        """`base`, `annotations-s0`; a name for files as well."""
        first = self.steps[0]
        return re.sub(r"[^A-Za-z0-9.-]+", "-", Step(first.kind, first.arm, first.seed).label)

    @property
    def training(self) -> tuple[Step, ...]:
        """The step that several processes can share."""
        return tuple(step for step in self.steps if step.kind == "train")

    @property
    def rest(self) -> tuple[Step, ...]:
        """Scoring and writing, which need the training of the same chain and nothing else."""
        return tuple(step for step in self.steps if step.kind != "train")


def chains(steps: Iterable[Step]) -> list[Chain]:
    """Steps by arm and seed, in the order of the first step of each."""
    found: dict[tuple[str, int | None], list[Step]] = {}
    for step in steps:
        found.setdefault((step.arm, step.seed), []).append(step)
    return [Chain(tuple(of_one)) for of_one in found.values()]
