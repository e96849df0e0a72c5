"""Where things lie: the shipped data, the runs directory; paths as people see them."""

from __future__ import annotations

import os
from pathlib import Path

from cqa.errors import DataRefused

_PACKAGE = Path(__file__).resolve().parent

EMBEDDED_MODEL = _PACKAGE / "base"
FOUNDING_BATCH = "annotations/founding"
BENCHMARK_ITEMS = "annotations/benchmark/items.jsonl"
NEUTRAL_TEXTS = "annotations/neutral"


def shipped(relative: str) -> Path:
    """A file or folder that ships with cqa: beside the package in a checkout, else inside it."""
    for root in (_PACKAGE.parent, _PACKAGE / "shipped"):
        if (root / relative).exists():
            return root / relative
    raise DataRefused(
        f"{relative} is not part of this installation",
        next_step="install cqa from a complete checkout: pip install -e .",
    )


def runs_root() -> Path:
    """The directory of all runs: $CQA_RUNS, else ./runs."""
    return Path(os.environ.get("CQA_RUNS") or "runs")


def shown(path: Path | str) -> str:
    """A path relative to the working directory where that is shorter, for messages and results."""
    path = Path(path)
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError, RuntimeError):  # elsewhere, too long a name, a circle of links
        return str(path)
