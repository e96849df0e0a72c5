"""Keeping to a budget while training: the pace so far -> how many steps still fit.

The learning-rate schedule is a function of step / total steps. Where the budget does not reach,
`total` is lowered as soon as the pace shows it, so that the schedule still runs to its end.
"""

from __future__ import annotations

from dataclasses import dataclass

from cqa.budget import Budget

MEASURED_STEPS = 2
"""Steps before the pace is believed; the first one is slower than the rest."""
_MARGIN = 1.1
"""A step may take so much longer than the mean."""


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

    def __post_init__(self) -> None:
        if self.budget.epochs is not None:
            # Down to whole steps: 0.5 epochs of 5 steps are 2 steps, never 3.
            self.total_steps = min(
                self.total_steps, int(self.budget.epochs * self.steps_per_epoch + 1e-9)
            )

    def lower_to_fit(self, step: int, seconds: float, stepping_seconds: float, tokens: int) -> None:
        """Lower `total_steps` to what the budget still allows after `step` steps.

        seconds: since this attempt began, loading included; stepping_seconds: since its first step;
        tokens: through the model so far, over all attempts.
        """
        if step < 1:
            return
        left = self.seconds_left(seconds)
        if left < float("inf") and (step >= MEASURED_STEPS or left <= 0):
            pace = max(1e-9, _MARGIN * stepping_seconds / step)
            self.total_steps = min(self.total_steps, step + int(max(0.0, left) / pace))
        if self.budget.tokens is not None:
            left = self.budget.tokens - tokens
            mean = tokens / step
            more = int(left / mean)
            if left < more * mean + (self.largest_step_tokens - mean):
                more -= 1  # the last step may be the largest
            self.total_steps = min(self.total_steps, step + max(0, more))

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
