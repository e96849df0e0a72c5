"""The work of a run, from begun.json to run.json; what earlier attempts left is gone on from."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from cqa import __version__, leftovers
from cqa.errors import CqaError
from cqa.files import sha256_of_value, write_json
from cqa.progress import say
from cqa.runs import clock
from cqa.runs.holding import Held, held
from cqa.runs.record import Run, find, read
from cqa.runs.spec import Spec, directory

SCHEMA = 1

_WAIT_SECONDS = 600
_LIBRARIES = ("torch", "transformers", "trl", "peft", "numpy", "scipy")


@contextmanager
def execute(spec: Spec, root: Path | None = None) -> Iterator[Run]:
    """Do the work of a run. Ends in a `run.json` that says done, cut short, or failed and why.

    What an interrupted or failed earlier attempt left in the directory is still there. Attempts and
    their failures are kept in the record.
    """
    path = directory(spec, root)
    path.mkdir(parents=True, exist_ok=True)
    with held(path):
        if find(spec, root):
            raise Held(
                f"{spec.id}: another process has finished it just now",
                next_step="repeat the command: it finds the run",
            )
        earlier = _attempts(path)
        if earlier:
            leftovers.tidy(path)
        started = clock.now()
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
        began = time.monotonic()
        try:
            yield run
            sha256_of_value(run.record)  # what JSON cannot say (a loss of NaN) is a failure as well
        except BaseException as error:
            for told in ("headline", "spent", "outputs"):
                run.record.pop(told, None)
            run.tell(status="failed", reason=reason_of(error))
            with suppress(OSError):  # a full disk takes no record either; begun.json tells of it
                _end(run, began)
            raise
        _end(run, began)


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


def reason_of(error: BaseException) -> str:
    """What a record says of a failure."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped by the user"
    text = error.what if isinstance(error, CqaError) else f"{type(error).__name__}: {error}"
    return text.strip()


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


def _end(run: Run, began: float) -> None:
    record = run.record
    attempt = record["attempts"][-1]
    reason = None if record["status"] == "done" else record["reason"]
    seconds = round(time.monotonic() - began, 3)
    attempt.update(ended=clock.now(), seconds=seconds, reason=reason)
    record.update(ended=attempt["ended"], seconds=seconds)
    if run.done:
        record["files"] = leftovers.sizes(run.path)
    write_json(run.path / "run.json", record)


def versions() -> dict[str, str]:
    """Versions of cqa, Python and the libraries that decide numbers."""
    found = {"cqa": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        found[name] = importlib.metadata.version(name)
    return found


def machine() -> dict[str, Any]:
    """What is known of this machine without importing torch."""
    return {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()}
