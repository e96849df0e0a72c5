"""Who is B and who is C, where a source calls them something else.

In this order: what the caller or the file says (`Chao = C`), the letters B and C themselves, the
roles of chat data where the format has such, and last two names of which one begins with B and the
other with C. Names are compared in Unicode's compatible composed form (NFKC) and without case, so
that full-width Ｂ is B; the text itself is never normalised.

`prefix` reads what may stand at the head of a line before the words: `[00:01:23] Chao: text`.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cqa.errors import Problem
from cqa.files.faults import brief

CHAT_ROLES = {"user": "B", "human": "B", "assistant": "C", "gpt": "C"}
"""user and assistant as TRL has them, human and gpt as ShareGPT has them."""
HOW = (
    "the names B and C; say who is who: `speakers: NAME = B, NAME = C` in the head of the text, "
    "in a NOTE of WebVTT or in the metadata of the record, or with --speakers"
)

_LABEL = re.compile(r"^[bc]\d{0,4}$")
_PARTED = re.compile(r"[,，;；、\n]")
_IS = re.compile(r"=|＝|->|→")
_NAMES_SHOWN = 6


class Untold(Exception):
    """Names of which nobody said who is B and who is C; `seen` lists them for a Problem."""

    def __init__(self, names: Counter[str]) -> None:
        shown = [f"{brief(name)} ({count})" for name, count in names.most_common(_NAMES_SHOWN)]
        more = len(names) - len(shown)
        self.seen = ", ".join(["speakers " + shown[0], *shown[1:]]) + f", {more} more" * bool(more)
        self.first = next(iter(names))
        super().__init__(self.seen)


@dataclass(frozen=True)
class Names:
    """How often each name stands where a speaker stands, as it is spelt first.

    `certain` holds the keys of names that cannot be anything else, such as those of voice tags.
    """

    counts: Counter[str]
    certain: frozenset[str]

    @classmethod
    def of(cls, seen: Iterable[tuple[str, bool]]) -> Names:
        """From (name, certain) pairs in the order of the file."""
        spelt: dict[str, str] = {}
        counts: Counter[str] = Counter()
        certain = set()
        for name, sure in seen:
            counts[spelt.setdefault(key(name), name)] += 1
            if sure:
                certain.add(key(name))
        return cls(counts, frozenset(certain))


def key(name: str) -> str:
    """The form in which names are compared."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def role(name: str, known: Mapping[str, str]) -> str | None:
    """B or C, if that is known of this name; `known` maps keys."""
    at = key(name)
    return known.get(at) or (at[0].upper() if _LABEL.match(at) else None)


def mapping(said: Any, where: str) -> dict[str, str] | Problem:
    """Keys of names -> B or C, from {"Chao": "C"} or from `Chao = C, Bo = B` (or `C = Chao`)."""
    if said is None:
        return {}
    expected = "NAME = B and NAME = C, parted by commas"
    if isinstance(said, str):
        parts = [part for part in _PARTED.split(said) if part.strip()]
        pairs = [_IS.split(part, maxsplit=1) for part in parts]
        if any(len(pair) != 2 for pair in pairs):
            return Problem(where, "speakers", brief(said), expected)
        pairs = [(a, b) if key(b) in ("b", "c") else (b, a) for a, b in pairs]
    elif isinstance(said, Mapping):
        pairs = list(said.items())
    else:
        return Problem(where, "speakers", brief(said), expected)
    known = {}
    for name, letter in pairs:
        if not isinstance(name, str) or not key(name):
            return Problem(where, "speakers", brief(name), "a name")
        if not isinstance(letter, str) or key(letter) not in ("b", "c"):
            return Problem(where, "speakers", f"{brief(name)} = {brief(letter)}", expected)
        if known.setdefault(key(name), key(letter).upper()) != key(letter).upper():
            return Problem(where, "speakers", f"{brief(name)} twice", "one letter for each name")
    return known


def who_is_who(names: Names, known: Mapping[str, str]) -> dict[str, str]:
    """Keys of the names that speak -> B or C; Untold where that cannot be said.

    A name that is not certain, and that stands once only beside known ones, does not speak: it is
    the beginning of a sentence, such as `Look: a bird`.
    """
    told = {key(name): letter for name in names.counts if (letter := role(name, known))}
    unknown = [name for name in names.counts if key(name) not in told]
    if not unknown:
        return told
    sure = [n for n in unknown if names.counts[n] > 1 or key(n) in names.certain]
    for candidates in (unknown, sure):
        if table := _by_initials([*told, *map(key, candidates)], told):
            return table
    if told and not sure:
        return told
    listed = sure if told else unknown
    raise Untold(Counter({name: names.counts[name] for name in listed}))


def guessed(table: Mapping[str, str], known: Mapping[str, str]) -> tuple[str, ...]:
    """A note, where `who_is_who` took names for B and C by their first letters alone."""
    names = [f"{name} = {letter}" for name, letter in table.items() if not role(name, known)]
    return (f"speakers: taken by their first letters, {', '.join(names)}",) if names else ()


def _by_initials(keys: list[str], told: Mapping[str, str]) -> dict[str, str] | None:
    table = {at: at[:1].upper() for at in keys}
    if len(table) != 2 or set(table.values()) != {"B", "C"}:
        return None
    return None if any(table[at] != letter for at, letter in told.items()) else table


_TIME = r"(?:\d{1,3}[:：])?\d{1,3}[:：][0-5]\d(?:[.,]\d{1,3})?"
_NEVER_IN_A_NAME = r":：\[\]()（）【】［］{}<>\"“”|*\r\n"
_NAME = (
    r"[^\s" + _NEVER_IN_A_NAME + r"](?:[^" + _NEVER_IN_A_NAME + r"]{0,58}"
    r"[^\s" + _NEVER_IN_A_NAME + r"])?"
)


def _boxed(group: str) -> str:
    until = rf"(?:\s*(?:-->|[-–—~至])\s*{_TIME})?"
    return rf"[\[(（【［]\s*(?P<{group}>{_TIME}){until}\s*[\])）】］]"


_BEFORE = rf"\s*(?:(?:{_boxed('boxed')}|(?P<bare>{_TIME}))\s*(?:[-–—|]\s*)?)?"
_PREFIX = re.compile(
    rf"{_BEFORE}(?:[\[【［](?P<box>{_NAME})[\]】］]|(?P<name>{_NAME}))(?:\s*{_boxed('after')})?\s*[:：]"
)
_BOLD = re.compile(rf"(?P<before>{_BEFORE})\*\*(?P<bold>[^*\r\n]{{1,80}})\*\*")
_ONLY_TIME = re.compile(rf"\s*(?:{_boxed('boxed')}|(?P<bare>{_TIME}))\s*$")
_LEADING_TIME = re.compile(rf"\s*{_boxed('boxed')}[ \t]*")
_PARTICLES = {"al", "bin", "da", "de", "del", "der", "di", "du", "ibn", "la", "le", "van", "von"}
_WORDS_OF_A_NAME = 4
_LETTERS_OF_A_CHINESE_NAME = 6


@dataclass(frozen=True)
class Prefix:
    """A name before a colon, with the time beside it if there is one, and what follows them."""

    name: str
    start_seconds: float | None
    rest: str


def prefix(line: str) -> Prefix | None:
    """What stands before the first colon of a line, if it can be a name at all."""
    if bold := _BOLD.match(line):  # **Chao:** text, and **Chao**: text
        line = bold["before"] + bold["bold"] + line[bold.end() :]
    found = _PREFIX.match(line)
    if not found:
        return None
    name = found["box"] or found["name"]
    rest = line[found.end() :]
    if name[-1].isdigit() and rest[:1].isdigit():  # at 10:30
        return None
    time = found["boxed"] or found["bare"] or found["after"]
    return Prefix(name, None if time is None else seconds(time), rest.strip())


def only_a_time(line: str) -> float | None:
    """The time in seconds of a line that says nothing else."""
    found = _ONLY_TIME.match(line)
    return seconds(found["boxed"] or found["bare"]) if found else None


def without_time(line: str) -> str:
    """The line without a bracketed time at its head: `[00:01:23] and then` is `and then`."""
    found = _LEADING_TIME.match(line)
    return line[found.end() :] if found else line


def name_like(name: str) -> bool:
    """Whether words before a colon look like a name: few, capital or of a script without capitals,
    and no punctuation of a sentence. `Dr. Chao` does, `The point is` does not."""
    plain = unicodedata.normalize("NFKC", name)
    words = plain.split()
    if not 1 <= len(words) <= _WORDS_OF_A_NAME or re.search(r"[,;!?。、…=/\\#@]", plain):
        return False
    if any("\u3400" <= letter <= "\u9fff" for letter in plain):
        return len(plain) <= _LETTERS_OF_A_CHINESE_NAME
    if not words[0][0].isalpha():
        return False
    return all(
        word in _PARTICLES or word[0].isdigit() or (word[0].isalpha() and not word[0].islower())
        for word in words
    )


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
