"""`cqa ingest`: annotations and items -> one validated, hashed data set, split by work."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cqa import importers, leaks, quality, runs
from cqa.dialogue import batch_signals
from cqa.errors import DataRefused, Problem
from cqa.files import (
    iter_rows,
    read_json,
    read_rows,
    sha256_of,
    sha256_of_rows,
    sha256_of_value,
    write_json,
    write_rows,
)
from cqa.paths import shown
from cqa.types import Annotation, Dialogue, Frozen, Item

DEV_SHARE = 0.2
_FILES: dict[str, type[Frozen]] = {
    "dialogues.jsonl": Dialogue,
    "annotations.jsonl": Annotation,
    "items.jsonl": Item,
}
_TELLING_KEYS = {
    "turns": "dialogues.jsonl",
    "reasoning": "annotations.jsonl",
    "group": "items.jsonl",
}


@dataclass(frozen=True)
class DataSet:
    """What an ingest run holds. `split` maps the work of every annotation to train or dev."""

    run_id: str
    dialogues: list[Dialogue]
    annotations: list[Annotation]
    """Without those that a later line corrects."""
    items: list[Item]
    split: dict[str, Literal["train", "dev"]]

    def annotations_of(self, split: str) -> list[Annotation]:
        """The annotations whose work belongs to a split; `all` for every one."""
        return [a for a in self.annotations if split == "all" or self.split[a.work] == split]


@dataclass(frozen=True)
class _Read:
    """A row and the place it was read from."""

    row: Frozen
    where: str


def run(sources: Sequence[Path], root: Path | None = None) -> runs.Run:
    """Validate the sources together and write them as one data set, or refuse and write nothing."""
    files = [file for source in sources for file in _files_of(source)]
    read: dict[str, list[_Read]] = {name: [] for name in _FILES}
    problems: list[Problem] = []
    for path, name in files:
        before = len(read[name]) + len(problems)
        for number, outcome in _rows(path, name):
            if isinstance(outcome, list):
                problems += outcome
            else:
                read[name].append(_Read(outcome, f"{shown(path)}:{number}"))
        if len(read[name]) + len(problems) == before:
            problems.append(Problem(shown(path), "", "no rows", "one JSON object per line"))
    problems += _cross_check(read, all_read=not problems)
    if problems:
        raise DataRefused(problems, next_step="mend the lines and run the same command again")

    spec = runs.Spec(
        stage="ingest",
        label=sources[0].resolve().name if sources else "",
        config={"dev_share": DEV_SHARE},
        inputs={"data": _content_hash(read)},
        code=runs.code_hash("ingest.py", "types.py"),
    )
    if done := runs.find(spec, root):
        return done
    with runs.execute(spec, root) as ingested:
        _write(ingested, read)
    return ingested


def load(run: runs.Run) -> DataSet:
    """The data set of an ingest run."""
    rows = {
        name: read_rows(run.file(name), kind) if run.file(name).exists() else []
        for name, kind in _FILES.items()
    }
    split = read_json(run.file("split.json"))
    annotations = current(rows["annotations.jsonl"])
    return DataSet(run.id, rows["dialogues.jsonl"], annotations, rows["items.jsonl"], split)


def current(annotations: Sequence[Annotation]) -> list[Annotation]:
    """The annotations that no later one corrects."""
    replaced = {annotation.corrects for annotation in annotations}
    return [annotation for annotation in annotations if annotation.id not in replaced]


def split_by_work(annotations: Sequence[Annotation]) -> dict[str, Literal["train", "dev"]]:
    """Each work -> train or dev, by a hash of its title; at least one on either side.

    Works that share a named author are on one side. The order of the hashes does not depend on what
    else is there, so a work added later moves at most the one that stands at the border.
    """
    group = leaks.split_groups(annotations)
    ordered = sorted(
        set(group.values()), key=lambda name: hashlib.sha256(name.encode()).hexdigest()
    )
    held_back = max(1, round(DEV_SHARE * len(ordered))) if len(ordered) > 1 else 0
    dev = set(ordered[:held_back])
    works = sorted({annotation.work for annotation in annotations})
    return {work: "dev" if group[work] in dev else "train" for work in works}


def _rows(path: Path, name: str) -> Iterator[tuple[int, Frozen | list[Problem]]]:
    if name == "dialogues.jsonl" and importers.detect(path):
        for found in importers.read(path):
            yield found.line, found.outcome
    else:
        yield from iter_rows(path, _FILES[name])


def _files_of(source: Path) -> list[tuple[Path, str]]:
    if source.is_dir():
        found = [(source / name, name) for name in _FILES if (source / name).is_file()]
        if not found:
            raise DataRefused(
                f"{shown(source)}: none of {', '.join(_FILES)} in this folder",
                next_step="give a folder laid out as annotations/founding, or the files themselves",
            )
        return found
    if source.name in _FILES:
        return [(source, source.name)]
    if importers.detect(source):
        return [(source, "dialogues.jsonl")]
    return [(source, _kind_of(source))]


def _kind_of(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig") as lines:
            first = json.loads(next(line for line in lines if line.strip()))
    except FileNotFoundError:
        raise DataRefused(f"{shown(path)}: no such file", next_step="check the path") from None
    except (StopIteration, ValueError, OSError, RecursionError):
        first = {}
    for key, name in _TELLING_KEYS.items():
        if isinstance(first, dict) and key in first:
            return name
    raise DataRefused(
        [
            Problem(
                f"{shown(path)}:1",
                "",
                "a row that is neither dialogue, annotation nor item",
                "a JSON object with `turns`, `reasoning` or `group`",
            )
        ],
        next_step="see annotations/README.md for the three kinds of rows",
    )


def _cross_check(read: dict[str, list[_Read]], *, all_read: bool) -> list[Problem]:
    """What no single row can show: ids across files, turns that exist, works on one side only.

    Where some rows could not be read, a dialogue that is not there may be one of them.
    """
    problems = []
    for entries in read.values():
        first: dict[str, str] = {}
        for entry in entries:
            if entry.row.id in first:
                seen = f"{entry.row.id!r}, which {first[entry.row.id]} has already"
                problems.append(Problem(entry.where, "id", seen, "an id of its own"))
            first.setdefault(entry.row.id, entry.where)
    seen_ids: set[str] = set()
    for entry in read["annotations.jsonl"]:
        corrected = entry.row.corrects
        if corrected is not None and corrected not in seen_ids:
            expected = "the id of an annotation on an earlier line"
            problems.append(Problem(entry.where, "corrects", repr(corrected), expected))
        seen_ids.add(entry.row.id)
    dialogues = {entry.row.id: entry.row for entry in read["dialogues.jsonl"]}
    for entry in read["annotations.jsonl"]:
        if all_read or entry.row.dialogue in dialogues:
            problems += _check_annotation(entry, dialogues)
    placed = {
        name: [leaks.Placed(entry.where, entry.row) for entry in entries]
        for name, entries in read.items()
    }
    training = [*placed["annotations.jsonl"], *placed["dialogues.jsonl"]]
    return problems + leaks.leaks(training, placed["items.jsonl"])


def _check_annotation(entry: _Read, dialogues: dict[str, Dialogue]) -> list[Problem]:
    annotation = entry.row
    dialogue = dialogues.get(annotation.dialogue)
    if dialogue is None:
        expected = f"the id of a dialogue given with it ({len(dialogues)} were)"
        return [Problem(entry.where, "dialogue", repr(annotation.dialogue), expected)]
    problems = []
    if _same_work(dialogue.work) != _same_work(annotation.work):
        expected = f"the work of its dialogue, {dialogue.work!r}"
        problems.append(Problem(entry.where, "work", repr(annotation.work), expected))
    known = {turn.turn for turn in dialogue.turns}
    for number, step in enumerate(annotation.reasoning):
        field = f"reasoning[{number}].turns"
        if beyond := [turn for turn in step.turns if turn not in known]:
            expected = f"turns of {dialogue.id} (its last is {dialogue.turns[-1].turn})"
            problems.append(Problem(entry.where, field, ", ".join(beyond), expected))
        if not any(turn.startswith("C") for turn in step.turns):
            seen = ", ".join(step.turns)
            problems.append(Problem(entry.where, field, seen, "at least one turn of the expert, C"))
    return problems


def _same_work(title: str) -> str:
    return " ".join(title.casefold().split())


def _content_hash(read: dict[str, list[_Read]]) -> str:
    return sha256_of_value(
        {name: sha256_of_rows(entry.row for entry in entries) for name, entries in read.items()}
    )


def _quality(read: dict[str, list[_Read]]) -> dict:
    """The measures of what was read; a kind of row that is not there is left out."""
    rows = {name: [entry.row for entry in entries] for name, entries in read.items()}
    found = {}
    if rows["annotations.jsonl"]:
        found["annotations"] = quality.quality_of_annotations(
            rows["annotations.jsonl"], rows["dialogues.jsonl"]
        )
    if rows["items.jsonl"]:
        found["items"] = quality.quality_of_items(rows["items.jsonl"])
    return found


def _write(ingested: runs.Run, read: dict[str, list[_Read]]) -> None:
    for name, entries in read.items():
        if entries:
            write_rows(ingested.file(name), (entry.row for entry in entries))
    annotations = [entry.row for entry in read["annotations.jsonl"]]
    items = [entry.row for entry in read["items.jsonl"]]
    split = split_by_work(annotations)
    protocol = batch_signals([entry.row for entry in read["dialogues.jsonl"]], annotations)
    write_json(ingested.file("signals.json"), protocol)
    write_json(ingested.file("split.json"), split)
    write_json(ingested.file("quality.json"), _quality(read))
    kinds = Counter(step.kind for annotation in annotations for step in annotation.reasoning)
    groups = Counter(item.group for item in items)
    ingested.tell(
        headline={
            "dialogues": len(read["dialogues.jsonl"]),
            "annotations": len(annotations),
            "works_train": len(
                {_same_work(work) for work, side in split.items() if side == "train"}
            ),
            "works_dev": len({_same_work(work) for work, side in split.items() if side == "dev"}),
            "steps_by_kind": dict(sorted(kinds.items())),
            "items_literary": groups["literary"],
            "items_factual": groups["factual"],
            "works_benchmark": len({item.work for item in items}),
        },
        outputs={name: sha256_of(ingested.file(name)) for name, entries in read.items() if entries},
    )
