"""Where in a JSON object the dialogue is, and the draft that comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cqa.files import _brief_repr as brief
from cqa.importers import listed, speakers
from cqa.importers.facts import facts as facts_of
from cqa.importers.record import Draft, Place, Unusable
from cqa.importers.script import draft_of, has_speakers, lines_of


@dataclass(frozen=True)
class Held:
    """A value that is a dialogue, list or string, and its dotted path in the record."""

    field: str
    value: list[Any] | str


def find(holder: Mapping[str, Any], within: str, preferred: Sequence[str]) -> Held | None:
    """The dialogue among the values of an object: of the preferred keys first, lists first."""
    keys = [key for key in preferred if key in holder]
    keys += [key for key in holder if key not in preferred]
    dot = f"{within}." if within else ""
    for key in keys:
        if listed.is_dialogue(holder[key]):
            return Held(f"{dot}{key}", holder[key])
    for key in keys:
        if isinstance(holder[key], str) and has_speakers(holder[key]):
            return Held(f"{dot}{key}", holder[key])
    return None


def draft(
    held: Held, place: Place, known: Mapping[str, str], sources: Sequence[Mapping[str, Any]]
) -> Draft:
    """The draft of a dialogue that was found. `sources` are where facts may stand, the first goes
    first; `known` (from the caller) goes before the speakers that they name. Raises Unusable."""
    facts = facts_of(*sources)
    known = {**speakers_said(facts, place), **known}
    if isinstance(held.value, str):
        return _with_facts(in_text(held.value, held.field, place, known), facts)
    spoken = listed.spoken(held.value, held.field, place, known)
    if spoken.system is not None:
        facts.setdefault("preamble", spoken.system)
    return Draft(spoken.utterances, facts, spoken.table, spoken.notes)


def in_text(text: str, field: str, place: Place, known: Mapping[str, str]) -> Draft:
    """The dialogue in a string of which the lines begin with names; raises Unusable."""
    found = draft_of(lines_of(text, numbered=False), place, known)
    if found is None:
        expected = "lines that begin with `B:` and `C:` (or with names that are said to be these)"
        raise place.refuse(field, brief(text), expected)
    named = [replace(said, field=f"{field}, {said.field}") for said in found.utterances]
    return replace(found, utterances=named)


def speakers_said(facts: Mapping[str, Any], place: Place) -> dict[str, str]:
    """What the record itself says of who is who; raises Unusable."""
    if "speakers" not in facts:
        return {}
    table = speakers.mapping(facts["speakers"], place.where)
    if not isinstance(table, dict):
        raise Unusable(table)
    return table


def objects(*values: Any) -> list[dict[str, Any]]:
    """Those of the values that are objects, as `meta` of exports may be anything."""
    return [value for value in values if isinstance(value, dict)]


def _with_facts(draft: Draft, facts: Mapping[str, Any]) -> Draft:
    return replace(draft, facts={**draft.facts, **facts})
