"""What every result needs: a console, one JSON object, lines of facts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console

from cqa.progress import say

if TYPE_CHECKING:
    pass


_PIPE_WIDTH = 160
"""Columns where stdout is not a terminal: tables stay whole lines that can be searched."""


def stdout() -> Console:
    """A console for results; wide and plain where it is not a terminal."""
    plain = {"highlight": False, "markup": False, "emoji": False}  # a name may have brackets
    console = Console(**plain)
    return console if console.is_terminal else Console(**plain, width=_PIPE_WIDTH)


def as_json_object(value: Any) -> None:
    """One object on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))  # noqa: T201


def hint(command: str, as_json: bool) -> None:
    """What to type next."""
    if not as_json:
        say(f"next: {command}")


def print_lines(lines: Iterable[tuple[str, str]]) -> None:
    for name, value in lines:
        print(f"  {name:16} {value}")  # noqa: T201


def facts(found: Mapping[str, Any], as_json: bool) -> None:
    """What was done, in short."""
    if as_json:
        as_json_object(found)
    else:
        print_facts(found)


def print_facts(facts: Mapping[str, Any]) -> None:
    for name, value in facts.items():
        if isinstance(value, float):
            value = f"{value:.4g}"
        elif isinstance(value, list):
            value = " ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in value)
        elif isinstance(value, dict):
            value = ", ".join(f"{key} {number}" for key, number in value.items())
        print(f"  {name.replace('_', ' '):22} {value}")  # noqa: T201
