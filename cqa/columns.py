"""Scores of the same texts by one or several judges -> one row a text, a column group a judge."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cqa.errors import UsageRefused
from cqa.files import no_formula, whole, write_rows
from cqa.measures import ALL
from cqa.scores import iter_scores, judge_name
from cqa.types import Score

if TYPE_CHECKING:
    from cqa.runs import Run

SUFFIXES = (".jsonl", ".csv", ".parquet")
_TEXT = ("id", "source", "group", "work", "item", "sample", "characters", "utf8_bytes")
_JUDGED = ("tokens", "pieces", "quadrant")
_ROWS = 1024


def check(out: Path) -> None:
    """UsageRefused unless `write` knows the kind of file; asked before anything is scored."""
    if out.suffix not in SUFFIXES:
        raise UsageRefused(
            f"--out {out}: no such kind of table", next_step=f"end it in {', '.join(SUFFIXES)}"
        )


def write(scored: Sequence[Run], out: Path) -> None:
    """The scores of runs over the same texts, by the suffix of `out`.

    `.jsonl` has one object for each text and judge, whole, with the reasons for nulls. `.csv` and
    `.parquet` have one row for each text; with several judges a column is `judge: quantity`.
    """
    check(out)
    if out.suffix == ".jsonl":
        together = zip(*map(_scores, scored), strict=True)
        write_rows(out, (score for row in together for score in row))
    elif out.suffix == ".csv":
        names = _names(scored)
        with whole(out) as file:
            writer = csv.DictWriter(file, names, lineterminator="\n")
            writer.writerow({name: no_formula(name) for name in names})  # a judge has a name too
            for row in _rows(scored):
                writer.writerow({name: no_formula(cell) for name, cell in row.items()})
    else:
        _write_parquet(scored, out)


def _write_parquet(scored: Sequence[Run], out: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole_numbers = {"sample", "characters", "utf8_bytes", "tokens", "pieces"}
    kinds = dict.fromkeys(whole_numbers, pa.int64()) | dict.fromkeys(ALL, pa.float64())
    schema = pa.schema(
        [(name, kinds.get(name.rsplit(": ")[-1], pa.string())) for name in _names(scored)]
    )
    rows = _rows(scored)
    with whole(out, mode="wb") as file, pq.ParquetWriter(file, schema) as writer:
        while group := list(islice(rows, _ROWS)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _names(scored: Sequence[Run]) -> list[str]:
    judged = [*_JUDGED, "flags", *ALL]
    return [*_TEXT, *(_own(run, scored) + name for run in scored for name in judged)]


def _rows(scored: Sequence[Run]) -> Iterator[dict[str, Any]]:
    for row in zip(*map(_scores, scored), strict=True):
        first = row[0]
        cells = {name: getattr(first, name) for name in _TEXT}
        for run, score in zip(scored, row, strict=True):
            group = _own(run, scored)
            cells |= {group + name: getattr(score, name) for name in _JUDGED}
            cells[f"{group}flags"] = "; ".join(score.flags)
            cells |= {group + name: score.quantities[name] for name in ALL}
        yield cells


def _own(run: Run, scored: Sequence[Run]) -> str:
    """What stands before a judge's columns: nothing where there is only one.

    Two folders may have one name; the hash of their weights then tells them apart.
    """
    if len(scored) == 1:
        return ""
    name = judge_name(run.record)
    if sum(judge_name(other.record) == name for other in scored) > 1:
        name += f" {run.record['inputs']['model'][:8]}"
    return f"{name}: "


def _scores(run: Run) -> Iterator[Score]:
    return iter_scores(run.file("scores.jsonl"))
