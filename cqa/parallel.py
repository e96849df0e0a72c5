"""Several processes or machines at one scoring, each with its share of the blocks.

On one machine `accelerate launch` starts the same command again and gives each its number (and its
GPU, where there are several). A process writes the blocks that are its own; which process wrote a
block changes nothing in it, so the result does not depend on their number. Machines that share a
runs directory are told their share (`--shard 3/100`); the command without it joins what they wrote.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass

from cqa.errors import CqaError, UsageRefused
from cqa.training import devices

_WORKER = "CQA_SCORE_WORKER"


@dataclass(frozen=True)
class Share:
    """Process `rank` of `processes`; block n belongs to process n modulo `processes`."""

    rank: int = 0
    processes: int = 1

    @property
    def written(self) -> str:
        """As `shard` reads it: `3/100`."""
        return f"{self.rank + 1}/{self.processes}"

    def has(self, block: int) -> bool:
        """Whether this block is for this process."""
        return block % self.processes == self.rank


def shard(written: str) -> Share:
    """A share as it is written for one job of an array, `3/100`: the third of a hundred."""
    number, _, of = written.partition("/")
    if number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of):
        return Share(int(number) - 1, int(of))
    raise UsageRefused(
        f"--shard {written!r}: not of the form NUMBER/OF with 1 ≤ NUMBER ≤ OF",
        next_step="give the number of this share and how many there are, such as --shard 3/100",
    )


def task(asked: Collection[str]) -> str | None:
    """The id, among those asked for, of the run that `launch` began this process for.

    None in a process that `launch` did not begin. UsageRefused where it is none of those.
    """
    run_id = os.environ.get(_WORKER)
    if run_id is not None and run_id not in asked:
        raise UsageRefused(
            f"{_WORKER}={run_id} in the environment: no run of this command",
            next_step=f"unset {_WORKER}; --processes sets it for the processes that it starts",
        )
    return run_id


def share() -> Share | None:
    """The share of a process that was launched by `launch`; None in any other process."""
    if _WORKER not in os.environ:
        return None
    return Share(devices.rank(), devices.processes())


def launch(processes: int, run_id: str) -> None:
    """Run this very command line in so many processes, for one of its runs, and wait for them."""
    command = [*devices.launcher(processes), "-m", "cqa", *sys.argv[1:]]
    threads = max(1, (os.cpu_count() or 1) // processes)
    environment = os.environ | {_WORKER: run_id, "OMP_NUM_THREADS": str(threads)}
    finished = subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL)
    if finished.returncode != 0:
        raise CqaError(
            f"{processes} processes: one of them failed (exit code {finished.returncode})",
            next_step="its own message stands above; the same command goes on from what is done",
        )


def device() -> str | None:
    """The GPU of a launched process; None to choose as usual."""
    import torch

    gpus = torch.cuda.device_count()
    if share() is None or gpus < 2:
        return None
    return f"cuda:{devices.local_rank() % gpus}"
