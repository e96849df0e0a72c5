"""The scores of a finished scoring, one after the other, and what its judge is called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cqa.files import iter_rows
from cqa.types import Score


def iter_scores(path: Path) -> Iterator[Score]:
    """The rows of a `scores.jsonl`, in its order; only one is held at a time."""
    for _, score in iter_rows(path, Score):
        assert isinstance(score, Score), score
        yield score


def judge_name(record: Mapping[str, Any]) -> str:
    """The judge of a scoring by its record, with the label of the adapter that is on it, if any."""
    tuned = f" + {record['label']}" if "adapter" in record["inputs"] else ""
    return record["config"]["judge"] + tuned
