"""At every step of a training: the plan kept to the budget, the ledger kept, a stop obeyed."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback

from cqa.errors import BudgetTooSmall
from cqa.files import read_json, write_json
from cqa.training.energy import Meter
from cqa.training.ledger import Ledger
from cqa.training.pace import Pace
from cqa.training.stop import Stop


class Keeper(TrainerCallback):
    """Fits the plan where the budget does not reach, and stops before it is overrun.

    plan.json holds the fit with the step it was made after, and a later one where training became
    too slow for it; every later attempt reads it. In several processes the first decides for all.
    """

    def __init__(
        self,
        pace: Pace,
        ledger: Ledger,
        stop: Stop,
        *,
        folder: Path,
        started: float,
        warmup_ratio: float,
        tell: Callable[[int, int, str], None],
        meter: Meter | None = None,
    ) -> None:
        self._pace, self._ledger, self._stop, self._started = pace, ledger, stop, started
        self._folder, self._plan = folder, folder / "plan.json"
        self._warmup_ratio, self._tell, self._meter = warmup_ratio, tell, meter
        self._first_step = 0.0
        self.stepping_seconds = 0.0
        """Of this attempt, in training steps and what stands between them."""
        self.cut_short = False
        self.stopped = False

    def is_over(self, checkpoint: str) -> bool:
        """Whether the plan ends at this checkpoint, or the budget allows no step beyond it."""
        pace, done = self._pace, read_json(Path(checkpoint) / "trainer_state.json")
        self._read_plan()
        pace.tokens_lost = self._ledger.lost_before(done["num_input_tokens_seen"])
        step, tokens = done["global_step"], done["num_input_tokens_seen"]
        over = step >= pace.total_steps
        spent = pace.seconds_left(self._elapsed()) <= 0 or pace.held_by_tokens(step, tokens) <= step
        spent, over = self._told([spent, over])
        self.cut_short = spent and not over
        return spent or over

    def _read_plan(self) -> None:
        if self._plan.exists() and not self._pace.fits:
            self._pace.resume(read_json(self._plan)["fits"])

    def _write_plan(self, state) -> None:
        if state.is_world_process_zero:
            write_json(self._plan, {"fits": self._pace.fits})

    def on_train_begin(self, args, state, control, **kwargs):
        pace, ledger = self._pace, self._ledger
        self._read_plan()
        now = ledger.now
        now.from_step, now.from_tokens = state.global_step, int(state.num_input_tokens_seen)
        pace.tokens_lost = ledger.lost_before(now.from_tokens)
        planned = pace.total_steps
        pace.lower_to_tokens(now.from_step, now.from_tokens)
        if pace.total_steps < planned:
            self._write_plan(state)
        state.max_steps = pace.total_steps
        self._first_step = time.monotonic()
        if pace.total_steps < 1:
            raise BudgetTooSmall(
                f"the budget ({pace.budget.understood()}) does not hold one step, of "
                f"{pace.step_tokens[0]:,} tokens and 1/{pace.steps_per_epoch} of an epoch",
                next_step="give more, or a smaller batch size",
            )
        if pace.seconds_left(self._elapsed()) <= 0:
            raise BudgetTooSmall(
                f"the budget ({pace.budget.understood()}) was spent before the first step",
                next_step="give more: loading the model alone takes part of it",
            )

    def on_step_end(self, args, state, control, **kwargs):
        pace = self._pace
        planned, step = pace.total_steps, state.global_step
        self._count(state)
        self.stepping_seconds = time.monotonic() - self._first_step
        energy = self._ledger.now.energy_wh
        tokens = int(state.num_input_tokens_seen)
        pace.lower_to_fit(step, self._elapsed(), self.stepping_seconds, tokens, energy)
        stop = self._agreed(args)
        if pace.total_steps < planned:
            self._write_plan(state)
            state.max_steps = pace.total_steps
            # A plan lowered at the very step that ends it leaves no room for the decay.
            self.cut_short = pace.total_steps <= step
            self._refuse_overrun(step)
            _set_learning_rate(pace.learning_rate_share(step, self._warmup_ratio), kwargs)
        if step >= pace.total_steps:
            control.should_training_stop = True
        elif stop:
            self.stopped = control.should_save = control.should_training_stop = True

    def on_epoch_end(self, args, state, control, **kwargs):
        """The development side is only watched: it is not read where that would break a ceiling."""
        if self.stopped and state.global_step % self._pace.steps_per_epoch:
            # A stop in the middle of an epoch: it is saved, and reading would add a loss of none.
            control.should_evaluate = control.should_save = False
            return
        left = self._pace.seconds_left(self._elapsed()) - self._pace.watching_seconds
        (no_time,) = self._told([left < 0])
        if no_time:
            control.should_evaluate = False

    def on_save(self, args, state, control, **kwargs):
        """Drop what a stop left in the middle of an epoch, now that there is a later one."""
        self._count(state)
        if not state.is_world_process_zero:
            return
        for checkpoint in (self._folder / "checkpoints").glob("checkpoint-*"):
            match = re.fullmatch(r"checkpoint-(\d+)", checkpoint.name)
            step = int(match[1]) if match else 0
            if step < state.global_step and step % self._pace.steps_per_epoch:
                shutil.rmtree(checkpoint)

    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs and "loss" in logs:
            self._tell(state.global_step, self._pace.total_steps, f"loss {logs['loss']:.3f}")

    def count(self) -> None:
        """Bring the ledger up to this moment and write it."""
        self._clock()
        self._ledger.write()

    def _count(self, state) -> None:
        now = self._ledger.now
        now.steps = state.global_step - now.from_step
        now.tokens = int(state.num_input_tokens_seen) - now.from_tokens
        self._clock()
        if state.is_world_process_zero:
            self._ledger.write_now_and_then()

    def _clock(self) -> None:
        now, elapsed = self._ledger.now, self._elapsed()
        before = self._pace.wall_before - self._ledger.wall_before
        now.wall_seconds = round(before + elapsed, 3)
        now.device_seconds = round(elapsed * self._pace.devices, 3)
        if self._meter is not None:
            now.energy_wh = self._meter.wh()

    def _agreed(self, args) -> bool:
        """Whether to stop. Several processes share the first one's plan and any one's stop."""
        if args.world_size == 1:
            return self._stop.asked
        asked = torch.tensor([int(self._stop.asked)], device=args.device)
        torch.distributed.all_reduce(asked, op=torch.distributed.ReduceOp.MAX)
        pace = self._pace
        pace.total_steps, pace.fits = self._told([pace.total_steps, pace.fits])
        return bool(asked.item())

    def _told(self, values: list) -> list:
        """What the first process says, in all of them."""
        if self._pace.devices > 1:
            broadcast_object_list(values)
        return values

    def _refuse_overrun(self, step: int) -> None:
        """A first step that alone took more than there was is no result within the budget."""
        left = self._pace.seconds_left(self._elapsed()) + self._pace.saving_seconds
        if step == 1 and left <= 0:
            raise BudgetTooSmall(
                f"the budget ({self._pace.budget.understood()}) does not hold one step: the first "
                f"took {self.stepping_seconds:.4g} s and ended {-left:.4g} s after it was spent",
                next_step="give more, or a smaller batch size or model",
            )

    def _elapsed(self) -> float:
        return time.monotonic() - self._started


def _set_learning_rate(share: float, kwargs: dict) -> None:
    """The rate of the next step was set from the plan as it was before this one was counted."""
    optimizer, scheduler = kwargs.get("optimizer"), kwargs.get("lr_scheduler")
    if optimizer is None or scheduler is None:
        return
    rates = [base * share for base in scheduler.base_lrs]
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    scheduler._last_lr = rates
