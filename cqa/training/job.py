"""What a training is given and what it tells; torch is not needed to speak of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cqa.config import TrainConfig
from cqa.examples import Tokens
from cqa.model_ref import Model
from cqa.training.pace import Pace

if TYPE_CHECKING:
    from cqa.lm import HubTokenizer


@dataclass(frozen=True)
class Job:
    """One training: what, on what, how, and where it is written."""

    model: Model
    tokenizer: HubTokenizer
    train: Sequence[Tokens]
    dev: Sequence[Tokens]
    config: TrainConfig
    seed: int
    pace: Pace
    folder: Path
    """checkpoints/, plan.json and attempts.json live here, during the training and after it."""
    tell: Callable[[int, int, str], None]
    """Called with (step, total steps, note)."""
    probed_seconds: float = 0.0
    """Of the device's time, taken just before by the estimate; they are spent all the same."""


@dataclass(frozen=True)
class Outcome:
    """What a training did. Losses are nats per learned token, in the mean of a step; those of the
    development side in the mean over its batches."""

    steps: int
    asked_steps: int
    planned_steps: int
    """Fewer than asked where the budget did not reach; the schedule was fitted to them."""
    epochs: float
    tokens: int
    seconds: float
    first_loss: float | None
    """None, and `last_loss` too, where no step was asked for."""
    last_loss: float | None
    dev_loss_by_epoch: list[float]
    trained_parameters: int
    parameters: int
    cut_short: bool
    devices: int
    device: str
    micro_batch_size: int
    """As it was in the end: halved, and the accumulation doubled, where memory was too small."""
    accumulation: int
    stepping_seconds: float
    """Of this attempt, from its first step to its last, evaluation and checkpoints included."""
    stepped_tokens: int
    """In those seconds."""
    peak_memory_bytes: int
    peak_memory_of: str
    energy_source: str
    matmul_flop_per_second: float | None
    """What this device was measured to do in nothing but matrix products."""
    rows_read_twice: int = 0
    """In every epoch, so that all devices have as many."""
    fits: Sequence[tuple[int, int]] = ()
    """(after this step, planned steps) for every time that the budget lowered the plan."""
