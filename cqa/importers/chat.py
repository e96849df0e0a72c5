"""Chat data: user is B, assistant is C, what the system says first is the preamble.

`messages` (`role`, `content`) and `prompt` with `completion` as the dataset formats of TRL 1.x have
them, contents in parts included; `conversations` (`from`, `value`) as ShareGPT and FastChat have
them, with human for B and gpt for C. Other roles, such as tool, are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cqa.files import _brief_repr as brief
from cqa.importers.held import Held, draft, objects
from cqa.importers.record import Draft, Place

NAMES = ("messages", "conversations")


def format_of(record: Mapping[str, Any]) -> str | None:
    """Which of the two forms a record has."""
    if "messages" in record or _is_pair(record):
        return "messages"
    return "conversations" if "conversations" in record else None


def read(record: Mapping[str, Any], place: Place, known: Mapping[str, str]) -> Draft:
    """The draft of one record; raises Unusable."""
    field = format_of(record) or "messages"
    value = record.get(field)
    if field == "messages" and _is_pair(record):
        field, value = "prompt + completion", [*record["prompt"], *record["completion"]]
    if not isinstance(value, list) or not value:
        raise place.refuse(field, brief(value), "a list of messages")
    sources = [record, *objects(record.get("metadata"), record.get("meta"))]
    return draft(Held(field, value), place, known, sources)


def _is_pair(record: Mapping[str, Any]) -> bool:
    pair = (record.get("prompt"), record.get("completion"))
    return all(isinstance(half, list) for half in pair) and "messages" not in record
