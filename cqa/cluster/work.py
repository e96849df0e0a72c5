"""What a job does: commands in processes of their own, which can be stopped and repeated.

Those of a study do the steps of a chain; the training runs in as many processes as the job has
devices. A job that is preempted, or whose time is over, lets its command save itself (SIGTERM) and
is queued again; what is done by then is found, and a training goes on from its last checkpoint.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from submitit import JobEnvironment
from submitit.helpers import DelayedSubmission

from cqa import quiet
from cqa.errors import EXIT_DONE, EXIT_FAILURE, EXIT_STOPPED
from cqa.files import read_json, write_json, write_text
from cqa.training.devices import launcher, rank

if TYPE_CHECKING:
    from cqa.study.study import Study

_POLL_SECONDS = 0.2
_SECONDS_TO_MEET = 300.0
GRACE_SECONDS = 90
"""From the signal that a job's time is over to its end: a training step and a checkpoint."""


class Job(ABC):
    """What submitit carries to where it runs; the kinds of it are dataclasses."""

    threads: int | None
    """Of each process; None as the scheduler gives them."""

    @abstractmethod
    def commands(self) -> Iterator[list[str]]:
        """What is to be run, one after the other; each is made when those before it are done."""

    def __call__(self) -> None:
        """Run the commands. Raises where one failed, so that the job ends as failed."""
        self._child: subprocess.Popen | None = None
        self._asked = False
        signal.signal(signal.SIGTERM, self._terminated)
        signal.signal(signal.SIGINT, self._terminated)
        for command in self.commands():
            if code := self._run(command):
                if code == EXIT_STOPPED or self._asked:
                    raise SystemExit(EXIT_STOPPED)  # submitit takes no exit for a result
                raise RuntimeError(f"exit code {code} of {shlex.join(command)}")

    def checkpoint(self) -> DelayedSubmission:
        """Called by submitit before it queues the job again: let the work save itself."""
        self._stop(wait=True)
        return DelayedSubmission(replace(self))

    def _run(self, command: Sequence[str]) -> int:
        environment = dict(os.environ)
        if self.threads:
            environment["OMP_NUM_THREADS"] = str(self.threads)
        # In a session of its own: a Ctrl-C reaches it once, by way of this process.
        self._child = subprocess.Popen(
            command, env=environment, start_new_session=True, preexec_fn=_deaf
        )
        while (code := self._child.poll()) is None:
            time.sleep(_POLL_SECONDS)
        return EXIT_STOPPED if code == -signal.SIGTERM else code

    def _terminated(self, signum: int, frame: FrameType | None) -> None:
        """Slurm signals every process of a job itself; a second signal would not wait."""
        if os.environ.get("SUBMITIT_EXECUTOR") == "local":
            self._stop(wait=False)

    def _stop(self, *, wait: bool) -> None:
        if self._child is None:
            return
        if not self._asked:
            self._asked = True
            with suppress(ProcessLookupError):
                os.kill(self._child.pid, signal.SIGTERM)
        until = time.monotonic() + 0.8 * GRACE_SECONDS
        # Not poll(): this is a signal handler, and the poll that it interrupts holds a lock.
        with suppress(ChildProcessError):
            flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
            while wait and not os.waitid(os.P_PID, self._child.pid, flags):
                if time.monotonic() > until:
                    break
                time.sleep(_POLL_SECONDS)


@dataclass
class StudyJob(Job):
    """Steps of a chain of a study."""

    file: Path
    steps: tuple[str, ...]
    """Their names."""
    failures: Path
    """Written by the job: name of a step -> why it failed."""
    devices: int = 1
    """Processes of the training on each node."""
    threads: int | None = None

    def commands(self) -> Iterator[list[str]]:
        """What trains, which several processes can share, and what does the rest."""
        training = tuple(name for name in self.steps if name.endswith("/train"))
        rest = tuple(name for name in self.steps if name not in training)
        for names in (training, rest):
            if names:
                yield self.command(names, alone=names is rest)

    def command(self, names: Sequence[str], *, alone: bool) -> list[str]:
        """What does these steps: one process, or as many as the job has devices."""
        job = JobEnvironment()
        processes = 1 if alone else self.devices * job.num_nodes
        command = [sys.executable]
        if processes > 1:
            meet = _meet(self.failures.parent, job) if job.num_nodes > 1 else ""
            command = launcher(processes, machine=job.node, machines=job.num_nodes, meet=meet)
        return [*command, "-m", "cqa.cluster.work", str(self.file), str(self.failures), *names]


def _deaf() -> None:
    """Slurm tells every process of a job that it ends; the default answer would be to die of it."""
    signal.signal(JobEnvironment._usr_sig(), signal.SIG_IGN)


def _meet(folder: Path, job: JobEnvironment) -> str:
    """host:port of the first node, which says it in the shared folder, anew for every attempt."""
    attempt = os.environ.get("SLURM_RESTART_COUNT", "0")
    path = folder / f"{job.job_id}-{attempt}.meet"
    if job.node == 0:
        with socket.socket() as free:
            free.bind(("", 0))
            write_text(path, f"{socket.gethostname()}:{free.getsockname()[1]}")
    until = time.monotonic() + _SECONDS_TO_MEET
    while not path.exists():
        if time.monotonic() > until:
            raise RuntimeError(f"the first node did not say where to meet, in {path}")
        time.sleep(_POLL_SECONDS)
    return path.read_text("utf-8")


def main(file: str, failures: str, *names: str) -> int:
    """Do these steps of an experiment; the exit code. What fails is written to `failures`."""
    quiet.libraries()
    signal.signal(signal.SIGTERM, _interrupt)
    from cqa.cli import wiring
    from cqa.study.schedule import attempt

    study = wiring.study(Path(file))
    told = Path(failures)
    try:
        if rank() > 0:
            _assist(study, names)
            return EXIT_DONE
        broken = read_json(told) if told.exists() else {}
        for step in study.steps:
            if step.name not in names:
                continue
            broken.pop(step.name, None)
            lost = next((need.name for need in step.needs if need.name in broken), None)
            failure = f"needs {lost}, which failed" if lost else attempt(study, step)
            if failure:
                broken[step.name] = failure
            write_json(told, broken)
    except KeyboardInterrupt:
        return EXIT_STOPPED
    return EXIT_FAILURE if set(names) & set(broken) else EXIT_DONE


def _assist(study: Study, names: Sequence[str]) -> None:
    """Take part in the training that the first process does."""
    from cqa import train

    (step,) = (step for step in study.steps if step.name in names)
    if study.find(step) is None:
        train.assist(
            study.spec(step),
            study.experiment.train_config(study.arm(step.arm)),
            study.model,
            study.data,
            fit=study.fit,
            root=study.root,
        )


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
