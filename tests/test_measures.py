"""The formulas with their arithmetic, on traces made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cqa.measures import (
    ALL,
    Evidence,
    Size,
    Thresholds,
    Trace,
    entropy_gain,
    gain,
    match_rank,
    nce_bits,
    quantities,
    shapley,
    specific_gain,
    synergy,
)


def trace(*probabilities: float, entropy_bits: float = 0.0) -> Trace:
    """A trace whose tokens have these probabilities."""
    return Trace(
        np.log(np.array(probabilities)),
        np.full(len(probabilities), entropy_bits * math.log(2)),
    )


def test_gain_is_the_log_ratio_in_bits():
    # 1/8 -> 1/2 is 2 bits, 1/4 -> 1/4 is none
    assert gain(trace(1 / 8, 1 / 4), trace(1 / 2, 1 / 4)) == pytest.approx(2.0)


def test_entropy_gain_sums_over_tokens():
    # three tokens, 5 bits before and 1.5 after
    before, after = trace(0.5, 0.5, 0.5, entropy_bits=5), trace(0.5, 0.5, 0.5, entropy_bits=1.5)
    assert entropy_gain(before, after) == pytest.approx(3 * 3.5)


def test_specific_gain_is_the_gain_over_the_mean_gain_of_mismatched_briefs():
    none, own = trace(1 / 16), trace(1 / 2)
    others = [trace(1 / 4), trace(1 / 8)]
    # residuals: own 1, others 2 and 3, mean 2.5
    assert specific_gain(own, others) == pytest.approx(1.5)
    mean = np.mean([gain(none, other) for other in others])
    assert specific_gain(own, others) == pytest.approx(gain(none, own) - mean)


def test_shapley_values_of_a_game_with_a_known_answer():
    # the glove game of the textbooks: one left glove and two right ones, a pair is worth 1
    def worth(coalition):
        return float("left" in coalition and bool(coalition & {"right 1", "right 2"}))

    players = ["left", "right 1", "right 2"]
    value = {frozenset(p for i, p in enumerate(players) if mask >> i & 1): 0.0 for mask in range(8)}
    value = {coalition: worth(coalition) for coalition in value}
    found = shapley(value, players)
    assert found == pytest.approx({"left": 2 / 3, "right 1": 1 / 6, "right 2": 1 / 6})
    assert sum(found.values()) == pytest.approx(1.0)


def test_synergy_takes_back_the_prefaces_of_the_single_parts():
    value = {
        frozenset(): 0.0,
        frozenset({"a"}): 3.0,
        frozenset({"b"}): 2.0,
        frozenset({"a", "b"}): 7.0,
    }
    # 7 − (3 + 2) + (2 − 1)·1.5
    assert synergy(value, ["a", "b"], filler=1.5) == pytest.approx(3.5)
    assert synergy({frozenset(): 0.0, frozenset({"a"}): 3.0}, ["a"], filler=9.0) == 0.0


def test_nce_is_bounded_by_the_number_of_briefs_and_ranks_follow_likelihood():
    own = trace(1 / 2)
    others = [trace(1 / 8), trace(1 / 8), trace(1 / 4)]
    # softmax share of own: .5 / (.5 + .125 + .125 + .25) = 1/2; log2(4) − 1 = 1
    assert nce_bits(own, others) == pytest.approx(1.0)
    assert nce_bits(trace(1.0), [trace(1e-300)] * 3) == pytest.approx(2.0)
    assert match_rank(own, others) == 1.0
    assert match_rank(others[0], [own, others[1], others[2]]) == 3.5  # behind two, tied with one


def evidence(**changes) -> Evidence:
    """Three parts, three mismatched briefs and a foil; all traces of two tokens."""
    subsets = {
        "none": (1 / 16, 1 / 16),
        "intent": (1 / 8, 1 / 16),
        "audience": (1 / 16, 1 / 8),
        "reality": (1 / 16, 1 / 16),
        "intent+audience": (1 / 8, 1 / 8),
        "intent+reality": (1 / 4, 1 / 16),
        "audience+reality": (1 / 16, 1 / 8),
        "intent+audience+reality": (1 / 2, 1 / 4),
        "filler": (1 / 16, 1 / 8),
        "mismatch-1": (1 / 8, 1 / 8),
        "mismatch-2": (1 / 4, 1 / 8),
        "mismatch-3": (1 / 8, 1 / 4),
        "foil|none": (1 / 4, 1 / 4, 1 / 4, 1 / 4),
        "foil|full": (1 / 2, 1 / 4, 1 / 4, 1 / 2),
    }
    given = {
        "traces": {name: trace(*p) for name, p in subsets.items()},
        "full": "intent+audience+reality",
        "mismatched": ("mismatch-1", "mismatch-2", "mismatch-3"),
        "reasons": {},
        "size": Size(tokens=2, characters=8, utf8_bytes=10),
        "foil_size": Size(tokens=4, characters=16, utf8_bytes=16),
        "parts": ("intent", "audience", "reality"),
        "novel": np.array([False, True]),
    }
    return Evidence(**given | changes)


def test_every_quantity_of_a_whole_row():
    found, why = quantities(evidence())
    assert why == {}
    assert list(found) == ALL
    assert found["surprise"] == pytest.approx(8)  # 4 + 4
    assert found["residual"] == pytest.approx(3)  # 1 + 2
    assert found["gain"] == pytest.approx(5)
    assert found["gain_share"] == pytest.approx(5 / 8)
    assert found["gain_bits_per_token"] == pytest.approx(5 / 2)
    assert found["gain_bits_per_character"] == pytest.approx(5 / 8)
    assert found["gain_bits_per_byte"] == pytest.approx(5 / 10)
    assert found["filler_gain"] == pytest.approx(1)
    # mismatched residuals 6, 5, 5: mean 16/3; less 3
    assert found["specific_gain"] == pytest.approx(7 / 3)
    # foil: 8 − 6 = 2 over 4 tokens
    assert found["contrast"] == pytest.approx(3)
    assert found["contrast_bits_per_token"] == pytest.approx(5 / 2 - 2 / 4)
    assert found["contrast_bits_per_byte"] == pytest.approx(5 / 10 - 2 / 16)
    # singles 1, 1, 0; 5 − 2 + 2·1
    assert found["synergy"] == pytest.approx(5)
    phi = [found[f"phi_{part}"] for part in ("intent", "audience", "reality")]
    assert sum(phi) == pytest.approx(found["gain"])
    # orders: iar 1,1,3 · ira 1,3,1 · air 1,1,3 · ari 4,1,0 · ria 2,3,0 · rai 4,1,0 as (i,a,r)
    assert phi == pytest.approx([13 / 6, 10 / 6, 7 / 6])
    assert found["phi_intent_over_filler"] == pytest.approx(13 / 6 - 1 / 3)
    # only the second token is novel: 4 − 2; mismatched 3, 3, 2 less 2
    assert found["novel_gain"] == pytest.approx(2)
    assert found["novel_specific_gain_bits_per_token"] == pytest.approx(8 / 3 - 2)


@pytest.mark.parametrize(
    ("changes", "null", "kept"),
    [
        (
            {"full": None, "reasons": {"brief": "no brief", "mismatch": "no brief"}},
            ["gain", "residual", "contrast", "phi_intent", "nce_bits"],
            ["surprise"],
        ),
        (
            {"mismatched": (), "reasons": {"mismatch": "the pool is too small"}},
            ["specific_gain", "specific_gain_bits_per_token", "match_rank", "novel_specific_gain"],
            ["gain", "contrast", "phi_reality"],
        ),
        (
            {"traces": {}, "reasons": {"text": "the text is empty"}},
            ALL,
            [],
        ),
        ({"novel": np.array([False, False])}, ["novel_gain"], ["gain", "specific_gain"]),
    ],
)
def test_what_cannot_be_scored_is_null_with_a_reason(changes, null, kept):
    found, why = quantities(evidence(**changes))
    for name in null:
        assert found[name] is None
        assert why[name]
    for name in kept:
        assert found[name] is not None
    assert {name for name in ALL if found[name] is None} == set(why)


def test_a_brief_with_one_part_gives_that_part_everything():
    one = evidence()
    traces = {name: one.traces[name] for name in ("none", "intent", "filler", "mismatch-1")}
    found, why = quantities(
        evidence(
            traces=traces,
            full="intent",
            parts=("intent",),
            mismatched=("mismatch-1",),
            reasons={"foil": "the row carries no foil"},
            foil_size=None,
        )
    )
    assert found["phi_intent"] == found["gain"] == pytest.approx(1)
    assert found["synergy"] == 0
    assert found["phi_audience"] is None
    assert why["phi_audience"] == "the brief has no audience"
    assert why["contrast"] == "the row carries no foil"


@pytest.mark.parametrize(
    ("surprise", "residual", "quadrant"),
    [
        (3.0, 1.0, "cliché"),
        (5.0, 1.0, "calibrated surprise"),
        (5.0, 3.0, "noise"),
        (3.0, 3.0, "contradiction"),
        (4.0, 2.0, "cliché"),  # the border itself is low
    ],
)
def test_quadrants_meet_at_the_medians_of_the_reference(surprise, residual, quadrant):
    borders = Thresholds.of([1.0, 4.0, 9.0], [2.0, 0.5, 7.0])
    assert borders == Thresholds(4.0, 2.0)
    assert borders.quadrant(surprise, residual) == quadrant
