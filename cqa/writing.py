"""What happened to the writing: endings, diversity, lock-in, copying. Counts, not verdicts."""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from cqa.overlap import longest_shared_run, words

# The marks of the appreciation form (examples.judgement) and of a dialogue transcript.
_ANALYSIS = re.compile(
    r"^\s*(?:Craft|Intent|Audience|Reality|Not|Decision|Judgement|[BC]\d*):", re.MULTILINE
)


@dataclass(frozen=True)
class Writing:
    """Facts about the texts of one model."""

    texts: int
    empty: int
    ended_by_itself: int
    mean_words: float
    distinct_2: float | None
    """Different word pairs ÷ word pairs, over all texts together (Li et al. 2016)."""
    compression_ratio: float | None
    """Bytes ÷ bytes after zlib, over all texts together; higher is more repetitive."""
    lock_in: int
    """Texts that fall into the form of an analysis or a dialogue where prose was asked for."""
    longest_copy_words: int
    """Longest run of words that stands in a training passage as well."""


def describe(texts: Sequence[str], ended: Sequence[bool], trained_on: Sequence[str]) -> Writing:
    """The facts about a set of texts; `trained_on` are the passages of the annotations."""
    written = [words(text) for text in texts]
    pairs = [pair for text in written for pair in itertools.pairwise(text)]
    joined = "\n".join(texts).encode("utf-8")
    return Writing(
        texts=len(texts),
        empty=sum(not text.strip() for text in texts),
        ended_by_itself=sum(ended),
        mean_words=sum(map(len, written)) / len(texts),
        distinct_2=len(set(pairs)) / len(pairs) if pairs else None,
        compression_ratio=len(joined) / len(zlib.compress(joined, 9)) if joined else None,
        lock_in=sum(bool(_ANALYSIS.search(text)) for text in texts),
        longest_copy_words=max(
            (longest_shared_run(text, passage) for text in texts for passage in trained_on),
            default=0,
        ),
    )
