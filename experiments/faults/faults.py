"""The faults. Each disturbs a command once and says how the command ended, if it ran."""

from __future__ import annotations

import errno
import functools
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import inject
import psutil
from commands import Command
from place import Ended, begin, end, typed

_SOON_SECONDS = 300
"""In which the processes of a command that was killed end, with it or with their work."""

Fault = Callable[[Path, Command, random.Random], Ended | None]


def kill(place: Path, command: Command, rng: random.Random) -> Ended:
    """kill -9, half of the time before a write drawn at random, else at a random moment.

    Of several processes one drawn at random, at a random moment.
    """
    if command.several:
        return _kill_one(place, command, rng)
    if rng.random() < 0.5:
        return typed(place, command.words, _killer(command, rng))
    return _signalled(place, command, rng, signal.SIGKILL)


def terminate(place: Path, command: Command, rng: random.Random) -> Ended:
    """SIGTERM at a random moment, as a scheduler sends it."""
    return _clear(_signalled(place, command, rng, signal.SIGTERM))


def _signalled(place: Path, command: Command, rng: random.Random, number: int) -> Ended:
    process = begin(place, command.words)
    moment, watched = rng.uniform(0, command.seconds), psutil.Process(process)
    while watched.status() != psutil.STATUS_ZOMBIE and _seconds(watched) < moment:
        time.sleep(0.005)
    os.kill(process, number)
    return end(place, process)


def _seconds(process: psutil.Process) -> float:
    """Of its own processor time, so that other work on the machine does not shift the moments."""
    used = process.cpu_times()
    return used.user + used.system


def _kill_one(place: Path, command: Command, rng: random.Random) -> Ended:
    """SIGKILL for the command or a process that it has begun; wait until all of them have ended."""
    process = begin(place, command.words)
    moment, watched = rng.uniform(0, command.seconds), psutil.Process(process)
    family, used = {process: watched}, {}
    while watched.status() != psutil.STATUS_ZOMBIE and sum(used.values()) < moment:
        time.sleep(0.02)
        family |= {one.pid: one for one in watched.children(recursive=True)}
        for number, one in family.items():
            with suppress(psutil.NoSuchProcess):
                used[number] = _seconds(one)
    alive = [one for one in family.values() if _is_at_work(one)]
    if alive:
        rng.choice(alive).kill()
    ended = end(place, process)
    until = time.monotonic() + _SOON_SECONDS
    while left := [one for one in family.values() if _is_at_work(one)]:
        assert time.monotonic() < until, f"outlives the command: {left}"
        time.sleep(0.05)
    return ended


def _is_at_work(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def full_disk(place: Path, command: Command, rng: random.Random) -> Ended:
    """ENOSPC at a write drawn at random and at all after it."""
    at = functools.partial(inject.refuse_from, rng.randint(1, command.events))
    return _clear(typed(place, command.words, at))


def small_disk(place: Path, command: Command, rng: random.Random) -> Ended:
    """A disk with room for a part of what the command writes; ENOSPC in the middle of a file."""
    had, needs = _bytes(command.start), _bytes(command.whole)
    room = had + int(rng.uniform(0, 0.8) * (needs - had))
    with _mounted(place, room):
        return _clear(typed(place, command.words))


def read_only(place: Path, command: Command, rng: random.Random) -> Ended:
    """A place in which nothing can be written."""
    with _mounted(place, 2 * _bytes(command.whole) + (1 << 20), then="remount,ro"):
        ended = _clear(typed(place, command.words))
    assert ended.code, "it wrote into a place that cannot be written"
    return ended


def little_memory(place: Path, command: Command, rng: random.Random) -> Ended:
    """Address space for a few megabytes more than the interpreter has."""
    limit = functools.partial(inject.little_memory, rng.choice([1, 2, 4, 8, 16, 32, 64]))
    return _clear(_in_time(place, begin(place, command.words, limit), _LONGEST_SECONDS))


_LONGEST_SECONDS = 300.0
"""A command that takes seconds has not ended by then, so it hangs."""


def _in_time(place: Path, process: int, seconds: float) -> Ended:
    until, watched = time.monotonic() + seconds, psutil.Process(process)
    while watched.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > until:
            os.killpg(process, signal.SIGKILL)
            raise AssertionError(f"it hangs, {seconds:g} s on: {end(place, process).said[-300:]}")
        time.sleep(0.02)
    return end(place, process)


def clock_back(place: Path, command: Command, rng: random.Random) -> Ended:
    """Killed, and taken up again by a machine whose clock is a day late, and killed again."""
    kill(place, command, rng)

    def both() -> None:
        inject.clock_back()
        inject.kill_at(rng.randint(1, command.events))

    return typed(place, command.words, both)


def vanished(place: Path, command: Command, rng: random.Random) -> None:
    """A file of the finished run is gone; not the traces, which may be deleted to make room."""
    while (file := _one_of(command, place, rng, "runs/*/*")).name == "traces.parquet":
        pass
    file.unlink()


def cut_weights(place: Path, command: Command, rng: random.Random) -> None:
    """The safetensors of a finished run end too early."""
    _cut(_one_of(command, place, rng, "runs/*/**/*.safetensors"), rng)


def cut_checkpoint(place: Path, command: Command, rng: random.Random) -> None:
    """Killed, and the newest checkpoint's weights end too early."""
    left = _killed_until(place, command, rng, "runs/train-*/checkpoints/*/*.safetensors")
    _cut(left[-1], rng)


def corrupt_parquet(place: Path, command: Command, rng: random.Random) -> None:
    """The table of tokens of a finished scoring ends too early."""
    _cut(_one_of(command, place, rng, "runs/score-*/*.parquet"), rng)


def corrupt_block(place: Path, command: Command, rng: random.Random) -> None:
    """Killed, and a Parquet file among the blocks ends too early."""
    _cut(rng.choice(_killed_until(place, command, rng, "runs/score-*/blocks/*.parquet")), rng)


def corrupt_record(place: Path, command: Command, rng: random.Random) -> None:
    """The run.json of a finished run ends too early."""
    _cut(_one_of(command, place, rng, "runs/*/run.json"), rng)


def corrupt_index(place: Path, command: Command, rng: random.Random) -> None:
    """Bytes of the SQLite index are others, or it ends too early."""
    file = place / "runs" / "index.sqlite"
    if rng.random() < 0.5:
        _cut(file, rng)
    else:
        content = bytearray(file.read_bytes())
        at = rng.randrange(0, len(content) - 100) if rng.random() < 0.5 else 0
        content[at : at + 100] = rng.randbytes(100)
        file.write_bytes(content)


AFTER = {vanished, cut_weights, corrupt_parquet, corrupt_record, corrupt_index}
"""Of these the command is finished before the fault."""


def _killed_until(place: Path, command: Command, rng: random.Random, left: str) -> list[Path]:
    """Killed before a write drawn at random, again and again until such files are left."""
    while not (found := sorted(place.glob(left))):
        typed(place, command.words, _killer(command, rng))
    return found


def _killer(command: Command, rng: random.Random) -> Callable[[], None]:
    return functools.partial(inject.kill_at, rng.randint(1, command.events))


def _clear(ended: Ended) -> Ended:
    assert not ended.crashed, f"a traceback for a fault of the machine: {ended.said[-300:]}"
    return ended


def _one_of(command: Command, place: Path, rng: random.Random, pattern: str) -> Path:
    """A file that the command has made."""
    made = {path.relative_to(command.whole) for path in command.whole.glob(pattern)}
    own = made - {path.relative_to(command.start) for path in command.start.glob(pattern)}
    return place / rng.choice(sorted(path for path in own if (command.whole / path).is_file()))


def _cut(file: Path, rng: random.Random) -> None:
    os.truncate(file, rng.randrange(file.stat().st_size))


def _bytes(folder: Path) -> int:
    """Of the files, in whole pages as tmpfs counts them."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return 4096 * sum(-(-path.stat().st_size // 4096) for path in files)


class _mounted:
    """The place moved onto a disk of so many bytes for a while; needs the right to mount."""

    def __init__(self, place: Path, size: int, then: str = "") -> None:
        self._place, self._size, self._then = place, size, then
        self._away = place.with_name("away")

    def __enter__(self) -> None:
        shutil.rmtree(self._away, ignore_errors=True)  # of a campaign that was killed
        self._place.rename(self._away)
        self._place.mkdir()
        options = f"size={self._size // 4096 * 4096}"
        _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", self._place)
        _run("cp", "-a", f"{self._away}/.", self._place)
        if self._then:
            _run("mount", "-o", self._then, self._place)

    def __exit__(self, *_: object) -> None:
        back = self._place.with_name("back")
        _run("cp", "-a", f"{self._place}/.", back)
        _run("umount", self._place)
        _run("rm", "-r", self._place, self._away)
        back.rename(self._place)


def _run(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True)


def can_mount(folder: Path) -> bool:
    """Whether this process may mount a file system."""
    place = folder / "mount"
    place.mkdir(exist_ok=True)
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "tmpfs", str(place)], capture_output=True, check=False
        )
    except FileNotFoundError:
        return False
    if done.returncode == 0:
        _run("umount", place)
    return done.returncode == 0


def refuse_writes(place: Path, command: Command, rng: random.Random) -> Ended:
    """As `read_only`, where nothing may be mounted: every write is refused with EROFS."""
    at = functools.partial(inject.refuse_from, 1, errno.EROFS)
    return _clear(typed(place, command.words, at))
