"""The SQLite index over the run directories, brought up to date whenever it is asked.

Who cannot write it at once (another process does, the folder is read-only, the disk is full) reads
the table all the same: what the index lacks is laid over it in memory.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

from cqa import runs
from cqa.errors import DataRefused
from cqa.paths import runs_root, shown
from cqa.table.rows import KEPT, row_of

T = TypeVar("T")

_FIELDS = ", ".join(f"{name} {kind}" for name, kind in KEPT.items())
_MARKS = ", ".join(f":{name}" for name in KEPT)
_INDEXES = {"by_stamp": "id, stamp", "by_start": "started, id", "by_stage": "stage, started, id"}
_AT_ONCE = 1000
_MEMORY = ":memory:"
_WAIT_SECONDS = 0.2
"""For another process that writes the index."""


_DAMAGED = (sqlite3.DatabaseError, UnicodeDecodeError)
"""The second: SQLite quotes bytes of a damaged schema, which need be no text, in what it says."""


def asked(root: Path | None, ask: Callable[[sqlite3.Connection], T]) -> T:
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
    except _DAMAGED:  # a damaged index holds nothing that the runs do not
        _forget(path)
        with closing(_current(root, path if not path.exists() else Path(_MEMORY))) as index:
            return ask(index)


def rebuild(root: Path | None = None) -> None:
    """Throw the index away and read every run again."""
    _forget((root or runs_root()) / "index.sqlite")
    asked(root, lambda index: None)


def _forget(path: Path) -> None:
    with suppress(OSError):  # what cannot be deleted cannot be written either
        for name in (f"{path.name}-wal", f"{path.name}-shm", path.name):
            path.with_name(name).unlink(missing_ok=True)


def _current(root: Path, path: Path) -> sqlite3.Connection:
    try:
        root.mkdir(parents=True, exist_ok=True)
        index = _opened(path)
        known = dict(index.execute("SELECT id, stamp FROM runs"))
        if not all(isinstance(name, str) for name in known):
            raise sqlite3.DatabaseError("an id that is none")
    except (sqlite3.OperationalError, OSError) as error:
        if not _in_the_way(error):
            raise
        index, known = _opened(_MEMORY), {}
    present = _stamps(root)
    changed = [name for name in present if present[name] != known.get(name)]
    _put(index, [], sorted(known.keys() - present.keys()))
    for start in range(0, len(changed), _AT_ONCE):
        names = changed[start : start + _AT_ONCE]
        rows = [row_of(run, present[name]) for name in names if (run := runs.read(root / name))]
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
    except (sqlite3.Error, UnicodeDecodeError):
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
