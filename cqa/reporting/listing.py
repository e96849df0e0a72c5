"""The models of all reports in one table: filtered, and the best at every price."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from cqa.errors import UsageRefused

COLUMNS = (
    "report",
    "model",
    "verdict",
    "items",
    "works",
    "base",
    "tuned",
    "change",
    "low",
    "high",
    "p",
    "device_seconds",
    "seeds",
    "epoch",
    "rows",
    "kind",
)
CONDITION = re.compile(r"\s*(?P<column>\w+)\s*(?P<sign>=|~|<|>)\s*(?P<value>.+?)\s*")

Row = Mapping[str, Any]
"""One model of one report: a value or None for each of COLUMNS."""


def rows(name: str, results: Mapping[str, Any]) -> list[Row]:
    """A row for each model of a report (its id, what stands in report.json).

    Effects are those of the primary quantity on literary items. TypeError or KeyError where this is
    no report.
    """
    found = [
        {
            "report": name,
            "verdict": model["word"],
            "device_seconds": model["device_seconds"],
            "seeds": len(model["seeds"]) or 1,
            "kind": str(results["kind"]).split(":")[0],
            **{key: model[key] for key in ("model", "epoch", "rows")},
            **{key: model["primary"][0][key] for key in _OF_PRIMARY},
        }
        for model in results["models"]
        if model["primary"] and model["primary"][0]["group"] == "literary"
    ]
    for row in found:
        for column in COLUMNS:
            if not _fits(row[column], str if column in _WORDS else float):
                raise TypeError(f"{column} is {row[column]!r}")
    return [{column: row[column] for column in COLUMNS} for row in found]


def _fits(cell: Any, kind: type) -> bool:
    if kind is str:
        return isinstance(cell, str)
    return cell is None or (isinstance(cell, int | float) and abs(cell) < _LARGEST)


_WORDS = {"report", "model", "verdict", "kind"}
_LARGEST = 1e300
_OF_PRIMARY = ("items", "works", "base", "tuned", "change", "low", "high", "p")


def where(found: Sequence[Row], conditions: Sequence[str]) -> list[Row]:
    """The rows for which every condition holds: `verdict=improved`, `model~shuf`, `change>0.01`."""
    found = list(found)
    for condition in conditions:
        told = CONDITION.fullmatch(condition)
        if told is None or told["column"] not in COLUMNS:
            raise UsageRefused(
                f"--where {condition!r}: no such condition",
                next_step=f"COLUMN and =, ~ (contains), < or >; one of {', '.join(COLUMNS)}",
            )
        column, sign, value = told["column"], told["sign"], told["value"]
        bound = number(value, condition) if sign in "<>" else 0.0
        found = [row for row in found if _holds(row[column], sign, value, bound)]
    return found


def number(value: str, condition: str) -> float:
    """What stands after < or >."""
    try:
        return float(value)
    except ValueError:
        raise UsageRefused(
            f"--where {condition!r}: {value!r} is no number", next_step="write = or ~ for words"
        ) from None


def _holds(cell: Any, sign: str, value: str, bound: float) -> bool:
    if sign == "~":
        return value.casefold() in str(cell).casefold()
    if sign == "=":
        return _same(cell, value)
    if not isinstance(cell, int | float):
        return False
    return cell < bound if sign == "<" else cell > bound


def _same(cell: Any, value: str) -> bool:
    if not isinstance(cell, int | float):
        return cell == value
    try:
        return float(cell) == float(value)
    except ValueError:
        return False


def best(found: Sequence[Row]) -> list[bool]:
    """For each row whether no other is as cheap and as good, and better in one of the two."""
    prices: dict[float, list[float]] = defaultdict(list)
    for row in found:
        if row["device_seconds"] is not None and row["change"] is not None:
            prices[row["device_seconds"]].append(row["change"])
    winners, ahead = set(), float("-inf")
    for price in sorted(prices):
        if (top := max(prices[price])) > ahead:
            winners.add((price, top))
            ahead = top
    return [(row["device_seconds"], row["change"]) in winners for row in found]
