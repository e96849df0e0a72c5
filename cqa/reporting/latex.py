"""The tables of a report for a paper, with the rules of booktabs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cqa.reporting.markdown import number, p_value

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "−": "$-$",
} | {character: f"\\{character}" for character in "&%$#_{}"}
_SPECIALS = re.compile("|".join(map(re.escape, _SPECIAL)))


def page(results: Mapping[str, Any]) -> str:
    """The primary effects and everything else that was looked at, as two tables."""
    primary = [row for model in results["models"] for row in model["primary"]]
    secondary = [row for model in results["models"] for row in model["secondary"]]
    tables = [
        f"% {_one_line(results['sentence'])}",
        "% needs \\usepackage{booktabs,longtable}",
        *_table(
            "Change of specific gain, bits per token. The first line is the primary, which stands "
            "alone; every other p was adjusted.",
            "llrrrrrrr",
            (
                *("model", "group", "items (works)", "base", "tuned", "change [95 %]", "p"),
                *("adjusted p", "d_z"),
            ),
            (
                [
                    *_named(row),
                    *_numbers(row),
                    *(p_value(row[name]) for name in ("p", "p_adjusted")),
                    _signed(row["d_z"], 2),
                ]
                for row in primary
            ),
        ),
        *_long_table(
            "Everything else that was looked at; p adjusted together.",
            "lllrrrr",
            ("model", "group", "quantity", "base", "tuned", "change [95 %]", "adjusted p"),
            (
                [
                    row["model"],
                    row["group"],
                    row["quantity"],
                    *_numbers(row),
                    p_value(row["p_adjusted"]),
                ]
                for row in secondary
            ),
        ),
    ]
    return "\n".join(tables) + "\n"


def escaped(text: str) -> str:
    """Text that LaTeX sets as it stands."""
    return _SPECIALS.sub(lambda match: _SPECIAL[match.group()], text)


def _table(
    caption: str, columns: str, headings: Sequence[str], rows: Iterable[Sequence[str]]
) -> list[str]:
    return [
        "\\begin{table}",
        f"\\caption{{{escaped(caption)}}}",
        f"\\begin{{tabular}}{{{columns}}}",
        "\\toprule",
        _line(headings),
        "\\midrule",
        *map(_line, rows),
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{table}",
    ]


def _long_table(
    caption: str, columns: str, headings: Sequence[str], rows: Iterable[Sequence[str]]
) -> list[str]:
    """A table that goes on over pages: a study has hundreds of rows."""
    return [
        f"\\begin{{longtable}}{{{columns}}}",
        f"\\caption{{{escaped(caption)}}}\\\\",
        "\\toprule",
        _line(headings),
        "\\midrule",
        "\\endhead",
        *map(_line, rows),
        "\\bottomrule",
        "\\end{longtable}",
    ]


def _line(cells: Iterable[str]) -> str:
    return " & ".join(map(escaped, cells)) + r" \\"


def _named(row: Mapping[str, Any]) -> list[str]:
    return [row["model"], row["group"], f"{row['items']} ({row['works']})"]


def _numbers(row: Mapping[str, Any]) -> list[str]:
    low, high = (_signed(row[name]) for name in ("low", "high"))
    return [number(row["base"]), number(row["tuned"]), f"{_signed(row['change'])} [{low}, {high}]"]


def _signed(value: float | None, digits: int = 4) -> str:
    return number(value, digits, sign=True)


def _one_line(text: str) -> str:
    return " ".join(text.split())
