"""One process at a time is at work on a run: a lock on a file, which ends with its process."""

from __future__ import annotations

import fcntl
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cqa.errors import CqaError
from cqa.runs import clock

_TRIES = 5


class Held(CqaError):
    """Another process is at work on this run."""


def is_held(path: Path) -> bool:
    """Whether a process is at work in this run directory."""
    lock = path / "lock"
    if not lock.exists():
        return False
    with lock.open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the run directory, or raise Held."""
    with (path / "lock").open("a+") as handle:
        # `is_held` asks for the lock as well, for an instant: one refusal is no refusal.
        for _ in range(_TRIES):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.1)
        else:
            handle.seek(0)
            raise Held(
                f"{path.name}: another process ({handle.read().strip()}) is at work on this run",
                next_step="wait for it, or change the seed or the configuration",
            )
        handle.truncate(0)
        handle.write(f"pid {os.getpid()} on {platform.node()} since {clock.now()}")
        handle.flush()
        yield
