"""The steps of a study as chains that do not need each other: one arm with one seed each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from cqa.files import sha256_of_value
from cqa.study.steps import Step


@dataclass(frozen=True)
class Chain:
    """What one arm with one seed, or the base, still has to do; each step after what it needs."""

    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        """`base`, `annotations-s0`: what --only is compared with."""
        first = self.steps[0]
        return Step(first.kind, first.arm, first.seed).label

    @property
    def label(self) -> str:
        """The name as one of a file; where a character had to go, with a hash that no other has."""
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", self.name)
        return plain if plain == self.name else f"{plain}-{sha256_of_value(self.name)[:8]}"

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
