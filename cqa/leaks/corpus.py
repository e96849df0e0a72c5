"""The words of two sets in one array, and the hash of every run of so many of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cqa.leaks.words import normal_words, unspaced
from cqa.types import PARTS, Annotation, Brief, Dialogue, Item

_QUOTED_WORDS = 14

Row = Annotation | Dialogue | Item


@dataclass(frozen=True)
class Placed:
    """A row and the place it was read from, file:line."""

    where: str
    row: Row


@dataclass(frozen=True, eq=False)
class Corpus:
    """The words of all fields of all rows, one after the other.

    `tokens` and `weights` (2 for a word, 1 for a character of a script without spaces) have shape
    (words,); `starts` has shape (fields + 1,); `row_of` and `names` have one entry per field.
    """

    vocabulary: list[str]
    tokens: np.ndarray
    weights: np.ndarray
    starts: np.ndarray
    row_of: np.ndarray
    names: list[str]

    @classmethod
    def of(cls, rows: Iterable[Placed]) -> Corpus:
        ids: dict[str, int] = {}
        tokens: list[int] = []
        starts, row_of, names = [0], [], []
        for number, placed in enumerate(rows):
            for name, text in _fields(placed.row):
                tokens += [ids.setdefault(word, len(ids)) for word in normal_words(text)]
                starts.append(len(tokens))
                row_of.append(number)
                names.append(name)
        weight_of = np.array([1 if unspaced(word[0]) else 2 for word in ids], dtype=np.int64)
        array = np.array(tokens, dtype=np.int64)
        return cls(
            list(ids),
            array,
            weight_of[array] if len(ids) else array,
            np.array(starts),
            np.array(row_of, dtype=np.int64),
            names,
        )

    @cached_property
    def field_of(self) -> np.ndarray:
        """The field of each word, shape (words,)."""
        return np.repeat(np.arange(len(self.names)), np.diff(self.starts))

    def windows(self, words: int) -> tuple[np.ndarray, np.ndarray]:
        """From each word on, the shortest run that weighs `words` words: (hash, whether it fits).

        Both have shape (words,). The hash is Σ mix(token_i)·B^(i − start) modulo 2^64, from sums
        over prefixes: B is odd and so has an inverse.
        """
        total = np.concatenate([[0], np.cumsum(self.weights)])
        ends = np.searchsorted(total, total[:-1] + 2 * words)
        fits = ends <= self.starts[1:][self.field_of]
        ends = np.where(fits, ends, np.arange(len(ends)))
        base = 0x9E3779B97F4A7C15
        prefix = np.zeros(len(total), dtype=np.uint64)
        np.cumsum(_mixed(self.tokens) * _powers(base, len(self.tokens)), out=prefix[1:])
        inverse = _powers(pow(base, -1, 2**64), len(self.tokens))
        return (prefix[ends] - prefix[:-1]) * inverse, fits

    def quote(self, start: int, length: int, *, shown: bool) -> str:
        """The words from `start` on, shortly, or only how many where they may not be shown."""
        words = [self.vocabulary[token] for token in self.tokens[start : start + length]]
        spaced = not all(map(unspaced, (word[0] for word in words)))
        unit, most = ("words", _QUOTED_WORDS) if spaced else ("characters", 2 * _QUOTED_WORDS)
        if not shown:
            return f"{len(words)} {unit} (not cleared for redistribution)"
        more = "..." if len(words) > most else ""
        return f"'{(' ' if spaced else '').join(words[:most])}{more}' ({len(words)} {unit})"


def _powers(base: int, count: int) -> np.ndarray:
    """1, B, B², ... modulo 2^64, shape (count,)."""
    factors = np.full(count, base, dtype=np.uint64)
    factors[:1] = 1
    return np.cumprod(factors)


def _mixed(tokens: np.ndarray) -> np.ndarray:
    """Word numbers spread over 64 bits by the finaliser of splitmix64 (Steele et al. 2014)."""
    mixed = (tokens.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _fields(row: Row) -> Iterator[tuple[str, str]]:
    """(dotted path, text) of everything in a row that can be read in training or is scored."""
    if isinstance(row, Dialogue):
        if row.preamble:
            yield "preamble", row.preamble
        for number, turn in enumerate(row.turns):
            yield f"turns[{number}].text", turn.text
            if turn.raw:
                yield f"turns[{number}].raw", turn.raw
        return
    yield _text_field(row), row.text if isinstance(row, Item) else row.passage
    yield "foil", row.foil
    yield "context", row.context
    yield from _parts(row.brief)
    if isinstance(row, Annotation):
        for number, step in enumerate(row.reasoning):
            yield f"reasoning[{number}].claim", step.claim
        yield "decision", row.decision
        for number, rejected in enumerate(row.rejected):
            yield f"rejected[{number}].choice", rejected.choice
            yield f"rejected[{number}].reason", rejected.reason


def _text_field(row: Annotation | Item) -> str:
    return "text" if isinstance(row, Item) else "passage"


def _parts(brief: Brief) -> Iterator[tuple[str, str]]:
    for part in PARTS:
        if words := getattr(brief, part):
            yield f"brief.{part}", words
