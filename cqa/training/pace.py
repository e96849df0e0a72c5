"""Keeping to a budget while training: the pace so far -> how many steps still fit.

The learning-rate schedule is a function of step / total steps. Where the budget does not reach,
`total_steps` is fitted once: to tokens before the first step, to time and energy as soon as the
pace is known, with a margin. From then on it stands. It is lowered again only where training became
so much slower that the plan would break a ceiling even without the margin; it is never raised.
Every fit is kept with the step it was made after, so that an attempt that repeats steps repeats
their learning rates.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from cqa.training.budget import Budget

_MARGIN = 1.1
"""A step may take so much longer than the pace says."""
_MEASURED = 3
"""Steps beyond the first that make a pace, where there is time for them."""
_MEASURED_SHARE = 0.05
"""Of what is left then, spent on those steps before a plan is fitted to their pace."""
_LATELY = 10
"""Steps by which a plan is lowered where training became slower."""
_PASS_OF_STEP = 0.5
"""A forward pass takes at most this share of a training step on the same tokens."""


@dataclass
class _Gauge:
    """Something that every step uses up, in its own unit: seconds, watt-hours. Paces are of one
    token."""

    steps: int = 0
    """Of this attempt. The first one is slower than others and counts only until there is another.
    """
    fitted: bool = False
    """Whether a plan was fitted to this pace, or held."""
    spent: float = 0.0
    """In all steps of this attempt."""
    slowest: float = 0.0
    _sum: tuple[float, float] = (0.0, 0.0)
    _lately: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_LATELY))

    def count(self, spent: float, tokens: float) -> None:
        """A step ended. spent: in this attempt until now; tokens: of the step."""
        amount, self.spent = spent - self.spent, spent
        self.steps += 1
        if self.steps == 2:
            self.slowest, self._sum = 0.0, (0.0, 0.0)
            self._lately.clear()
        self.slowest = max(self.slowest, amount / tokens)
        self._sum = (self._sum[0] + amount, self._sum[1] + tokens)
        self._lately.append((amount, tokens))

    @property
    def usual(self) -> float:
        """The mean pace."""
        return self._sum[0] / self._sum[1] if self.steps else 0.0

    @property
    def of_late(self) -> float:
        """The mean pace of the last steps."""
        amounts, tokens = zip(*self._lately, strict=True)
        return sum(amounts) / sum(tokens)

    def knows(self, left: float) -> bool:
        """Whether a plan can be fitted, `left` being what is left."""
        measured = self.steps > _MEASURED and self._sum[0] >= _MEASURED_SHARE * left
        return self.fitted or measured


@dataclass
class Pace:
    """The plan of one training and what it has spent, over all attempts."""

    budget: Budget
    """As `Budget.for_training` gives it."""
    step_tokens: Sequence[int]
    """Tokens of every step that is asked for, in their order."""
    steps_per_epoch: int
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
    dev_tokens: int = 0
    """Tokens of the development side, read after every epoch."""

    total_steps: int = field(init=False)
    """Optimiser steps that are planned; lowered where the budget does not reach."""
    fits: list[tuple[int, int]] = field(default_factory=list, init=False)
    """(after this step, total steps) for every time the plan was fitted."""
    _seconds: _Gauge = field(default_factory=_Gauge, init=False)
    _energy: _Gauge = field(default_factory=_Gauge, init=False)

    def __post_init__(self) -> None:
        self.total_steps = len(self.step_tokens)
        self._tokens = [0, *itertools.accumulate(self.step_tokens)]
        if self.budget.epochs is not None:
            # Down to whole steps: 0.5 epochs of 5 steps are 2 steps, never 3.
            self.total_steps = min(
                self.total_steps, int(self.budget.epochs * self.steps_per_epoch + 1e-9)
            )
        self.total_steps = min(self.total_steps, self.held_by_tokens(0, 0))
        self._asked = self.total_steps
        # With the passes over the development side: those before the end of a step, those after it.
        epoch, aside = self.steps_per_epoch, self.dev_tokens * _PASS_OF_STEP
        self._before = [n + max(0, s - 1) // epoch * aside for s, n in enumerate(self._tokens)]
        self._after = [n + s // epoch * aside for s, n in enumerate(self._tokens)]

    def resume(self, fits: Sequence[Sequence[int]]) -> None:
        """Take over the plan of earlier attempts."""
        for step, total in fits:
            self._keep(step, total)
        self._seconds.fitted = self._energy.fitted = bool(fits)

    def held_by_tokens(self, step: int, tokens: int) -> int:
        """Total steps that a ceiling of tokens allows; `tokens` were read in the first `step`."""
        if self.budget.tokens is None:
            return len(self.step_tokens)
        left = self.budget.tokens - self.tokens_lost - tokens
        return bisect_right(self._tokens, self._tokens[step] + left) - 1

    def lower_to_tokens(self, step: int, tokens: int) -> None:
        """Lower `total_steps` to what a ceiling of tokens still allows."""
        self._keep(step, max(step, self.held_by_tokens(step, tokens)))

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
        self.lower_to_tokens(step, tokens)
        work = self._before[step] - self._before[step - 1]
        self._seconds.count(stepping_seconds, work)
        left = self.seconds_left(seconds)
        if left != float("inf"):
            self._keep(step, self._fitted(self._seconds, step, left))
        if self.budget.energy_wh is not None and energy_wh is not None:
            self._energy.count(energy_wh, work)
            left = self.budget.energy_wh - self.energy_before - energy_wh
            self._keep(step, self._fitted(self._energy, step, left))

    def _fitted(self, gauge: _Gauge, step: int, left: float) -> int:
        """Total steps, lowered where `left` does not hold them."""
        total = self.total_steps
        if step >= total:
            return total
        scarce = left <= 3 * _MEASURED * _MARGIN * gauge.slowest * max(self.step_tokens)
        if gauge.steps == 1:
            # One step is no pace; all it can show is that there is no time for a second one.
            return step if left < _MARGIN * gauge.slowest * self.step_tokens[step] else total
        if not scarce and (gauge.steps <= _MEASURED or not gauge.knows(left)):
            return total
        if gauge.fitted and self._holding(gauge, step, left, gauge.usual) >= total:
            return total
        pace = max(gauge.usual, gauge.of_late) if gauge.fitted else gauge.usual
        gauge.fitted = True
        return self._holding(gauge, step, left, _MARGIN * pace)

    def _holding(self, gauge: _Gauge, step: int, left: float, pace: float) -> int:
        """Total steps that `left` holds at this pace, if the last one is as slow as any before."""
        done = self._before[step]
        reached = bisect_right(self._after, done + left / max(pace, 1e-12)) - 1
        total = min(self.total_steps, max(step, reached))
        while total > step:
            last = self.step_tokens[total - 1]
            usual = self._after[total] - done - last
            if pace * usual + _MARGIN * gauge.slowest * last <= left:
                break
            total -= 1
        return total

    def seconds_left(self, seconds: float) -> float:
        """Seconds until the budget is spent, `seconds` into this attempt; infinite without one.

        What it takes to write the result is kept back.
        """
        left = self.budget.seconds_left(
            wall=self.wall_before + seconds,
            device=self.device_before + seconds * self.devices,
            devices=self.devices,
        )
        return left - self.saving_seconds

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
