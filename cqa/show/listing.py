"""Runs, the texts of a run, the results table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cqa.paths import shown
from cqa.reporting.markdown import number
from cqa.show.plain import as_json_object, print_facts, print_line, print_lines, print_table
from cqa.training import said

if TYPE_CHECKING:
    from cqa.runs import Run


def run(run: Run, as_json: bool) -> None:
    """One run: what it is, whether it was made now, its headline and bill."""
    record = run.record
    if as_json:
        as_json_object({**record, "path": str(run.path)})
        return
    found = "made" if run.fresh else "done already:"
    print_line(f"{found} {run.id}")
    print_facts(record.get("headline") or {})
    if spent := record.get("spent"):
        print_line(f"spent of {record['budget'] or 'no limit'}:")
        if run.record["stage"] == "train":
            print_lines(said.bill(spent, record.get("planned")))
            print_lines(said.side_effects(record.get("side_effects")))
        else:
            print_facts(spent)
    if record["status"] != "done":
        print_line(f"{record['status']}: {record['reason']}")
    print_line(f"in {shown(run.path)}")


def runs(found: Sequence[Run], as_json: bool) -> None:
    """Several runs, as one object where one is asked for."""
    if as_json and len(found) != 1:
        as_json_object({"runs": [{**one.record, "path": str(one.path)} for one in found]})
        return
    for one in found:
        run(one, as_json)


def texts(made: Sequence[Run], out: Path, rows: int, as_json: bool) -> None:
    """What was written, and where."""
    if as_json:
        as_json_object({"out": str(out), "rows": rows, "runs": [run.record for run in made]})
        return
    for one in made:
        facts = one.record["headline"]
        print_line(
            f"{one.record['label']}: {facts['texts']} texts, {facts['empty']} empty, "
            f"{facts['ended_by_itself']} ended by themselves ({one.id})"
        )
    print_line(f"{rows} rows in {shown(out)}")


def table(newest: Sequence[Mapping[str, Any]], total: int, *, filtered: bool = False) -> None:
    """The newest runs of the results table, which has so many of them."""
    if not newest:
        print_line("no such run" if filtered else "no runs yet: cqa run experiments/reproduce.toml")
        return
    rows = [
        (
            row["started"][:19],
            row["id"],
            row["status"],
            number(row["seconds"], 1),
            str(row["seed"]) if isinstance(row["seed"], int) else "",
            _result(row),
        )
        for row in newest
    ]
    print_table(("started", "run", "status", "seconds", "seed", "result"), (), rows, fold=True)
    if total > len(newest):
        print_line(f"... and {total - len(newest)} older runs (--last, --csv)")


def _result(row: Mapping[str, Any]) -> str:
    if isinstance(row["reason"], str):
        return row["reason"].partition("\n")[0]
    headline = json.loads(row["headline"]) if isinstance(row["headline"], str) else {}
    if "sentence" in headline:
        return str(headline["sentence"])
    plain = {k: v for k, v in headline.items() if isinstance(v, int | float | str)}
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in plain.items()
    )
