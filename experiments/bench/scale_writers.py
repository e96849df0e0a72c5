"""Sixteen processes write runs into one results table for a minute while others read it.

    python experiments/bench/scale_writers.py [--processes 16] [--readers 2] [--seconds 60]

Every writer makes run after run and reads the table after each tenth; the readers read all the
time. At the end: the runs that were made, those that the table has, and the longest read.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from cqa import runs, table


@dataclass(frozen=True)
class Found:
    """What became of it."""

    made: int
    listed: int
    reads: int
    longest_read_seconds: float
    median_wait_seconds: float
    """Of the reads: neither at work nor in the queue for a processor (nan where Linux is not)."""
    ended_well: bool


def measure(root: Path, processes: int, readers: int, seconds: float) -> Found:
    """Write and read for so many seconds, then count."""
    fork = multiprocessing.get_context("fork")
    said = fork.SimpleQueue()
    end = time.monotonic() + seconds
    work = [fork.Process(target=_write, args=(root, one, end, said)) for one in range(processes)]
    work += [fork.Process(target=_read, args=(root, end, said)) for _ in range(readers)]
    for process in work:
        process.start()
    told = [said.get() for _ in work]
    for process in work:
        process.join()
    made = sum(number for number, _ in told)
    reads = [read for _, all_reads in told for read in all_reads]
    longest, waited = max(took for took, _ in reads), median(wait for _, wait in reads)
    listed = table.newest(1, ["status=done"], root)[1]
    well = all(process.exitcode == 0 for process in work)
    return Found(made, listed, len(reads), longest, waited, well)


def _write(root: Path, writer: int, end: float, said) -> None:
    made, reads = 0, []
    while time.monotonic() < end or not made:
        with runs.execute(
            runs.Spec("score", f"of-{writer}", {"judge": "m"}, seed=made), root
        ) as run:
            run.tell(headline={"texts": made})
        made += 1
        if made % 10 == 0:
            reads.append(_timed_read(root))
    said.put((made, reads))


def _read(root: Path, end: float, said) -> None:
    reads = []
    while time.monotonic() < end or not reads:
        reads.append(_timed_read(root))
        time.sleep(0.05)
    said.put((0, reads))


def _timed_read(root: Path) -> tuple[float, float]:
    return timed(lambda: table.newest(30, root=root))


def timed(do: Callable[[], object]) -> tuple[float, float]:
    """Seconds that it takes, and for how many of them this thread waited for something else than a
    processor; how busy the machine is makes no difference to these."""
    began, busy = time.monotonic(), _busy_seconds()
    do()
    took = time.monotonic() - began
    return took, took - (_busy_seconds() - busy)


def _busy_seconds() -> float:
    """Of this thread so far: at work, or ready and in the queue for a processor."""
    try:
        text = Path("/proc/thread-self/schedstat").read_text("ascii")
    except OSError:
        return math.nan
    return sum(map(int, text.split()[:2])) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--readers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), asked.processes, asked.readers, asked.seconds)
    for name, value in vars(found).items():
        print(f"{name.replace('_', ' '):22} {value:.3g}" if isinstance(value, float)  # noqa: T201
              else f"{name.replace('_', ' '):22} {value}")  # fmt: skip
    sys.exit(found.made != found.listed or not found.ended_well)


if __name__ == "__main__":
    main()
