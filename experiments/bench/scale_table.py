"""A results table of 100,000 runs: how long do listing, filtering and looking up one run take?

    python experiments/bench/scale_table.py [--runs 100000] [--keep FOLDER]

The runs are records as every stage leaves them, one in a hundred of them a report with two models,
and a small training with two real scorings. Each command is typed anew, three times; the best and
the worst of the three are told, in seconds from Enter to the prompt. What `cqa report` (the newest
pair) and `cqa score --adapter latest` look up is timed without the rest of the command, in seconds
of processor time, beside reading every record once.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cqa
from cqa import model_ref, runs
from cqa.cli import wiring
from cqa.files import write_json
from cqa.reporting import choose

sys.path.append(str(Path(__file__).resolve().parent.parent / "faults"))

from commands import SCORED, TUNED
from place import furnish

ASKED = (
    ("list", ["table"]),
    ("filter", ["table", "--where", "status=failed", "--where", "label~57"]),
    ("reports", ["report", "--list", "--where", "verdict=improved"]),
)
FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--keep", type=Path, help="Make the runs here and leave them.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = asked.keep or Path(scratch)
        root = place / "runs"
        if not root.exists():
            furnish(place / "work")
            for words in (TUNED, SCORED, [*SCORED, "--adapter", "latest"]):
                typed(words, root)
            fill(root, asked.runs)
        print(f"| {asked.runs:,} runs | first time s | then s |\n| --- | --: | --: |")  # noqa: T201
        for name, words in ASKED:
            first, *then = (typed(words, root) for _ in range(4))
            line = f"| {name} | {first:.2f} | {min(then):.2f} to {max(then):.2f} |"
            print(line, flush=True)  # noqa: T201
        os.environ["CQA_RUNS"] = str(root)
        model = model_ref.find(str(place / "work" / "model"))
        for name, look in (
            ("newest pair, processor s", lambda: choose.pair(None, None)),
            ("latest adapter, processor s", lambda: wiring.tuned("latest", model)),
            ("every record, processor s", runs.all_runs),
        ):
            first, *then = (_processor_seconds(look) for _ in range(4))
            line = f"| {name} | {first:.2f} | {min(then):.2f} to {max(then):.2f} |"
            print(line, flush=True)  # noqa: T201


def fill(root: Path, number: int) -> None:
    """So many runs, written plainly: nothing is computed."""
    patterns = {stage: _pattern(root, stage) for stage in ("score", "train", "report")}
    for count in range(number):
        stage = "report" if count % 100 == 0 else ("score", "train")[count % 2]
        text = patterns[stage]
        began = (FIRST + timedelta(seconds=count)).isoformat(timespec="milliseconds")
        name = f"{stage}-arm-{count % 1000}-{count:010x}"
        folder = root / name
        folder.mkdir(parents=True)
        told = text.replace("@ID@", name).replace("@LABEL@", f"arm-{count % 1000}")
        told = told.replace("@WHEN@", began)
        if count % 50 == 7:
            told = told.replace('"status": "done"', '"status": "failed"')
        (folder / "run.json").write_text(told, "utf-8")
        if stage == "report":
            write_json(folder / "report.json", _results(count))


def _pattern(root: Path, stage: str) -> str:
    """The record of one real run, with places for what differs."""
    with tempfile.TemporaryDirectory() as scratch:
        spec = runs.Spec(stage, "@LABEL@", {"model": "embedded"}, {"model": "m"}, seed=0)
        with runs.execute(spec, Path(scratch)) as made:
            made.tell(headline={"groups": [{"source": "benchmark", "gain": 0.5}] * 2})
        record = made.record | {"id": "@ID@", "started": "@WHEN@", "ended": "@WHEN@"}
        write_json(Path(scratch) / "one.json", record)
        return (Path(scratch) / "one.json").read_text("utf-8")


def _results(count: int) -> dict:
    """Of report.json what the list reads, and a hundred other rows."""
    row = {"group": "literary", "items": 96, "works": 60, "base": 0.1, "tuned": 0.2, "change": 0.1}
    row |= {"low": 0.05, "high": 0.15, "p": 0.01, "quantity": "specific_gain_bits_per_token"}
    models = [
        {
            "model": f"{name}-{count}",
            "word": ("improved", "inconclusive")[count % 200 == 0],
            "device_seconds": float(count),
            "seeds": [0],
            "epoch": None,
            "rows": 100,
            "primary": [row],
            "secondary": [row] * 100,
        }
        for name in ("annotations", "shuffled")
    ]
    return {"kind": "exploratory: a pattern", "models": models}


def typed(words: list[str], root: Path) -> float:
    """Seconds of one command, its start included."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "cqa", *words],
        cwd=root.parent / "work",
        env=os.environ | {"CQA_RUNS": str(root), "PYTHONPATH": str(Path(cqa.__file__).parents[1])},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began


def _processor_seconds(look: Callable[[], object]) -> float:
    began = time.process_time()
    assert look()
    return time.process_time() - began


if __name__ == "__main__":
    main()
