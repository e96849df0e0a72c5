"""The steps of a study in their order: several at once, one failure apart from the others."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from cqa import runs
from cqa.errors import CqaError, UsageRefused, of_the_machine
from cqa.progress import say
from cqa.study.durations import Durations, said
from cqa.study.steps import Step

if TYPE_CHECKING:
    from cqa.study.study import Study

_LOOK_SECONDS = 1.0
_MARGIN = 1.15
"""A step may take so much longer than the like of it did."""


@dataclass
class Outcome:
    """How far the steps came."""

    total: int
    done: int = 0
    fresh: int = 0
    """Done just now, not found."""
    failed: dict[str, str] = field(default_factory=dict)
    """Name of a step -> why it is not done: its own failure, or that of a step it needs."""
    left: tuple[Step, ...] = ()
    """Not begun, because the time was over."""

    @property
    def missing(self) -> dict[str, str]:
        """Everything that is not done, with its reason."""
        return self.failed | {step.name: "the time was over" for step in self.left}


class Hands(Protocol):
    """Who does the steps: this process, or several others (`workers.Processes`)."""

    capacity: int

    def start(self, step: Step) -> None:
        """Begin a step; no more than `capacity` are under way."""

    def finished(self) -> list[tuple[Step, str | None]]:
        """Wait for at least one of the steps under way; each with why it failed, if it did."""


class Here:
    """This process: one step at a time."""

    capacity = 1

    def __init__(self, study: Study) -> None:
        self._study = study
        self._over: list[tuple[Step, str | None]] = []

    def start(self, step: Step) -> None:
        """Do the step at once."""
        self._over.append((step, attempt(self._study, step)))

    def finished(self) -> list[tuple[Step, str | None]]:
        """What `start` has done."""
        over, self._over = self._over, []
        return over


def attempt(study: Study, step: Step) -> str | None:
    """Do a step; why it failed, or None. The failure stands in the record of its run as well."""
    try:
        study.do(step)
    except Exception as error:  # noqa: BLE001 - whatever it was, the other arms go on without it
        known = error if isinstance(error, CqaError) else of_the_machine(error)
        if known is None:
            say(traceback.format_exc())
        return runs.reason_of(known or error)
    return None


def chosen(steps: Sequence[Step], only: Sequence[str]) -> list[Step]:
    """The steps that `--only` names, with what they need; all of them where it names nothing."""
    if not only:
        return list(steps)
    for pattern in only:
        if not any(step.fits(pattern) for step in steps):
            names = ", ".join(sorted({f"{step.arm}/{step.kind}" for step in steps}))
            raise UsageRefused(f"--only {pattern!r}: no such step", next_step=f"one of: {names}")
    wanted = {step for step in steps if any(step.fits(pattern) for pattern in only)}
    needed = {need for step in wanted for need in step.needs}
    return [step for step in steps if step in wanted | needed]


def carry_out(
    study: Study,
    steps: Sequence[Step],
    hands: Hands,
    *,
    seconds: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Do the steps in their order, as many at once as there are hands for.

    A step that fails takes with it only those that need it. One that another command is at is left
    to it. With `seconds`, no step is begun that would not be over by then, as far as earlier runs
    tell; a shorter one may go before it.
    """
    end = None if seconds is None else clock() + seconds
    durations = Durations(study)
    outcome = Outcome(len(steps))
    todo = [step for step in steps if study.find(step) is None]
    outcome.done = len(steps) - len(todo)
    under_way: set[Step] = set()

    def ready(step: Step) -> bool:
        return step not in under_way and all(study.find(need) for need in step.needs)

    def fits(step: Step) -> bool:
        if end is None:
            return True
        return clock() + _MARGIN * (durations.expected(step) or 0.0) < end

    def can_begin(step: Step) -> bool:
        return ready(step) and fits(step) and not study.is_elsewhere(step)

    waits = False
    while todo:
        for step in list(todo):
            if step not in under_way and study.find(step):  # another command has done it
                outcome.done += 1
                todo.remove(step)
            elif broken := [need for need in step.needs if need.name in outcome.failed]:
                outcome.failed[step.name] = f"needs {broken[0].name}, which failed"
                todo.remove(step)
        while len(under_way) < hands.capacity:
            step = next((step for step in todo if can_begin(step)), None)
            if step is None:
                break
            number = len(steps) - len(todo) + len(under_way) + 1
            left = durations.left(todo, hands.capacity)
            about = "" if left is None else f"  (about {said(left)} left)"
            say(f"{number:3} of {len(steps)}  {step.kind:11} {step.label}{about}")
            under_way.add(step)
            hands.start(step)
        if not under_way:
            elsewhere = [step for step in todo if ready(step) and fits(step)]
            if not elsewhere:
                break
            if not waits:
                say(f"{elsewhere[0].name} is under way in another process: waiting for it")
            waits = True
            time.sleep(_LOOK_SECONDS)
            continue
        waits = False
        for step, failure in hands.finished():
            under_way.remove(step)
            run = study.find(step)
            if run is None and failure is not None and study.is_elsewhere(step):
                continue  # another command was a moment earlier
            todo.remove(step)
            if run is not None:
                outcome.done += 1
                outcome.fresh += failure is None
                durations.learn(run)
            else:
                outcome.failed[step.name] = failure or "it ended without a result"
                say(f"     failed  {step.kind:11} {step.label}: {outcome.failed[step.name]}")
    outcome.left = tuple(todo)
    return outcome
