"""Pieces that begin alike -> rows that hold the beginning once: a tree of tokens, laid out flat.

The conditions of one text share much: its foil has the same preface and context, and the preface of
intent and audience begins with that of intent alone. A row keeps each shared token once; a token
stands at its own depth and attends to its ancestors only, so that its state is what it would be in
a sequence of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from cqa.conditions import Piece

_LEAST_SHARED = 0.25
"""Part of a piece that must be in the row already: below it the wider mask costs more."""


@dataclass
class Row:
    """Tokens of one row of a pass. `parents[i]` is the token before token i, −1 for the first."""

    ids: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    predictors: list[list[int]] = field(default_factory=list)
    """For each piece, where in the row its scored tokens are predicted from."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_chain(self) -> bool:
        """No branches: an ordinary sequence, for which causal attention needs no mask."""
        return len(self.pieces) == 1

    def add(self, piece: Piece, path: Sequence[int] = ()) -> list[int]:
        """Lay out what `piece` does not share with the row; `path` is where the shared part lies.

        Returns the path of the whole piece. The last token of a piece is never an input.
        """
        inputs = [*piece.left, *piece.target][:-1]
        shared, start = len(path), len(self.ids)
        new = range(start, start + len(inputs) - shared)
        here = [*path, *new]
        self.parents += [here[i - 1] if i else -1 for i in range(shared, len(here))]
        self.depths += range(shared, len(here))
        self.ids += inputs[shared:]
        self.pieces.append(piece)
        first = len(piece.left) - 1
        self.predictors.append(here[first : first + len(piece.target)])
        return here

    def ancestors(self, width: int) -> np.ndarray:
        """(width, width) booleans: which tokens each token attends to. Padding sees itself."""
        seen = np.eye(width, dtype=bool)
        for i, parent in enumerate(self.parents):
            if parent >= 0:
                seen[i] |= seen[parent]
        return seen


def rows_of(pieces: Iterable[Piece], *, share: bool, longest: int) -> list[Row]:
    """One row for each piece, or with `share` one for pieces that begin alike.

    A row with branches has at most `longest` tokens.
    """
    if not share:
        return [_chain(piece) for piece in pieces]
    rows: list[Row] = []
    last: tuple[int, ...] = ()
    path: list[int] = []
    for piece in sorted(pieces, key=lambda p: (*p.left, *p.target)):
        inputs = (*piece.left, *piece.target)[:-1]
        common = _common(last, inputs)
        fits = rows and len(rows[-1]) + len(inputs) - common <= longest
        if fits and common >= _LEAST_SHARED * len(inputs):
            path = rows[-1].add(piece, path[:common])
        else:
            rows.append(Row())
            path = rows[-1].add(piece)
        last = inputs
    return rows


def batches_of(rows: Sequence[Row], tokens_per_pass: int, a_pass: int) -> list[list[Row]]:
    """Rows, in their order -> batches of width times height within the limit, with least padding.

    The cuts are those of least total cost. A pass costs its tokens with padding and as much as
    `a_pass` tokens more. best[i] is the cost of the first i rows, cut[i] where their last batch
    begins.
    """
    best, cut = [0], [0]
    for end in range(1, len(rows) + 1):
        widest, found = 0, (float("inf"), end - 1)
        for start in range(end - 1, -1, -1):
            widest = max(widest, len(rows[start]))
            tokens = widest * (end - start)
            if tokens > tokens_per_pass and start < end - 1:
                break
            found = min(found, (best[start] + tokens + a_pass, start))
        best.append(found[0])
        cut.append(found[1])
    batches = []
    end = len(rows)
    while end:
        batches.append(list(rows[cut[end] : end]))
        end = cut[end]
    return batches[::-1]


def _chain(piece: Piece) -> Row:
    row = Row()
    row.add(piece)
    return row


def _common(one: Sequence[int], two: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    for i, (a, b) in enumerate(zip(one, two, strict=False)):
        if a != b:
            return i
    return min(len(one), len(two))
