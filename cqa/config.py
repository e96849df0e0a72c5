"""Settings of the stages, and experiment files: unknown keys are refused, all problems reported."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from cqa import materials
from cqa.errors import DataRefused, Problem, UsageRefused
from cqa.files import refuse_endless
from cqa.files.faults import explain
from cqa.paths import BENCHMARK_ITEMS, FOUNDING_BATCH, shown
from cqa.training.budget import GRAMMAR, parse
from cqa.types import Frozen, Identifier, Kind, Name, Prose

Dtype = Literal["float32", "bfloat16", "float64", "nf4"]
"""`nf4`: weights in 4 bits (QLoRA), products in bf16; a CUDA GPU and cqa[qlora] are needed."""
Checkpoint = Annotated[str, Field(pattern=r"^(last epoch|epoch [1-9][0-9]*|development)$")]
Form = Literal["generation", "appreciation", "rewrite", "reasoning", "dialogue"]
Pairing = Literal["true", "shuffled"]


def _known_material(name: str) -> str:
    if name not in materials.names():
        raise ValueError(f"one of {', '.join(materials.names())}, got {name!r}")
    return name


Material = Annotated[str, AfterValidator(_known_material)]
"""`annotations`, or a placebo of materials.py."""
Positive = Annotated[int, Field(gt=0, lt=2**31)]
Epochs = Annotated[int, Field(gt=0, le=10_000)]
LARGEST_FILE = 300_000
"""Bytes of an experiment file."""
MOST_STEPS = 10_000
"""Of an experiment: arms times seeds times epochs that are scored."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Forms = Annotated[tuple[Form, ...], Field(min_length=1)]
Kinds = Annotated[tuple[Kind, ...], Field(min_length=1)]
Method = Literal["lora", "full", "zero-step"]
"""A LoRA, all weights, or a LoRA as it is before its first step: the control that must score as the
base does, to the last bit."""
Rate = Annotated[float, Field(gt=0)]


class TrainConfig(Frozen):
    """Settings of one fine-tuning. All defaults are ours; the published settings are not known."""

    method: Method = "lora"
    """A LoRA, all weights, or a LoRA as it is before its first step, which must score as the base
    does, to the last bit."""
    forms: Forms = ("generation", "appreciation")
    """The training forms; each annotation gives an example of each."""
    pairing: Pairing = "true"
    """`shuffled` is the placebo: each passage is paired with the brief of another work."""
    material: Material = "annotations"
    """`annotations`, or a placebo; see Materials."""
    kinds: Kinds | None = None
    """Only the reasoning steps and the parts of the brief of these kinds. No annotation is dropped;
    craft is no part of a brief, so craft alone leaves none."""
    rows: Positive | None = None
    """Only this many annotations, the same ones for every seed; a smaller number takes a subset of
    a larger one."""
    split: Literal["train", "all"] = "train"
    """`train` holds works back as a development side, `all` trains on every work."""
    epochs: Epochs = 5
    learning_rate: Rate = 2e-4
    """The peak; it rises over the warm-up and then decays to 0."""
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.1
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    batch_size: Positive = 8
    """Rows per optimiser step."""
    micro_batch_size: Positive = 4
    """Rows at once; a divisor of batch_size."""
    lora_rank: Annotated[int, Field(gt=0, le=65_536)] = 16
    lora_alpha: Rate = 32
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    dtype: Literal["float32", "bfloat16", "nf4"] = "float32"
    """Number format of the weights; nf4: 4 bits, computed in bfloat16 (QLoRA)."""
    checkpoint: Checkpoint = "last epoch"
    """Which epoch is the result: the last, `epoch N`, or the one with the largest specific gain on
    the passages of the development side. Fixed before the training."""

    @property
    def compute_dtype(self) -> Literal["float32", "bfloat16"]:
        """What products are computed in."""
        return "bfloat16" if self.dtype == "nf4" else self.dtype

    def origins(self, set_by: str) -> dict[str, str]:
        """For each setting where its value came from: `default`, or `set_by` (flag, file)."""
        return {
            name: set_by if name in self.model_fields_set else "default"
            for name in type(self).model_fields
        }

    @model_validator(mode="before")
    @classmethod
    def _rows_stay_apart(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and raw.get("packing"):
            raise ValueError(
                "no packing: without variable-length attention rows of one sequence read each "
                "other, and a hundred rows do not need it"
            )
        return raw

    @model_validator(mode="after")
    def _batches_divide(self) -> TrainConfig:
        if self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"batch_size {self.batch_size} to be a multiple of "
                f"micro_batch_size {self.micro_batch_size}"
            )
        if self.method == "full" and self.dtype != "float32":
            raise ValueError(
                f"dtype 'float32' with method 'full' (bf16 weights lose most small updates), got "
                f"{self.dtype!r}"
            )
        if self.checkpoint.startswith("epoch ") and int(self.checkpoint[6:]) > self.epochs:
            raise ValueError(
                f"a checkpoint among the epochs (epochs = {self.epochs}), got {self.checkpoint!r}"
            )
        if self.checkpoint == "development" and self.split == "all":
            raise ValueError("split 'train' where a checkpoint is chosen on the development side")
        return self


class GenerateConfig(Frozen):
    """How texts are drawn. The seed of each text derives from the run's seed, item and sample."""

    samples: Annotated[int, Field(gt=0, le=10_000)] = 1
    """Texts per item."""
    max_new_tokens: Positive = 64
    """Most tokens of a text."""
    temperature: Rate = 1.0
    min_p: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Tokens less likely than this fraction of the likeliest are dropped."""
    batch_size: Positive = 16
    """Texts written at once."""
    dtype: Dtype = "float32"


class ScoreConfig(Frozen):
    """How texts are scored."""

    mismatched: Annotated[int, Field(ge=1, le=15)] = 3
    """Briefs of other works for each text."""
    dtype: Dtype = "float32"
    noise_floor: bool = False
    """Whether a quarter of the texts is scored again in other batches, to measure the noise."""


class StudyScoreConfig(ScoreConfig):
    """How an experiment scores its texts."""

    noise_floor: bool = True
    """Whether a quarter of the texts is scored again in other batches, to measure the noise."""


class ArmConfig(Frozen):
    """One condition of an experiment: what differs from [train], and what is measured.

    A key that is left out is as in [train].
    """

    name: Identifier
    method: Method | None = None
    pairing: Pairing | None = None
    material: Material | None = None
    forms: Forms | None = None
    kinds: Kinds | None = None
    rows: Positive | None = None
    epochs: Epochs | None = None
    curve: bool = False
    """Whether the benchmark is scored after every epoch, not only at the chosen checkpoint."""
    write: bool = True
    """Whether the trained model writes texts, which the judge then scores."""


class AnalysisConfig(Frozen):
    """How the question is answered. `cqa lock` fixes it before the first score."""

    primary: Literal["specific_gain_bits_per_token"] = "specific_gain_bits_per_token"
    """The quantity that decides."""
    on: Literal["benchmark", "writing"] = "benchmark"
    """What the primary quantity is measured on: the benchmark's texts, scored by each model, or the
    texts that the models write, scored by the judge."""
    arm: Identifier
    """The arm that answers the question."""
    margin: Rate
    """The smallest change that matters, in bits per token."""
    checkpoint: Checkpoint = "last epoch"
    """Which epoch of every training is the result; see [train]."""
    sidedness: Literal["two-sided"] = "two-sided"
    exclude: dict[Identifier, Prose] = Field(default_factory=dict)
    """Items left out of the analysis, by id, each with its reason."""


class Expected(Frozen):
    """One number of the last accepted run, and how far another run may be from it."""

    value: float | None
    tolerance: Annotated[float, Field(ge=0)]


class Experiment(Frozen):
    """An experiment file."""

    name: Identifier
    question: Prose
    model: Name = "embedded"
    """The model that is trained: embedded, a local folder, or a Hub id `org/name@revision`."""
    judge: Name = "embedded"
    """The model that scores the generated texts, untuned."""
    annotations: Name = FOUNDING_BATCH
    """A batch folder."""
    items: Name = BENCHMARK_ITEMS
    """The benchmark's items."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    """Every arm is trained once with each."""
    budget: str | None = None
    """Ceiling of each training, such as "2gpu-hours"; none if left out."""
    arms: Annotated[tuple[ArmConfig, ...], Field(min_length=1, max_length=1000)]
    train: TrainConfig = TrainConfig()
    generate: GenerateConfig = GenerateConfig()
    score: StudyScoreConfig = StudyScoreConfig()
    analysis: AnalysisConfig
    expected: dict[str, Expected] = Field(default_factory=dict)
    """The numbers that a run must repeat; `cqa run FILE --accept` renews them."""

    @model_validator(mode="after")
    def _fits_together(self) -> Experiment:
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError(f"arms with a name each, got {_some(names)}")
        if "base" in names:
            raise ValueError("another name than 'base', which is the untuned model, for an arm")
        if self.analysis.arm not in names:
            raise ValueError(f"analysis.arm to be one of {_some(names)}, got {self.analysis.arm!r}")
        main = next(arm for arm in self.arms if arm.name == self.analysis.arm)
        if self.analysis.on == "writing" and not main.write:
            raise ValueError(f"write = true for {main.name!r}, since analysis.on is the writing")
        mine, locked = self.train.checkpoint, self.analysis.checkpoint
        if "checkpoint" in self.train.model_fields_set and mine != locked:
            raise ValueError(f"one checkpoint rule, got {mine!r} and {locked!r} under [analysis]")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds that differ, got {_some(self.seeds)}")
        scored = sum(1 + arm.curve * (arm.epochs or self.train.epochs) for arm in self.arms)
        if scored * len(self.seeds) > MOST_STEPS:
            raise ValueError(f"at most {MOST_STEPS} scorings, got {scored * len(self.seeds)}")
        if self.budget is not None:
            try:
                parse(self.budget)
            except UsageRefused:
                raise ValueError(f"a budget such as {GRAMMAR}, got {self.budget!r}") from None
        return self

    def train_config(self, arm: ArmConfig) -> TrainConfig:
        """The [train] section with what the arm changes; ValidationError where they do not fit."""
        rule = {}
        if "checkpoint" in self.analysis.model_fields_set:
            rule = {"checkpoint": self.analysis.checkpoint}
        given = self.train.model_dump(exclude_unset=True)
        return TrainConfig.model_validate(given | _changes(arm) | rule)


def _changes(arm: ArmConfig) -> dict[str, Any]:
    """What an arm sets of the training."""
    return arm.model_dump(exclude={"name", "curve", "write"}, exclude_none=True)


def _unfit(experiment: Experiment, where: str) -> Iterator[Problem]:
    """Arms whose settings do not fit those of [train] and [analysis]."""
    for number, arm in enumerate(experiment.arms):
        try:
            experiment.train_config(arm)
        except ValidationError as error:
            told = [f"{name} = {value!r}" for name, value in _changes(arm).items()]
            for problem in explain(error, TrainConfig, where):
                yield replace(
                    problem,
                    field=f"arms[{number}] ({arm.name})",
                    seen=", ".join(told) or "the settings of [train]",
                )


def _some(values: Sequence[Any]) -> str:
    """A list as a message shows it."""
    more = f" and {len(values) - 10} more" if len(values) > 10 else ""
    return f"{list(values[:10])}{more}"


def read_experiment(path: Path) -> Experiment:
    """An experiment file, or DataRefused with every problem of it."""
    try:
        refuse_endless(path)
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise DataRefused(
                f"{shown(path)}: {size:,} bytes; an experiment file has at most {LARGEST_FILE:,}",
                next_step="try experiments/reproduce.toml",
            )
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DataRefused(
            f"{shown(path)}: no such experiment file",
            next_step="try experiments/reproduce.toml",
        ) from None
    except (OSError, ValueError, RecursionError) as error:  # bad TOML is a ValueError
        raise DataRefused(
            [Problem(shown(path), "", str(error)[:300], "a TOML file")],
            next_step="mend it and run again",
        ) from error
    found = validated(Experiment, raw, shown(path))
    if unfit := list(_unfit(found, shown(path))):
        raise DataRefused(unfit, next_step="mend the settings and run again")
    return found


def validated(kind: type[Frozen], raw: dict, where: str):
    """A config from plain values, or DataRefused with every problem."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise DataRefused(
            explain(error, kind, where), next_step="mend the settings and run again"
        ) from error
