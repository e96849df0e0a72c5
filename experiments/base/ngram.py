"""A yardstick for the model: an interpolated Kneser-Ney 5-gram over the same tokens.

The highest order counts occurrences, the lower ones in how many contexts an n-gram was seen; each
order takes a discount D = n1 / (n1 + 2 n2) from every count and hands it to the order below (Chen
and Goodman 1999). Counts are sorted arrays, so that tens of millions of tokens fit.
"""

from dataclasses import dataclass

import numpy as np

ORDER = 5


@dataclass(frozen=True)
class Counts:
    """Counts of one order: of n-grams, and of their contexts (sum, and number of types)."""

    grams: np.ndarray
    gram_counts: np.ndarray
    contexts: np.ndarray
    context_sums: np.ndarray
    context_types: np.ndarray
    discount: float

    @classmethod
    def of(cls, grams: np.ndarray, counts: np.ndarray, bits: int) -> "Counts":
        """`grams` are sorted keys whose last `bits` bits are the last token."""
        contexts, starts = np.unique(grams >> bits, return_index=True)
        n1, n2 = (int((counts == n).sum()) for n in (1, 2))
        return cls(
            grams,
            counts,
            contexts,
            np.add.reduceat(counts, starts),
            np.diff(np.append(starts, len(grams))),
            n1 / (n1 + 2 * n2) if n1 else 0.0,
        )

    def interpolate(self, grams: np.ndarray, lower: np.ndarray, bits: int) -> np.ndarray:
        """p(last token | context) of each key, `lower` being that of the order below."""
        count = _look_up(self.grams, self.gram_counts, grams)
        total = _look_up(self.contexts, self.context_sums, grams >> bits)
        types = _look_up(self.contexts, self.context_types, grams >> bits)
        kept = np.maximum(count - self.discount, 0) + self.discount * types * lower
        return np.where(total > 0, kept / np.maximum(total, 1), lower)


class KneserNey:
    """The model. Tokens are ids below `vocabulary`, which may have at most 15 bits."""

    def __init__(self, tokens: np.ndarray, vocabulary: int) -> None:
        self.vocabulary, self.bits = vocabulary, int(vocabulary - 1).bit_length()
        packed = {n: self._packed(tokens, n) for n in range(1, ORDER)}
        self.fours, rank = np.unique(packed[ORDER - 1], return_inverse=True)
        packed[ORDER] = rank[:-1] << self.bits | tokens[ORDER - 1 :]
        del rank
        self.orders: dict[int, Counts] = {}
        seen = np.unique(packed[ORDER], return_index=True, return_counts=True)
        for n in range(ORDER, 0, -1):
            grams, first, counts = seen
            self.orders[n] = Counts.of(grams, counts, self.bits)
            if n > 1:  # each type of this order is one context of the order below
                suffixes = packed[n - 1][first + 1]
                grams, index, counts = np.unique(suffixes, return_index=True, return_counts=True)
                seen = grams, first[index] + 1, counts

    def probabilities(self, tokens: np.ndarray) -> np.ndarray:
        """p of each token given up to four before it; shape (tokens,)."""
        found = np.full(len(tokens), 1 / self.vocabulary)
        for n in range(1, ORDER + 1):
            here = slice(n - 1, None)
            grams = self._packed(tokens, min(n, ORDER - 1))
            if n == ORDER:
                rank = np.searchsorted(self.fours, grams[:-1])
                rank[rank == len(self.fours)] = 0
                known = self.fours[rank] == grams[:-1]
                grams = np.where(known, rank, len(self.fours)) << self.bits | tokens[ORDER - 1 :]
            found[here] = self.orders[n].interpolate(grams, found[here], self.bits)
        return found

    def _packed(self, tokens: np.ndarray, n: int) -> np.ndarray:
        """Keys of the n-grams that begin at each place."""
        keys = np.zeros(len(tokens) - n + 1, np.int64)
        for i in range(n):
            keys = keys << self.bits | tokens[i : len(tokens) - n + 1 + i]
        return keys


def _look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """values of the wanted keys, 0 where there is none; `keys` are sorted."""
    at = np.searchsorted(keys, wanted)
    at[at == len(keys)] = 0
    return np.where(keys[at] == wanted, values[at], 0)
