"""Hashes of files, of JSON values and of rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel


def sha256_of(path: Path) -> str:
    """Hash of a file, or of a folder: its files' relative names and contents in sorted order."""
    digest = hashlib.sha256()
    if path.is_dir():
        for inner in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{inner.relative_to(path).as_posix()}\0{sha256_of(inner)}\0".encode())
        return digest.hexdigest()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_of_value(value: Any) -> str:
    """Hash of a JSON value in canonical form; refuses (TypeError) what JSON cannot say."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of_rows(rows: Iterable[BaseModel]) -> str:
    """Hash of rows, whatever file they stand in."""
    return sha256_of_value([row.model_dump(mode="json") for row in rows])
