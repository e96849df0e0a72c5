"""The results table: one row per run, an SQLite index over the run directories.

The directories are the truth. The index can be deleted at any time; `refresh` reads again only the
runs whose record has changed.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd

from cqa import runs
from cqa.errors import CqaError
from cqa.files import sha256_of_value, write_csv
from cqa.paths import runs_root

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
    "stamp": "TEXT",
}
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
_SCHEMA = "CREATE TABLE IF NOT EXISTS runs ({})".format(
    ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
)


def refresh(root: Path | None = None, *, rebuild: bool = False) -> Path:
    """Bring the index up to date with the directories and return its path."""
    root = root or runs_root()
    root.mkdir(parents=True, exist_ok=True)
    path = root / "index.sqlite"
    if rebuild:
        path.unlink(missing_ok=True)
    _refresh(root, path)
    return path


def read(root: Path | None = None) -> pd.DataFrame:
    """The results table as a data frame, oldest run first."""
    try:
        frame = _frame(refresh(root))
    except (sqlite3.DatabaseError, pd.errors.DatabaseError) as error:
        if "locked" in str(error):
            raise CqaError(
                "the index of the results table is in use by another process",
                next_step="try again in a moment",
            ) from error
        # A damaged index holds nothing that the runs do not.
        frame = _frame(refresh(root, rebuild=True))
    return frame.drop(columns="stamp").astype({"seed": "Int64"})


def _frame(path: Path) -> pd.DataFrame:
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        return pd.read_sql_query("SELECT * FROM runs ORDER BY started, id", connection)


def export_csv(path: Path, root: Path | None = None) -> int:
    """Write the table as CSV, whole or not at all; returns the number of runs.

    A cell that a spreadsheet would take for a formula is written as text.
    """
    frame = read(root)
    write_csv(path, frame)
    return len(frame)


def _refresh(root: Path, path: Path) -> None:
    with closing(sqlite3.connect(path, timeout=30)) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(_SCHEMA)
        known = dict(connection.execute("SELECT id, stamp FROM runs"))
        present: set[str] = set()
        for directory in root.iterdir():
            stamp = _stamp(directory)
            if stamp is None:
                continue
            present.add(directory.name)
            if known.get(directory.name) == stamp:
                continue
            if run := runs.read(directory):
                row = _row(run) | {"id": directory.name, "stamp": stamp}
                marks = ", ".join(f":{name}" for name in _COLUMNS)
                connection.execute(f"INSERT OR REPLACE INTO runs VALUES ({marks})", row)
        for gone in set(known) - present:
            connection.execute("DELETE FROM runs WHERE id = ?", (gone,))


def _stamp(directory: Path) -> str | None:
    """Changes whenever the record does; None where there is no run."""
    for name in ("run.json", "begun.json"):
        try:
            stat = (directory / name).stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if name == "begun.json":  # it may be running now and interrupted a moment later
            return f"begun {stat.st_mtime_ns} {runs.is_held(directory)}"
        return f"run {stat.st_mtime_ns} {stat.st_size}"
    return None


def _row(run: runs.Run) -> dict[str, Any]:
    record = run.record
    attempts = record["attempts"]
    failures = [a["reason"] for a in attempts[:-1] if a["reason"]]
    inputs = record["inputs"]
    spent, planned = record.get("spent") or {}, record.get("planned") or {}
    return {
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
