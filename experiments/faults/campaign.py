"""The commands disturbed some 330 times in all: is anything lost, and do they end the same?

    python experiments/faults/campaign.py [--minutes 8] [--only kill/train] [--out FOLDER]

After each fault: (1) what was finished is there as it was, (2) what calls itself done is what an
undisturbed command makes, (3) the same command, typed again, ends well and all results have the
hashes of the undisturbed ones, (4) the results table is the same when it is made again from the
directories. `train` and `score` run the embedded model, the others a random one of two layers. The
campaign resumes where it was stopped; its outcomes are in FOLDER/outcomes.csv (every fault) and
FOLDER/table.md (counted).
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
import tempfile
import time
from collections import defaultdict
from fnmatch import fnmatchcase
from pathlib import Path

import faults
from commands import ALONE, NAMES, Command, Kitchen
from place import few_words, finished, rebuilds, typed

COLUMNS = ("fault", "command", "number", "survived", "ended", "why")

_ALL = dict.fromkeys(ALONE, 1)
_MADE = {"ingest": 2, "train": 2, "score": 2, "generate": 2, "report": 2, "run": 3}
PLAN: dict[str, tuple[faults.Fault, dict[str, int]]] = {
    "kill": (  # some come too late and are not counted
        faults.kill,
        {"ingest": 32, "train": 34, "score": 34, "generate": 20, "report": 10, "table": 28,
         "export": 34, "lock": 22, "run": 11, "run --workers 2": 10, "score --shards 2": 10},
    ),
    "SIGTERM": (faults.terminate, _ALL | {"train": 3, "run": 3}),
    "full disk, injected": (faults.full_disk, _ALL | {"train": 3, "run": 3}),
    "full disk, tmpfs": (faults.small_disk, _ALL | {"train": 2, "score": 2}),
    "read-only folder": (faults.read_only, _ALL),
    "too little memory": (faults.little_memory, _ALL | {"train": 3, "score": 2}),
    "clock a day back": (faults.clock_back, _ALL),
    "vanished file": (faults.vanished, _MADE),
    "cut safetensors": (faults.cut_weights, {"train": 3, "run": 2}),
    "cut checkpoint": (faults.cut_checkpoint, {"train": 3}),
    "cut Parquet": (faults.corrupt_parquet, {"score": 3}),
    "cut Parquet block": (faults.corrupt_block, {"score": 3}),
    "cut record": (faults.corrupt_record, _MADE),
    "corrupt SQLite": (faults.corrupt_index, {"table": 10}),
}  # fmt: skip


MAY_MISS = {"kill", "SIGTERM", "full disk, injected", "full disk, tmpfs", "too little memory"}
"""Faults that a command may not meet; then it ends well, and nothing is counted."""


def survive(kitchen: Kitchen, command: Command, fault: faults.Fault, rng: random.Random) -> str:
    """Disturb a command once; how it ended. AssertionError says what did not survive."""
    place = kitchen.fresh(command.whole if fault in faults.AFTER else command.start)
    ended = fault(place, command, rng)
    if fault not in faults.AFTER:
        left = finished(place)
        lost = [name for name in command.before if left.get(name) != command.before[name]]
        assert not lost, f"lost: {lost}"
        half = [n for n in left if left[n] != command.content.get(n, command.before.get(n))]
        assert not half, f"taken for whole: {half}"
    again = typed(place, command.words)
    if not (command.name == "export" and (place / "given").exists()):
        assert again.code == 0, f"the same command: exit {again.code}: {again.said[-300:]}"
    now = finished(place)
    other = [n for n in now.keys() | command.content.keys() if now.get(n) != command.content.get(n)]
    assert not other, f"other content: {other}"
    assert rebuilds(place), "the table is another when it is made again"
    return "" if ended is None else str(ended.code)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, help="Begin nothing after so many minutes.")
    parser.add_argument("--only", default="*/*", help="FAULT/COMMAND, * for any.")
    parser.add_argument("--out", type=Path, default=Path("runs") / "faults")
    parser.add_argument("--kitchen", type=Path, help="Keep what is undisturbed here.")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    end = time.monotonic() + 60 * (asked.minutes or 1e9)
    outcomes = _read(asked.out / "outcomes.csv")
    known = {(row["fault"], row["command"], row["number"]) for row in outcomes}
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.kitchen or Path(scratch)
        few_words(folder / "neutral")
        kitchen = Kitchen(folder)
        if not faults.can_mount(folder):
            del PLAN["full disk, tmpfs"]
            PLAN["read-only folder"] = (faults.refuse_writes, _ALL)
        todo = [
            (name, command, number)
            for number in range(max(max(times.values()) for _, times in PLAN.values()))
            for command in NAMES
            for name, (_, times) in PLAN.items()
            if number < times.get(command, 0) and fnmatchcase(f"{name}/{command}", asked.only)
            if (name, command, str(number)) not in known
        ]
        for name, command, number in todo:
            if time.monotonic() > end:
                break
            rng = random.Random(f"{asked.seed} {name} {command} {number}")
            row = dict(zip(COLUMNS, (name, command, str(number), "yes", "", ""), strict=True))
            try:
                row["ended"] = survive(kitchen, kitchen.command(command), PLAN[name][0], rng)
                if name in MAY_MISS and row["ended"] == "0":
                    row["survived"] = "not hit"
            except AssertionError as error:
                row |= {"survived": "NO", "why": " ".join(str(error).split())}
            outcomes.append(row)
            _write(asked.out, outcomes)
    print((asked.out / "table.md").read_text("utf-8"))  # noqa: T201
    sys.exit(any(row["survived"] == "NO" for row in outcomes))


def table(outcomes: list[dict[str, str]]) -> str:
    """Fault x command: survived of injected."""
    counts: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for row in outcomes:
        if row["survived"] != "not hit":
            counts[row["fault"], row["command"]].append(row["survived"] == "yes")
    lines = [f"| | {' | '.join(NAMES)} | all |", f"| --- |{' --: |' * (len(NAMES) + 1)}"]
    for name in dict.fromkeys(row["fault"] for row in outcomes):
        cells = [_cell(counts.get((name, command), [])) for command in NAMES]
        every = [one for command in NAMES for one in counts.get((name, command), [])]
        lines.append(f"| {name} | {' | '.join([*cells, _cell(every)])} |")
    every = [one for found in counts.values() for one in found]
    lines.append(f"\n{sum(every)} of {len(every)} survived.\n")
    return "\n".join(lines)


def _cell(found: list[bool]) -> str:
    return f"{sum(found)} of {len(found)}" if found else ""


def _read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(folder: Path, outcomes: list[dict[str, str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "outcomes.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(outcomes)
    (folder / "table.md").write_text(table(outcomes), "utf-8")


if __name__ == "__main__":
    main()
