"""Find the longest runs of tokens that two texts share word for word."""

import numpy as np

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no bits are lost when hashes wrap round
_ONE = np.uint64(1)  # so that token 0 also moves the hash


def longest_runs(text: np.ndarray, corpus: np.ndarray, least: int, most: int) -> np.ndarray:
    """For each position of `text`, the length of the longest run from it that `corpus` holds.

    Runs shorter than `least` count as zero and the search stops at `most`. A run of k + 1 can start
    only where a run of k did, so each round looks at the places the last one left: the whole
    corpus is hashed once.
    """
    text, corpus = text.astype(np.uint64), corpus.astype(np.uint64)
    longest = np.zeros(len(text), dtype=int)
    places = [np.arange(len(tokens) - least + 1) for tokens in (text, corpus)]
    hashes = [_window_hashes(tokens, least) for tokens in (text, corpus)]
    for length in range(least, most + 1):
        shared = np.intersect1d(*hashes)
        kept = [np.isin(h, shared) for h in hashes]
        places = [p[k] for p, k in zip(places, kept, strict=True)]
        longest[places[0]] = length
        if not len(shared):
            break
        for i, tokens in enumerate((text, corpus)):
            room = places[i] + length < len(tokens)
            places[i] = places[i][room]
            hashes[i] = hashes[i][kept[i]][room] * MULTIPLIER + tokens[places[i] + length] + _ONE
    return longest


def _window_hashes(tokens: np.ndarray, length: int) -> np.ndarray:
    """A hash of each window of `length` tokens; numpy wraps the products at 64 bits."""
    count = len(tokens) - length + 1
    hashes = np.zeros(count, dtype=np.uint64)
    for offset in range(length):
        hashes = hashes * MULTIPLIER + tokens[offset : offset + count] + _ONE
    return hashes
