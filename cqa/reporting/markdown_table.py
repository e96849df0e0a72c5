"""Tables in Markdown, whatever stands in their cells, and text of others that stays text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_MARKS = re.compile(
    r"\\(?=[!-/:-@\[-`{-~]|$)"  # what stands before punctuation, or ends a cell
    r"|[`*|~]"
    r"|(?<![^\W_])_|_(?![^\W_])"  # within a word it is no mark
    r"|<(?=[A-Za-z/!?])|&(?=#|\w+;)"
    r"|(?<=\])[(:\[]"  # what makes brackets a link
)
_BEGINNINGS = re.compile(r"^([>=]|-(?=-)|[+-](?=\s|$)|#(?=#|\s|$)|\d+(?=[.)](\s|$)))")
"""Of a line that is no paragraph."""


def one_line(value: Any) -> str:
    """A value without its line breaks."""
    return " ".join(str(value).splitlines())


def escaped(value: Any) -> str:
    """A value as one line that shows what it is: no markup, link, heading or HTML of its own."""
    text = _MARKS.sub(r"\\\g<0>", one_line(value).strip())
    return _BEGINNINGS.sub(lambda found: _quoted(found[0]), text)


def table(
    headings: Iterable[Any], rows: Iterable[Iterable[Any]], *, plain: bool = False
) -> list[str]:
    """The lines of a table: headings, rule, rows. `|` and line breaks in a cell do not end it.

    With `plain` no other markup of a cell counts either (`escaped`).
    """
    headings, cell = list(headings), escaped if plain else _cell
    lines = (map(cell, headings), ["---"] * len(headings), *(map(cell, row) for row in rows))
    return [f"| {' | '.join(line)} |" for line in lines]


def _cell(value: Any) -> str:
    # A backslash that stands before a `|` already would undo the one that escapes it.
    return re.sub(r"(\\*)\|", r"\1\1\\|", one_line(value))


def _quoted(beginning: str) -> str:
    """`#` as `\\#`; a number keeps its digits, and the dot or bracket after it is escaped."""
    return f"{beginning}\\" if beginning[0].isdigit() else f"\\{beginning}"
