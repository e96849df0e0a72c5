"""Files in: rows of JSON lines and single JSON values, refused with file:line."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from cqa.errors import DataRefused, Problem
from cqa.files import strict
from cqa.files.faults import brief, explain
from cqa.files.strict import finite
from cqa.paths import shown

Row = TypeVar("Row", bound=BaseModel)

LARGEST_LINE = 50_000_000
"""Bytes of one row; War and Peace takes three million."""


def read_rows(path: Path, kind: type[Row], *, unique: str | None = "id") -> list[Row]:
    """All rows of a JSON-lines file, or DataRefused naming every bad line at once.

    `unique` is the field whose values must differ between rows (None turns the check off).
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    first_seen: dict[Any, int] = {}
    for number, outcome in iter_rows(path, kind):
        if isinstance(outcome, list):
            problems += outcome
            continue
        if unique and (key := getattr(outcome, unique)) is not None:
            if key in first_seen:
                expected = f"an id of its own (line {first_seen[key]} has it already)"
                where = f"{shown(path)}:{number}"
                problems.append(Problem(where, unique, brief(key), expected))
            first_seen.setdefault(key, number)
        rows.append(outcome)
    if problems:
        raise DataRefused(problems, next_step=f"mend {shown(path)} and run the same command again")
    if not rows:
        raise DataRefused(
            f"{shown(path)}: no rows", next_step="give a file with one JSON object per line"
        )
    return rows


def iter_rows(
    path: Path, kind: type[Row], content: hashlib._Hash | None = None
) -> Iterator[tuple[int, Row | list[Problem]]]:
    """(line number from 1, row or the problems of that line), blank lines skipped.

    `content` is updated with every byte that is read: after the last row it is the file's hash.
    """
    file = shown(path)
    for number, line in _lines(path, content):
        where = f"{file}:{number}"
        if len(line) > LARGEST_LINE:
            seen = f"more than {LARGEST_LINE / 1e6:.0f} MB in one line"
            yield number, [Problem(where, "", seen, "one row in a line")]
            continue
        try:
            raw = strict.parse(line, "utf-8-sig" if number == 1 else "utf-8")
        except strict.Refused as error:
            yield number, [Problem(where, error.field, error.seen, error.expected)]
            continue
        if not isinstance(raw, dict):
            yield number, [Problem(where, "", brief(raw), "a JSON object")]
            continue
        try:
            yield number, kind.model_validate(raw)
        except ValidationError as error:
            yield number, explain(error, kind, where)


def read_json(path: Path) -> Any:
    """One JSON value, or a DataRefused that names the file."""
    try:
        value = json.loads(
            path.read_text(encoding="utf-8"), parse_constant=finite, parse_float=finite
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate fails here
        return value
    except (OSError, ValueError, RecursionError) as error:
        raise DataRefused(
            f"{shown(path)}: cannot be read ({error})",
            next_step="if a run's record is damaged, delete its folder and repeat its command",
        ) from error


def refuse_endless(path: Path) -> None:
    """DataRefused for a pipe, a socket or a device: they are read twice, or never end.

    Raises OSError where there is nothing of this name.
    """
    kind = path.stat().st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise DataRefused(
            f"{shown(path)}: a pipe or a device", next_step="write it to a file and give the file"
        )


def _lines(path: Path, content: hashlib._Hash | None = None) -> Iterator[tuple[int, bytes]]:
    try:
        refuse_endless(path)
        with path.open("rb") as handle:
            number = 0
            while line := handle.readline(LARGEST_LINE + 1):
                number += 1
                if content is not None:
                    content.update(line)
                if line.strip():
                    yield number, line
                while len(line) > LARGEST_LINE and not line.endswith(b"\n"):
                    line = handle.readline(LARGEST_LINE + 1)
                    if not line:
                        return
                    if content is not None:
                        content.update(line)
    except FileNotFoundError:
        raise DataRefused(
            f"{shown(path)}: no such file", next_step="check the path, or see `cqa --help`"
        ) from None
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        said = getattr(error, "strerror", None) or str(error)
        raise DataRefused(
            f"{shown(path)}: cannot be read ({said})",
            next_step="give a readable file of JSON lines",
        ) from error
