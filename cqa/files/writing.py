"""Files out: whole or not there at all, and no formula in a CSV."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def whole(path: Path, *, mode: str = "w", new: bool = False) -> Iterator[Any]:
    """Open a file that appears under its name only when everything has been written to disk.

    With `new` it replaces nothing: of several processes that write it, one has its way and the
    others get FileExistsError. The lock on it ends with its process: what was left by a killed one
    can be told by that.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        text_options = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
        with os.fdopen(handle, mode, **text_options) as out:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield out
            out.flush()
            os.fsync(out.fileno())
        os.chmod(name, 0o666 & ~_umask())
        if new:
            os.link(name, path)
            os.unlink(name)
        else:
            os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole(path) as out:
        out.write(text)


def write_json(path: Path, value: Any, *, new: bool = False) -> None:
    """Write one JSON value, indented, whole or not at all; with `new` only where there is none."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    with whole(path, new=new) as out:
        out.write(text + "\n")


def copy(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all."""
    with source.open("rb") as read, whole(target, mode="wb") as out:
        shutil.copyfileobj(read, out)


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a data frame as CSV, whole or not at all, its texts without formulas."""
    texts = frame.select_dtypes(include=["object", "string"]).columns
    told = frame.assign(**{name: frame[name].map(no_formula) for name in texts})
    with whole(path) as out:
        told.to_csv(out, index=False)


def no_formula(cell: Any) -> Any:
    """A cell that a spreadsheet would take for a formula as text that it takes for text."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in _FORMULA else cell


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write_rows(path: Path, rows: Iterable[BaseModel]) -> None:
    """Write JSON lines, whole or not at all."""
    with whole(path) as out:
        for row in rows:
            out.write(json_line(row))


def json_line(row: BaseModel) -> str:
    """One row as it stands in a file, with its line end."""
    return json.dumps(row.model_dump(), ensure_ascii=False) + "\n"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
