"""`[00:01:23] Chao: text`: what may stand at the head of a line before the words that were said."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from cqa.importers.facts import seconds

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
    return _LEADING_TIME.sub("", line, count=1)


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
