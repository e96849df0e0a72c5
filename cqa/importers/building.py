"""From what was said and by whom to a Dialogue: turns merged, counted, probes marked, checked.

Probes stand in the metadata of a record, or are labels that somebody put on its text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from cqa.errors import Problem
from cqa.files.faults import brief, explain
from cqa.importers.facts import exit_of, id_of, language_of
from cqa.importers.record import Draft, Imported, Place, Unusable, Utterance
from cqa.types import PROBE_KINDS, Dialogue

_PAIR = re.compile(r"(?P<turn>\w{1,9})\s{0,9}(?:=|＝|:|：|\s)\s{0,9}(?P<kind>[\w -]{0,40}\w)$")


@dataclass(frozen=True)
class Label:
    """A label that somebody put on a text: `start` counts characters, `field` is its own path."""

    label: Any
    start: Any
    field: str


def probe_of(label: Any) -> str | None:
    """The kind of probe that a label means: `Follow-up` is follow_up; None if it is no probe."""
    if not isinstance(label, str):
        return None
    plain = re.sub(r"[\W_]+", "_", label.casefold()).strip("_")
    return plain if plain in PROBE_KINDS else None


def mark_turns(turns: list[dict[str, Any]], probes: Any, place: Place) -> None:
    """Probes as the metadata has them: {"B1": kind}, `B1 = kind, B2 = kind`, or a list for B1, B2
    and so on with null for a turn that is none."""
    if probes is None:
        return
    of_b = [turn for turn in turns if turn["turn"][0] == "B"]
    if isinstance(probes, str):
        parts = [part.strip() for part in re.split(r"[,，;；、\n]", probes)]
        pairs = [_PAIR.match(part) for part in parts if part]
        if not all(pairs):
            raise place.refuse("probes", brief(probes), "B1 = follow_up, B3 = counterexample")
        probes = {pair["turn"]: pair["kind"] for pair in pairs if pair}
    elif isinstance(probes, list):
        if len(probes) > len(of_b):
            raise place.refuse(
                "probes", f"{len(probes)} of them", f"at most {len(of_b)}, one a turn of B"
            )
        probes = {f"B{number}": kind for number, kind in enumerate(probes, start=1)}
    elif not isinstance(probes, dict):
        raise place.refuse("probes", brief(probes), 'an object such as {"B1": "follow_up"}')
    by_label = {turn["turn"]: turn for turn in of_b}
    for label, kind in probes.items():
        if kind is None:
            continue
        if label not in by_label:
            raise place.refuse("probes", brief(label), f"a turn of B (B1 to B{len(of_b)})")
        probe = probe_of(kind)
        if probe is None:
            raise place.refuse(f"probes.{label}", brief(kind), f"one of {', '.join(PROBE_KINDS)}")
        if by_label[label]["probe"] not in (None, probe):
            seen = f"{probe}, where its label says {by_label[label]['probe']}"
            raise place.refuse(f"probes.{label}", seen, "one kind of probe")
        by_label[label]["probe"] = probe


def mark_utterances(
    utterances: Sequence[Utterance], labels: Iterable[Label], place: Place
) -> list[Utterance]:
    """The utterances, with those in which a label begins that is the name of a probe. Labels of
    other names mean nothing here."""
    marked = list(utterances)
    for label in labels:
        probe = probe_of(label.label)
        if probe is None:
            continue
        at = label.start
        if isinstance(at, bool) or not isinstance(at, int):
            raise place.refuse(label.field, brief(at), "the number of a character, from 0")
        holding = [number for number, said in enumerate(marked) if said.offset <= at]
        if not holding or at >= marked[holding[-1]].end:
            raise place.refuse(label.field, f"{probe} at character {at}", "a place inside a turn")
        marked[holding[-1]] = with_probe(marked[holding[-1]], probe, label.field, place)
    return marked


def with_probe(said: Utterance, probe: str, field: str, place: Place) -> Utterance:
    """The utterance as a probe; refused where it is another kind of probe already."""
    if said.probe not in (None, probe):
        raise place.refuse(field, f"{probe} and {said.probe} on one turn", "one kind of probe")
    return replace(said, probe=probe)


def finish(draft: Draft, place: Place) -> Imported:
    """The draft as an Imported whose record is still to be set; raises Unusable."""
    facts, notes = draft.facts, list(draft.notes)
    _check(draft.utterances, place)
    turns = _label(_merge(draft.utterances, draft.join))
    mark_turns(turns, facts.get("probes"), place)
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
