"""Sentences marked by the guide: whose mark, drawn how, and what a classifier says of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from cqa.errors import DataRefused, Problem, UsageRefused
from cqa.files import (
    read_rows,
    write_rows,
)
from cqa.paths import shown
from cqa.types import Frozen

Class = Literal["craft", "intent", "audience", "reality", "none"]
CLASSES = ("craft", "intent", "audience", "reality", "none")


class Mark(Frozen):
    """The marks of one sentence by two readers; the second is None where only one has marked."""

    key: str
    mark_1: Class
    mark_2: Class | None = None

    @property
    def file(self) -> str:
        """The name of the file that the sentence stands in."""
        return self.key.split(":", 1)[0]

    @property
    def row(self) -> tuple[str, str]:
        """File and line."""
        file, line, _ = self.key.split(":", 2)
        return file, line

    @property
    def field(self) -> str:
        """The dotted field."""
        return self.key.split(":", 2)[2].rsplit(":", 2)[0]


class Drawn(Frozen):
    """How the marked sentences of a file were drawn: uniformly, from these fields (none: all)."""

    file: str
    sha256: str
    fields: tuple[str, ...]
    sentences: int
    seed: int


class _OneMark(Frozen):
    key: str
    mark: Class


class Predictions(Frozen):
    """What one classifier says of marked sentences whose words are not at hand."""

    classifier: str
    probabilities: dict[str, tuple[float, ...]]


def merge_marks(paths: Sequence[Path], out: Path) -> list[Mark]:
    """One or two files of {key, mark} lines -> `out` with {key, mark_1, mark_2} lines, by key.

    Refused unless both mark exactly the same sentences.
    """
    if not 1 <= len(paths) <= 2:
        raise UsageRefused(f"{len(paths)} files of marks", next_step="give one or two")
    given = [
        {row.key: row.mark for row in read_rows(path, _OneMark, unique="key")} for path in paths
    ]
    problems = [
        Problem(shown(path), "key", f"nothing for {key!r}", "a mark, as the other file has one")
        for path, marks in zip(paths, given, strict=True)
        for key in sorted(set().union(*given) - set(marks))
    ]
    if problems:
        raise DataRefused(problems, next_step="mark the same sentences in both files")
    second = given[1] if len(given) > 1 else {}
    merged = [
        Mark(key=key, mark_1=mark, mark_2=second.get(key)) for key, mark in sorted(given[0].items())
    ]
    write_rows(out, merged)
    return merged


def class_number(mark: str | None) -> int:
    """The place of a mark in CLASSES; -1 where there is none."""
    return -1 if mark is None else CLASSES.index(mark)
