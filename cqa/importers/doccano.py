"""JSON lines (or JSON) of doccano: `text` with lines of B and C, and labels on its characters.

Followed is 1.8: `label` with [start, end, name] for sequence labelling, `entities` with
`start_offset` where relations are used, and the keys of the imported metadata beside `text`. Taken
too are `meta` and `labels` of before 1.5, and `data` for `text`. Categories (labels of the whole
text) are no probes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from cqa.files import _brief_repr as brief
from cqa.importers.held import Held, draft, objects
from cqa.importers.probing import Label, mark_utterances
from cqa.importers.record import Draft, Place

_OF_EXAMPLES = ("label", "labels", "entities", "annotations", "Comments", "cats")


def is_one(record: Mapping[str, Any]) -> bool:
    return any(isinstance(record.get(name), str) for name in ("text", "data")) and any(
        name in record for name in _OF_EXAMPLES
    )


def read(record: Mapping[str, Any], place: Place, known: Mapping[str, str]) -> Draft:
    """The draft of one example; raises Unusable."""
    field = "text" if "text" in record else "data"
    text = record.get(field)
    if not isinstance(text, str) or not text.strip():
        raise place.refuse(field, brief(text), "a text with lines of B and C")
    sources = [*objects(record.get("meta"), record.get("metadata")), record]
    made = draft(Held(field, text), place, known, sources)
    return replace(made, utterances=mark_utterances(made.utterances, _labels(record), place))


def _labels(record: Mapping[str, Any]) -> Iterator[Label]:
    for name in _OF_EXAMPLES:
        marks = record.get(name)
        for number, mark in enumerate(marks if isinstance(marks, list) else []):
            field = f"{name}[{number}]"
            if isinstance(mark, list) and len(mark) == 3:
                yield Label(mark[2], mark[0], f"{field}[0]")
            elif isinstance(mark, dict):
                yield Label(mark.get("label"), mark.get("start_offset"), f"{field}.start_offset")
