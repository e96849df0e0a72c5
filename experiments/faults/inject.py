"""What is done to a process from inside: it is stopped, or refused something, at its n-th write."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cqa import runs
from cqa.runs import clock

_ALWAYS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def _on_writes(do: Callable[[str], None]) -> None:
    """Call `do` before each file is opened to be written, renamed, deleted, linked or made.

    Nothing takes an audit hook away again: only for a process of one command.
    """

    def hook(event: str, given: tuple) -> None:
        if event == "open" and isinstance(given[2], int) and given[2] & _WRITES:
            if not str(given[0]).startswith(("/dev", "/proc")):
                do(str(given[0]))
        elif event in _ALWAYS:
            do(str(given[0]))

    sys.addaudithook(hook)


def count(counter) -> None:
    """Count them in a number that this process shares with its parent."""

    def one_more(path: str) -> None:
        counter.value += 1

    _on_writes(one_more)


def kill_at(number: int) -> None:
    """SIGKILL before the n-th of them."""
    left = [number]

    def perhaps(path: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    _on_writes(perhaps)


def refuse_from(number: int, why: int = errno.ENOSPC) -> None:
    """The n-th of them and all that follow fail as on a full disk."""
    left = [number]

    def perhaps(path: str) -> None:
        left[0] -= 1
        if left[0] <= 0:
            raise OSError(why, os.strerror(why), path)

    _on_writes(perhaps)


def little_memory(megabytes: int) -> None:
    """No more address space than there is now and so much more."""
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    most = now + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def clock_back(days: int = 1) -> None:
    """The clock of this process goes so many days after the true one."""
    late = timedelta(days=days)
    true = time.time
    clock.now = runs.now = lambda: (datetime.now(UTC) - late).isoformat(timespec="milliseconds")
    time.time = lambda: true() - late.total_seconds()
