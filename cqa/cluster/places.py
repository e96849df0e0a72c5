"""Where jobs are done: on Slurm, or as processes of this machine by the same path.

A chain is one of a study, or a share of a scoring. Both places are submitit's executors. On Slurm
everything is submitted at once, the trainings as one array and what needs them as another that
follows element by element, so nothing has to stay running here: the same command finds its jobs
again and waits for them.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import submitit

from cqa.cluster.chains import Chain
from cqa.cluster.work import GRACE_SECONDS, Job, StudyJob
from cqa.errors import CqaError, UsageRefused
from cqa.files import read_json, write_json
from cqa.progress import say
from cqa.study.steps import Step

_REQUEUES = 1000
"""Times that a job whose time was over is queued again: a long training takes many slices."""
_NO_LIMIT_MINUTES = 60 * 24 * 365
_OURS = (
    "array", "dependency", "error", "nodes", "ntasks-per-node", "open-mode", "output", "signal",
)  # fmt: skip
"""Options of sbatch that a user cannot change without breaking the jobs."""


@dataclass(frozen=True)
class Request:
    """What a job is to have."""

    file: Path
    """That the jobs read: an experiment, or texts."""
    folder: Path
    """For jobs' logs; on the shared disk, beside the runs."""
    nodes: int = 1
    """Of one training; the rest of a chain has one."""
    devices: int = 1
    """Processes of a training on each node."""
    minutes: float | None = None
    """Of one job; then it saves its work and is queued again."""
    at_once: int | None = None
    sbatch: dict[str, str] = field(default_factory=dict)

    def work(self, chain: Chain, steps: Sequence[Step], threads: int | None = None) -> Job:
        """The job that does these steps of a chain."""
        names = tuple(step.name for step in steps)
        return StudyJob(self.file, names, self.failures(chain), self.devices, threads)

    def failures(self, chain: Chain) -> Path:
        """Where the jobs of a chain say what failed and why."""
        return (self.folder / f"{chain.label}.failed.json").absolute()


class Place(Protocol):
    """Where chains are done."""

    logs: dict[str, Path]
    """Label of a chain -> where its last job says what goes wrong."""

    def over(self, chains: Sequence[Chain], then: Chain | None = None) -> Iterator[Chain]:
        """Have the chains done; each as soon as none of its jobs is under way any more.

        What can only be done when all are, `then`, may go along. It is not waited for.
        """


class Local:
    """This machine: so many chains at once, each a process that ends with this one."""

    def __init__(self, request: Request, at_once: int, gpus: int) -> None:
        self._request, self._at_once, self._gpus = request, at_once, gpus
        self.logs: dict[str, Path] = {}

    def over(self, chains: Sequence[Chain], then: Chain | None = None) -> Iterator[Chain]:
        """Each chain as its process ends; `then` needs a call of its own."""
        waiting, slots = list(chains), list(range(self._at_once))
        under_way: dict[int, tuple[Chain, submitit.Job]] = {}
        try:
            while waiting or under_way:
                while waiting and slots:
                    chain, slot = waiting.pop(0), slots.pop(0)
                    under_way[slot] = chain, self._start(chain, slot)
                time.sleep(0.5)
                for slot, (chain, job) in list(under_way.items()):
                    if job.done():
                        del under_way[slot]
                        slots.append(slot)
                        yield chain
        finally:
            for _, job in under_way.values():
                job._process.terminate()  # the job hands it on, and its training saves itself
            for _, job in under_way.values():
                job._process.wait()

    def _start(self, chain: Chain, slot: int) -> submitit.Job:
        request, devices = self._request, self._request.devices
        executor = submitit.LocalExecutor(request.folder / "jobs", max_num_timeout=_REQUEUES)
        first = slot * devices % max(self._gpus, 1)
        gpus = tuple(range(first, min(first + devices, self._gpus)))
        minutes = request.minutes or _NO_LIMIT_MINUTES
        executor.update_parameters(
            timeout_min=minutes,
            signal_delay_s=int(min(GRACE_SECONDS, 30 * minutes)),
            gpus_per_node=len(gpus),
            visible_gpus=gpus,
        )
        request.failures(chain).unlink(missing_ok=True)
        threads = max(1, (os.cpu_count() or 1) // (self._at_once * devices))
        job = executor.submit(request.work(chain, chain.steps, threads))
        self.logs[chain.label] = job.paths.stderr
        return job


class Slurm:
    """A Slurm cluster whose nodes share this disk and this environment."""

    poll_seconds = 5.0

    def __init__(self, request: Request) -> None:
        self._request = request
        self._record = request.folder / "jobs.json"
        self.logs: dict[str, Path] = {}

    def over(self, chains: Sequence[Chain], then: Chain | None = None) -> Iterator[Chain]:
        """Each chain as its jobs leave the queue; those of an earlier call are waited for too."""
        jobs = self._earlier()
        new = [chain for chain in chains if chain.label not in jobs]
        if len(new) < len(chains):
            say(f"{len(chains) - len(new)} of {len(chains)} are in the queue already")
        jobs |= self._submit(new)
        self._note(jobs)
        if then and then.label not in jobs:
            whole = {jobs[chain.label][0].partition("_")[0] for chain in new}  # arrays
            single = [jobs[chain.label][0] for chain in chains if chain not in new]
            work = self._request.work(then, then.rest)
            jobs[then.label] = self._array([work], "join", 1, after=[*whole, *single])
            self._note(jobs)
        waiting = list(chains)
        try:
            while waiting:
                queued = queue()
                for chain in [c for c in waiting if not queued & set(jobs[c.label])]:
                    waiting.remove(chain)
                    yield chain
                if waiting:
                    time.sleep(self.poll_seconds)
        except KeyboardInterrupt:
            ids = sorted({one.partition("_")[0] for c in waiting for one in jobs[c.label]})
            say(f"the jobs stay in the queue; to end them as well: scancel {' '.join(ids)}")
            raise

    def _earlier(self) -> dict[str, list[str]]:
        if not self._record.exists():
            return {}
        queued = queue()
        return {name: ids for name, ids in read_json(self._record).items() if queued & set(ids)}

    def _note(self, jobs: dict[str, list[str]]) -> None:
        write_json(self._record, jobs)
        folder = self._request.folder / "jobs"
        for label, ids in jobs.items():
            self.logs[label] = submitit.core.utils.JobPaths(folder, ids[-1]).stderr

    def _submit(self, chains: Sequence[Chain]) -> dict[str, list[str]]:
        """Label of each chain -> ids of its jobs."""
        request = self._request
        jobs: dict[str, list[str]] = {chain.label: [] for chain in chains}
        for chain in chains:
            request.failures(chain).unlink(missing_ok=True)
        parted = [chain for chain in chains if chain.training and chain.rest]
        first = [(c, request.work(c, c.training)) for c in chains if c.training]
        # Those whose training has a second job stand first, so that both arrays number them alike.
        first.sort(key=lambda one: one[0] not in parted)
        trained = self._array([work for _, work in first], "train", request.nodes)
        follow = [request.work(c, c.rest) for c in parted]
        then = self._array(follow, "measure", 1, after=trained[: len(parted)])
        free = [chain for chain in chains if not chain.training]
        rest = self._array([request.work(c, c.rest) for c in free], "measure", 1)
        for (chain, _), job in zip(first, trained, strict=True):
            jobs[chain.label].append(job)
        for chain, job in zip([*parted, *free], [*then, *rest], strict=True):
            jobs[chain.label].append(job)
        return jobs

    def _array(
        self, works: Sequence[Job], name: str, nodes: int, after: Sequence[str] = ()
    ) -> list[str]:
        """Ids of the jobs, one for each work, in one array where there are several."""
        if not works:
            return []
        request = self._request
        executor = submitit.SlurmExecutor(request.folder / "jobs", max_num_timeout=_REQUEUES)
        more: dict[str, Any] = {"kill-on-invalid-dep": "yes", "requeue": True}
        if after:
            # Several follow the elements of one array, each its own; a single one follows all.
            array = after[0].partition("_")[0]
            kind = f"aftercorr:{array}" if len(works) > 1 else f"afterok:{':'.join(after)}"
            more["dependency"] = kind
        executor.update_parameters(
            job_name=f"cqa-{name}",
            time=max(1, round(request.minutes)) if request.minutes else 240,
            nodes=nodes,
            ntasks_per_node=1,
            signal_delay_s=GRACE_SECONDS,
            srun_args=["--kill-on-bad-exit=1"],  # the other nodes would wait for it for ever
            array_parallelism=request.at_once or len(works),
            additional_parameters=more | request.sbatch,
        )
        try:
            with executor.batch():
                jobs = [executor.submit(work) for work in works]
        except (subprocess.CalledProcessError, submitit.core.utils.UncompletedJobError) as error:
            raise CqaError(
                f"sbatch refused the jobs: {error}",
                next_step="change the option that it names and run again",
            ) from error
        return [job.job_id for job in jobs]


def queue() -> set[str]:
    """Ids of this user's jobs that wait, run or end; an element of an array is JOB_NUMBER.

    Asked of squeue, since the accounting that sacct needs is off in many clusters.
    """
    command = ["squeue", "--noheader", "--array", "--user", str(os.getuid()), "--format", "%i"]
    while True:
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        if asked.returncode == 0:
            return set(asked.stdout.split())
        say(f"squeue does not answer ({asked.stderr.strip()}); asked again in a minute")
        time.sleep(60)


def sbatch_options(given: Sequence[str]) -> dict[str, str]:
    """`--sbatch partition=gpu` and the like, as name -> value."""
    found: dict[str, str] = {}
    for one in given:
        name, _, value = one.removeprefix("--").partition("=")
        name = name.strip().replace("_", "-")
        if not name.replace("-", "").isalnum() or not value or not value.isprintable():
            raise UsageRefused(
                f"--sbatch {one!r}: not of the form NAME=VALUE",
                next_step="write an option of sbatch with its value, such as --sbatch gres=gpu:1",
            )
        if name in _OURS or name == "time":
            by = "--minutes" if name == "time" else "cqa itself"
            raise UsageRefused(f"--sbatch {name}: it is set by {by}", next_step="leave it out")
        found[name] = value
    return found
