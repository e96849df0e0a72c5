"""Texts that are nearly the same, by the overlap of their three-word shingles (Broder 1997)."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cqa.leaks.corpus import Corpus
from cqa.leaks.shared import MOST, Shared

NEAR = 0.5
"""From this Jaccard similarity of three-word shingles on, two texts are near-duplicates."""
_SHINGLE_WORDS = 3
_FEWEST_SHINGLES = 6
"""Texts of less than eight words are alike by chance."""
_BANDS, _ROWS = 40, 3
"""Of the locality-sensitive hashing: a pair is looked at with probability 1 − (1 − J³)^40, which
is 0.995 at J = 0.5 and 0.9999 at J = 0.6."""
_MOST_CANDIDATES = 100
"""A text that resembles so many earlier ones is like them, and later texts meet those instead."""


@dataclass(frozen=True, eq=False)
class Document:
    """What is compared as one text: its row, its name, its fields, its shingles (sorted hashes)."""

    row: int
    name: str
    fields: tuple[int, ...]
    shingles: np.ndarray


@dataclass(frozen=True)
class Near:
    """Two texts of two rows, and how alike they are."""

    one: Document
    other: Document
    jaccard: float


def _documents(corpus: Corpus) -> Iterator[Document]:
    """Of each row the whole and, of an annotation or item, text and foil by themselves."""
    hashes, fits = corpus.windows(_SHINGLE_WORDS)
    bounds = np.searchsorted(corpus.row_of, np.arange(corpus.row_of.max(initial=-1) + 2))
    for row, (low, high) in enumerate(itertools.pairwise(bounds)):
        fields = range(int(low), int(high))
        alone = [n for n in fields if corpus.names[n] in ("text", "passage", "foil")]
        whole = [n for n in fields if _in_whole(corpus.names[n])]
        for name, chosen in [("", whole), *((corpus.names[n], [n]) for n in alone)]:
            spans = [slice(*corpus.starts[n : n + 2]) for n in chosen]
            parts = [hashes[span][fits[span]] for span in spans]
            shingles = np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.uint64)
            if len(shingles) >= _FEWEST_SHINGLES:
                yield Document(row, name, tuple(chosen), shingles)


def _in_whole(name: str) -> bool:
    return name in ("text", "passage", "context") or name.startswith(("brief.", "turns["))


def near_pairs(corpus: Corpus, indexed: int) -> dict[tuple[int, int], Near]:
    """(row, later row) -> the most alike of their texts, where the first is one of `indexed` rows.

    Candidates come from MinHash signatures in bands (Leskovec, Rajaraman & Ullman 2014, ch. 3), and
    are verified with the exact similarity.
    """
    from datasketch import MinHash, MinHashLSH

    documents: list[Document] = []
    index = MinHashLSH(num_perm=_BANDS * _ROWS, params=(_BANDS, _ROWS))
    empty = MinHash(num_perm=_BANDS * _ROWS, hashfunc=int)
    best: dict[tuple[int, int], Near] = {}
    for document in _documents(corpus):
        signature = empty.copy()
        signature.update_batch((document.shingles >> np.uint64(32)).tolist())
        found, candidates = 0, sorted(index.query(signature))
        for number in candidates:
            other = documents[number]
            if other.row == document.row:
                continue
            jaccard = _jaccard(other.shingles, document.shingles)
            if jaccard >= NEAR:
                found += 1
                pair = other.row, document.row
                if pair not in best or jaccard > best[pair].jaccard:
                    best[pair] = Near(other, document, jaccard)
        if document.row < indexed and found < MOST and len(candidates) < _MOST_CANDIDATES:
            index.insert(len(documents), signature, check_duplication=False)
            documents.append(document)
    return best


def _jaccard(one: np.ndarray, other: np.ndarray) -> float:
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)


def longest_block(corpus: Corpus, found: Near) -> Shared:
    """The longest run that two near-duplicates share; it may be short."""
    best = Shared(0, 0, 0, 0)
    for one in found.one.fields:
        for other in found.other.fields:
            (a, b), (c, d) = corpus.starts[one : one + 2], corpus.starts[other : other + 2]
            left, right = corpus.tokens[a:b].tolist(), corpus.tokens[c:d].tolist()
            match = difflib.SequenceMatcher(None, left, right, autojunk=False).find_longest_match()
            weight = int(corpus.weights[a + match.a : a + match.a + match.size].sum())
            if weight > best.weight:
                best = Shared(int(a) + match.a, int(c) + match.b, match.size, weight)
    return best
