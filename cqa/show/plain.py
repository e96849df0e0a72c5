"""What every result needs: lines, tables, facts, one JSON object. All that is printed goes here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from cqa.progress import say
from cqa.terminal import json_text, visible

_PIPE_WIDTH = 160
"""Columns where stdout is not a terminal: tables stay whole lines that can be searched."""


def print_line(text: str, *, style: str | None = None) -> None:
    """A line on stdout, whatever names it holds; in a style only where that is a terminal."""
    if style:
        _stdout().print(visible(text), style=style)
    else:
        print(visible(text))  # noqa: T201


def print_table(
    left: Sequence[str],
    right: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str | None = None,
    fold: bool = False,
) -> None:
    """Rows of cells under their headings, `left` for words and `right` for numbers.

    With `fold` a word that is too long goes on in the next line instead of being cut.
    """
    table = Table(title=title and visible(title), title_justify="left", box=None)
    for heading in left:
        table.add_column(visible(heading), overflow="fold" if fold else "ellipsis")
    for heading in right:
        table.add_column(visible(heading), justify="right")
    for row in rows:
        table.add_row(*map(visible, row))
    _stdout().print(table)


def as_json_object(value: Any) -> None:
    """One object on stdout."""
    print(json_text(value, indent=2))  # noqa: T201


def hint(command: str, as_json: bool) -> None:
    """What to type next."""
    if not as_json:
        say(f"next: {command}")


def print_lines(lines: Iterable[tuple[str, str]]) -> None:
    """Print each (name, value) on a line of its own."""
    for name, value in lines:
        print_line(f"  {name:16} {value}")


def facts(found: Mapping[str, Any], as_json: bool) -> None:
    """What was done, in short."""
    if as_json:
        as_json_object(found)
    else:
        print_facts(found)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Print each fact on a line of its own; decimals with four digits."""
    for name, value in facts.items():
        if isinstance(value, float):
            value = f"{value:.4g}"
        elif isinstance(value, list):
            value = " ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in value)
        elif isinstance(value, dict):
            value = ", ".join(f"{key} {number}" for key, number in value.items())
        print_line(f"  {name.replace('_', ' '):22} {value}")


def _stdout() -> Console:
    """A console for results; wide and plain where it is not a terminal."""
    plain = {"highlight": False, "markup": False, "emoji": False}  # a name may have brackets
    console = Console(**plain)
    return console if console.is_terminal else Console(**plain, width=_PIPE_WIDTH)
