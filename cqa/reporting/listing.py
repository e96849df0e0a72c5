"""The models of all reports in one table: filtered, and the best at every price."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

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
_CONDITION = re.compile(r"\s*(?P<column>\w+)\s*(?P<sign>=|~|<|>)\s*(?P<value>.+?)\s*")


def table(reports: Iterable[tuple[str, Mapping[str, Any]]]) -> pd.DataFrame:
    """One row for each model of each report (id, what stands in report.json).

    Effects are those of the primary quantity on literary items.
    """
    rows = [
        {
            "report": name,
            "verdict": model["word"],
            "device_seconds": model["device_seconds"],
            "seeds": len(model["seeds"]) or 1,
            "kind": results["kind"].split(":")[0],
            **{key: model[key] for key in ("model", "epoch", "rows")},
            **{key: model["primary"][0][key] for key in _OF_PRIMARY},
        }
        for name, results in reports
        for model in results["models"]
        if model["primary"] and model["primary"][0]["group"] == "literary"
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


_OF_PRIMARY = ("items", "works", "base", "tuned", "change", "low", "high", "p")


def where(frame: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """The rows for which every condition holds: `verdict=improved`, `model~shuf`, `change>0.01`."""
    for condition in conditions:
        found = _CONDITION.fullmatch(condition)
        if found is None or found["column"] not in frame.columns:
            raise UsageRefused(
                f"--where {condition!r}: no such condition",
                next_step=f"COLUMN and =, ~ (contains), < or >; one of {', '.join(COLUMNS)}",
            )
        frame = frame[_holds(frame[found["column"]], found["sign"], found["value"], condition)]
    return frame


def _holds(cells: pd.Series, sign: str, value: str, condition: str) -> pd.Series:
    if sign == "~":
        return cells.astype(str).str.contains(value, regex=False, case=False)
    if sign == "=":
        return cells.map(lambda cell: _same(cell, value))
    try:
        bound = float(value)
    except ValueError:
        raise UsageRefused(
            f"--where {condition!r}: {value!r} is no number", next_step="write = or ~ for words"
        ) from None
    numbers = pd.to_numeric(cells, errors="coerce")
    return numbers < bound if sign == "<" else numbers > bound


def _same(cell: Any, value: str) -> bool:
    if isinstance(cell, str) or not pd.notna(cell):
        return cell == value
    try:
        return float(cell) == float(value)
    except ValueError:
        return str(cell).casefold() == value.casefold()


def best(frame: pd.DataFrame) -> list[bool]:
    """For each row whether no other is as cheap and as good, and better in one of the two."""
    price, change = (pd.to_numeric(frame[name]) for name in ("device_seconds", "change"))
    marks = []
    for cost, effect in zip(price, change, strict=True):
        beaten = (price <= cost) & (change >= effect) & ((price < cost) | (change > effect))
        marks.append(bool(pd.notna(cost) and pd.notna(effect) and not beaten.any()))
    return marks
