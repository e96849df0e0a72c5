"""What ends a training from outside: a signal, a full disk, too little memory, a lost process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError  # nosec B403 - nothing is unpickled

import torch

from cqa.device_faults import is_disk_full
from cqa.errors import CqaError, DataRefused
from cqa.paths import shown

_LOST_SAID = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")


class Stop:
    """Whether somebody asked to stop. The first time waits for the step, the second does not."""

    def __init__(self) -> None:
        self.asked = False

    def _ask(self, signum: int, frame: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def gently() -> Iterator[Stop]:
    """While this lasts, Ctrl-C and SIGTERM ask for a stop instead of tearing a step apart."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may set handlers
        return
    before = {one: signal.signal(one, stop._ask) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def told_of_lost_process() -> Iterator[None]:
    """A process that another one waits for in vain becomes one message."""
    try:
        yield
    except RuntimeError as error:
        lost = isinstance(error, torch.distributed.DistError) or any(
            words in str(error) for words in _LOST_SAID
        )
        if not torch.distributed.is_initialized() or not lost:
            raise
        raise CqaError(
            "another process of this training was lost "
            f"({str(error).strip().splitlines()[-1].strip()})",
            next_step="see what ended it, then repeat the command: it goes on from the last "
            "checkpoint",
        ) from error


@contextmanager
def told_of_full_disk(folder: Path) -> Iterator[None]:
    """A full disk becomes one message."""
    try:
        yield
    except Exception as error:  # safetensors, torch and the OS have no error class in common
        if not is_disk_full(error):
            raise
        raise CqaError(
            f"{folder.name}: the disk is full, so a checkpoint could not be written "
            f"({str(error).splitlines()[0]}); those that were written before are whole",
            next_step="make room, then repeat the command: it goes on from the last one",
        ) from error


@contextmanager
def told_of_more_than_tensors(folder: Path) -> Iterator[None]:
    """A checkpoint that torch refuses, since it would have to run what stands there, is told."""
    try:
        yield
    except UnpicklingError as error:
        raise DataRefused(
            f"{folder.name}: a checkpoint holds more than tensors and is not read; to open it "
            "would be to run what it says",
            next_step=f"delete {shown(folder / 'checkpoints')}, then repeat the command: it begins "
            "anew",
        ) from error


def smaller(micro_batch: int, rows_a_step: int) -> int | None:
    """The next smaller micro-batch that divides a step: half of it, or what is below; None at 1."""
    below = (size for size in range(micro_batch // 2, 0, -1) if rows_a_step % size == 0)
    return next(below, None)
