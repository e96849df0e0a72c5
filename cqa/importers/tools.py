"""What annotation tools export: Label Studio, Argilla, Prodigy and doccano.

The docstring of each `read_...` says which versions it follows and what of them it takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from cqa.files.faults import brief
from cqa.importers.building import Label, mark_utterances, probe_of, with_probe
from cqa.importers.held import Held, draft, find, is_dialogue, objects
from cqa.importers.record import Draft, Place, Utterance

_LABEL_STUDIO_FIELDS = (
    "dialogue",
    "dialogues",
    "conversation",
    "paragraphs",
    "para",
    "transcript",
    "text",
)
_LABEL_KEYS = ("paragraphlabels", "labels", "hypertextlabels")
_LABEL_STUDIO_KEYS = (
    "annotations",
    "predictions",
    "completions",
    "drafts",
    "file_upload",
    "inner_id",
)


def is_label_studio(record: Mapping[str, Any]) -> bool:
    """A task of the JSON export."""
    data = record.get("data")
    return isinstance(data, dict) and (
        any(name in record for name in _LABEL_STUDIO_KEYS)
        or find(data, "data", _LABEL_STUDIO_FIELDS) is not None
    )


def is_label_studio_min(record: Mapping[str, Any]) -> bool:
    """A record of the JSON-MIN export."""
    return "annotation_id" in record and "lead_time" in record


def read_label_studio(record: Mapping[str, Any], place: Place, known: Mapping[str, str]) -> Draft:
    """The draft of a task; raises Unusable.

    Exports of Label Studio 1.x: JSON (tasks with `data` and `annotations`) and JSON-MIN.

    The dialogue is what a Paragraphs tag shows (a list of `author` and `text`, or other names
    for these, with `start` in seconds where there is audio) or a Text tag (a string with lines
    of B and C). Probes are regions of type paragraphlabels (their `start` numbers the
    paragraph, as a string) or labels (their `start` counts UTF-16 units, as browsers do) that
    are called like one. Of several annotations the one that is ground truth counts, else the
    first that was not cancelled; predictions never do. JSON-MIN has the keys of `data` beside
    those of the labelling tags.
    """
    data = record["data"] if isinstance(record.get("data"), dict) else {}
    sources = [data, *objects(data.get("metadata"), data.get("meta"), record.get("meta"))]
    sources.append({"id": record.get("id")})
    chosen, note = _that_counts(record)
    regions = list(_regions(chosen.get("result"), "annotations.result"))
    made = _label_studio_draft(data, "data", place, known, sources, regions)
    return replace(made, notes=(*made.notes, *note))


def read_label_studio_min(
    record: Mapping[str, Any], place: Place, known: Mapping[str, str]
) -> Draft:
    """The draft of a record of JSON-MIN; raises Unusable."""
    sources = [record, *objects(record.get("metadata"), record.get("meta"))]
    regions = [
        region
        for name, value in record.items()
        if isinstance(value, list) and not _is_said(value)
        for region in _regions([{"value": inner} for inner in value], name)
    ]
    return _label_studio_draft(record, "", place, known, sources, regions)


def _label_studio_draft(
    holder: Mapping[str, Any],
    within: str,
    place: Place,
    known: Mapping[str, str],
    sources: list[Mapping[str, Any]],
    regions: list[Label],
) -> Draft:
    held = find(holder, within, _LABEL_STUDIO_FIELDS)
    if held is None:
        seen = f"the keys {', '.join(map(str, holder))}" if holder else "nothing"
        expected = "a list of objects with `author` and `text`, or a text with lines of B and C"
        raise place.refuse(within, seen[:100], expected)
    made = draft(held, place, known, sources)
    return replace(made, utterances=_marked(made.utterances, held, regions, place))


def _that_counts(record: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
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


_ARGILLA_FIELDS = ("chat", "dialogue", "conversation", "messages", "transcript", "text", "cot_body")


def is_argilla(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of Argilla."""
    return isinstance(record.get("fields"), dict)


def read_argilla(record: Mapping[str, Any], place: Place, known: Mapping[str, str]) -> Draft:
    """The draft of one record; raises Unusable.

    Records of Argilla 2.x (`dataset.records.to_json`, or one record a line) and of Feedback
    datasets of Argilla 1.x: `fields` holds the dialogue, as a ChatField (a list of `role` and
    `content`) or as text with lines of B and C; `metadata` the facts.

    Probes are answers to a span question on such a text: `responses` of 2.x map the question to
    a list of `{value, user_id}`, those of 1.x are a list with `values` and a status. The first
    user's count; those with the status discarded and suggestions (of models) never do.
    """
    fields = record["fields"] if is_argilla(record) else {}
    held = find(fields, "fields", _ARGILLA_FIELDS)
    if held is None:
        seen = f"the fields {', '.join(map(str, fields))}" if fields else "no fields"
        expected = "a chat (`role` and `content`), or a text with lines of B and C"
        raise place.refuse("fields", seen[:100], expected)
    outer = {"id": record.get("id") or record.get("external_id")}
    sources = [*objects(record.get("metadata")), outer, {"preamble": fields.get("preamble")}]
    made = draft(held, place, known, sources)
    if isinstance(held.value, list):
        return made
    labels = _answered(record.get("responses"))
    return replace(made, utterances=mark_utterances(made.utterances, labels, place))


def _answered(responses: Any) -> Iterator[Label]:
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


_PRODIGY_KEYS = ("_input_hash", "_task_hash", "_view_id", "answer", "spans", "tokens")


def is_prodigy(record: Mapping[str, Any]) -> bool:
    """Whether a record is a task of Prodigy."""
    if isinstance(record.get("turns"), list):
        return True
    return isinstance(record.get("text"), str) and any(name in record for name in _PRODIGY_KEYS)


def read_prodigy(record: Mapping[str, Any], place: Place, known: Mapping[str, str]) -> Draft:
    """The draft of one task; raises Unusable.

    JSON lines of Prodigy 1.x (`prodigy db-out`): `text` with lines of B and C and `spans` that
    count its characters, or the dialogue as a list in `turns`; facts in `meta`. A span whose
    label is the name of a probe makes one of the turn in which it begins. A task that was not
    accepted (`answer` reject or ignore) is refused, since somebody refused it.
    """
    if record.get("answer", "accept") != "accept":
        raise place.refuse("answer", brief(record["answer"]), "'accept'")
    field = "turns" if isinstance(record.get("turns"), list) else "text"
    value = record.get(field)
    if field == "text" and not (isinstance(value, str) and value.strip()):
        raise place.refuse(field, brief(value), "a text with lines of B and C, or `turns`")
    if field == "turns" and not is_dialogue(value):
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


_DOCCANO_KEYS = ("label", "labels", "entities", "annotations", "Comments", "cats")


def is_doccano(record: Mapping[str, Any]) -> bool:
    """Whether a record is an example of doccano."""
    return any(isinstance(record.get(name), str) for name in ("text", "data")) and any(
        name in record for name in _DOCCANO_KEYS
    )


def read_doccano(record: Mapping[str, Any], place: Place, known: Mapping[str, str]) -> Draft:
    """The draft of one example; raises Unusable.

    JSON lines (or JSON) of doccano: `text` with lines of B and C, and labels on its characters.

    Followed is 1.8: `label` with [start, end, name] for sequence labelling, `entities` with
    `start_offset` where relations are used, and the keys of the imported metadata beside
    `text`. Taken too are `meta` and `labels` of before 1.5, and `data` for `text`. Categories
    (labels of the whole text) are no probes.
    """
    field = "text" if "text" in record else "data"
    text = record.get(field)
    if not isinstance(text, str) or not text.strip():
        raise place.refuse(field, brief(text), "a text with lines of B and C")
    sources = [*objects(record.get("meta"), record.get("metadata")), record]
    made = draft(Held(field, text), place, known, sources)
    return replace(
        made, utterances=mark_utterances(made.utterances, _doccano_labels(record), place)
    )


def _doccano_labels(record: Mapping[str, Any]) -> Iterator[Label]:
    for name in _DOCCANO_KEYS:
        marks = record.get(name)
        for number, mark in enumerate(marks if isinstance(marks, list) else []):
            field = f"{name}[{number}]"
            if isinstance(mark, list) and len(mark) == 3:
                yield Label(mark[2], mark[0], f"{field}[0]")
            elif isinstance(mark, dict):
                yield Label(mark.get("label"), mark.get("start_offset"), f"{field}.start_offset")
