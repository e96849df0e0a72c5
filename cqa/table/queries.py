"""What is asked of the results table, and the conditions it is asked under."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cqa.errors import UsageRefused
from cqa.files import write_csv
from cqa.progress import say
from cqa.reporting import listing
from cqa.table.index import asked
from cqa.table.rows import CHECKED, COLUMNS, checked

if TYPE_CHECKING:
    import pandas as pd

_NAMES = ", ".join(COLUMNS)
_CHECKED = ", ".join(CHECKED)


def read(root: Path | None = None, where: Sequence[str] = ()) -> pd.DataFrame:
    """The results table as a data frame, oldest run first."""
    import pandas as pd

    told, values = _conditions(where)
    sql = f"SELECT {_CHECKED} FROM runs{told} ORDER BY started, id"  # nosec B608 - columns are ours, values are ?
    found = asked(root, lambda index: [checked(row) for row in index.execute(sql, values)])
    return pd.DataFrame(found, columns=list(COLUMNS)).astype({"seed": "Int64"})


def newest(
    last: int, where: Sequence[str] = (), root: Path | None = None
) -> tuple[list[dict[str, Any]], int]:
    """The newest runs for which every condition holds, oldest first; and how many there are."""
    told, values = _conditions(where)
    count = f"SELECT COUNT(*) FROM runs{told}"  # nosec B608
    sql = f"SELECT {_CHECKED} FROM runs{told} ORDER BY started DESC, id DESC LIMIT ?"  # nosec B608

    def ask(index: sqlite3.Connection) -> tuple[list[dict[str, Any]], int]:
        (number,) = index.execute(count, values).fetchone()
        found = [checked(row) for row in index.execute(sql, [*values, last])]
        return [{name: row[name] for name in COLUMNS} for row in reversed(found)], number

    return asked(root, ask)


def models_of_reports(root: Path | None = None) -> list[dict[str, Any]]:
    """A row of `listing.COLUMNS` for each model of each finished report, oldest report first."""
    sql = f"SELECT {_CHECKED} FROM runs WHERE stage = 'report' AND status = 'done' ORDER BY started"  # nosec B608
    models = []
    for row in asked(root, lambda index: [checked(found) for found in index.execute(sql)]):
        if row["models"] is None:
            say(f"{row['id']}: its report.json cannot be read; its command makes it again")
        else:
            models += json.loads(row["models"])
    return models


def export_csv(path: Path, root: Path | None = None, where: Sequence[str] = ()) -> int:
    """Write the table as CSV, whole or not at all; returns the number of runs.

    A cell that a spreadsheet would take for a formula is written as text.
    """
    frame = read(root, where)
    write_csv(path, frame)
    return len(frame)


def _conditions(where: Sequence[str]) -> tuple[str, list[Any]]:
    """`stage=train`, `label~shuf`, `seconds>60`, `started<2026-02` as SQL, and its values."""
    told, values = [], []
    for condition in where:
        found = listing.CONDITION.fullmatch(condition)
        if found is None or found["column"] not in COLUMNS:
            raise UsageRefused(
                f"--where {condition!r}: no such condition",
                next_step=f"COLUMN and =, ~ (contains), < or >; one of {_NAMES}",
            )
        column, value = found["column"], found["value"]
        if found["sign"] == "~":
            told.append(f"instr(lower({column}), lower(?))")
        else:
            told.append(f"{column} {found['sign']} ?")
            if not COLUMNS[column].startswith("TEXT"):
                value = listing.number(value, condition)
        values.append(value)
    return " WHERE " + " AND ".join(told) if told else "", values
