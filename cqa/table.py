"""The results table: one row per run, an SQLite index over the run directories.

The directories are the truth. The index can be deleted at any time; only runs whose record has
changed are read again. Who cannot write it at once (another process does, the folder is read-only,
the disk is full) reads the table all the same: what the index lacks is laid over it in memory.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cqa import runs
from cqa.errors import CqaError, DataRefused, UsageRefused
from cqa.files import read_json, sha256_of_value, write_csv
from cqa.paths import runs_root, shown
from cqa.progress import say
from cqa.reporting import listing

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

_COLUMNS = {
    "id": "TEXT PRIMARY KEY",
    "stage": "TEXT",
    "label": "TEXT",
    "status": "TEXT",
    "reason": "TEXT",
    "started": "TEXT",
    "ended": "TEXT",
    "seconds": "REAL",
    "attempts": "INTEGER",
    "earlier_failures": "TEXT",
    "parents": "TEXT",
    "model": "TEXT",
    "model_sha256": "TEXT",
    "data_sha256": "TEXT",
    "config_sha256": "TEXT",
    "code_sha256": "TEXT",
    "fingerprint": "TEXT",
    "seed": "INTEGER",
    "versions": "TEXT",
    "budget_asked": "TEXT",
    "budget_spent": "TEXT",
    "device_seconds": "REAL",
    "wall_seconds": "REAL",
    "tokens": "INTEGER",
    "flops": "REAL",
    "share_of_matmul_peak": "REAL",
    "peak_memory_bytes": "INTEGER",
    "energy_wh": "REAL",
    "energy_source": "TEXT",
    "money": "REAL",
    "currency": "TEXT",
    "planned_device_seconds": "REAL",
    "planned_device_seconds_low": "REAL",
    "planned_device_seconds_high": "REAL",
    "planned_memory_bytes": "INTEGER",
    "planned_energy_wh": "REAL",
    "planned_money": "REAL",
    "time_basis": "TEXT",
    "headline": "TEXT",
}
_KEPT = {**_COLUMNS, "models": "TEXT", "stamp": "TEXT"}
"""With what stands in the index only: the models of a report, and what tells of a change."""
_SPENT = (
    "device_seconds",
    "wall_seconds",
    "tokens",
    "flops",
    "share_of_matmul_peak",
    "peak_memory_bytes",
    "energy_wh",
    "energy_source",
    "money",
    "currency",
)
_PLANNED = (
    "device_seconds",
    "device_seconds_low",
    "device_seconds_high",
    "memory_bytes",
    "energy_wh",
    "money",
)
_NAMES = ", ".join(_COLUMNS)
_FIELDS = ", ".join(f"{name} {kind}" for name, kind in _KEPT.items())
_MARKS = ", ".join(f":{name}" for name in _KEPT)
_INDEXES = {"by_stamp": "id, stamp", "by_start": "started, id", "by_stage": "stage, started, id"}
_AT_ONCE = 1000
_WAIT_SECONDS = 0.2
"""For another process that writes the index."""


def read(root: Path | None = None, where: Sequence[str] = ()) -> pd.DataFrame:
    """The results table as a data frame, oldest run first."""
    import pandas as pd

    told, values = _conditions(where)
    sql = f"SELECT {_NAMES} FROM runs{told} ORDER BY started, id"  # nosec B608 - columns are ours, values are ?
    found = _asked(root, lambda index: index.execute(sql, values).fetchall())
    return pd.DataFrame(found, columns=list(_COLUMNS)).astype({"seed": "Int64"})


def newest(
    last: int, where: Sequence[str] = (), root: Path | None = None
) -> tuple[list[dict[str, Any]], int]:
    """The newest runs for which every condition holds, oldest first; and how many there are."""
    told, values = _conditions(where)
    count = f"SELECT COUNT(*) FROM runs{told}"  # nosec B608
    sql = f"SELECT {_NAMES} FROM runs{told} ORDER BY started DESC, id DESC LIMIT ?"  # nosec B608

    def ask(index: sqlite3.Connection) -> tuple[list[dict[str, Any]], int]:
        (number,) = index.execute(count, values).fetchone()
        found = index.execute(sql, [*values, last]).fetchall()
        return [dict(zip(_COLUMNS, row, strict=True)) for row in reversed(found)], number

    return _asked(root, ask)


def models_of_reports(root: Path | None = None) -> list[dict[str, Any]]:
    """A row of `listing.COLUMNS` for each model of each finished report, oldest report first."""
    sql = "SELECT id, models FROM runs WHERE stage = 'report' AND status = 'done' ORDER BY started"
    models = []
    for name, told in _asked(root, lambda index: index.execute(sql).fetchall()):
        if told is None:
            say(f"{name}: its report.json cannot be read; the command that made it makes it again")
        else:
            models += json.loads(told)
    return models


def rebuild(root: Path | None = None) -> None:
    """Throw the index away and read every run again."""
    _forget((root or runs_root()) / "index.sqlite")
    _asked(root, lambda index: None)


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
        if found is None or found["column"] not in _COLUMNS:
            raise UsageRefused(
                f"--where {condition!r}: no such condition",
                next_step=f"COLUMN and =, ~ (contains), < or >; one of {_NAMES}",
            )
        column, value = found["column"], found["value"]
        if found["sign"] == "~":
            told.append(f"instr(lower({column}), lower(?))")
        else:
            told.append(f"{column} {found['sign']} ?")
            if not _COLUMNS[column].startswith("TEXT"):
                value = listing.number(value, condition)
        values.append(value)
    return " WHERE " + " AND ".join(told) if told else "", values


def _asked(root: Path | None, ask: Callable[[sqlite3.Connection], T]) -> T:
    """What `ask` makes of the table `runs` as it is now."""
    root = root or runs_root()
    if root.exists() and not root.is_dir():
        raise DataRefused(
            f"{shown(root)}: no folder, and the runs belong into one",
            next_step="say another in CQA_RUNS, or move this file away",
        )
    path = root / "index.sqlite"
    try:
        with closing(_current(root, path)) as index:
            return ask(index)
    except sqlite3.DatabaseError:  # a damaged index holds nothing that the runs do not
        _forget(path)
        with closing(_current(root, path)) as index:
            return ask(index)


def _forget(path: Path) -> None:
    with suppress(OSError):  # what cannot be deleted cannot be written either
        for name in (f"{path.name}-wal", f"{path.name}-shm", path.name):
            path.with_name(name).unlink(missing_ok=True)


def _current(root: Path, path: Path) -> sqlite3.Connection:
    try:
        root.mkdir(parents=True, exist_ok=True)
        index = _opened(path)
        known = dict(index.execute("SELECT id, stamp FROM runs"))
    except (sqlite3.OperationalError, OSError) as error:
        if not _in_the_way(error):
            raise
        index, known = _opened(":memory:"), {}
    present = _stamps(root)
    changed = [name for name in present if present[name] != known.get(name)]
    _put(index, [], sorted(known.keys() - present.keys()))
    for start in range(0, len(changed), _AT_ONCE):
        names = changed[start : start + _AT_ONCE]
        rows = [_kept(run, present[name]) for name in names if (run := runs.read(root / name))]
        _put(index, rows, [])
    return index


def _opened(path: Path | str) -> sqlite3.Connection:
    index = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
    try:
        if not index.execute("SELECT 1 FROM sqlite_master WHERE name = 'by_stage'").fetchone():
            index.execute("PRAGMA journal_mode=WAL")
            index.execute("BEGIN IMMEDIATE")
            index.execute(f"CREATE TABLE IF NOT EXISTS runs ({_FIELDS})")
            for name, columns in _INDEXES.items():
                index.execute(f"CREATE INDEX IF NOT EXISTS {name} ON runs ({columns})")
            index.execute("COMMIT")
        index.execute("PRAGMA synchronous=NORMAL")
    except sqlite3.Error:
        index.close()
        raise
    return index


def _put(index: sqlite3.Connection, rows: Sequence[Mapping[str, Any]], gone: Sequence[str]) -> None:
    """Rows into the index, in one short transaction; over it where it cannot be written now."""
    if not rows and not gone:
        return
    if not _is_laid_over(index):
        try:
            index.execute("BEGIN IMMEDIATE")
            index.executemany("DELETE FROM runs WHERE id = ?", [(name,) for name in gone])
            index.executemany(f"INSERT OR REPLACE INTO runs VALUES ({_MARKS})", rows)
            index.execute("COMMIT")
            return
        except sqlite3.OperationalError as error:
            if not _in_the_way(error):
                raise
            if index.in_transaction:
                index.execute("ROLLBACK")
        index.executescript(
            f"CREATE TEMP TABLE over ({_FIELDS});"  # nosec B608
            "CREATE TEMP TABLE hidden (id TEXT PRIMARY KEY);"
            "CREATE TEMP VIEW runs AS SELECT * FROM main.runs WHERE id NOT IN "
            "(SELECT id FROM hidden) UNION ALL SELECT * FROM over;"
        )
    names = [*gone, *(row["id"] for row in rows)]
    index.executemany("INSERT OR REPLACE INTO hidden VALUES (?)", [(name,) for name in names])
    index.executemany(f"INSERT OR REPLACE INTO over VALUES ({_MARKS})", rows)


def _is_laid_over(index: sqlite3.Connection) -> bool:
    return bool(index.execute("SELECT 1 FROM sqlite_temp_master WHERE name = 'over'").fetchone())


def _in_the_way(error: Exception) -> bool:
    """Whether the index is not damaged, only not to be had or not to be written at this moment."""
    if not isinstance(error, sqlite3.Error):
        return isinstance(error, OSError)
    code = getattr(error, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_IOERR_SHORT_READ:  # cut, so damaged
        return False
    return code & 0xFF in {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
    }


def _stamps(root: Path) -> dict[str, str]:
    """Name of every run below the root -> what changes whenever its record does."""
    found = {}
    for name in os.listdir(root) if root.is_dir() else ():
        try:
            stat = os.stat(f"{root}/{name}/run.json")
        except OSError:
            with suppress(OSError):  # it may be running now and interrupted a moment later
                stat = os.stat(f"{root}/{name}/begun.json")
                found[name] = f"begun {stat.st_mtime_ns} {stat.st_ino} {runs.is_held(root / name)}"
        else:
            found[name] = f"run {stat.st_mtime_ns} {stat.st_size} {stat.st_ino}"
    return found


def _kept(run: runs.Run, stamp: str) -> dict[str, Any]:
    models = None
    if run.record["stage"] == "report" and run.done:
        with suppress(CqaError, KeyError, TypeError):
            models = json.dumps(listing.rows(run.path.name, read_json(run.file("report.json"))))
    return _row(run) | {"id": run.path.name, "models": models, "stamp": stamp}


def _row(run: runs.Run) -> dict[str, Any]:
    record = run.record
    attempts = record["attempts"]
    failures = [a["reason"] for a in attempts[:-1] if a["reason"]]
    inputs = record["inputs"]
    spent, planned = record.get("spent") or {}, record.get("planned") or {}
    cells = {
        "stage": record["stage"],
        "label": record["label"],
        "status": record["status"],
        "reason": record.get("reason"),
        "started": record["started"],
        "ended": record.get("ended"),
        "seconds": record.get("seconds"),
        "attempts": len(attempts),
        "earlier_failures": "; ".join(failures) or None,
        "parents": " ".join(record["parents"]),
        "model": record["config"].get("model") or record["config"].get("judge"),
        "model_sha256": inputs.get("model"),
        "data_sha256": inputs.get("data"),
        "config_sha256": sha256_of_value(record["config"]),
        "code_sha256": record["code"],
        "fingerprint": record["fingerprint"],
        "seed": record["seed"],
        "versions": json.dumps(record["versions"]),
        "budget_asked": record["budget"],
        "budget_spent": json.dumps(record["spent"]) if record.get("spent") else None,
        **{name: spent.get(name) for name in _SPENT},
        **{f"planned_{name}": planned.get(name) for name in _PLANNED},
        "time_basis": planned.get("time_basis"),
        "headline": json.dumps(record["headline"]) if record.get("headline") else None,
    }
    return {name: _cell(value) for name, value in cells.items()}


def _cell(value: Any) -> Any:
    """What SQLite can hold; anything else as text, for a record may come from anybody."""
    if value is None or isinstance(value, str | float):
        return value
    return value if isinstance(value, int) and abs(value) < 2**63 else json.dumps(value)
