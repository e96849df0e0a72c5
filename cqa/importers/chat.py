"""Chat data, and records with the fields of the BC Protocol: `read_chat` and `read_bc`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cqa.files.faults import brief
from cqa.importers.facts import facts as facts_of
from cqa.importers.held import Held, draft, objects, speakers_said, spoken_in
from cqa.importers.record import Draft, Place, Utterance
from cqa.importers.transcript import draft_of, lines_of


def form_of(record: Mapping[str, Any]) -> str | None:
    """Which of the two forms a record has."""
    if "messages" in record or _is_pair(record):
        return "messages"
    return "conversations" if "conversations" in record else None


def read_chat(record: Mapping[str, Any], place: Place, known: Mapping[str, str]) -> Draft:
    """The draft of one record; raises Unusable.

    User is B, assistant is C, what the system says first is the preamble.

    `messages` (`role`, `content`) and `prompt` with `completion` as the dataset formats of TRL
    1.x have them, contents in parts included; `conversations` (`from`, `value`) as ShareGPT and
    FastChat have them, with human for B and gpt for C. Other roles, such as tool, are refused
    by name.
    """
    field = form_of(record) or "messages"
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


def is_bc(record: Mapping[str, Any]) -> bool:
    """Whether a record names its dialogue as the BC Protocol does."""
    return "cot_body" in record


def read_bc(record: Mapping[str, Any], place: Place, known: Mapping[str, str]) -> Draft:
    """The draft of one record; raises Unusable.

    Records with the fields that the experiments of the BC Protocol name (arXiv 2605.25549):
    `id`, `group`, `preamble`, `cot_body`, `summary`, `metadata`.

    The paper names the fields and publishes no record, so what stands in them is taken as
    widely as it can be. A `cot_body` with lines of B and C becomes their turns; without, it is
    the cleaned reasoning of the expert alone and becomes one turn of C, to the letter.
    `summary` is the reason of the exit where `metadata` says who ended the dialogue (`exit_by`,
    `ended_by` or `exit`: B or C) and gives no reason itself; a dialogue has no other place for
    it, nor for `group`. A note says what was left.
    """
    metadata = record.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise place.refuse("metadata", brief(metadata), "an object")
    facts = facts_of(record, metadata or {})
    notes = _use_summary(record, facts)
    if isinstance(group := record.get("group"), str) and group.strip():
        notes.append(f"left out: group {brief(group)}")
    draft = _body(record["cot_body"], place, {**speakers_said(facts, place), **known})
    return replace(draft, facts={**draft.facts, **facts}, notes=(*draft.notes, *notes))


def _body(body: Any, place: Place, known: Mapping[str, str]) -> Draft:
    if isinstance(body, list):
        spoken = spoken_in(body, "cot_body", place, known)
        return Draft(spoken.utterances, {}, spoken.table, spoken.notes)
    if not isinstance(body, str) or not body.strip():
        raise place.refuse("cot_body", brief(body), "the words of C, or lines of B and C")
    draft = draft_of(lines_of(body, numbered=False), place, known, guess=False)
    if draft is not None:
        return draft
    note = "cot_body: no line of B or C in it; the whole of it is one turn of C"
    return Draft([Utterance("C", body, "cot_body")], {}, notes=(note,))


def _use_summary(record: Mapping[str, Any], facts: dict[str, Any]) -> list[str]:
    """Put the summary in as the reason of an exit that lacks one; else say that it is left out."""
    summary = record.get("summary")
    if not isinstance(summary, str) or not summary.strip():
        return []
    said = facts.get("exit")
    if isinstance(said, dict) and said.get("by") is not None and said.get("reason") is None:
        facts["exit"] = {**said, "reason": summary}
        return []
    if isinstance(said, str) and said.strip().upper() in ("B", "C"):
        facts["exit"] = {"by": said.strip().upper(), "reason": summary}
        return []
    why = "the exit has a reason already" if said is not None else "nobody says who ended it"
    return [f"left out: summary ({why})"]
