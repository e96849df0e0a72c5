"""`cqa report --ratings`: a finished scoring and a ratings file -> a table of agreements."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cqa import parquet, runs
from cqa.conditions import NONE
from cqa.errors import DataRefused
from cqa.files import no_formula, read_rows, sha256_of, whole, write_json
from cqa.paths import shown
from cqa.types import Score
from cqa.validity.agreement import Agreement, agreements
from cqa.validity.ratings import Rating, read_ratings

_TRACES = pa.schema(
    [("id", pa.string()), ("condition", pa.string()), ("token_id", pa.list_(pa.int32()))]
)
COLUMNS = (
    "quantity",
    "criterion",
    "texts",
    "works",
    "rho",
    "low",
    "high",
    "partial_rho",
    "partial_low",
    "partial_high",
    "reliability_of_mean",
    "ceiling",
    "reason",
)


def run(scored: runs.Run, ratings: Path, *, root: Path | None = None) -> runs.Run:
    """Correlate the scores of a run with ratings of the same ids; `validity.csv` and `.json`."""
    what = runs.Spec(
        stage="report",
        label=f"validity-{ratings.stem}",
        config={"scores": scored.record["label"]},
        inputs={"ratings": sha256_of(ratings) if ratings.is_file() else "none"},
        parents=[scored.id],
        code=runs.code_hash(
            "validity/stage.py",
            "validity/agreement.py",
            "validity/ratings.py",
            "stats/correlation.py",
            "stats/reliability.py",
        ),
    )
    if done := runs.find(what, root):
        return done
    given = read_ratings(ratings)
    scores = read_rows(scored.file("scores.jsonl"), Score, unique=None)
    matched = _matched(scores, given, ratings, scored.id)
    with runs.execute(what, root) as made:
        rows = [row_of(one) for one in agreements(scores, given, _tokens(scored))]
        write_json(made.file("validity.json"), rows)
        with whole(made.file("validity.csv")) as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: no_formula(cell) for name, cell in row.items()} for row in rows)
        made.tell(
            headline={"judge": scores[0].judge, "rated_texts": matched, "rows": len(rows)},
            outputs={
                name: sha256_of(made.file(name)) for name in ("validity.json", "validity.csv")
            },
        )
    return made


def row_of(one: Agreement) -> dict[str, Any]:
    """One line of the table; null where the reason says why."""
    trust = asdict(one.reliability)
    return {
        "quantity": one.quantity,
        "criterion": one.criterion,
        "texts": one.rho.items,
        "works": one.rho.works,
        "rho": one.rho.estimate,
        "low": one.rho.low,
        "high": one.rho.high,
        "partial_rho": one.partial.estimate,
        "partial_low": one.partial.low,
        "partial_high": one.partial.high,
        "reliability_of_mean": trust["icc_mean"],
        "ceiling": trust["ceiling"],
        "reason": "; ".join(r for r in (one.rho.reason, trust["reason"]) if r) or None,
    }


def _matched(scores: Sequence[Score], given: Sequence[Rating], path: Path, run_id: str) -> int:
    """How many texts have both; a rating of a text that was not scored is refused, not dropped."""
    known = {score.id for score in scores}
    rated = {rating.id for rating in given}
    if strange := sorted(rated - known):
        raise DataRefused(
            f"{shown(path)}: {len(strange)} of {len(rated)} rated ids were not scored in {run_id}, "
            f"the first is {strange[0]!r}",
            next_step="score the file that the ratings belong to, and name that run: "
            "cqa report RUN --ratings FILE",
        )
    return len(rated)


def _tokens(scored: runs.Run) -> dict[str, list[int]]:
    """id -> token ids, from the traces without a brief, so that no text need be at hand."""
    again = f"delete {scored.id} and score again"
    with parquet.opened(scored.file("traces.parquet"), again) as file:
        table = parquet.columns(file, _TRACES).filter(pc.field("condition") == NONE)
    return dict(zip(table["id"].to_pylist(), table["token_id"].to_pylist(), strict=True))
