"""Keeping to a budget while training: the pace so far -> how many steps still fit.

The learning-rate schedule is a function of step / total steps. Where the budget does not reach,
`total_steps` is fitted as soon as the pace is known, after the first few steps, so that the
schedule runs to its end. A fit that holds is never touched again. It is lowered once more only
where training became slower than measured and the ceiling would be broken; it is never raised.
Every fit is kept with the step it was made after, so that an attempt that repeats steps repeats
their learning rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cqa.training.budget import Budget

_MARGIN = 1.1
"""A step may take so much longer than the pace says."""
_MEASURED = 3
"""Steps beyond the first that make a pace, where there is time for them."""
_PASS_OF_STEP = 0.5
"""A forward pass takes at most this share of a training step on the same tokens."""


@dataclass
class _Gauge:
    """Something that every step uses up, in its own unit: seconds, watt-hours."""

    first: tuple[int, float, int] | None = None
    """(step, spent, tokens) after the first step of this attempt, which is slower than others."""
    last: tuple[float, int] = (0.0, 0)
    slowest: float = 0.0
    """Of one token, in the slowest step so far; the first one counts until there is another."""
    usual: float = 0.0
    """Of one token, in the mean of the steps after the first."""

    def fitting(
        self, step: int, spent: float, tokens: int, left: float, largest: int, extra: float
    ) -> int | None:
        """Steps after this one that `left` allows; None while the pace is not known yet.

        extra: tokens of forward passes that each step brings with it and that no pace shows yet.
        """
        spent_before, tokens_before = self.last
        self.last = (spent, tokens)
        if self.first is None:
            self.first = (step, spent, tokens)
            self.slowest = self.usual = spent / max(1, tokens)
            # One step is no pace; all it can show is that there is no time for a second one.
            of_one = _MARGIN * spent * max(1.0, largest / max(1, tokens))
            return 0 if left < of_one else None
        per_token = (spent - spent_before) / max(1, tokens - tokens_before)
        second = step - self.first[0] == 1
        self.slowest = per_token if second else max(self.slowest, per_token)
        first_step, first_spent, first_tokens = self.first
        self.usual = (spent - first_spent) / max(1, tokens - first_tokens)
        of_largest = _MARGIN * self.slowest * largest
        if step - first_step < _MEASURED and left > 3 * _MEASURED * of_largest:
            return None
        mean = (spent - first_spent) / (step - first_step) + per_token * extra * _PASS_OF_STEP
        return _steps_in(left, _MARGIN * mean, of_largest)


@dataclass
class Pace:
    """The plan of one training and what it has spent, over all attempts."""

    budget: Budget
    """As `Budget.for_training` gives it."""
    total_steps: int
    """Optimiser steps that are planned; lowered where the budget does not reach."""
    steps_per_epoch: int
    largest_step_tokens: int
    """Tokens of the largest optimiser step that the data allow."""
    devices: int = 1
    wall_before: float = 0.0
    """Seconds of wall time before this attempt began: earlier attempts, start of the process."""
    device_before: float = 0.0
    """Device-seconds of earlier attempts."""
    tokens_lost: int = 0
    """Tokens of earlier attempts that no checkpoint kept; they are spent all the same."""
    energy_before: float = 0.0
    """Watt-hours of earlier attempts, where they are measured."""
    saving_seconds: float = 1.0
    """Kept back for writing the result."""
    epoch_tokens: int | None = None
    """Tokens of one pass over the data: what the steps have in the mean."""
    dev_tokens: int = 0
    """Tokens of the development side, read after every epoch."""

    fits: list[tuple[int, int]] = field(default_factory=list, init=False)
    """(after this step, total steps) for every time the plan was fitted."""
    _seconds: _Gauge = field(default_factory=_Gauge, init=False)
    _energy: _Gauge = field(default_factory=_Gauge, init=False)

    def __post_init__(self) -> None:
        if self.budget.epochs is not None:
            # Down to whole steps: 0.5 epochs of 5 steps are 2 steps, never 3.
            self.total_steps = min(
                self.total_steps, int(self.budget.epochs * self.steps_per_epoch + 1e-9)
            )
        if self.budget.tokens is not None:
            left = self.budget.tokens - self.tokens_lost
            if left < self.largest_step_tokens:
                self.total_steps = 0  # any step might be the largest
            elif self.epoch_tokens is not None:
                mean = self.epoch_tokens / self.steps_per_epoch
                self.total_steps = min(
                    self.total_steps, _steps_in(left, mean, self.largest_step_tokens)
                )
        self._asked = self.total_steps

    def resume(self, fits: Sequence[Sequence[int]]) -> None:
        """Take over the plan of earlier attempts."""
        for step, total in fits:
            self._keep(step, total)

    def lower_to_fit(
        self,
        step: int,
        seconds: float,
        stepping_seconds: float,
        tokens: int,
        energy_wh: float | None = None,
    ) -> None:
        """Lower `total_steps` to what the budget still allows after `step` steps.

        Called after every step. seconds: since this attempt began, loading included;
        stepping_seconds: since its first step began; tokens: through the model so far, over all
        attempts, each step once; energy_wh: of this attempt, where it is measured.
        """
        largest = self.largest_step_tokens
        if self.budget.tokens is not None:
            left = self.budget.tokens - self.tokens_lost - tokens
            mean = tokens / step
            if self.epoch_tokens is not None:
                mean = min(mean, self.epoch_tokens / self.steps_per_epoch)
            self._keep(step, step + _steps_in(left, mean, largest))
        extra = self.dev_tokens / self.steps_per_epoch if step <= self.steps_per_epoch else 0.0
        left = self.seconds_left(seconds)
        if left != float("inf"):
            fitting = self._seconds.fitting(step, stepping_seconds, tokens, left, largest, extra)
            if fitting is not None:
                self._keep(step, step + fitting)
        if self.budget.energy_wh is not None and energy_wh is not None:
            left = self.budget.energy_wh - self.energy_before - energy_wh
            fitting = self._energy.fitting(step, energy_wh, tokens, left, largest, extra)
            if fitting is not None:
                self._keep(step, step + fitting)

    def seconds_left(self, seconds: float) -> float:
        """Seconds until the budget is spent, `seconds` into this attempt; infinite without one.

        What it takes to read the development side once more and to write the result is kept back.
        """
        left = self.budget.seconds_left(
            wall=self.wall_before + seconds,
            device=self.device_before + seconds * self.devices,
            devices=self.devices,
        )
        return left - self.saving_seconds - self.watching_seconds

    @property
    def watching_seconds(self) -> float:
        """What it takes to read the development side once, as far as the pace is known."""
        return _MARGIN * self._seconds.usual * self.dev_tokens * _PASS_OF_STEP

    def learning_rate_share(self, step: int, warmup_ratio: float) -> float:
        """Linear warm-up, then linear decay to 0 at the end of the plan; share of the peak."""
        total = self._planned_at(step)
        warmup = max(1, round(warmup_ratio * total))
        if step < warmup:
            return (step + 1) / warmup
        return max(0.0, (total - step) / max(1, total - warmup))

    def _planned_at(self, step: int) -> int:
        """The total that was planned when this step was taken."""
        total = self._asked
        for after, fitted in self.fits:
            if after <= step:
                total = fitted
        return total

    def _keep(self, step: int, steps: int) -> None:
        if steps < self.total_steps:
            self.total_steps = steps
            self.fits.append((step, steps))


def _steps_in(left: float, mean: float, largest: float) -> int:
    """Steps that `left` holds if the last is the largest possible and the others are mean ones."""
    if left < largest:
        return 0
    return 1 + int((left - largest) / max(mean, 1e-12))
