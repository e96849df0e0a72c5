"""Texts on their way to a judge: from a file of any length, or from the benchmark."""

from __future__ import annotations

import array
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from cqa.errors import DataRefused, Problem
from cqa.files import iter_rows, sha256_of_value
from cqa.paths import shown
from cqa.types import Item, Text

_MOST = 10_000
"""Problems after which no more are looked for, since they are kept until the end."""


class TextFile:
    """The texts of a JSON-lines file, read anew each time they are asked for.

    The whole file is validated when it is opened, before the first text is scored; of each row
    only a hash of its id is kept, so that memory hardly grows with the number of rows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        hashes = array.array("Q")
        problems: list[Problem] = []
        content = hashlib.sha256()
        for _, outcome in iter_rows(path, Text, content):
            if isinstance(outcome, list):
                problems += outcome
                if len(problems) > _MOST:
                    break
            else:
                hashes.append(_id_hash(outcome))
        if not problems:
            problems = self._ids_given_twice(hashes)
        if problems:
            raise DataRefused(problems, next_step=f"mend {shown(path)} and run the same again")
        if not hashes:
            raise DataRefused(
                f"{shown(path)}: no rows", next_step="give a file with one JSON object per line"
            )
        self._count = len(hashes)
        self.sha256 = content.hexdigest()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Text]:
        """DataRefused, after the last row at the latest, where the file is not what was checked."""
        content = hashlib.sha256()
        for _, outcome in iter_rows(self.path, Text, content):
            if isinstance(outcome, list):
                break
            yield outcome
        if content.hexdigest() != self.sha256:
            raise DataRefused(
                f"{shown(self.path)}: the file changed while it was read",
                next_step="run the same command again",
            )

    def _ids_given_twice(self, hashes: array.array) -> list[Problem]:
        values, counts = np.unique(np.frombuffer(hashes, dtype=np.uint64), return_counts=True)
        suspects = set(values[counts > 1].tolist())
        if not suspects:
            return []
        first: dict[str, int] = {}
        problems = []
        for number, row in iter_rows(self.path, Text):
            if isinstance(row, list) or row.id is None or _id_hash(row) not in suspects:
                continue
            if row.id in first:
                expected = f"an id of its own (line {first[row.id]} has it already)"
                where = f"{shown(self.path)}:{number}"
                problems.append(Problem(where, "id", repr(row.id), expected))
            first.setdefault(row.id, number)
        return problems


def row_id(text: Text) -> str:
    """The id of a row, or one made from its content where it has none."""
    if text.id is not None:
        return text.id
    brief = text.brief.model_dump() if text.brief else None
    return "text-" + sha256_of_value([text.context, text.text, brief])[:12]


def as_texts(items: Iterable[Item]) -> list[Text]:
    """Benchmark items as texts to be scored."""
    return [
        Text(
            id=item.id,
            item=item.id,
            text=item.text,
            context=item.context,
            brief=item.brief,
            foil=item.foil,
            group=item.group,
            work=item.work,
            source="benchmark",
            redistribution=item.redistribution,
        )
        for item in items
    ]


def _id_hash(text: Text) -> int:
    return int(sha256_of_value(row_id(text))[:16], 16)
