"""What can be counted in transcribed speech, English and Chinese, by rule and without a model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set

from cqa.overlap import words

RUN_WORDS = 6
"""A run of so many words is taken for a quotation. A Chinese or Japanese character counts as half
a word."""

_UNSPACED = r"[々〆〇\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_CHARACTER = re.compile(_UNSPACED)
_SENTENCE_END = re.compile(r"(?<=[!?。！？])\s*|(?<=[^.]\.)\s+|(?<=…)\s+")

_MARKERS = (
    # fillers
    r"\b(?:u+m+|u+h+m?|e+rm?|h+m+|mm+)\b",
    r"呃+|嗯+|唔+|哎哟|这个[，、…]|那个[，、…]",
    # a thought that breaks off
    r"\.{3,}|…+",
    # a word or two said again: "the, the", "I I", "我，我"
    r"\b(?P<said>[\w'’]+(?: [\w'’]+)?)(?:,| ?[–—]|-(?= ))\s*(?P=said)\b(?!['’])",
    r"\b(?P<small>i|the|an?|and|but|so|it|we|he|she|they|to|of|in) (?P=small)\b",
    rf"(?<!{_UNSPACED})(?P<unspaced>{_UNSPACED}{{1,4}})[，、…—]+(?P=unspaced)",
    # looking for the word
    r"(?<![a-z] )\bwell(?=[,.])|\bi mean\b|\byou know(?=[,.?])|\blet me (?:think|see|put|say)\b",
    r"\bhow (?:do|shall|can) i (?:say|put)\b|\bwhat(?:['’]s| is) (?:it|the word)(?=[,.?])",
    r"怎么说呢?|怎么讲呢?|让我想想|我想想|就是说",
    # taking it back
    r"(?<![a-z] )\b(?:wait|hang on|hold on)(?=[,.!?])|\bactually,|\b(?:or|no), rather\b",
    r"\b(?:strike|scrap) (?:that|what|the)\b|\bi take (?:that|it) back\b|\bthat['’]s wrong\b",
    r"(?:(?<=[a-z][,.?!…] )|(?<=\.\. ))no(?=[,.])|\bsorry(?=,)",
    r"不对(?![劲付称])|说错了|(?<![^，。！？…])等等|等一下|且慢|我是说|应该说|不是[，、]|我收回",
)
_MARKER = re.compile("|".join(_MARKERS), re.IGNORECASE)

_CONNECTIVE = re.compile(
    # named by the paper (arXiv 2605.25549, section 3.3.1), and the same in Chinese
    r"\b(?:because|therefore|must|otherwise)\b|因为|所以|必须|否则"
    # ours
    r"|\b(?:hence|thus|unless|or else|has to|have to|had to|that['’]s why|which is why)\b"
    r"|因此|不然|除非|只能|不得不|才能",
    re.IGNORECASE,
)
_SUPPORT = re.compile(
    r"^\W*(?:(?:first|second|third|fourth)(?:ly|(?=,)| of all| point)|moreover|furthermore"
    r"|in addition|additionally|finally|lastly|in conclusion|to sum up|in summary|overall)\b"
    r"|^\W*(?:首先|其次|再次|第[一二三四五][，、]|此外|另外|最后，|综上|总之|总的来说)",
    re.IGNORECASE,
)
_ASSENT = re.compile(
    r"\b(?:right|correct|yes|no|(?:is|do|does|did|would|wo|ca|could)n['’]t (?:it|he|she|they|you))"
    r"\?\W*$|(?:对吧|是吧|对不对|是不是|不是吗|对吗|是吗)[？?]\W*$",
    re.IGNORECASE,
)


def units(text: str) -> list[str]:
    """The words of a text, case folded; of Chinese and Japanese, the single characters."""
    return words(_CHARACTER.sub(r" \g<0> ", text))


def sentences(text: str) -> list[str]:
    """The sentences of a turn; an ellipsis ends one only before white space."""
    return [sentence for sentence in _SENTENCE_END.split(text) if sentence.strip()]


def hesitations(text: str) -> list[str]:
    """The markers of hesitation and self-correction in a text, as they stand there.

    Fillers, thoughts broken off, words said twice, the search for a word, and its withdrawal. The
    list is ours and short: it misses what is said in other ways, and a `no,` may be a plain answer.
    """
    return [match.group() for match in _MARKER.finditer(text)]


def load_bearing_claims(text: str) -> list[str]:
    """The sentences with a causal connective, which may bear load.

    The paper asks in addition whether the segment collapses when the connective is reversed. That
    takes a reader; this list is longer than theirs would be, and misses claims without connectives.
    """
    return [sentence for sentence in sentences(text) if _CONNECTIVE.search(sentence)]


def support_openers(text: str) -> list[str]:
    """The sentences that open as a prepared list does: firstly, moreover, in sum; 首先, 综上."""
    return [sentence for sentence in sentences(text) if _SUPPORT.search(sentence)]


def asks_for_assent(text: str) -> bool:
    """Whether a question ends as one that wants a yes: right? isn't it? 对吧？

    To turn round what was just said and ask for a yes yields little (section 3.3.1 of the paper).
    """
    return bool(_ASSENT.search(text))


def borrowed_run(text: str, known: Set[tuple[str, ...]]) -> str | None:
    """The first run of RUN_WORDS words of `text` that is known, as words joined by spaces."""
    return next((" ".join(run) for run in _runs(text) if run in known), None)


def runs(texts: Iterable[str]) -> set[tuple[str, ...]]:
    """Every run of RUN_WORDS words that stands in one of these texts."""
    return {run for text in texts for run in _runs(text)}


def _runs(text: str) -> list[tuple[str, ...]]:
    """For every unit, the shortest run from it that is RUN_WORDS long, characters being half."""
    said = units(text)
    halves = [1 if _CHARACTER.fullmatch(unit) else 2 for unit in said]
    runs, end, length = [], 0, 0
    for start in range(len(said)):
        while length < 2 * RUN_WORDS and end < len(said):
            length += halves[end]
            end += 1
        if length < 2 * RUN_WORDS:
            break
        runs.append(tuple(said[start:end]))
        length -= halves[start]
    return runs
