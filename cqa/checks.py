"""What no single row can show: ids across files, turns that exist, marks that fit, leaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cqa import leaks
from cqa.errors import Problem
from cqa.sources import Read, Refused, Rows, kept_whole
from cqa.types import Annotation, Dialogue


def check(rows: Rows, *, all_read: bool) -> list[Refused]:
    """The records that do not fit the others, a record once for each check that it fails.

    Where some rows could not be read, what is not there may be one of them: then nothing is said of
    records that rest on it.
    """
    found = [*_ids(rows), *_corrections(rows)]
    dialogues = {entry.row.id: entry.row for entry in rows.of["dialogues.jsonl"]}
    annotations = {entry.row.id: entry.row for entry in rows.of["annotations.jsonl"]}
    for entry in rows.of["annotations.jsonl"]:
        if all_read or entry.row.dialogue in dialogues:
            found.append(_refused(entry, _annotation(entry, dialogues)))
    for entry in rows.of["marks.jsonl"]:
        if all_read or entry.row.annotation in annotations:
            found.append(_refused(entry, _marks(entry, annotations)))
    return [one for one in found if one.problems]


def leaked(rows: Rows) -> list[Problem]:
    """What the benchmark shares with what is trained on, both places named."""
    placed = {
        name: [leaks.Placed(entry.where, entry.row) for entry in entries]
        for name, entries in rows.of.items()
    }
    return leaks.leaks(
        [*placed["annotations.jsonl"], *placed["dialogues.jsonl"]], placed["items.jsonl"]
    )


def sift(rows: Rows) -> None:
    """Move what `check` refuses to the refused ones, until what is left stands by itself.

    What rests on a refused record goes with it. So does an annotation whose correction was refused:
    somebody held it to be wrong.
    """
    mended = {
        kept.record["corrects"]
        for kept in kept_whole([one for one in rows.refused if one.line])
        if isinstance(kept.record, dict) and isinstance(kept.record.get("corrects"), str)
    }
    while True:
        found = check(rows, all_read=True)
        gone = {(one.path, one.line) for one in found}
        corrections = [e.row for e in rows.of["annotations.jsonl"] if (e.path, e.line) in gone]
        mended |= {row.corrects for row in corrections} - {None}
        for entry in rows.of["annotations.jsonl"]:
            if entry.row.id in mended and (entry.path, entry.line) not in gone:
                seen = f"{entry.row.id!r}, whose correction was refused"
                problem = Problem(entry.where, "id", seen, "a correction that can be used")
                found.append(_refused(entry, [problem]))
        if not found:
            return
        gone = {(one.path, one.line) for one in found}
        rows.refused += _merged(found)
        for name, entries in rows.of.items():
            rows.of[name] = [e for e in entries if (e.path, e.line) not in gone]


def _refused(entry: Read, problems: list[Problem]) -> Refused:
    return Refused(entry.path, entry.line, tuple(problems), entry.record)


def _merged(found: list[Refused]) -> Iterator[Refused]:
    """One for each record, with all its problems."""
    by_place: dict[tuple, list[Refused]] = {}
    for one in found:
        by_place.setdefault((one.path, one.line), []).append(one)
    for (path, line), ones in by_place.items():
        problems = tuple(problem for one in ones for problem in one.problems)
        yield Refused(path, line, problems, ones[0].record)


def _ids(rows: Rows) -> Iterator[Refused]:
    for name, entries in rows.of.items():
        field, expected = "id", "an id of its own"
        if name == "marks.jsonl":
            field, expected = "annotator", "one line for an annotation and who marked it"
        first: dict[str, str] = {}
        for entry in entries:
            if entry.row.id in first:
                seen = f"{entry.row.id!r}, which {first[entry.row.id]} has already"
                yield _refused(entry, [Problem(entry.where, field, seen, expected)])
            first.setdefault(entry.row.id, entry.where)


def _corrections(rows: Rows) -> Iterator[Refused]:
    seen_ids: set[str] = set()
    for entry in rows.of["annotations.jsonl"]:
        corrected = entry.row.corrects
        if corrected is not None and corrected not in seen_ids:
            expected = "the id of an annotation on an earlier line"
            problem = Problem(entry.where, "corrects", repr(corrected), expected)
            yield _refused(entry, [problem])
        seen_ids.add(entry.row.id)


def _annotation(entry: Read, dialogues: Mapping[str, Dialogue]) -> list[Problem]:
    annotation = entry.row
    dialogue = dialogues.get(annotation.dialogue)
    if dialogue is None:
        expected = f"the id of a dialogue given with it ({len(dialogues)} were)"
        return [Problem(entry.where, "dialogue", repr(annotation.dialogue), expected)]
    problems = []
    if leaks.title_key(dialogue.work) != leaks.title_key(annotation.work):
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


def _marks(entry: Read, annotations: Mapping[str, Annotation]) -> list[Problem]:
    marks = entry.row
    annotation = annotations.get(marks.annotation)
    if annotation is None:
        expected = f"the id of an annotation given with it ({len(annotations)} were)"
        return [Problem(entry.where, "annotation", repr(marks.annotation), expected)]
    steps = len(annotation.reasoning)
    problems = []
    if len(marks.kinds) != steps:
        expected = f"one for each of the {steps} steps of {annotation.id}"
        problems.append(Problem(entry.where, "kinds", f"{len(marks.kinds)} of them", expected))
    if beyond := [step for step in marks.load_bearing or () if not 1 <= step <= steps]:
        problems.append(
            Problem(entry.where, "load_bearing", str(beyond), f"numbers between 1 and {steps}")
        )
    return problems
