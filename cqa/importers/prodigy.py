"""JSON lines of Prodigy 1.x (`prodigy db-out`): `text` with lines of B and C and `spans` that count
its characters, or the dialogue as a list in `turns`; facts in `meta`. A span whose label is the
name of a probe makes one of the turn in which it begins. A task that was not accepted (`answer`
reject or ignore) is refused, since somebody refused it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cqa.files import _brief_repr as brief
from cqa.importers import listed
from cqa.importers.held import Held, draft, objects
from cqa.importers.probing import Label, mark_utterances
from cqa.importers.record import Draft, Place

_OF_TASKS = ("_input_hash", "_task_hash", "_view_id", "answer", "spans", "tokens")


def is_one(record: Mapping[str, Any]) -> bool:
    if isinstance(record.get("turns"), list):
        return True
    return isinstance(record.get("text"), str) and any(name in record for name in _OF_TASKS)


def read(record: Mapping[str, Any], place: Place, known: Mapping[str, str]) -> Draft:
    """The draft of one task; raises Unusable."""
    if record.get("answer", "accept") != "accept":
        raise place.refuse("answer", brief(record["answer"]), "'accept'")
    field = "turns" if isinstance(record.get("turns"), list) else "text"
    value = record.get(field)
    if field == "text" and not (isinstance(value, str) and value.strip()):
        raise place.refuse(field, brief(value), "a text with lines of B and C, or `turns`")
    if field == "turns" and not listed.is_dialogue(value):
        raise place.refuse(field, brief(value), "a list of objects with a speaker and a text")
    sources = [*objects(record.get("meta"), record.get("metadata")), record]
    made = draft(Held(field, value), place, known, sources)
    if field == "turns":
        return made
    spans = record.get("spans")
    labels = [
        Label(span.get("label"), span.get("start"), f"spans[{number}].start")
        for number, span in enumerate(spans if isinstance(spans, list) else [])
        if isinstance(span, dict)
    ]
    return replace(made, utterances=mark_utterances(made.utterances, labels, place))
