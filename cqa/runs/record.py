"""What a run says of itself: run.json of one that has ended, begun.json of one that has not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cqa import leftovers
from cqa.errors import CqaError, DataRefused
from cqa.files import read_json
from cqa.paths import runs_root, shown
from cqa.runs.holding import is_held
from cqa.runs.sections import AGAIN, refuse_unreadable
from cqa.runs.spec import Spec, directory


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


def find(spec: Spec, root: Path | None = None) -> Run | None:
    """The finished run of this spec, or None. One whose files are not as they were is none.

    DataRefused where its record lacks what is read of it.
    """
    run = read(directory(spec, root))
    if run is None or not run.done or run.record["fingerprint"] != spec.fingerprint:
        return None
    refuse_unreadable(run.record, found_for=spec)
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


def all_runs(root: Path | None = None) -> list[Run]:
    """Every run below the root, oldest first."""
    root = root or runs_root()
    if not root.is_dir():
        return []
    found = [read(path) for path in sorted(root.iterdir()) if path.is_dir()]
    return sorted((run for run in found if run), key=lambda run: run.record["started"])


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
    "machine": dict,
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
    "files": (dict, type(None)),
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
    if not wrong and not all(isinstance(one, str) for one in record["inputs"].values()):
        wrong = ["inputs"]
    if not wrong and not _has_numbers(record):
        wrong = ["seconds of attempts, texts or device_seconds_per_token"]
    if not wrong and not _is_name(record["id"]):
        wrong = ["id"]
    if not wrong and not (
        record["id"] == path.parent.name or record["id"] == path.parent.resolve().name
    ):
        wrong = [f"id {record['id'][:100]!r}, which is not the name of its folder"]
    if wrong:
        raise DataRefused(
            f"{shown(path)}: no record of a run ({', '.join(wrong)})", next_step=AGAIN
        )
    record.setdefault("reason", None)
    return record


def _has_numbers(record: dict[str, Any]) -> bool:
    """Whether what is summed and divided over all runs is numbers."""
    found = [attempt.get("seconds") for attempt in record["attempts"]]
    found.append((record.get("spent") or {}).get("device_seconds_per_token"))
    if record["stage"] in ("score", "generate"):
        found.append((record.get("headline") or {}).get("texts"))
    return all(one is None or (isinstance(one, int | float) and one < 2**63) for one in found)


def _is_attempt(one: Any) -> bool:
    kinds = {"started": str, "ended": (str, type(None)), "reason": (str, type(None))}
    return isinstance(one, dict) and all(
        isinstance(one.get(name, ...), kind) for name, kind in kinds.items()
    )


def _is_name(value: Any) -> bool:
    """Of a directory beside this one, never a path that leads elsewhere."""
    return isinstance(value, str) and bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value))
