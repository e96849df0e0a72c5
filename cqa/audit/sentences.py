"""The sentences of a text, English or Chinese, by rules and without a model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

LEAST_WORDS = 4
_UNSPACED_LETTERS = 6
_BULLET = re.compile(r"^\s*(?:[-*•–·>#|]+|\(?\d{1,3}[.)]|\(?[A-Za-z]\))\s+")
_END = re.compile(r"[.!?…]+[\"'”’»)\]*]*(?=\s)|[!?]+(?=[㐀-鿿])|[。！？]+[”’」』）\"]*")
_NEVER_LAST = re.compile(
    r"(?:mr|mrs|ms|dr|prof|st|vs|e\.g|i\.e|cf|fig|vol|approx|dept|gen|col|capt|lt|sgt|rev|hon)",
    re.I,
)


def sentences(text: str) -> list[str]:
    """The sentences of an English or Chinese text, white space collapsed, list marks removed.

    Rules, no model: a sentence ends at . ! ? … before white space unless an abbreviation, an
    initial or a small letter stands there, at 。！？ anywhere, at a blank line and at a list item.
    What has fewer than 4 words (or, without spaces, 6 letters) is a label or a scrap and left out.
    """
    return [
        sentence for block in _blocks(text) for sentence in _cut(block) if _long_enough(sentence)
    ]


def _blocks(text: str) -> Iterator[str]:
    """Runs of lines that belong together: hard-wrapped lines are joined, list items are not."""
    run: list[str] = []
    for line in [*text.splitlines(), ""]:
        bare = _BULLET.sub("", line).strip()
        closed = run and (run[-1][-1] in '.!?:;。！？：…"”|' or len(run[-1]) < 45)
        if run and (not bare or closed or _BULLET.match(line)):
            yield " ".join(" ".join(run).split())
            run = []
        if bare:
            run.append(bare)


def _cut(block: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(block):
        if _ends_here(block, start, end):
            yield _BULLET.sub("", block[start : end.end()]).strip()
            start = end.end()
    yield _BULLET.sub("", block[start:]).strip()


def _ends_here(block: str, start: int, end: re.Match[str]) -> bool:
    if end.group()[0] in "。！？" or not block[end.end()].isspace():
        return True
    if block[end.end() :].lstrip("\"'“‘«([*- ")[:1].islower():
        return False
    said = block[start : end.start()].split()
    if not end.group().startswith(".") or not said:
        return True
    last = said[-1].strip("\"'“‘([")
    initial = re.fullmatch(r"(?:[A-Z]\.)*[A-HJ-Z]", last)
    number_of_a_list = len(said) == 1 and last.isdigit()
    before_number = last.casefold() == "no" and block[end.end() :].lstrip()[:1].isdigit()
    return not (initial or number_of_a_list or before_number or _NEVER_LAST.fullmatch(last))


def _long_enough(sentence: str) -> bool:
    words = sum(any(map(str.isalpha, word)) for word in sentence.split())
    unspaced = sum(unicodedata.category(letter) == "Lo" for letter in sentence)
    return words >= LEAST_WORDS or unspaced >= _UNSPACED_LETTERS
