"""The style of what was written: endings, diversity, repetition, lock-in, copying. No model needed.

Every measure is taken of one item: of its text, or of its samples together where it speaks of
several. So models are compared item by item over the same briefs and seeds, and resampled by work.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cqa.overlap import words
from cqa.types import Text

SAME = 0.5
"""Two samples are one and the same where their word pairs overlap (Jaccard) by so much or more."""
_REPEATED = 4
_LONGEST = 40
"""Words beyond which a copy is not measured further: it is a copy."""

# The marks of the appreciation form (examples.py), and a line that opens with a speaker's label.
_ANALYSIS = re.compile(
    r"^\s*(?:Craft|Intent|Audience|Reality|Not|Decision|Judgement|Reasoning):", re.MULTILINE
)
_DIALOGUE = re.compile(
    r"^\s*(?:[BC]\d*|Q|A|User|Assistant|Human|Expert|Interviewer):\s", re.MULTILINE | re.IGNORECASE
)

MEASURES = {
    "words": "words a text",
    "ended_by_itself": "share of texts that ended by themselves",
    "empty": "share of texts without a word",
    "distinct_1": "different words ÷ words, over the samples of an item (Li et al. 2016)",
    "distinct_2": "different word pairs ÷ word pairs, over the samples of an item",
    "compression_ratio": "bytes ÷ bytes after zlib, over the samples of an item: more is alike",
    "repetition": "share of a text's four-word runs that stood in it before",
    "distinct_k": "kinds among the samples of an item ÷ samples; null for one sample",
    "lock_in": "share of texts in the form of an analysis or a dialogue where prose was asked for",
    "copied_words": "longest run of words that stands in a training annotation as well",
}
"""Name -> what it is, in the order in which they are shown. Each is a mean over an item's texts."""


@dataclass(frozen=True)
class Source:
    """The annotations a model was trained on, as sets of word runs that grow when asked for."""

    passages: tuple[tuple[str, ...], ...]
    runs: dict[int, frozenset[tuple[str, ...]]]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Source:
        """The texts as words."""
        return cls(tuple(tuple(words(text)) for text in texts), {})

    def has(self, length: int) -> frozenset[tuple[str, ...]]:
        """Every run of so many words."""
        if length not in self.runs:
            self.runs[length] = frozenset(
                run for passage in self.passages for run in _runs(passage, length)
            )
        return self.runs[length]

    def longest_copy(self, text: str) -> int:
        """Words of the longest run that `text` has in common with one of the passages."""
        written = tuple(words(text))
        longest = 0
        while longest < _LONGEST and any(
            run in self.has(longest + 1) for run in _runs(written, longest + 1)
        ):
            longest += 1
        return longest


def lock_in(text: str) -> bool:
    """An annotation's labels, or at least two lines that open with a speaker's label."""
    return bool(_ANALYSIS.search(text)) or len(_DIALOGUE.findall(text)) >= 2


def repetition(text: str) -> float | None:
    """1 − different four-word runs ÷ four-word runs (seq-rep-4 of Welleck et al. 2020)."""
    found = list(_runs(tuple(words(text)), _REPEATED))
    return 1 - len(set(found)) / len(found) if found else None


def distinct(texts: Sequence[str], n: int) -> float | None:
    """Different n-word runs ÷ n-word runs, over all texts together; None where there are none."""
    found = [run for text in texts for run in _runs(tuple(words(text)), n)]
    return len(set(found)) / len(found) if found else None


def compression_ratio(texts: Sequence[str]) -> float | None:
    """UTF-8 bytes ÷ bytes after zlib, over all texts together; None where all are empty."""
    joined = "\n".join(text for text in texts if text).encode("utf-8", "replace")
    return len(joined) / len(zlib.compress(joined, 9)) if joined else None


def kinds(texts: Sequence[str]) -> int:
    """How many kinds of text there are: distinct_k of NoveltyBench (Zhang et al. 2025), by words.

    A text is of the first kind whose founder shares SAME of their word pairs, else it founds one.
    NoveltyBench asks a trained classifier; this one asks only whether the words are the same.
    """
    founders: list[frozenset[tuple[str, ...]]] = []
    for text in texts:
        written = tuple(words(text))
        pairs = frozenset(_runs(("", *written), 2))
        if not any(_jaccard(pairs, founder) >= SAME for founder in founders):
            founders.append(pairs)
    return len(founders)


def measured(texts: Sequence[Text], source: Source) -> dict[str, dict[str, float | None]]:
    """Item -> each of MEASURES, over the item's samples."""
    items: dict[str, list[Text]] = {}
    for text in texts:
        items.setdefault(text.item or text.id or "", []).append(text)
    return {item: _measures(samples, source) for item, samples in items.items()}


def overall(texts: Sequence[Text], per_item: Mapping[str, Mapping[str, float | None]]) -> dict:
    """Counts and means over all texts of one model."""
    means = {}
    for name in MEASURES:
        values = [row[name] for row in per_item.values() if row[name] is not None]
        means[name] = sum(values) / len(values) if values else None
    written = [text.text for text in texts]
    copied = [row["copied_words"] for row in per_item.values()]
    return {
        "texts": len(written),
        "empty": sum(not text.strip() for text in written),
        "ended_by_itself": sum(bool(text.meta.get("ended")) for text in texts),
        "lock_in": sum(map(lock_in, written)),
        "distinct_2": distinct(written, 2),
        "compression_ratio": compression_ratio(written),
        "longest_copy_words": int(max((c for c in copied if c is not None), default=0)),
        "per_item": means,
    }


def _measures(samples: Sequence[Text], source: Source) -> dict[str, float | None]:
    written = [sample.text for sample in samples]
    many = len(written) > 1
    return {
        "words": _mean(written, lambda text: len(words(text))),
        "ended_by_itself": sum(bool(s.meta.get("ended")) for s in samples) / len(samples),
        "empty": _mean(written, lambda text: not text.strip()),
        "distinct_1": distinct(written, 1),
        "distinct_2": distinct(written, 2),
        "compression_ratio": compression_ratio(written),
        "repetition": _mean(written, repetition),
        "distinct_k": kinds(written) / len(written) if many else None,
        "lock_in": _mean(written, lock_in),
        "copied_words": float(max(map(source.longest_copy, written))),
    }


def _mean(texts: Sequence[str], measure: Callable[[str], float | None]) -> float | None:
    values = [value for text in texts if (value := measure(text)) is not None]
    return sum(values) / len(values) if values else None


def _runs(written: tuple[str, ...], length: int) -> Iterable[tuple[str, ...]]:
    return zip(*(itertools.islice(written, start, None) for start in range(length)), strict=False)


def _jaccard(one: frozenset, other: frozenset) -> float:
    return len(one & other) / len(one | other) if one or other else 1.0
