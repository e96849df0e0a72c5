"""One run among all: the newest of a stage, or the one that a person means.

The index is asked, and only the records that may be the one are read. Where it cannot be read, all
records are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cqa import runs
from cqa.errors import UsageRefused
from cqa.paths import runs_root
from cqa.table.index import asked

_NO_INDEX = (sqlite3.Error, UnicodeError)
"""UnicodeError: a name with bytes that are no text, which SQLite cannot hold."""
_HAS = {
    "label": "instr(label, ?) = 1",
    "parents": "instr(' ' || parents || ' ', ' ' || ? || ' ')",
}


def latest(
    stage: str, where: Callable[[runs.Run], bool], root: Path | None = None, **cells: str
) -> runs.Run | None:
    """The newest finished run of a stage for which `where` holds, by the time at which it ended.

    `cells` are columns of the table as such a run has them, as `finished` takes them: with them
    fewer records are read.
    """
    return next((run for run in finished(stage, root, **cells) if where(run)), None)


def finished(stage: str, root: Path | None = None, **cells: str) -> Iterator[runs.Run]:
    """The finished runs of a stage, the newest first.

    With `cells` only those whose columns have these values; where the index cannot be read, all.
    `label` is the beginning of the label, `parents` the id of one of them.
    """
    told, values = "stage = ? AND status IN ('done', 'cut short')", [stage]
    for name, value in cells.items():
        told, values = f"{told} AND {_HAS.get(name, f'{name} = ?')}", [*values, value]
    sql = f"SELECT id FROM runs WHERE {told} ORDER BY ended DESC, started, id"  # nosec B608
    try:
        names = _names(root, sql, values)
    except _NO_INDEX:
        every = [run for run in runs.all_runs(root) if run.done and run.record["stage"] == stage]
        yield from sorted(every, key=lambda run: run.record["ended"], reverse=True)
        return
    for name in names:
        run = runs.read((root or runs_root()) / name)
        if run and run.done and run.record["stage"] == stage:  # it may be begun anew by now
            yield run


def run_of(reference: str, root: Path | None = None) -> runs.Run:
    """A run by its id, its directory, or an unmistakable beginning of its id.

    UsageRefused where there is none or more than one.
    """
    if (Path(reference) / "run.json").is_file():
        found = runs.read(Path(reference))
        assert found is not None
        return found
    sql = "SELECT id FROM runs WHERE instr(id, ?) = 1"
    try:
        paths = [(root or runs_root()) / name for name in _names(root, sql, [reference])]
    except _NO_INDEX:
        paths = [run.path for run in runs.all_runs(root) if run.id.startswith(reference)]
    if not reference:
        paths = []
    if len(paths) == 1 and (run := runs.read(paths[0])):
        return run
    what = f"{len(paths)} runs begin with it" if len(paths) > 1 else "no such run"
    raise UsageRefused(f"run {reference[:200]!r}: {what}", next_step="see `cqa table` for the ids")


def _names(root: Path | None, sql: str, values: list[Any]) -> list[str]:
    """Of the directories of runs, as the index has them."""
    if not (root or runs_root()).is_dir():
        return []
    return [name for (name,) in asked(root, lambda index: index.execute(sql, values).fetchall())]
