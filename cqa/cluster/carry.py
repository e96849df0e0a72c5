"""A study carried out in a place: what is not done goes there in chains, and is counted here."""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cqa.cluster.chains import Chain, chains
from cqa.cluster.places import Local, Place, Request, Slurm
from cqa.errors import UsageRefused
from cqa.files import read_json
from cqa.progress import say
from cqa.study.schedule import Outcome
from cqa.study.steps import Step

if TYPE_CHECKING:
    from cqa.study.study import Study

_SETTLE_SECONDS = 30.0
"""How long a shared disk may take to show here what a job has written there."""


def place(on: str, request: Request) -> Place:
    """The place of a name: slurm or local."""
    if on == "slurm":
        if shutil.which("sbatch") is None:
            raise UsageRefused(
                "--on slurm: there is no sbatch here",
                next_step="type it on a machine of the cluster, or say --on local",
            )
        return Slurm(request)
    import torch

    gpus = torch.cuda.device_count()
    return Local(request, request.at_once or max(1, gpus // request.devices), gpus)


def carry_out(study: Study, steps: Sequence[Step], request: Request, on: str) -> Outcome:
    """Do these steps there. One that fails takes with it only those that need it."""
    _ = study.locked  # written before anything is scored, and once for all jobs
    todo = [step for step in steps if study.find(step) is None]
    outcome = Outcome(len(steps), done=len(steps) - len(todo))
    asked = chains(todo)
    if not asked:
        return outcome
    say(f"{len(todo)} steps go to {on} in {len(asked)} chains; logs in {request.folder / 'jobs'}")
    not_done = functools.partial(_not_done, study, request)
    for chain, left in settled(place(on, request).over(asked), not_done, on):
        outcome.done += len(chain.steps) - len(left)
        outcome.fresh += len(chain.steps) - len(left)
        for step, reason in left.items():
            lost = next((need.name for need in step.needs if need.name in outcome.failed), None)
            why = f"needs {lost}, which failed" if lost else reason
            outcome.failed[step.name] = why or f"its job ended; see {request.folder / 'jobs'}"
        said = f", {len(left)} of its steps are missing" if left else ""
        say(f"{outcome.done:3} of {outcome.total}  {chain.label} is over{said}")
    return outcome


def settled(
    over: Iterator[Chain], not_done: Callable[[Chain], dict[Any, str | None]], on: str
) -> Iterator[tuple[Chain, dict[Any, str | None]]]:
    """Each chain with what of it is not done, and what its job said of that, if anything."""
    patience = time.monotonic() + _SETTLE_SECONDS
    for chain in over:
        left = not_done(chain)
        while left and not any(left.values()) and on == "slurm" and time.monotonic() < patience:
            time.sleep(1.0)
            left = not_done(chain)
        patience = time.monotonic() + (0.0 if left else _SETTLE_SECONDS)
        yield chain, left


def _not_done(study: Study, request: Request, chain: Chain) -> dict[Step, str | None]:
    """The steps of a chain that are not done, each with what its job said of it."""
    told = request.failures(chain)
    failed = read_json(told) if told.exists() else {}
    return {step: failed.get(step.name) for step in chain.steps if not study.find(step)}
