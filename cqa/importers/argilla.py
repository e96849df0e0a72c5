"""Records of Argilla 2.x (`dataset.records.to_json`, or one record a line) and of Feedback datasets
of Argilla 1.x: `fields` holds the dialogue, as a ChatField (a list of `role` and `content`) or as
text with lines of B and C; `metadata` the facts.

Probes are answers to a span question on such a text: `responses` of 2.x map the question to a list
of `{value, user_id}`, those of 1.x are a list with `values` and a status. The first user's count;
those with the status discarded and suggestions (of models) never do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from cqa.importers.held import draft, find, objects
from cqa.importers.probing import Label, mark_utterances
from cqa.importers.record import Draft, Place

_PREFERRED = ("chat", "dialogue", "conversation", "messages", "transcript", "text", "cot_body")


def is_one(record: Mapping[str, Any]) -> bool:
    return isinstance(record.get("fields"), dict)


def read(record: Mapping[str, Any], place: Place, known: Mapping[str, str]) -> Draft:
    """The draft of one record; raises Unusable."""
    fields = record["fields"] if is_one(record) else {}
    held = find(fields, "fields", _PREFERRED)
    if held is None:
        seen = f"the fields {', '.join(map(str, fields))}" if fields else "no fields"
        expected = "a chat (`role` and `content`), or a text with lines of B and C"
        raise place.refuse("fields", seen[:100], expected)
    outer = {"id": record.get("id") or record.get("external_id")}
    sources = [*objects(record.get("metadata")), outer, {"preamble": fields.get("preamble")}]
    made = draft(held, place, known, sources)
    if isinstance(held.value, list):
        return made
    labels = _labels(record.get("responses"))
    return replace(made, utterances=mark_utterances(made.utterances, labels, place))


def _labels(responses: Any) -> Iterator[Label]:
    for field, value in _answers(responses):
        for number, span in enumerate(value if isinstance(value, list) else []):
            if isinstance(span, dict):
                yield Label(span.get("label"), span.get("start"), f"{field}[{number}].start")


def _answers(responses: Any) -> Iterator[tuple[str, Any]]:
    """(path, value) of the first user's answer to each question."""
    if isinstance(responses, dict):
        for question, answers in responses.items():
            if given := objects(*answers) if isinstance(answers, list) else []:
                yield f"responses.{question}", given[0].get("value")
    elif isinstance(responses, list):
        kept = [one for one in objects(*responses) if one.get("status") != "discarded"]
        values = kept[0].get("values") if kept else None
        for question, answer in values.items() if isinstance(values, dict) else ():
            if isinstance(answer, dict):
                yield f"responses[0].values.{question}", answer.get("value")
