"""What a record, or the head of a text, says of a dialogue beside its turns."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cqa.files.faults import brief
from cqa.importers.record import Place
from cqa.importers.speakers import key, role

_EXIT = re.compile(
    r"^\s*(?P<by>[^,，:：;；]{1,100}?)\s*(?:[,，:：;；]\s*(?P<reason>.*\S)\s*)?$", re.S
)
_NEVER_IN_AN_ID = re.compile(r"[^A-Za-z0-9._-]+")
_FACTS = {
    "id": ("id",),
    "work": ("work", "title"),
    "language": ("language", "lang"),
    "preamble": ("preamble",),
    "exit": ("exit",),
    "exit_by": ("exit_by", "ended_by"),
    "exit_reason": ("exit_reason",),
    "rights": ("rights",),
    "probes": ("probes",),
    "speakers": ("speakers",),
}


def facts(*sources: Mapping[str, Any]) -> dict[str, Any]:
    """What records say of a dialogue beside its turns; of several sources the first that says it.

    Known: id, work (or title), language (or lang), preamble, exit, rights, probes and speakers.
    Blank strings say nothing. `exit` is {by, reason} or "C, reason"; `exit_by` (or `ended_by`) with
    `exit_reason` is the same in two keys.
    """
    found: dict[str, Any] = {}
    for name, keys in _FACTS.items():
        values = (source.get(key) for key in keys for source in sources)
        if (value := next(filter(_says_something, values), None)) is not None:
            found[name] = value
    by, reason = found.pop("exit_by", None), found.pop("exit_reason", None)
    if "exit" not in found and by is not None:
        found["exit"] = {"by": by, "reason": reason}
    return found


def id_of(said: Any, place: Place) -> Any:
    """The record's own id, else stem-number; what cannot stand in an id is a dash, and then a
    hash of the stem is added, so that two such names stay two."""
    if isinstance(said, int) and not isinstance(said, bool):
        return str(said)
    if said is not None:
        return said
    stem = _NEVER_IN_AN_ID.sub("-", place.stem).strip("-._")[:120]
    if stem != place.stem:
        digest = hashlib.sha256(place.stem.encode()).hexdigest()[:6]
        stem = f"{stem}-{digest}" if stem else f"dialogue-{digest}"
    return f"{stem}-{place.number}"


def exit_of(said: Any, table: Mapping[str, str], place: Place) -> Any:
    """An exit as `Exit` has it, from such an object or from "C, reason"; who ended it may be a name
    of `table`. What is neither is left for the type to refuse. Raises Unusable."""
    if isinstance(said, str):
        found = _EXIT.match(said)
        if not found or not (by := role(found["by"], table)):
            raise place.refuse("exit", brief(said), "who ended it and why, such as `C, reason`")
        if found["reason"] is None:
            raise place.refuse("exit", brief(said), "a reason too, such as `C, reason`")
        return {"by": by, "reason": found["reason"]}
    if isinstance(said, dict) and isinstance(by := said.get("by"), str) and by.strip():
        return said | {"by": role(by, table) or by}
    return said


def language_of(turns: Sequence[Mapping[str, Any]]) -> str:
    """zh where Chinese characters are more than half of the letters and no kana is, else en."""
    letters = [letter for turn in turns for letter in turn["text"] if letter.isalpha()]
    if any("\u3040" <= letter <= "\u30ff" for letter in letters):
        return "en"
    chinese = sum("\u3400" <= letter <= "\u9fff" for letter in letters)
    return "zh" if 2 * chinese > len(letters) else "en"


def _says_something(value: Any) -> bool:
    return value is not None and not (isinstance(value, str) and not value.strip())


KEYS = {
    "id": "id",
    "编号": "id",
    "work": "work",
    "title": "work",
    "作品": "work",
    "language": "language",
    "lang": "language",
    "语言": "language",
    "語言": "language",
    "preamble": "preamble",
    "背景": "preamble",
    "exit": "exit",
    "结束": "exit",
    "結束": "exit",
    "speakers": "speakers",
    "说话人": "speakers",
    "說話人": "speakers",
    "probes": "probes",
    "contributor": "rights.contributor",
    "source": "rights.source",
    "licence": "rights.licence",
    "license": "rights.licence",
    "consent": "rights.consent",
    "redistribution": "rights.redistribution",
}
"""What may stand before the colon -> the fact that it is; those of rights make one object."""

_HEADER_LINE = re.compile(r"\s*(?:#+\s*)?(?P<key>[^\W\d_]{2,20})\s*[:：](?P<value>.*)$")


def header(line: str) -> tuple[str, str] | None:
    """(fact, its value) of a header line, with or without # before it."""
    found = _HEADER_LINE.match(line)
    name = KEYS.get(key(found["key"])) if found else None
    return (name, found["value"].strip()) if found and name else None


def add(facts: dict[str, Any], name: str, value: str, place: Place, line: int) -> None:
    """Put a header's value among the facts; refused where it stands there already."""
    target, last = facts, name
    if name.startswith("rights."):
        target, last = facts.setdefault("rights", {}), name.removeprefix("rights.")
    if last in target and value:
        raise place.refuse(name, "the key twice", "each key once", line=line)
    if value:
        target[last] = value


def refuse_misspelt(line: str, place: Place, number: int) -> None:
    """Raise where a line looks like a header line with a letter wrong."""
    found = _HEADER_LINE.match(line)
    if found is None:
        return
    name = key(found["key"])
    if close := difflib.get_close_matches(name, KEYS, n=1, cutoff=0.75):
        raise place.refuse(name, "no such key", f"{close[0]!r}, perhaps", line=number)
