"""What two texts share: copying from the brief, words of the brief, a verbatim run of words."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

COPIED_WORDS = 5
"""A verbatim run of so many words from the brief raises the copying flag."""


def words(text: str) -> list[str]:
    """The words of a text, case folded."""
    return [match.group().casefold() for match in _WORD.finditer(text)]


def longest_shared_run(one: str, other: str) -> int:
    """Length in words of the longest run of words that stands in both texts."""
    first, second = words(one), words(other)
    best, ending_here = 0, [0] * (len(second) + 1)
    for word in first:
        previous = 0
        for j, candidate in enumerate(second, start=1):
            saved = ending_here[j]
            ending_here[j] = previous + 1 if word == candidate else 0
            best = max(best, ending_here[j])
            previous = saved
    return best


def copies(text: str, source: str) -> bool:
    """Whether the text repeats COPIED_WORDS words of the source in a row."""
    return longest_shared_run(text, source) >= COPIED_WORDS


def novel_tokens(text: str, spans: Sequence[tuple[int, int]], source: str) -> list[bool]:
    """For each token span of `text`: the word it belongs to does not occur in `source`.

    A token outside every word (punctuation, white space) copies no word and counts as novel.
    """
    known = set(words(source))
    word_spans = [(m.start(), m.end(), m.group().casefold()) for m in _WORD.finditer(text)]
    novel = []
    for start, end in spans:
        touched = [word for left, right, word in word_spans if left < end and start < right]
        novel.append(not any(word in known for word in touched))
    return novel
