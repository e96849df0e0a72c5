"""Rows that hold a common beginning once: every piece keeps its own sequence."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cqa.conditions import Piece
from cqa.packing import batches_of, rows_of

TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=8).map(tuple)
PIECES = st.lists(st.builds(Piece, TOKENS, TOKENS), min_size=1, max_size=12, unique=True)


def seen_from(row, place: int) -> list[int]:
    """The tokens that a place attends to, in the order of their depth."""
    places = np.flatnonzero(row.ancestors(len(row))[place])
    assert sorted(row.depths[i] for i in places) == list(range(len(places)))
    return [row.ids[i] for i in sorted(places, key=lambda i: row.depths[i])]


@given(PIECES, st.booleans(), st.integers(1, 40))
def test_every_scored_token_sees_exactly_what_stands_before_it(pieces, share, longest):
    rows = rows_of(pieces, share=share, longest=longest)
    laid_out = [piece for row in rows for piece in row.pieces]
    assert sorted(laid_out, key=repr) == sorted(pieces, key=repr)
    for row in rows:
        assert row.is_chain or len(row) <= longest
        for piece, places in zip(row.pieces, row.predictors, strict=True):
            for i, place in enumerate(places):
                assert seen_from(row, place) == [*piece.left, *piece.target[:i]]


def test_the_tokens_of_a_shared_beginning_are_there_once():
    stem = (0, 4, 5, 6, 7, 8)
    text, foil = Piece(stem, (1, 2, 3)), Piece(stem, (9, 2, 3))
    (row,) = rows_of([text, foil], share=True, longest=100)
    assert len(row) == 6 + 2 + 2  # the last token of a piece is never an input
    assert row.predictors[0][0] == row.predictors[1][0] == 5
    assert sum(map(len, rows_of([text, foil], share=False, longest=100))) == 8 + 8


def test_pieces_with_little_in_common_stay_apart():
    one, two = Piece((0, *range(10, 20)), (1,)), Piece((0, *range(30, 40)), (1,))
    assert len(rows_of([one, two], share=True, longest=100)) == 2


@given(PIECES, st.integers(1, 30))
def test_a_pass_stays_within_its_tokens_unless_one_row_is_longer(pieces, limit):
    rows = rows_of(pieces, share=False, longest=1)
    batches = batches_of(rows, limit, a_pass=32)
    assert [row for batch in batches for row in batch] == rows
    for batch in batches:
        assert len(batch) == 1 or max(map(len, batch)) * len(batch) <= limit


def test_rows_of_unlike_length_do_not_share_a_pass_where_padding_costs_more():
    pieces = [Piece((0,), tuple(range(length))) for length in (100, 101, 102, 900, 901)]
    batches = batches_of(rows_of(pieces, share=False, longest=1), 4096, a_pass=128)
    assert [[len(row) for row in batch] for batch in batches] == [[100, 101, 102], [900, 901]]
    # of nearly one length: one pass, though it pads a little
    pieces = [Piece((0,), tuple(range(length))) for length in (100, 104, 108)]
    assert len(batches_of(rows_of(pieces, share=False, longest=1), 4096, a_pass=128)) == 1
