"""Which turns of B are probes: from the metadata of a record, or from labels on its text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cqa.files import _brief_repr as brief
from cqa.importers.record import Place, Utterance

PROBES = ("follow_up", "counterexample", "counterfactual_open", "counterfactual_decoy")

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
    return plain if plain in PROBES else None


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
            raise place.refuse(f"probes.{label}", brief(kind), f"one of {', '.join(PROBES)}")
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
