"""An experiment file as a list of steps: arms x seeds x epochs, each with what it needs first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from cqa.config import ArmConfig, Experiment

Kind = Literal["train", "score", "generate", "score-texts", "score-own"]
"""`score-texts`: what a model wrote, by the fixed judge; `score-own`: by the very model."""
BASE = "base"


@dataclass(frozen=True)
class Step:
    """One stage of one arm with one seed; `arm` is BASE and `seed` None for the untuned model."""

    kind: Kind
    arm: str
    seed: int | None = None
    epoch: int | None = None
    """Of the adapter that is scored; None for the checkpoint that the experiment chooses."""

    @property
    def label(self) -> str:
        """What the model is called: `base`, `annotations-s0`, `annotations-s0-e2`."""
        seed = "" if self.seed is None else f"-s{self.seed}"
        return f"{self.arm}{seed}" + ("" if self.epoch is None else f"-e{self.epoch}")

    @property
    def name(self) -> str:
        """What --only is compared with, for instance `annotations-s0/train`."""
        return f"{self.label}/{self.kind}"

    @property
    def needs(self) -> tuple[Step, ...]:
        """The steps whose results this one reads, each after what it needs itself."""
        before: list[Step] = []
        if self.kind in ("score-texts", "score-own"):
            written = Step("generate", self.arm, self.seed)
            before += [*written.needs, written]
        elif self.kind != "train" and self.arm != BASE:
            before.append(Step("train", self.arm, self.seed))
        return tuple(before)

    def fits(self, pattern: str) -> bool:
        """Whether `--only pattern` means this step: ARM, ARM/STAGE, with or without -sSEED; * any.

        >>> Step("train", "annotations", 1).fits("annotations/train")
        True
        """
        arm, _, stage = pattern.rpartition("/") if "/" in pattern else (pattern, "", "*")
        seed = "" if self.seed is None else f"-s{self.seed}"
        names = (self.arm, f"{self.arm}{seed}", self.label)
        return any(fnmatchcase(name, arm) for name in names) and fnmatchcase(self.kind, stage)


def steps_of(experiment: Experiment) -> list[Step]:
    """Every step, what decides the primary quantity first; each stands after what it needs."""
    main = experiment.analysis.arm
    arms = sorted(experiment.arms, key=lambda arm: arm.name != main)
    ordered = [Step("score", BASE)]
    for arm in arms:
        for seed in experiment.seeds:
            ordered += [Step("train", arm.name, seed), Step("score", arm.name, seed)]
    for arm in arms:
        for seed in experiment.seeds:
            ordered += [
                Step("score", arm.name, seed, epoch) for epoch in curve_epochs(experiment, arm)
            ]
    writers = [(BASE, None)] if any(arm.write for arm in arms) else []
    writers += [(arm.name, seed) for arm in arms if arm.write for seed in experiment.seeds]
    for arm_name, seed in writers:
        ordered += [Step("generate", arm_name, seed), Step("score-texts", arm_name, seed)]
    base_is_judge = experiment.judge == experiment.model
    ordered += [
        Step("score-own", arm_name, seed)
        for arm_name, seed in writers
        if not (arm_name == BASE and base_is_judge)
    ]
    return ordered


def curve_epochs(experiment: Experiment, arm: ArmConfig) -> Iterator[int]:
    """The epochs after which an arm is scored besides its chosen checkpoint."""
    if arm.curve:
        last = experiment.train_config(arm).epochs
        chosen_is_last = experiment.analysis.checkpoint == "last epoch"
        yield from range(1, last if chosen_is_last else last + 1)
