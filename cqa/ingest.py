"""`cqa ingest`: annotations and items -> one validated, hashed data set, split by work."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cqa import agreement, checks, leaks, quality, runs, sources
from cqa.dialogue import batch_signals
from cqa.errors import DataRefused
from cqa.files import (
    read_json,
    read_rows,
    sha256_of,
    sha256_of_rows,
    sha256_of_value,
    write_json,
    write_rows,
)
from cqa.sources import Dropped, Read, Rows
from cqa.types import Annotation, Dialogue, Item, current

DEV_SHARE = 0.2


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


def run(
    given: Sequence[Path],
    root: Path | None = None,
    *,
    speakers: Mapping[str, str] | None = None,
    drop: bool = False,
) -> runs.Run:
    """Validate the files together and write them as one data set, or refuse and write nothing.

    With `drop` the good records go on and the refused ones are kept whole in `dropped.jsonl`, each
    with its place and every reason. Refused all the same is a leak, since only a person can say
    which side has to go, and a file in which not even records can be told apart.
    """
    rows = sources.read(given, speakers)
    if drop:
        checks.sift(rows)
        problems = [problem for one in rows.refused if not one.line for problem in one.problems]
    else:
        problems = [problem for one in rows.refused for problem in one.problems]
        unfit = checks.check(rows, all_read=not problems)
        problems += [problem for one in unfit for problem in one.problems]
    problems += checks.leaked(rows)
    if not problems and not any(rows.of.values()):
        problems = [problem for one in rows.refused for problem in one.problems]
    if problems:
        raise DataRefused(problems, next_step="mend the lines and run the same command again")

    dropped = list(sources.kept_whole(rows.refused))
    beside = {"marks": [entry.row for entry in rows.of["marks.jsonl"]], "dropped": dropped}
    inputs = {name: sha256_of_rows(found) for name, found in beside.items() if found}
    spec = runs.Spec(
        stage="ingest",
        label=given[0].resolve().name if given else "",
        config={"dev_share": DEV_SHARE},
        inputs={"data": _content_hash(rows.of), **inputs},
        code=_code(),
    )

    def make() -> runs.Run:
        if done := runs.find(spec, root):
            return done
        with runs.execute(spec, root) as ingested:
            _write(ingested, rows, dropped)
        return ingested

    return runs.when_free(make)  # processes that train together all come here at once


def load(run: runs.Run) -> DataSet:
    """The data set of an ingest run."""

    def rows(name: str) -> list:
        file = run.file(name)
        return read_rows(file, sources.KINDS[name]) if file.exists() else []

    annotations = current(rows("annotations.jsonl"))
    split = read_json(run.file("split.json"))
    return DataSet(run.id, rows("dialogues.jsonl"), annotations, rows("items.jsonl"), split)


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


def _code() -> str:
    package = Path(__file__).parent
    modules = sorted(f"leaks/{path.name}" for path in (package / "leaks").glob("*.py"))
    return runs.code_hash("ingest.py", *modules, "sources.py", "types.py")


def _content_hash(read: Mapping[str, list[Read]]) -> str:
    """Of what is trained on and measured; marks are neither."""
    return sha256_of_value(
        {
            name: sha256_of_rows(entry.row for entry in entries)
            for name, entries in read.items()
            if name != "marks.jsonl"
        }
    )


def _quality(annotations: Sequence, dialogues: Sequence, items: Sequence) -> dict:
    """The measures of what was read; a kind of row that is not there is left out."""
    found = {}
    if annotations:
        found["annotations"] = quality.quality_of_annotations(annotations, dialogues)
    if items:
        found["items"] = quality.quality_of_items(items)
    return found


def _write(ingested: runs.Run, rows: Rows, dropped: Sequence[Dropped]) -> None:
    of = {name: [entry.row for entry in entries] for name, entries in rows.of.items()}
    for name, written in {**of, "dropped.jsonl": dropped}.items():
        if written:
            write_rows(ingested.file(name), written)
    dialogues, annotations, items = (
        of[name] for name in ("dialogues.jsonl", "annotations.jsonl", "items.jsonl")
    )
    split = split_by_work(annotations)
    agreed = agreement.of_marks(current(annotations), of["marks.jsonl"])
    write_json(ingested.file("signals.json"), batch_signals(dialogues, annotations))
    write_json(ingested.file("split.json"), split)
    write_json(ingested.file("quality.json"), _quality(annotations, dialogues, items))
    if rows.notes:
        write_json(ingested.file("notes.json"), rows.notes)
    if agreed:
        write_json(ingested.file("agreement.json"), agreed)
    works = {
        side: {leaks.title_key(work) for work, of_work in split.items() if of_work == side}
        for side in ("train", "dev")
    }
    kinds = Counter(step.kind for annotation in annotations for step in annotation.reasoning)
    groups = Counter(item.group for item in items)
    headline = {
        "dialogues": len(dialogues),
        "annotations": len(annotations),
        "works_train": len(works["train"]),
        "works_dev": len(works["dev"]),
        "steps_by_kind": dict(sorted(kinds.items())),
        "items_literary": groups["literary"],
        "items_factual": groups["factual"],
        "works_benchmark": len({item.work for item in items}),
    }
    if dropped:
        headline["dropped"] = len(dropped)
    ingested.tell(
        headline=headline,
        outputs={name: sha256_of(ingested.file(name)) for name, written in of.items() if written},
    )
