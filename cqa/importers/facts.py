"""What records say of a dialogue beside its turns: id, work, language, exit, probes, times."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from cqa.files import _brief_repr as brief
from cqa.importers.record import Place
from cqa.importers.speakers import role

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


def seconds(value: Any) -> float | None:
    """A time of day or of a recording in seconds: a number, or h:mm:ss.mmm; None if neither."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) and number >= 0 else None
    if not isinstance(value, str):
        return None
    parts = unicodedata.normalize("NFKC", value).strip().replace(",", ".").split(":")
    if len(parts) > 3 or not all(re.fullmatch(r"\d{1,9}", part) for part in parts[:-1]):
        return None
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", parts[-1]):
        return None
    total = float(parts[-1])
    for weight, part in zip((60, 3600), reversed(parts[:-1]), strict=False):
        total += weight * int(part)
    return total


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
