"""Run directories: one execution of one stage, its provenance, and whether it is done.

A run's name ends in its fingerprint: the hash of everything that decides its result. So a stage
that would produce what is already there finds it, and one that was interrupted finds its own
beginnings. `run.json`, written last, says how the run ended; without it a run is not whole.
"""

from __future__ import annotations

import fcntl
import functools
import importlib.metadata
import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from cqa import __version__, leftovers
from cqa.errors import CqaError, DataRefused
from cqa.files import read_json, sha256_of_value, write_json
from cqa.paths import runs_root, shown
from cqa.progress import say

SCHEMA = 1
Status = Literal["done", "cut short", "failed", "interrupted", "running"]

_TRIES = 5
_WAIT_SECONDS = 600
_LIBRARIES = ("torch", "transformers", "trl", "peft", "numpy", "scipy")


@dataclass(frozen=True)
class Spec:
    """What decides the result of a run."""

    stage: str
    label: str
    """Part of the directory's name only: what a person would call this run."""
    config: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Name of each input -> its hash."""
    parents: Sequence[str] = ()
    """Ids of the runs whose outputs are read."""
    code: str = ""
    """Hash of the modules that compute the result."""
    seed: int | None = None
    budget: str | None = None

    @property
    def fingerprint(self) -> str:
        """Hash of all of the above but the label."""
        return sha256_of_value(
            [
                self.stage,
                dict(self.config),
                dict(self.inputs),
                list(self.parents),
                self.code,
                self.seed,
                self.budget,
            ]
        )

    @property
    def id(self) -> str:
        """Name of the run's directory: stage, label, first digits of the fingerprint."""
        label = re.sub(r"[^A-Za-z0-9]+", "-", self.label).strip("-").lower()[:40]
        return "-".join(part for part in (self.stage, label, self.fingerprint[:10]) if part)


@dataclass
class Run:
    """A run directory, done or under way. What `execute` yields can be given results."""

    path: Path
    record: dict[str, Any]
    fresh: bool = False
    """Made just now, not found."""

    @property
    def id(self) -> str:
        return self.record["id"]

    @property
    def done(self) -> bool:
        """Whole, with every result that it was asked for (or as many as its budget allowed)."""
        return self.record.get("status") in ("done", "cut short")

    def file(self, name: str) -> Path:
        """A file of this run."""
        return self.path / name

    def tell(self, **facts: Any) -> None:
        """Add facts to the record: headline=..., spent=..., outputs=..., status=..., reason=..."""
        self.record.update(facts)


class Held(CqaError):
    """Another process is at work on this run."""


@functools.cache  # a study asks for every step, and the code that runs is what was loaded
def code_hash(*modules: str, libraries: tuple[str, ...] = ()) -> str:
    """Hash of these modules of cqa and the versions of these libraries.

    A changed formula makes a new run, and so does a new torch.
    """
    package = Path(__file__).parent
    found = {name: (package / name).read_text("utf-8") for name in modules}
    found |= {name: importlib.metadata.version(name) for name in libraries}
    return sha256_of_value(found)[:16]


def find(spec: Spec, root: Path | None = None) -> Run | None:
    """The finished run of this spec, or None. One whose files are not as they were is none."""
    run = read(directory(spec, root))
    if run is None or not run.done or run.record["fingerprint"] != spec.fingerprint:
        return None
    return None if leftovers.damage(run.path, run.record) else run


def read(path: Path) -> Run | None:
    """The run in a directory: its record, or what is known of one that has not ended."""
    unread = None
    if (path / "run.json").is_file():
        try:
            found = read_json(path / "run.json")
        except CqaError as error:
            unread = error
        else:
            return Run(path, _record(path / "run.json", found))
    if (path / "begun.json").is_file():
        record = _record(path / "begun.json", read_json(path / "begun.json"))
        if unread:
            return Run(path, record | {"status": "failed", "reason": unread.what})
        return Run(path, record | {"status": "running" if is_held(path) else "interrupted"})
    if unread:
        raise unread
    return None


_NEEDED = {
    "id": str,
    "stage": str,
    "label": str,
    "fingerprint": str,
    "code": str,
    "started": str,
    "parents": list,
    "attempts": list,
    "inputs": dict,
    "config": dict,
    "versions": dict,
    "seed": (int, type(None)),
    "budget": (str, type(None)),
}


_MAY_BE = {
    "reason": (str, type(None)),
    "seconds": (int, float, type(None)),
    "headline": (dict, type(None)),
    "spent": (dict, type(None)),
    "planned": (dict, type(None)),
    "outputs": (dict, type(None)),
}


def _record(path: Path, record: Any) -> dict[str, Any]:
    """What stands in a run.json or begun.json, or DataRefused where that is no record of a run."""
    needed = _NEEDED | ({"status": str, "ended": str} if path.name == "run.json" else {})
    wrong = [
        name
        for name, kind in needed.items()
        if not isinstance(record, dict) or not isinstance(record.get(name, ...), kind)
    ]
    if not wrong:
        wrong = [name for name, kind in _MAY_BE.items() if not isinstance(record.get(name), kind)]
    if not wrong and not all(_is_attempt(one) for one in record["attempts"] or [None]):
        wrong = ["attempts"]
    if not wrong and not all(_is_name(parent) for parent in record["parents"]):
        wrong = ["parents"]
    if wrong:
        raise DataRefused(
            f"{shown(path)}: no record of a run ({', '.join(wrong)})",
            next_step="delete the folder of this run and repeat its command",
        )
    return record


def _is_attempt(one: Any) -> bool:
    kinds = {"started": str, "ended": (str, type(None)), "reason": (str, type(None))}
    return isinstance(one, dict) and all(
        isinstance(one.get(name, ...), kind) for name, kind in kinds.items()
    )


def _is_name(parent: Any) -> bool:
    """Of a directory beside this one, never a path that leads elsewhere."""
    return isinstance(parent, str) and bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", parent))


def when_free(make: Callable[[], Run]) -> Run:
    """What `make` finds or makes; while another process makes it, wait for that one."""
    end = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            return make()
        except Held:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def all_runs(root: Path | None = None) -> list[Run]:
    """Every run below the root, oldest first."""
    root = root or runs_root()
    if not root.is_dir():
        return []
    found = [read(path) for path in sorted(root.iterdir()) if path.is_dir()]
    return sorted((run for run in found if run), key=lambda run: run.record["started"])


@contextmanager
def execute(spec: Spec, root: Path | None = None) -> Iterator[Run]:
    """Do the work of a run. Ends in a `run.json` that says done, cut short, or failed and why.

    What an interrupted or failed earlier attempt left in the directory is still there. Attempts and
    their failures are kept in the record.
    """
    path = directory(spec, root)
    path.mkdir(parents=True, exist_ok=True)
    with _held(path):
        if find(spec, root):
            raise Held(
                f"{spec.id}: another process has finished it just now",
                next_step="repeat the command: it finds the run",
            )
        earlier = _attempts(path)
        if earlier:
            leftovers.tidy(path)
        started = now()
        record = {
            "schema": SCHEMA,
            "id": spec.id,
            "stage": spec.stage,
            "label": spec.label,
            "fingerprint": spec.fingerprint,
            "parents": list(spec.parents),
            "inputs": dict(spec.inputs),
            "config": dict(spec.config),
            "code": spec.code,
            "seed": spec.seed,
            "budget": spec.budget,
            "versions": versions(),
            "machine": machine(),
            "started": earlier[0]["started"] if earlier else started,
            "attempts": [*earlier, {"started": started, "ended": None, "reason": "interrupted"}],
        }
        write_json(path / "begun.json", record)
        (path / "run.json").unlink(missing_ok=True)
        run = Run(path, dict(record, status="done", reason=None), fresh=True)
        clock = time.monotonic()
        try:
            yield run
            sha256_of_value(run.record)  # what JSON cannot say (a loss of NaN) is a failure as well
        except BaseException as error:
            for told in ("headline", "spent", "outputs"):
                run.record.pop(told, None)
            run.tell(status="failed", reason=reason_of(error))
            with suppress(OSError):  # a full disk takes no record either; begun.json tells of it
                _end(run, clock)
            raise
        _end(run, clock)


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


def versions() -> dict[str, str]:
    """Versions of cqa, Python and the libraries that decide numbers."""
    found = {"cqa": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        found[name] = importlib.metadata.version(name)
    return found


def machine() -> dict[str, Any]:
    """What is known of this machine without importing torch."""
    return {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()}


def directory(spec: Spec, root: Path | None = None) -> Path:
    """Where the run of a spec lies, whether it is there yet or not."""
    return (root or runs_root()) / spec.id


def _attempts(path: Path) -> list[dict[str, Any]]:
    """The attempts so far. One that was killed is taken to have lasted to its last sign of life."""
    try:
        earlier = read(path)
    except CqaError:  # neither record can be read; what was made stays
        return []
    if earlier is None:
        return []
    attempts = [dict(attempt) for attempt in earlier.record["attempts"]]
    if earlier.done and (found := leftovers.damage(path, earlier.record)):
        attempts[-1]["reason"] = found
        say(f"{path.name}: {found}; it is made again")
    if attempts[-1]["ended"] is None:
        written = [
            file.stat().st_mtime
            for file in path.rglob("*")
            if file.is_file() and file.name != "lock"
        ]
        began = datetime.fromisoformat(attempts[-1]["started"]).timestamp()
        attempts[-1]["seconds"] = round(max(0.0, max(written) - began), 3)
    return attempts


def _end(run: Run, clock: float) -> None:
    record = run.record
    attempt = record["attempts"][-1]
    reason = None if record["status"] == "done" else record["reason"]
    seconds = round(time.monotonic() - clock, 3)
    attempt.update(ended=now(), seconds=seconds, reason=reason)
    record.update(ended=attempt["ended"], seconds=seconds)
    if run.done:
        record["files"] = leftovers.sizes(run.path)
    write_json(run.path / "run.json", record)


def reason_of(error: BaseException) -> str:
    """What a record says of a failure."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped by the user"
    text = error.what if isinstance(error, CqaError) else f"{type(error).__name__}: {error}"
    return text.strip()


@contextmanager
def _held(path: Path) -> Iterator[None]:
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
        handle.write(f"pid {os.getpid()} on {platform.node()} since {now()}")
        handle.flush()
        yield


def now() -> str:
    """This moment, in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
