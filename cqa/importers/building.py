"""From what was said and by whom to a Dialogue: turns merged, counted and checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from cqa.errors import Problem
from cqa.files import _brief_repr as brief
from cqa.files import explain
from cqa.importers import probing
from cqa.importers.facts import exit_of, id_of, language_of
from cqa.importers.record import Draft, Imported, Place, Unusable, Utterance
from cqa.types import Dialogue


def finish(draft: Draft, place: Place) -> Imported:
    """The draft as an Imported whose record is still to be set; raises Unusable."""
    facts, notes = draft.facts, list(draft.notes)
    _check(draft.utterances, place)
    turns = _label(_merge(draft.utterances, draft.join))
    probing.mark_turns(turns, facts.get("probes"), place)
    work = facts.get("work")
    if work is None:
        work = place.stem
        notes.append(f"work: not said; the name of the file, {work!r}, stands for it")
    row = {
        "id": id_of(facts.get("id"), place),
        "work": work,
        "preamble": facts.get("preamble"),
        "turns": turns,
        "exit": exit_of(facts.get("exit"), draft.table, place),
        "rights": facts.get("rights"),
        "language": facts.get("language") or language_of(turns),
    }
    try:
        dialogue = Dialogue.model_validate(row)
    except ValidationError as error:
        raise Unusable(*explain(error, Dialogue, place.where)) from None
    return Imported(place.line, None, dialogue, tuple(notes))


def _check(utterances: Sequence[Utterance], place: Place) -> None:
    problems = []
    for said in utterances:
        if not said.text.strip():
            seen, expected = brief(said.text), "words that were said"
        elif said.probe is not None and said.by == "C":
            seen = f"{said.probe} on what C says"
            expected = "a probe on what B says (C is the expert and is the one probed)"
        else:
            continue
        problems.append(Problem(place.at(said.line or place.line), said.field, seen, expected))
    if not any(said.by == "C" for said in utterances):
        seen = "turns of B only" if utterances else "no turns"
        problems.append(Problem(place.where, "turns", seen, "at least one turn of C, the expert"))
    if problems:
        raise Unusable(*problems)


def _merge(
    utterances: Sequence[Utterance], join: Callable[[Sequence[str]], str]
) -> list[Utterance]:
    """Neighbours of one speaker as one, except where both are probes: two probes stay two."""
    groups: list[list[Utterance]] = []
    probes: list[str | None] = []
    for said in utterances:
        if groups and groups[-1][0].by == said.by and not (probes[-1] and said.probe):
            groups[-1].append(said)
            probes[-1] = probes[-1] or said.probe
        else:
            groups.append([said])
            probes.append(said.probe)
    return [_together(group, probe, join) for group, probe in zip(groups, probes, strict=True)]


def _together(
    group: Sequence[Utterance], probe: str | None, join: Callable[[Sequence[str]], str]
) -> Utterance:
    raw = None
    if any(said.raw is not None for said in group):
        raw = join([said.raw if said.raw is not None else said.text for said in group])
    return replace(group[0], text=join([said.text for said in group]), raw=raw, probe=probe)


def _label(utterances: Sequence[Utterance]) -> list[dict[str, Any]]:
    spoken: Counter[str] = Counter()
    turns = []
    for said in utterances:
        spoken[said.by] += 1
        turns.append(
            {
                "turn": f"{said.by}{spoken[said.by]}",
                "text": said.text,
                "raw": said.raw,
                "start_seconds": said.start_seconds,
                "probe": said.probe,
            }
        )
    return turns
