"""What a user hands in, file by file: rows with their places, and what is refused, kept whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cqa import importers
from cqa.errors import DataRefused, Problem, UsageRefused
from cqa.files import iter_rows, refuse_endless
from cqa.importers.strict import records
from cqa.paths import shown
from cqa.types import Annotation, Dialogue, Frozen, Item, Marks

KINDS: dict[str, type[Frozen]] = {
    "dialogues.jsonl": Dialogue,
    "annotations.jsonl": Annotation,
    "marks.jsonl": Marks,
    "items.jsonl": Item,
}
"""The files of a batch and the benchmark -> what one line is."""
_TELLING_KEYS = {
    "turns": "dialogues.jsonl",
    "reasoning": "annotations.jsonl",
    "kinds": "marks.jsonl",
    "group": "items.jsonl",
}


@dataclass(frozen=True)
class Read:
    """A row and the place it was read from. An imported one brings its record along."""

    row: Frozen
    path: Path
    line: int
    record: Any = None

    @property
    def where(self) -> str:
        return f"{shown(self.path)}:{self.line}"


@dataclass(frozen=True)
class Refused:
    """Why a record cannot be used. `record` is the whole of it where an import has it at hand;
    `line` is 0 where no record can be told from the rest of the file."""

    path: Path
    line: int
    problems: tuple[Problem, ...]
    record: Any = None


@dataclass
class Rows:
    """Everything that was read: by file of a batch, in the order given."""

    of: dict[str, list[Read]] = field(default_factory=lambda: {name: [] for name in KINDS})
    refused: list[Refused] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What an import assumed, or had no place for, with the place."""


class Dropped(Frozen):
    """A refused record as `dropped.jsonl` keeps it: a JSON value, or the text where it is none."""

    where: str
    problems: tuple[str, ...]
    record: Any


def read(sources: Sequence[Path], speakers: Mapping[str, str] | None = None) -> Rows:
    """The rows of files and batch folders. `speakers` says which names of imports are B and C."""
    rows = Rows()
    files = [found for source in sources for found in _files_of(source, bool(speakers))]
    imported = {
        path
        for path, name in files
        if name == "dialogues.jsonl" and _is_import(path, bool(speakers))
    }
    if speakers and not imported:
        raise UsageRefused(
            "--speakers beside files that say B and C themselves",
            next_step="leave it out, or give a transcript, subtitles or an export with names",
        )
    for path, name in files:
        before = len(rows.of[name]) + len(rows.refused)
        if path in imported:
            _import(path, speakers, rows)
        else:
            for line, outcome in iter_rows(path, KINDS[name]):
                if isinstance(outcome, list):
                    rows.refused.append(Refused(path, line, tuple(outcome)))
                else:
                    rows.of[name].append(Read(outcome, path, line))
        if len(rows.of[name]) + len(rows.refused) == before:
            nothing = Problem(shown(path), "", "no rows", "one JSON object per line")
            rows.refused.append(Refused(path, 0, (nothing,)))
    return rows


def speakers_of(said: str) -> dict[str, str]:
    """`B=Anna,C=Dr. Wu` as names -> letters, as it is typed; refused as a fault of usage."""
    known = importers.mapping(said, "--speakers")
    if isinstance(known, Problem):
        raise UsageRefused(str(known), next_step='such as --speakers "B=Anna,C=Dr. Wu"')
    return known


def kept_whole(refused: Sequence[Refused]) -> Iterator[Dropped]:
    """The refused records, those of the project's own files read from there again."""
    wanted: dict[Path, set[int]] = {}
    for one in refused:
        if one.record is None:
            wanted.setdefault(one.path, set()).add(one.line)
    again = {
        (path, raw.line): raw.record
        for path, lines in wanted.items()
        for raw in records(path, by_line=True)
        if raw.line in lines
    }
    for one in refused:
        record = again[one.path, one.line] if one.record is None else one.record
        where = f"{shown(one.path)}:{one.line}"
        yield Dropped(where=where, problems=tuple(map(str, one.problems)), record=record)


def _import(path: Path, speakers: Mapping[str, str] | None, rows: Rows) -> None:
    for found in importers.read(path, speakers=speakers):
        if isinstance(found.outcome, list):
            line = 0 if found.record is None else found.line
            rows.refused.append(Refused(path, line, tuple(found.outcome), found.record))
        else:
            rows.of["dialogues.jsonl"].append(Read(found.outcome, path, found.line, found.record))
        rows.notes += [f"{shown(path)}:{found.line}: {note}" for note in found.notes]


def _files_of(source: Path, named: bool) -> list[tuple[Path, str]]:
    try:
        refuse_endless(source)
    except FileNotFoundError:
        raise DataRefused(f"{shown(source)}: no such file", next_step="check the path") from None
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise DataRefused(
            f"{shown(source)}: cannot be read ({said})", next_step="check the path"
        ) from error
    if source.is_dir():
        found = [(source / name, name) for name in KINDS if (source / name).is_file()]
        for path, _ in found:
            # A folder is given by others; only who names a file says what a link stands for.
            if not path.resolve().is_relative_to(source.resolve()):
                raise DataRefused(
                    f"{shown(path)}: a link to a file outside the folder",
                    next_step="copy the file into the folder, or name the file itself",
                )
        if not found:
            raise DataRefused(
                f"{shown(source)}: none of {', '.join(KINDS)} in this folder",
                next_step="give a folder laid out as annotations/founding, or the files themselves",
            )
        return found
    if source.name in KINDS:
        return [(source, source.name)]
    if _is_import(source, named):
        return [(source, "dialogues.jsonl")]
    return [(source, _kind_of(source))]


def _is_import(path: Path, named: bool) -> bool:
    """Whether importers read it; a text may be a transcript by names that only the caller knows."""
    if importers.detect(path):
        return True
    return named and path.suffix.casefold() in (".txt", ".md") and path.is_file()


def _kind_of(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig") as lines:
            first = json.loads(next(line for line in lines if line.strip()))
    except (StopIteration, ValueError, OSError, RecursionError):
        first = {}
    for key, name in _TELLING_KEYS.items():
        if isinstance(first, dict) and key in first:
            return name
    seen = "a row that is neither dialogue, annotation, mark nor item"
    expected = "a JSON object with `turns`, `reasoning`, `kinds` or `group`"
    raise DataRefused(
        [Problem(f"{shown(path)}:1", "", seen, expected)],
        next_step="see annotations/README.md for the kinds of rows and what can be imported",
    )
