"""How alike texts are apart from what they are about."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from cqa.leaks import normal_words
from cqa.quality.words import FUNCTION_WORDS

OPENING_WORDS = 4
FRAME_TOKENS = 8
SHAPE_GRAM = 4

_LEAST_KEPT = 2
"""Words that are not masked in a gram of a skeleton; with fewer it is hardly a shape."""
_COMPARED = 2000
"""Records whose shapes are compared with one another; of a larger set, as many, evenly spaced."""
_SHOWN_FRAMES = 5


_MASK = "_"


_TOKEN = re.compile(r"[^\W_][\w'’]*|[^\w\s]")


def skeleton(text: str, frequent: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """A text without its content: function words and punctuation stay, the rest is masked.

    Words of `frequent` stay as well. A run of masked words is one mask, so that a slot filled with
    three words looks like one filled with a single word.
    """
    tokens: list[str] = []
    for match in _TOKEN.finditer(text):
        sign = match.group()
        if not sign[0].isalnum():
            tokens += [sign] if unicodedata.category(sign)[0] == "P" else []
            continue
        for word in normal_words(sign):
            kept = word in FUNCTION_WORDS or word in frequent
            if kept or tokens[-1:] != [_MASK]:
                tokens.append(word if kept else _MASK)
    return tuple(tokens)


def shape(ids: Sequence[str], texts: Sequence[str]) -> dict[str, Any]:
    """How alike texts are apart from what they are about; a template that is refilled shows here.

    The skeletons keep function words, punctuation and every word that stands in at least half of
    the texts. `mean_cosine` is over all pairs of skeletons as bags of 4-grams; `nearest_cosine` is
    the mean over texts of the highest one, which also rises with several templates; a
    frame is a stretch of 8 tokens of a skeleton, and `repeated_frames` the share of frames that
    stand in another text too. Openings: the share of texts that begin with the same four words,
    or the same eight tokens of the skeleton, as another one.
    """
    written = [normal_words(text) for text in texts]
    holding = Counter(word for words in written for word in set(words))
    frequent = frozenset(w for w, n in holding.items() if n >= 3 and 2 * n >= len(texts))
    bones = [skeleton(text, frequent) for text in texts]
    frames = [set(_grams(bone, FRAME_TOKENS)) for bone in bones]
    standing = Counter(frame for of_text in frames for frame in of_text)
    repeated = sorted(
        ((frame, n) for frame, n in standing.items() if n > 1), key=lambda pair: (-pair[1], pair[0])
    )
    every = sum(map(len, frames))
    mean, nearest, pair = _cosines(ids, bones)
    return {
        "texts": len(texts),
        "repeated_openings": _repeated(tuple(words[:OPENING_WORDS]) for words in written),
        "repeated_skeleton_openings": _repeated(bone[:FRAME_TOKENS] for bone in bones),
        "mean_cosine": mean,
        "nearest_cosine": nearest,
        "most_alike": pair,
        "repeated_frames": sum(n for _, n in repeated) / every if every else None,
        "frames": [[" ".join(frame), n] for frame, n in repeated[:_SHOWN_FRAMES]],
    }


def _grams(tokens: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    """The stretches of a skeleton in which enough words are left to be a shape."""
    for start in range(len(tokens) - length + 1):
        gram = tuple(tokens[start : start + length])
        if sum(token != _MASK and token[0].isalnum() for token in gram) >= _LEAST_KEPT:
            yield gram


def _repeated(openings: Iterable[tuple[str, ...]]) -> float | None:
    """The share of texts whose opening is that of another text; empty ones do not count."""
    counts = Counter(opening for opening in openings if opening)
    texts = counts.total()
    return sum(n for n in counts.values() if n > 1) / texts if texts > 1 else None


def _cosines(
    ids: Sequence[str], bones: Sequence[tuple[str, ...]]
) -> tuple[float | None, float | None, list[Any] | None]:
    """Mean over pairs, mean over texts of the highest, and the most alike pair with its cosine."""
    from scipy import sparse

    chosen = np.unique(np.linspace(0, len(ids) - 1, min(len(ids), _COMPARED)).astype(int))
    columns: dict[tuple[str, ...], int] = {}
    rows, places = [], []
    for row, number_of in enumerate(chosen):
        for gram in _grams(bones[number_of], SHAPE_GRAM):
            rows.append(row)
            places.append(columns.setdefault(gram, len(columns)))
    if len(chosen) < 2 or not rows:
        return None, None, None
    counts = sparse.csr_array((np.ones(len(rows)), (rows, places)))
    counts.resize(len(chosen), len(columns))
    lengths = np.sqrt(counts.multiply(counts).sum(axis=1))
    unit = sparse.diags_array(1 / np.where(lengths == 0, 1, lengths)) @ counts
    cosines = np.asarray((unit @ unit.T).todense())
    np.fill_diagonal(cosines, 0)
    n = len(chosen)
    one, other = np.unravel_index(np.argmax(cosines), cosines.shape)
    pair = [ids[chosen[one]], ids[chosen[other]], min(1.0, float(cosines[one, other]))]
    return float(cosines.sum() / (n * (n - 1))), float(cosines.max(axis=1).mean()), pair
