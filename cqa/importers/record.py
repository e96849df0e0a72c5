"""What an importer takes in hand and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cqa.errors import Problem
from cqa.paths import shown
from cqa.types import Dialogue


@dataclass(frozen=True)
class Imported:
    """One record of a file: the dialogue that it holds, or every reason why it holds none.

    `line` (from 1) is where the record begins; `record` is the whole of it as a JSON value, or as
    text where it is none, or None where the file could not be parted into records. `notes` says
    what was assumed, and what the record says and the dialogue has no place for.
    """

    line: int
    record: Any
    outcome: Dialogue | list[Problem]
    notes: tuple[str, ...] = ()


class Unusable(Exception):
    """A record that holds no dialogue, with the problems that say why."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = list(problems)


@dataclass(frozen=True)
class Place:
    """Where a record stands: its file, its first line, and its number among the file's records."""

    path: Path
    line: int
    number: int

    @property
    def where(self) -> str:
        return self.at(self.line)

    @property
    def stem(self) -> str:
        """The file's name without its last suffix, in characters that can be written."""
        return self.path.stem.encode("utf-8", "replace").decode("utf-8")

    def at(self, line: int) -> str:
        return f"{shown(self.path)}:{line}"

    def refuse(self, field: str, seen: str, expected: str, *, line: int = 0) -> Unusable:
        """To be raised."""
        return Unusable(Problem(self.at(line or self.line), field, seen, expected))


@dataclass(frozen=True)
class Utterance:
    """What B or C says without a break in the source.

    `field` is its dotted path in the record, `line` (from 1) its line in the file. Where it was
    read from a longer text it takes the characters from `offset` to before `end`.
    """

    by: str
    text: str
    field: str = "turns"
    line: int = 0
    start_seconds: float | None = None
    probe: str | None = None
    raw: str | None = None
    offset: int = 0
    end: int = 0


def on_lines(parts: Sequence[str]) -> str:
    """Utterances of one speaker together, each on lines of its own."""
    return "\n".join(parts)


@dataclass(frozen=True)
class Draft:
    """A dialogue as an importer hands it over.

    `facts` has what is not a turn (see `facts.facts`), `table` maps the keys of names to B and C,
    `join` puts neighbouring utterances of one speaker together.
    """

    utterances: Sequence[Utterance]
    facts: Mapping[str, Any]
    table: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    join: Callable[[Sequence[str]], str] = on_lines
