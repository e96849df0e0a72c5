"""Steps of a study in processes of their own, each with its share of the cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from cqa import quiet
from cqa.study.schedule import attempt
from cqa.study.steps import Step

if TYPE_CHECKING:
    from cqa.study.study import Study

_SMALL = 4_000_000
"""Bytes of weights below which a step is over before a second process has started."""
_COPIES = 12
"""Of the weights, that a training may hold: gradients, optimiser, activations."""


class Processes:
    """So many processes, each with its own study. They end with this one; use as a context.

    The results do not depend on their number, only on what each step is. A process that is killed
    takes its step with it, and another takes its place.
    """

    def __init__(self, count: int, make: Callable[[], Study]) -> None:
        """`make` has to be picklable: each process calls it once."""
        self.capacity = count
        self._make = make
        self._threads = max(1, (os.cpu_count() or 1) // count)
        self._context = multiprocessing.get_context("spawn")
        self._all: list[_Worker] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._all:
            worker.process.terminate()
        for worker in self._all:
            worker.process.join()

    def start(self, step: Step) -> None:
        """Give the step to a process that has none."""
        for worker in [one for one in self._all if one.step is None]:
            with suppress(ConnectionError):  # it was killed while it had nothing to do
                worker.line.send(step)
                break
            self._all.remove(worker)
        else:
            worker = self._new()
            self._all.append(worker)
            worker.line.send(step)
        worker.step = step

    def finished(self) -> list[tuple[Step, str | None]]:
        """Wait for at least one step; each with why it failed, if it did."""
        busy = {one.line: one for one in self._all if one.step is not None}
        over = []
        for line in wait(list(busy)):
            worker = busy[line]
            step, worker.step = worker.step, None
            try:
                over.append((step, line.recv()))
            except (EOFError, ConnectionError):  # the second where it had not read all
                worker.process.join()
                self._all.remove(worker)
                code = worker.process.exitcode
                over.append((step, f"its process ended with exit code {code}"))
        return over

    def _new(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(theirs, self._make, self._threads), daemon=True
        )
        process.start()
        theirs.close()
        return _Worker(process, ours)


class _Worker:
    def __init__(self, process, line: Connection) -> None:
        self.process, self.line = process, line
        self.step: Step | None = None


def _serve(line: Connection, make: Callable[[], Study], threads: int) -> None:
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch is imported
    quiet.libraries()
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        study = make()
        study.announce = None
        while True:
            line.send(attempt(study, line.recv()))
    except (EOFError, KeyboardInterrupt):
        return


def _end_with_parent() -> None:
    """A command that was killed must leave nobody behind who holds its runs."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _stop(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def sensible(weights: Path | None) -> int:
    """How many processes help: two on a machine without a GPU that has the cores and the memory.

    `weights` is the folder of the model; None where it is not on this disk yet.
    """
    import torch

    if weights is None or torch.cuda.is_available() or (os.cpu_count() or 1) < 2:
        return 1
    size = sum(file.stat().st_size for file in weights.glob("*.safetensors"))
    fits = 2 * _COPIES * size < psutil.virtual_memory().available
    return 2 if fits and size >= _SMALL else 1
