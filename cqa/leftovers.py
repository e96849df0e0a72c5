"""What an earlier attempt left in a run directory, looked at before anything goes on from it.

A process that is killed leaves whole files or none (`files.whole`). A disk that failed, a copy that
broke off or a machine that lost power may leave others: a checkpoint that is not whole is taken
away, and the attempt goes on from the one before (blocks of a scoring: `blocks.is_done`). Of a
finished run the sizes of its files and the hashes of its outputs are in its record.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cqa.files import sha256_of

_DATA = {".json", ".jsonl", ".parquet", ".safetensors", ".csv"}
_OWN = {"run.json", "begun.json"}


def sizes(run: Path) -> dict[str, int]:
    """Bytes of each file with data; checkpoints are left out, nobody needs them any more."""
    return {
        str(path.relative_to(run)): path.stat().st_size
        for path in sorted(run.rglob("*"))
        if path.suffix in _DATA and path.is_file() and path.name not in _OWN
        if path.relative_to(run).parts[0] != "checkpoints"
    }


def damage(run: Path, record: Mapping[str, Any]) -> str | None:
    """What of a finished run is not as it was; None where all is well.

    A table of tokens or the result of an epoch may have been deleted to make room.
    """
    outputs = record.get("outputs") or {}
    for name, size in (record.get("files") or {}).items():
        file = run / name
        if not file.is_file():
            if name in outputs or not (name.startswith("epoch-") or file.name == "traces.parquet"):
                return f"{name} is gone"
        elif file.stat().st_size != size:
            return f"{name} has {file.stat().st_size} bytes and had {size}"
    for name, known in outputs.items():
        if not (run / name).is_file():
            return f"{name} is gone"
        if sha256_of(run / name) != known:
            return f"{name} is not what was written"
    return None


def tidy(run: Path) -> None:
    """Take away what is not whole, in the directory of a run that is to go on."""
    for folder in run.glob("checkpoints/checkpoint-*"):
        if not all(_is_whole(file) for file in folder.iterdir()):
            shutil.rmtree(folder)
    for part in run.rglob(".*.part"):
        with part.open("rb") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # somebody writes it now
            part.unlink()


def _is_whole(file: Path) -> bool:
    try:
        match file.suffix:
            case ".json":
                json.loads(file.read_bytes())
            case ".safetensors":
                return file.stat().st_size == _safetensors_bytes(file)
            case ".pt" | ".pth" | ".bin":
                return zipfile.is_zipfile(file)
    except (ValueError, OSError, KeyError):
        return False
    return True


def _safetensors_bytes(file: Path) -> int:
    """How long its own header says that the file is."""
    with file.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if length > file.stat().st_size:
            return -1
        header = json.loads(handle.read(length))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return 8 + length + max(ends, default=0)
