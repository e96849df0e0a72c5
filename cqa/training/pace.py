"""Keeping to a budget while training: the pace so far -> how many steps still fit.

The learning-rate schedule is a function of step / total steps. Where the budget does not reach,
`total_steps` is lowered as soon as the pace shows it, so that the schedule still runs to its end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cqa.training.budget import Budget

_MARGIN = 1.1
"""A step may take so much longer than the pace says."""


@dataclass
class Pace:
    """The plan of one training and what it has spent, over all attempts."""

    budget: Budget
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
    saving_seconds: float = 1.0
    """Kept back for writing the result."""

    _first: tuple[int, float, int] | None = field(default=None, init=False)
    """(step, seconds, tokens) after the first step of this attempt, which is slower than others."""
    _last: tuple[float, int] = field(default=(0.0, 0), init=False)
    _slowest: float = field(default=0.0, init=False)
    """Seconds per token of the slowest step so far."""

    def __post_init__(self) -> None:
        if self.budget.epochs is not None:
            # Down to whole steps: 0.5 epochs of 5 steps are 2 steps, never 3.
            self.total_steps = min(
                self.total_steps, int(self.budget.epochs * self.steps_per_epoch + 1e-9)
            )
        if self.budget.tokens is not None and self.budget.tokens < self.largest_step_tokens:
            self.total_steps = 0  # any step might be the largest

    def lower_to_fit(self, step: int, seconds: float, stepping_seconds: float, tokens: int) -> None:
        """Lower `total_steps` to what the budget still allows after `step` steps.

        Called after every step. seconds: since this attempt began, loading included;
        stepping_seconds: since its first step began; tokens: through the model so far, over all
        attempts.
        """
        if self.budget.tokens is not None:
            left = self.budget.tokens - tokens
            self._keep(step + _steps_in(left, tokens / step, self.largest_step_tokens))
        left = self.seconds_left(seconds)
        if left == float("inf"):
            return
        if self._first is None:
            self._first = (step, stepping_seconds, tokens)
            # One step is no pace; all it can show is that there is no time for a second one.
            of_one = _MARGIN * stepping_seconds * max(1.0, self.largest_step_tokens / tokens)
            if left < of_one:
                self._keep(step)
        else:
            first_step, first_seconds, _ = self._first
            seconds_before, tokens_before = self._last
            per_token = (stepping_seconds - seconds_before) / max(1, tokens - tokens_before)
            self._slowest = max(self._slowest, per_token)
            mean = _MARGIN * (stepping_seconds - first_seconds) / (step - first_step)
            largest = _MARGIN * self._slowest * self.largest_step_tokens
            self._keep(step + _steps_in(left, mean, largest))
        self._last = (stepping_seconds, tokens)

    def seconds_left(self, seconds: float) -> float:
        """Seconds until the budget is spent, `seconds` into this attempt; infinite without one."""
        left = self.budget.seconds_left(
            wall=self.wall_before + seconds,
            device=self.device_before + seconds * self.devices,
            devices=self.devices,
        )
        return left - self.saving_seconds

    def learning_rate_share(self, step: int, warmup_ratio: float) -> float:
        """Linear warm-up, then linear decay to 0 at the end of the plan; share of the peak."""
        warmup = max(1, round(warmup_ratio * self.total_steps))
        if step < warmup:
            return (step + 1) / warmup
        return max(0.0, (self.total_steps - step) / max(1, self.total_steps - warmup))

    def _keep(self, steps: int) -> None:
        self.total_steps = min(self.total_steps, steps)


def _steps_in(left: float, mean: float, largest: float) -> int:
    """Steps that `left` holds if the last is the largest possible and the others are mean ones."""
    if left < largest:
        return 0
    return 1 + int((left - largest) / max(mean, 1e-12))
