"""Tokenised documents as streams, and a fixed order of sequences drawn from them."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from corpus import Document
from tokenizer import END
from tokenizers import Tokenizer

LONG_PART = 0.3  # of each stream is kept for the long sequences: both phases see fresh text


def write_streams(
    documents: list[Document], tokenizer: Tokenizer, seed: int, folder: Path
) -> dict[str, int]:
    """One file of uint16 tokens for each bucket: shuffled documents, each followed by an end."""
    order = np.random.default_rng(seed).permutation(len(documents))
    end = tokenizer.token_to_id(END)
    sizes: dict[str, int] = {}
    for bucket in sorted({d.bucket for d in documents}):
        texts = [documents[i].text for i in order if documents[i].bucket == bucket]
        parts = (np.asarray([*row, end], np.uint16) for row in _encode(tokenizer, texts))
        tokens = np.concatenate(list(parts))
        np.save(stream_path(folder, bucket), tokens)
        sizes[bucket] = len(tokens)
    (folder / "streams.json").write_text(json.dumps(sizes, indent=2) + "\n")
    return sizes


def stream_path(folder: Path, bucket: str) -> Path:
    return folder / (bucket.replace("/", "-").replace(" ", "-") + ".npy")


class Sequences:
    """Sequences of one length from all streams, drawn in a fixed order by bucket shares.

    The n-th batch depends on the seed and the counts in `taken` alone, and these go into the
    checkpoint: a resumed run draws what the uninterrupted one would have drawn.
    """

    def __init__(
        self, folder: Path, shares: dict[str, float], length: int, part: str, seed: int
    ) -> None:
        self.length, self.seed = length, seed
        self.shares = dict(sorted(shares.items()))
        self.streams, self.taken = {}, dict.fromkeys(self.shares, 0)
        self._order = functools.lru_cache(len(self.shares))(self._order)
        for bucket in self.shares:
            tokens = np.load(stream_path(folder, bucket), mmap_mode="r")
            cut = int(len(tokens) * (1 - LONG_PART))
            tokens = tokens[:cut] if part == "short" else tokens[cut:]
            rows = max(1, len(tokens) // length)
            self.streams[bucket] = np.resize(tokens, (rows, length))

    def next_batch(self, rows: int) -> np.ndarray:
        """`rows` sequences, shape (rows, length)."""
        number = sum(self.taken.values())
        draw = np.random.default_rng([self.seed, self.length, number])
        buckets = draw.choice(len(self.shares), size=rows, p=list(self.shares.values()))
        return np.stack([self.next_row(list(self.shares)[i]) for i in buckets]).astype(np.int64)

    def next_tokens(self, count: int, rows: int) -> np.ndarray:
        """The tokens of as many batches of `rows` sequences as it takes for `count`, end to end."""
        batches = range(0, count, rows * self.length)
        return np.concatenate([self.next_batch(rows).ravel() for _ in batches])

    def next_row(self, bucket: str) -> np.ndarray:
        rows = self.streams[bucket]
        turn, place = divmod(self.taken[bucket], len(rows))
        self.taken[bucket] += 1
        return rows[self._order(turn, len(rows))[place]]

    def _order(self, turn: int, rows: int) -> np.ndarray:
        return np.random.default_rng([self.seed, self.length, turn]).permutation(rows)


def _encode(tokenizer: Tokenizer, texts: list[str], group: int = 64) -> Iterator[list[int]]:
    for start in range(0, len(texts), group):
        for encoding in tokenizer.encode_batch(texts[start : start + group]):
            yield encoding.ids
