"""What is typed, in what state of the working directory, and what it makes undisturbed."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import inject
from place import Ended, finished, furnish, typed

from cqa.files import read_json, write_json

TUNED = ["train", "batch", "--model", "model", "--epochs", "1", "--forms", "generation"]
SCORED = ["score", "texts.jsonl", "--judge", "model"]
SHARED = ["score", "many.jsonl", "--judge", "model", "--mismatched", "1"]
TRAINED_REAL = ["train", "batch", "--epochs", "2", "--batch-size", "2", "--forms", "generation"]

_WORDS = {
    "ingest": ("bare", ["ingest", "batch", "items.jsonl"]),
    "train": ("bare", TRAINED_REAL),
    "score": ("bare", ["score", "many.jsonl", "--mismatched", "1"]),
    "generate": ("made", ["generate", "items.jsonl", "--model", "model", "--max-new-tokens", "4"]),
    "report": ("made", ["report", "--out", "page.html"]),
    "table": ("made", ["table", "--csv", "table.csv"]),
    "export": ("made", ["export", "train-", "given"]),
    "lock": ("bare", ["lock", "small.toml"]),
    "run": ("bare", ["run", "small.toml", "--workers", "1"]),
}
_SEVERAL = {
    "run --workers 2": ("bare", ["run", "small.toml", "--workers", "2"]),
    "score --shards 2": ("bare", [*SHARED, "--on", "local", "--shards", "2"]),
}
_LIGHT = {"small train": ("bare", TUNED), "small score": ("bare", SHARED)}
"""With the random model, for the sample in `make test`; not part of the campaign."""
ALONE = tuple(_WORDS)
"""Commands of one process."""
NAMES = (*ALONE, *_SEVERAL)


@dataclass
class Command:
    """A command, the place it starts from, and what it makes there when nothing disturbs it."""

    name: str
    words: list[str]
    start: Path
    """The working directory before the command."""
    whole: Path
    """And after it."""
    seconds: float
    """Of processor time."""
    events: int
    """Times that it opens a file to write, renames, deletes or makes a folder."""
    before: dict[str, str]
    content: dict[str, str]
    """What is finished before and after it, by hash."""

    @property
    def several(self) -> bool:
        """Whether it begins processes of its own."""
        return self.name in _SEVERAL


@dataclass
class Kitchen:
    """Commands, each prepared when it is asked for first, and kept in the folder."""

    folder: Path
    _ready: dict[str, Command] = field(default_factory=dict)

    def command(self, name: str) -> Command:
        """The command of this name, with what it makes undisturbed."""
        if name not in self._ready:
            self._ready[name] = self._prepared(name)
        return self._ready[name]

    def fresh(self, source: Path) -> Path:
        """A copy of a working directory to be treated badly."""
        place = self.folder / "place"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(source, place)
        return place

    def _start(self, kind: str) -> Path:
        start = self.folder / kind
        if not start.exists():
            part = self.folder / f"{kind}.new"
            shutil.rmtree(part, ignore_errors=True)
            furnish(part)
            for words in [TUNED, SCORED, [*SCORED, "--adapter", "latest"]] * (kind == "made"):
                _well(part, words)
            part.rename(start)
        return start

    def _prepared(self, name: str) -> Command:
        kind, words = (_WORDS | _SEVERAL | _LIGHT)[name]
        start, whole = self._start(kind), self.folder / f"whole-{name}"
        known = self.folder / f"{name}.json"
        if known.exists():
            return Command(name, words, start, whole, **read_json(known))
        shutil.rmtree(whole, ignore_errors=True)
        shutil.copytree(start, whole)
        before, counted = finished(start), multiprocessing.Value("i", 0)
        began = os.times()
        _well(whole, words, lambda: inject.count(counted))
        used = os.times()
        seconds = used.children_user + used.children_system
        seconds -= began.children_user + began.children_system
        told = {"seconds": seconds, "events": counted.value}
        told |= {"before": before, "content": finished(whole)}
        write_json(known, told)
        return Command(name, words, start, whole, **told)


def _well(place: Path, words: list[str], before: Callable[[], None] | None = None) -> Ended:
    ended = typed(place, words, before)
    if ended.code:
        raise SystemExit(f"cqa {' '.join(words)}: exit {ended.code} undisturbed\n{ended.said}")
    return ended
