"""Runs of words that stand on both sides: the longest of each pair of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cqa.leaks.corpus import Corpus

SHARED_WORDS = 8
"""A run of so many words on both sides is a leak; in a script without spaces, of twice as many
characters. In a mixed run a character counts as half a word."""
MOST = 20
"""Partners that a row is named with where a phrase is everywhere."""


@dataclass(frozen=True)
class Shared:
    """Words that stand in both rows: where they begin on either side, how many, their weight."""

    item_start: int
    record_start: int
    length: int
    weight: int


def shared_runs(corpus: Corpus, border: int) -> dict[tuple[int, int], Shared]:
    """(row before the border, row from it on) -> the longest run of words that stands in both."""
    hashes, fits = corpus.windows(SHARED_WORDS)
    first = int(corpus.starts[np.searchsorted(corpus.row_of, border)])
    places = np.flatnonzero(fits)
    left, right = places[places < first], places[places >= first]
    right = right[np.isin(hashes[right], hashes[left])]
    right = right[np.argsort(hashes[right], kind="stable")]
    low = np.searchsorted(hashes[right], hashes[left], side="left")
    high = np.searchsorted(hashes[right], hashes[left], side="right")
    counts = np.minimum(high - low, MOST)
    nth = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    left, right = np.repeat(left, counts), right[np.repeat(low, counts) + nth]

    tokens, starts = corpus.tokens, corpus.starts
    goes_on = (  # the run began earlier and is found there
        (left > starts[corpus.field_of[left]])
        & (right > starts[corpus.field_of[right]])
        & (tokens[left - 1] == tokens[right - 1])
    )
    best: dict[tuple[int, int], Shared] = {}
    for one, other in zip(left[~goes_on].tolist(), right[~goes_on].tolist(), strict=True):
        fields = corpus.field_of[one], corpus.field_of[other]
        room = min(starts[fields[0] + 1] - one, starts[fields[1] + 1] - other)
        differ = np.flatnonzero(tokens[one : one + room] != tokens[other : other + room])
        length = int(differ[0]) if len(differ) else int(room)
        weight = int(corpus.weights[one : one + length].sum())
        pair = int(corpus.row_of[fields[0]]), int(corpus.row_of[fields[1]])
        if weight >= 2 * SHARED_WORDS and (pair not in best or weight > best[pair].weight):
            best[pair] = Shared(one, other, length, weight)
    return best
