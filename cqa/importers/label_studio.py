"""Exports of Label Studio 1.x: JSON (tasks with `data` and `annotations`) and JSON-MIN.

The dialogue is what a Paragraphs tag shows (a list of `author` and `text`, or other names for
these, with `start` in seconds where there is audio) or a Text tag (a string with lines of B and C).
Probes are regions of type paragraphlabels (their `start` numbers the paragraph, as a string) or
labels (their `start` counts UTF-16 units, as browsers do) that are called like one. Of several
annotations the one that is ground truth counts, else the first that was not cancelled; predictions
never do. JSON-MIN has the keys of `data` beside those of the labelling tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from cqa.importers.held import Held, draft, find, objects
from cqa.importers.probing import Label, mark_utterances, probe_of, with_probe
from cqa.importers.record import Draft, Place, Utterance

_PREFERRED = ("dialogue", "dialogues", "conversation", "paragraphs", "para", "transcript", "text")
_LABEL_KEYS = ("paragraphlabels", "labels", "hypertextlabels")
_OF_TASKS = ("annotations", "predictions", "completions", "drafts", "file_upload", "inner_id")


def is_task(record: Mapping[str, Any]) -> bool:
    """A task of the JSON export."""
    data = record.get("data")
    return isinstance(data, dict) and (
        any(name in record for name in _OF_TASKS) or find(data, "data", _PREFERRED) is not None
    )


def is_minimal(record: Mapping[str, Any]) -> bool:
    """A record of the JSON-MIN export."""
    return "annotation_id" in record and "lead_time" in record


def read_task(record: Mapping[str, Any], place: Place, known: Mapping[str, str]) -> Draft:
    """The draft of a task; raises Unusable."""
    data = record["data"] if isinstance(record.get("data"), dict) else {}
    sources = [data, *objects(data.get("metadata"), data.get("meta"), record.get("meta"))]
    sources.append({"id": record.get("id")})
    chosen, note = _annotation(record)
    regions = list(_regions(chosen.get("result"), "annotations.result"))
    made = _draft(data, "data", place, known, sources, regions)
    return replace(made, notes=(*made.notes, *note))


def read_minimal(record: Mapping[str, Any], place: Place, known: Mapping[str, str]) -> Draft:
    """The draft of a record of JSON-MIN; raises Unusable."""
    sources = [record, *objects(record.get("metadata"), record.get("meta"))]
    regions = [
        region
        for name, value in record.items()
        if isinstance(value, list) and not _is_said(value)
        for region in _regions([{"value": inner} for inner in value], name)
    ]
    return _draft(record, "", place, known, sources, regions)


def _draft(
    holder: Mapping[str, Any],
    within: str,
    place: Place,
    known: Mapping[str, str],
    sources: list[Mapping[str, Any]],
    regions: list[Label],
) -> Draft:
    held = find(holder, within, _PREFERRED)
    if held is None:
        seen = f"the keys {', '.join(map(str, holder))}" if holder else "nothing"
        expected = "a list of objects with `author` and `text`, or a text with lines of B and C"
        raise place.refuse(within, seen[:100], expected)
    made = draft(held, place, known, sources)
    return replace(made, utterances=_marked(made.utterances, held, regions, place))


def _annotation(record: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The annotation that counts, and a note where there was a choice."""
    listed = record.get("annotations") or record.get("completions")
    given = objects(*listed) if isinstance(listed, list) else []
    valid = [annotation for annotation in given if not annotation.get("was_cancelled")]
    if not valid:
        return {}, ()
    chosen = next((one for one in valid if one.get("ground_truth") is True), valid[0])
    if len(valid) == 1:
        return chosen, ()
    which = "the ground truth" if chosen.get("ground_truth") is True else "the first"
    return chosen, (f"annotations: {len(valid)} of them; probes are those of {which}",)


def _regions(result: Any, field: str) -> Iterator[Label]:
    for number, region in enumerate(result if isinstance(result, list) else []):
        value = region.get("value") if isinstance(region, dict) else None
        if not isinstance(value, dict):
            continue
        for name in _LABEL_KEYS:
            labels = value.get(name)
            for label in labels if isinstance(labels, list) else [labels]:
                if probe_of(label):
                    yield Label(label, value.get("start"), f"{field}[{number}].start")


def _is_said(value: list[Any]) -> bool:
    """Not regions: JSON-MIN puts these under keys of the same kind as those of the data."""
    return not any(isinstance(one, dict) and set(one) & set(_LABEL_KEYS) for one in value)


def _marked(utterances: Any, held: Held, regions: list[Label], place: Place) -> list[Utterance]:
    if isinstance(held.value, str):
        text = held.value
        return mark_utterances(utterances, [_in_characters(one, text) for one in regions], place)
    marked = list(utterances)
    first = len(held.value) - len(marked)  # what the system said was taken off the head
    for region in regions:
        number = _number(region.start)
        if number is None or not 0 <= number - first < len(marked):
            expected = f"the number of a paragraph, 0 to {len(held.value) - 1}"
            raise place.refuse(region.field, repr(region.start)[:60], expected)
        said = marked[number - first]
        probe = probe_of(region.label) or ""
        marked[number - first] = with_probe(said, probe, region.field, place)
    return marked


def _in_characters(region: Label, text: str) -> Label:
    units = _number(region.start)
    if units is None or units < 0:
        return region
    before = text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", "ignore")
    beyond = max(0, units - len(text.encode("utf-16-le")) // 2)
    return replace(region, start=len(before) + beyond)


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
