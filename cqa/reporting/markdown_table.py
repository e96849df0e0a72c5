"""Tables in Markdown, whatever stands in their cells."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any


def table(headings: Iterable[Any], rows: Iterable[Iterable[Any]]) -> list[str]:
    """The lines of a table: headings, rule, rows. `|` and line breaks in a cell do not end it."""
    headings = list(headings)
    return [_line(line) for line in (headings, ["---"] * len(headings), *rows)]


def _line(cells: Iterable[Any]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(value: Any) -> str:
    # A backslash that stands before a `|` already would undo the one that escapes it.
    one_line = " ".join(str(value).splitlines())
    return re.sub(r"(\\*)\|", r"\1\1\\|", one_line)
