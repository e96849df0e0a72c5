"""`work: ...` lines: what the head of a text says of the dialogue in it."""

from __future__ import annotations

import difflib
import re
from typing import Any

from cqa.importers.record import Place
from cqa.importers.speakers import key

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

_LINE = re.compile(r"\s*(?:#+\s*)?(?P<key>[^\W\d_]{2,20})\s*[:：](?P<value>.*)$")


def header(line: str) -> tuple[str, str] | None:
    """(fact, its value) of a header line, with or without # before it."""
    found = _LINE.match(line)
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
    found = _LINE.match(line)
    if found is None:
        return
    name = key(found["key"])
    if close := difflib.get_close_matches(name, KEYS, n=1, cutoff=0.75):
        raise place.refuse(name, "no such key", f"{close[0]!r}, perhaps", line=number)
