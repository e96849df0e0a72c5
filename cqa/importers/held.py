"""Where in a JSON object the dialogue is: a text, or a list of turns of any spelling.

`[{"author": "Chao", "text": "..."}, ...]` is such a list, and so is `["B: ...", ...]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cqa.files.faults import brief
from cqa.importers import speakers
from cqa.importers.building import probe_of
from cqa.importers.facts import facts as facts_of
from cqa.importers.record import Draft, Place, Unusable, Utterance
from cqa.importers.speakers import Names, Untold, key, prefix, seconds, who_is_who
from cqa.importers.transcript import draft_of, has_speakers, lines_of
from cqa.types import PROBE_KINDS


@dataclass(frozen=True)
class Held:
    """A value that is a dialogue, list or string, and its dotted path in the record."""

    field: str
    value: list[Any] | str


def find(holder: Mapping[str, Any], within: str, preferred: Sequence[str]) -> Held | None:
    """The dialogue among the values of an object: of the preferred keys first, lists first."""
    names = [name for name in preferred if name in holder]
    names += [name for name in holder if name not in preferred]
    dot = f"{within}." if within else ""
    for name in names:
        if is_dialogue(holder[name]):
            return Held(f"{dot}{name}", holder[name])
    for name in names:
        if isinstance(holder[name], str) and has_speakers(holder[name]):
            return Held(f"{dot}{name}", holder[name])
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
    spoken = spoken_in(held.value, held.field, place, known)
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


SPEAKER_KEYS = ("speaker", "author", "role", "from", "name", "turn")
TEXT_KEYS = ("text", "content", "value", "utterance", "message")
TIME_KEYS = ("start_seconds", "start", "time")
SYSTEM = ("system", "developer")


@dataclass(frozen=True)
class Spoken:
    """What a list says: B and C by turns, what the system said before them, and who is who."""

    utterances: list[Utterance]
    system: str | None
    table: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Entry:
    name: str
    text: str
    field: str
    start_seconds: float | None = None
    probe: str | None = None
    raw: str | None = None


def is_dialogue(value: Any) -> bool:
    """Whether a JSON value is such a list, going by what most of it looks like."""
    if not isinstance(value, list) or not value:
        return False
    if all(isinstance(entry, str) for entry in value):
        return any(prefix(entry) for entry in value)
    keys = [set(entry) for entry in value if isinstance(entry, dict)]
    return any(held & set(SPEAKER_KEYS) and held & set(TEXT_KEYS) for held in keys)


def spoken_in(
    entries: Sequence[Any],
    field: str,
    place: Place,
    known: Mapping[str, str],
    roles: Mapping[str, str] = speakers.CHAT_ROLES,
) -> Spoken:
    """The utterances of a list; raises Unusable. `known` goes before `roles`."""
    read = list(_entries(entries, field, place))
    system: list[str] = []
    while read and key(read[0].name) in SYSTEM and key(read[0].name) not in known:
        system.append(read.pop(0).text)
    known = {**roles, **known}
    try:
        table = who_is_who(Names.of((entry.name, True) for entry in read), known)
    except Untold as untold:
        entry = next(entry for entry in read if key(entry.name) == key(untold.first))
        raise place.refuse(entry.field, untold.seen, speakers.HOW) from None
    utterances = [
        Utterance(
            table[key(entry.name)],
            entry.text,
            entry.field,
            start_seconds=entry.start_seconds,
            probe=entry.probe,
            raw=entry.raw,
        )
        for entry in read
    ]
    notes = speakers.guessed(table, known)
    return Spoken(utterances, "\n".join(system) or None, table, notes)


def _entries(entries: Iterable[Any], field: str, place: Place) -> Iterator[_Entry]:
    for number, entry in enumerate(entries):
        at = f"{field}[{number}]"
        if isinstance(entry, str):
            head = prefix(entry)
            if head is None:
                raise place.refuse(at, brief(entry), "a string that begins with `B:` or `C:`")
            yield _Entry(head.name, head.rest, at, head.start_seconds)
        elif isinstance(entry, dict):
            yield _entry(entry, at, place)
        else:
            raise place.refuse(at, brief(entry), "an object with a speaker and a text")


def _entry(entry: Mapping[str, Any], at: str, place: Place) -> _Entry:
    name_key = next((name for name in SPEAKER_KEYS if entry.get(name) is not None), None)
    if name_key is None:
        raise place.refuse(at, _keys(entry), f"one of the keys {', '.join(SPEAKER_KEYS)}")
    name = entry[name_key]
    if not isinstance(name, str) or not key(name.rstrip(":：")):
        raise place.refuse(f"{at}.{name_key}", brief(name), "the name of a speaker")
    text_key = next((name for name in TEXT_KEYS if name in entry), None)
    if text_key is None:
        raise place.refuse(at, _keys(entry), f"one of the keys {', '.join(TEXT_KEYS)}")
    raw = entry.get("raw")
    if raw is not None and not (isinstance(raw, str) and raw.strip()):
        raise place.refuse(f"{at}.raw", brief(raw), "the words as they were heard")
    return _Entry(
        name.rstrip(":："),
        _text(entry[text_key], f"{at}.{text_key}", place),
        f"{at}.{text_key}",
        _start(entry, at, place),
        _probe(entry, at, place),
        raw,
    )


def _text(value: Any, field: str, place: Place) -> str:
    """A string, or the parts `{"type": "text", "text": ...}` of a message, one on a line."""
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, list) else []
    texts = [
        part["text"]
        for part in parts
        if isinstance(part, dict)
        and part.get("type", "text") == "text"
        and isinstance(part.get("text"), str)
    ]
    if not parts or len(texts) != len(parts):
        raise place.refuse(field, brief(value), "words that were said")
    return "\n".join(texts)


def _start(entry: Mapping[str, Any], at: str, place: Place) -> float | None:
    name = next((name for name in TIME_KEYS if entry.get(name) is not None), None)
    if name is None:
        return None
    start = seconds(entry[name])
    if start is None:
        raise place.refuse(f"{at}.{name}", brief(entry[name]), "seconds, or a time as h:mm:ss")
    return start


def _probe(entry: Mapping[str, Any], at: str, place: Place) -> str | None:
    said = entry.get("probe")
    if said is None:
        return None
    probe = probe_of(said)
    if probe is None:
        raise place.refuse(f"{at}.probe", brief(said), f"one of {', '.join(PROBE_KINDS)}")
    return probe


def _keys(entry: Mapping[str, Any]) -> str:
    return f"the keys {brief(', '.join(map(str, entry)))}"
