"""Public sets of rated writing, and of facts, as files for `cqa score` and `cqa report --ratings`.

    python experiments/validity/convert.py FOLDER OUT
    cqa score OUT/hanna.jsonl --pool OUT/hanna.jsonl
    cqa report --ratings OUT/hanna.csv

FOLDER holds the sets as JSON lines under the names of `SETS` (README.md says where they come from).
The prompt, plot or instruction of a set is the intent of the brief, and texts of one prompt are one
work; without one only the surprise exists. Quotation marks are straightened, since the embedded
model has seen no others.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Rating = tuple[str, str, str, float]
"""id, rater, criterion, value; larger is better or more."""

_STRAIGHT = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "…": "..."})


def straight(text: str) -> str:
    """The typography of the embedded model's training texts."""
    return text.translate(_STRAIGHT).replace(" — ", "—").replace("\r\n", "\n").strip()


def _text(key: str, text: str, work: str, intent: str | None = None) -> Row:
    brief = {"brief": {"intent": straight(intent)}} if intent else {}
    return {"id": key, "text": straight(text), "work": work[:300], "redistribution": False} | brief


def hanna(row: Row) -> Iterator[tuple[Row, list[Rating]]]:
    """Human stories; the mean of three raters, so that nothing is known of their agreement."""
    ratings = [(row["id"], "mean of 3", k, v) for k, v in row["scores_mean_1to5"].items()]
    yield _text(row["id"], row["story"], row["prompt"], row["prompt"]), ratings


def ttcw(row: Row) -> Iterator[tuple[Row, list[Rating]]]:
    """Stories under fourteen yes-or-no tests: the share that an expert passes, by dimension."""
    passed: dict[tuple[str, str], list[float]] = {}
    for found in row["annotations"]:
        verdict = float(found["verdict"] == "Yes")
        for criterion in (found["dimension"], "all tests"):
            passed.setdefault((str(found["expert"]), criterion), []).append(verdict)
    ratings = [(row["id"], who, what, sum(v) / len(v)) for (who, what), v in passed.items()]
    yield _text(row["id"], row["story"], row["plot"], row["plot"]), ratings


def lamp_preference(row: Row) -> Iterator[tuple[Row, list[Rating]]]:
    """Three versions of a paragraph, ranked: the best of three gets 3."""
    for name, text in row["texts"].items():
        key = f"{row['id']}-{name}"
        ratings = [
            (key, who, "preference", 3.0 - order.index(name))
            for who, order in row["rankings_best_to_worst"].items()
            if name in order
        ]
        yield _text(key, text, row["id"], row["instruction"]), ratings


def lamp_scored(row: Row) -> Iterator[tuple[Row, list[Rating]]]:
    """Paragraphs with one expert's score and no prompt."""
    ratings = [(row["id"], "one expert", "quality", float(row["score"]))]
    yield _text(row["id"], row["paragraph"], row["id"]), ratings


def wqrm(row: Row) -> Iterator[tuple[Row, list[Rating]]]:
    """Three drafts, ranked by two to four experts: the best of three gets 3."""
    for name, text in row["texts"].items():
        key = f"{row['id']}-{name}"
        ratings = [
            (key, f"expert {number}", "preference", 4.0 - ranks[name])
            for number, ranks in enumerate(row["expert_ranks"])
            if name in ranks
        ]
        yield _text(key, text, row["id"], row["plot"]), ratings


def confederacy(row: Row) -> Iterator[tuple[Row, list[Rating]]]:
    """Stories to one prompt; each writer is a work."""
    ratings = [
        (row["id"], f"rater {number}", criterion, float(value))
        for number, given in enumerate(row["ratings_0to10"])
        for criterion, value in given.items()
        if isinstance(value, int | float)
    ]
    yield _text(row["id"], row["story"], row["generator"], row["prompt"]), ratings


def scratchplot(row: Row) -> Iterator[tuple[Row, list[Rating]]]:
    """Short generated plots with three crowd raters each."""
    ratings = [
        (row["id"], f"rater {number}", criterion, float(value))
        for criterion, values in row["ratings_1to5"].items()
        for number, value in enumerate(values)
    ]
    yield _text(row["id"], row["story"], row["id"]), ratings


SETS: dict[str, tuple[str, Callable[[Row], Iterator[tuple[Row, list[Rating]]]]]] = {
    "hanna": ("hanna_human_stories.jsonl", hanna),
    "ttcw": ("ttcw.jsonl", ttcw),
    "lamp_preference": ("lamp_preference.jsonl", lamp_preference),
    "lamp_scored": ("lamp_scored_paragraphs.jsonl", lamp_scored),
    "wqrm": ("wqrm_expert_ranks.jsonl", wqrm),
    "confederacy": ("confederacy_of_models.jsonl", confederacy),
    "scratchplot": ("scratchplot_stories.jsonl", scratchplot),
}

FACTS = ("factbook_facts.jsonl", "lre_relations.jsonl", "pararel_trex.jsonl")
FACTS_EACH = 150


def facts(folder: Path) -> Iterator[Row]:
    """Every n-th fact: the sentence up to its object is the brief's intent, the object the text.

    The foil is another object of the same relation; works are relations.
    """
    for name in FACTS:
        rows = list({row["id"]: row for row in _read(folder / name)}.values())
        for row in rows[:: max(1, len(rows) // FACTS_EACH)][:FACTS_EACH]:
            yield {
                "id": row["id"],
                "group": "factual",
                "work": f"{name.split('_')[0]}: {row['relation']}",
                "source": name.split(".")[0],
                "brief": {"intent": f"complete: {straight(row['context'])}"},
                "text": row["continuation"],
                "foil": row["distractors"][0],
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the sets lie, in any subfolder")
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for name, (file, convert) in SETS.items():
        found = next(iter(sorted(asked.folder.rglob(file))), None)
        if found is None:
            print(f"{name}: {file} is not in {asked.folder}")  # noqa: T201
            continue
        texts, ratings = [], []
        for row in _read(found):
            for text, given in convert(row):
                texts.append(text)
                ratings += given
        _write(asked.out / f"{name}.jsonl", texts)
        with (asked.out / f"{name}.csv").open("w", newline="", encoding="utf-8") as out:
            csv.writer(out).writerows([("id", "rater", "criterion", "value"), *ratings])
        print(f"{name}: {len(texts)} texts, {len(ratings)} ratings")  # noqa: T201
    if place := next(iter(sorted(asked.folder.rglob(FACTS[0]))), None):
        rows = list(facts(place.parent))
        _write(asked.out / "facts.jsonl", rows)
        print(f"facts: {len(rows)}")  # noqa: T201


def _read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def _write(path: Path, rows: list[Row]) -> None:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")


if __name__ == "__main__":
    main()
