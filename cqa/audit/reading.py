"""The sentences of a data set one row at a time, and a uniform sample of them."""

from __future__ import annotations

import csv
import hashlib
import heapq
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from cqa.audit.sentences import LEAST_WORDS, sentences
from cqa.errors import DataRefused, Problem
from cqa.files import iter_rows, refuse_endless
from cqa.paths import shown

SUFFIXES = (".jsonl", ".txt", ".csv", ".parquet")
LONGER_THAN = 20
"""A string of so many columns or fewer is taken for a label and not read.

A Chinese character takes two columns, as on a screen.
"""


_PARAGRAPH_LINES = 50


@dataclass(frozen=True)
class Sentence:
    """One sentence and its place: file name, line from 1, dotted field, number in it from 1."""

    file: str
    line: int
    field: str
    number: int
    text: str

    @property
    def key(self) -> str:
        """What a mark refers to instead of the words: place and 16 hex digits of their SHA-256."""
        digest = hashlib.sha256(self.text.encode()).hexdigest()[:16]
        return f"{self.file}:{self.line}:{self.field}:{self.number}:{digest}"

    @property
    def row(self) -> tuple[str, int]:
        """What is resampled as a whole."""
        return self.file, self.line


def iter_sentences(
    path: Path, fields: Sequence[str] = (), *, longer_than: int = LONGER_THAN
) -> Iterator[Sentence | Problem]:
    """The sentences of a data set, one row at a time; a row that cannot be read is a Problem.

    Rows: a line of .jsonl (any nesting), a record of .csv, a row of .parquet, a paragraph of .txt.
    `fields` are dotted names without list positions ("messages.content") or last names
    ("content"), and take in what lies below them; without any, every string counts that is longer
    than `longer_than` columns.
    """
    for line, row in _rows(path):
        if isinstance(row, Problem):
            yield row
            continue
        for field, text in _strings(row):
            if not in_fields(field, fields) or not _wider(text, longer_than):
                continue
            for number, sentence in enumerate(sentences(text), start=1):
                yield Sentence(path.name, line, field, number, sentence)


def _wider(text: str, columns: int) -> bool:
    if len(text) > columns or 2 * len(text) <= columns:
        return len(text) > columns
    return sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text) > columns


class _AnyRow(BaseModel):
    model_config = ConfigDict(extra="allow", protected_namespaces=())


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    if path.suffix not in SUFFIXES:
        raise DataRefused(
            [Problem(shown(path), "", f"a {path.suffix or 'nameless'} file", ", ".join(SUFFIXES))],
            next_step="give it as JSON lines, or as one of the other kinds",
        )
    if not path.exists():
        raise DataRefused(f"{shown(path)}: no such file", next_step="check the path")
    refuse_endless(path)
    if path.suffix == ".jsonl":
        for number, outcome in iter_rows(path, _AnyRow):
            if isinstance(outcome, list):
                yield from ((number, problem) for problem in outcome)
            else:
                yield number, outcome.model_extra
    elif path.suffix == ".parquet":
        yield from _parquet_rows(path)
    else:
        read = _csv_rows if path.suffix == ".csv" else _paragraphs
        try:
            with path.open(encoding="utf-8-sig", newline="") as lines:
                yield from read(lines)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            yield 0, Problem(shown(path), "", str(error), f"UTF-8 text as {path.suffix} has it")


def _csv_rows(lines: Any) -> Iterator[tuple[int, dict[str, str]]]:
    csv.field_size_limit(1 << 27)
    records = csv.reader(lines)
    heading = next(records, [])
    for record in records:
        yield records.line_num, dict(zip(heading, record, strict=False))


def _paragraphs(lines: Any) -> Iterator[tuple[int, dict[str, str]]]:
    paragraph: list[str] = []
    first = 1
    for number, line in enumerate(lines, start=1):
        paragraph.append(line)
        full = len(paragraph) >= _PARAGRAPH_LINES and line.rstrip()[-1:] in (*".!?。！？", "")
        if full or not line.strip():
            yield first, {"text": "".join(paragraph)}
            paragraph, first = [], number + 1
    yield first, {"text": "".join(paragraph)}


def _parquet_rows(path: Path) -> Iterator[tuple[int, Any]]:
    from pyarrow.types import is_primitive

    from cqa import parquet

    expected = "give a Parquet file of texts"
    with parquet.opened(path, expected) as table:
        # One word may stand in a million rows and take room once: so it is kept, row by row.
        leaves = [table.schema.column(n) for n in range(len(table.schema))]
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        # A date is no sentence, and may be one that Python does not have.
        wanted = [field.name for field in table.schema_arrow if not is_primitive(field.type)]
    with parquet.opened(path, expected, read_dictionary=texts) as table:
        number = 0
        for batch in table.iter_batches(batch_size=256, columns=wanted, use_threads=False):
            for at in range(batch.num_rows):
                number += 1
                yield number, {name: batch[name][at].as_py() for name in batch.schema.names}


def _strings(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """(dotted field, string) of every string inside a JSON value."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _strings(inner, f"{field}.{name}" if field else str(name))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _strings(inner, f"{field}[{position}]")


def in_fields(field: str, fields: Sequence[str]) -> bool:
    """Whether a dotted path lies in one of these fields; in any where none are named."""
    plain = re.sub(r"\[\d+\]", "", field)
    return not fields or any(f".{name}." in f".{plain}." for name in fields)


@dataclass(frozen=True)
class Sample:
    """A uniform sample of the distinct sentences of a data set.

    `read` counts all sentences; `distinct` is exact where all distinct ones were kept and an
    estimate where they were not.
    """

    sentences: tuple[Sentence, ...]
    read: int
    distinct: int


def sample(
    path: Path,
    at_most: int,
    *,
    seed: int,
    fields: Sequence[str] = (),
    longer_than: int = LONGER_THAN,
) -> Sample:
    """At most so many distinct sentences of a data set, in one pass and in memory for that many.

    The sentences with the smallest seeded hashes are kept (bottom-k sampling: Cohen and Kaplan
    2007, PODC 225): uniform over distinct sentences, the same for any order of rows, and the
    largest hash kept tells how many distinct ones there were. A template that stands in every row
    counts once.
    """
    kept: dict[int, Sentence] = {}
    largest: list[int] = []
    read = 0
    problems: list[Problem] = []
    for found in iter_sentences(path, fields, longer_than=longer_than):
        if isinstance(found, Problem):
            problems.append(found)
            if len(problems) > DataRefused.shown:
                break
            continue
        read += 1
        value = _hash(found.text, seed)
        if value in kept or (len(kept) == at_most and value > -largest[0]):
            continue
        kept[value] = found
        heapq.heappush(largest, -value)
        if len(kept) > at_most:
            del kept[-heapq.heappop(largest)]
    if problems:
        raise DataRefused(problems, next_step=f"mend {shown(path)} and run the same command again")
    if not kept:
        which = f" in {', '.join(fields)}" if fields else ""
        raise DataRefused(
            f"{shown(path)}: no sentence of {LEAST_WORDS} words or more{which}",
            next_step="name the fields that hold text" if fields else "give a file with prose",
        )
    distinct = len(kept)
    if distinct == at_most and at_most > 1:
        estimate = round((at_most - 1) / (-largest[0] / 2**64))
        distinct = min(max(distinct, estimate), read)
    return Sample(tuple(kept[value] for value in sorted(kept)), read, distinct)


def _hash(text: str, seed: int) -> int:
    digest = hashlib.blake2b(text.encode(), digest_size=8, salt=seed.to_bytes(8, "big"))
    return int.from_bytes(digest.digest(), "big")
