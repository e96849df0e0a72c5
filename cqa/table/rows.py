"""What stands in a row: the record of a run as cells that SQLite can hold."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from cqa.errors import CqaError
from cqa.files import read_json, sha256_of_value
from cqa.reporting import listing
from cqa.runs import Run

COLUMNS = {
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
_CHECKED = {**COLUMNS, "models": "TEXT"}
KEPT = {**_CHECKED, "stamp": "TEXT", "checksum": "INTEGER"}
"""With what stands in the index only: the models of a report, what tells of a change, and the
CRC-32 of all before these two: SQLite itself sees no damage inside a cell."""
CHECKED = [*_CHECKED, "checksum"]
"""What `checked` is to be given of a row."""
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


def row_of(run: Run, stamp: str) -> dict[str, Any]:
    """A cell for each of KEPT. `stamp` is what changes whenever the record does."""
    models = None
    if run.record["stage"] == "report" and run.done:
        with suppress(CqaError, KeyError, TypeError):
            models = json.dumps(listing.rows(run.path.name, read_json(run.file("report.json"))))
    cells = _cells(run) | {"id": run.path.name, "models": models}
    return cells | {"stamp": stamp, "checksum": _checksum([cells[name] for name in _CHECKED])}


def checked(row: Sequence[Any]) -> dict[str, Any]:
    """The cells of CHECKED by name; sqlite3.DatabaseError where one is not as it was written."""
    *cells, known = row
    if known != _checksum(cells):
        raise sqlite3.DatabaseError(f"the row of {cells[0]} is damaged")
    return dict(zip(CHECKED, cells, strict=False))


def _checksum(cells: Sequence[Any]) -> int:
    return zlib.crc32(repr(tuple(cells)).encode("utf-8", "surrogatepass"))


def _cells(run: Run) -> dict[str, Any]:
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
    return {name: _cell(value, COLUMNS[name]) for name, value in cells.items()}


def _cell(value: Any, kind: str) -> Any:
    """What this column holds unchanged; None for no number, for a record may come from anybody."""
    if value is None or kind.startswith("TEXT"):
        return value if value is None or isinstance(value, str) else json.dumps(value)
    if not isinstance(value, int | float) or not abs(value) < (1e308 if kind == "REAL" else 2**63):
        return None
    if kind == "REAL":
        return float(value) + 0.0  # SQLite has no -0.0
    return int(value) if int(value) == value else None
