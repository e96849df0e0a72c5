"""A ratings file: CSV with the columns id, rater, criterion, value."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from cqa.errors import DataRefused, Problem
from cqa.files import refuse_endless
from cqa.paths import shown

LARGEST_FILE = 200_000_000
"""Bytes: some five million ratings. All of them are held at once."""
COLUMNS = ("id", "rater", "criterion", "value")


@dataclass(frozen=True)
class Rating:
    """What one rater gave one text for one criterion; larger is more of it."""

    id: str
    rater: str
    criterion: str
    value: float


def read_ratings(path: Path) -> list[Rating]:
    """All ratings of a file, or DataRefused with every problem of it."""
    problems: list[Problem] = []
    ratings: list[Rating] = []
    seen: dict[tuple[str, str, str], int] = {}
    next_step = f"mend {shown(path)}: a header {','.join(COLUMNS)} and one rating a line"
    try:
        refuse_endless(path)
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise DataRefused(
                f"{shown(path)}: {size / 1e6:.0f} MB; ratings have at most "
                f"{LARGEST_FILE / 1e6:.0f} MB",
                next_step=next_step,
            )
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
                raise DataRefused(
                    f"{shown(path)}:1: no column {', '.join(missing)}", next_step=next_step
                )
            for row in reader:
                where = f"{shown(path)}:{reader.line_num}"
                if empty := [name for name in COLUMNS if not (row[name] or "").strip()]:
                    problems += [Problem(where, name, "nothing", "a value") for name in empty]
                    continue
                value = _number(row["value"])
                if value is None:
                    problems.append(Problem(where, "value", repr(row["value"]), "a number"))
                    continue
                key = (row["id"], row["rater"], row["criterion"])
                if key in seen:
                    again = f"one rating of a text by a rater (line {seen[key]} has it already)"
                    problems.append(Problem(where, "rater", repr(row["rater"]), again))
                    continue
                seen[key] = reader.line_num
                ratings.append(Rating(*key, value))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataRefused(f"{shown(path)}: {error}", next_step=next_step) from error
    if problems:
        raise DataRefused(problems, next_step=next_step)
    if not ratings:
        raise DataRefused(f"{shown(path)}: no ratings", next_step=next_step)
    return ratings


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
