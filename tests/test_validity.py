"""Agreement with human ratings: against scipy and published examples, and through the command."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from scipy import stats as scipy_stats

from cqa import stats
from cqa.validity.agreement import covariates


def test_spearman_is_scipys_with_and_without_ties():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=40), rng.integers(1, 6, size=40).astype(float)
    assert stats.spearman(x, y) == pytest.approx(scipy_stats.spearmanr(x, y).statistic)
    assert np.isnan(stats.spearman(x, np.ones(40)))


def test_partial_correlation_is_the_textbook_formula_of_one_covariate():
    rng = np.random.default_rng(2)
    z = rng.normal(size=60)
    x, y = z + rng.normal(size=60), z + rng.normal(size=60)
    xy, xz, yz = (scipy_stats.spearmanr(a, b).statistic for a, b in ((x, y), (x, z), (y, z)))
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert stats.spearman(x, y, z[:, None]) == pytest.approx(expected)


def test_what_the_covariate_explains_alone_is_gone():
    rng = np.random.default_rng(3)
    z = rng.normal(size=300)
    x, y = z + 0.5 * rng.normal(size=300), z + 0.5 * rng.normal(size=300)
    work = [str(i) for i in range(300)]
    plain = stats.rank_correlation(x, y, work, seed=0)
    freed = stats.rank_correlation(x, y, work, covariates=z[:, None], seed=0)
    assert plain.low > 0.6
    assert freed.low < 0 < freed.high
    assert np.isnan(stats.spearman(x, z, z[:, None]))


def test_the_interval_covers_with_texts_in_works():
    """Two texts of a work share half of their variance; the true Spearman rho is 0."""
    rng = np.random.default_rng(4)
    work = [str(i // 2) for i in range(60)]
    hits = 0
    for _ in range(80):
        shared = np.repeat(rng.normal(size=(2, 30)), 2, axis=1)
        x, y = shared + rng.normal(size=(2, 60))
        found = stats.rank_correlation(x, y, work, seed=rng, resamples=99)
        hits += found.low <= 0 <= found.high
    assert hits / 80 > 0.86


def test_few_texts_or_works_have_a_reason_and_no_interval():
    few = stats.rank_correlation([1, 2, 3], [1, 2, 3], ["a", "b", "c"], seed=0)
    assert few.estimate is None
    assert few.reason == "3 texts; at least 5 are needed"
    two = stats.rank_correlation(range(6), range(6), list("aaabbb"), seed=0)
    assert (two.estimate, two.low) == (pytest.approx(1), None)
    assert two.reason == "2 works; at least 3 are needed"
    flat = stats.rank_correlation(range(6), [1] * 6, list("abcdef"), seed=0)
    assert (flat.estimate, flat.reason) == (None, "one of the two has no spread")


def test_resamples_without_spread_are_left_out_and_counted():
    # one text differs: a resample of 6 works leaves it out with probability (5/6)^6 = .335
    found = stats.rank_correlation([0, 0, 0, 0, 0, 1], range(6), list("abcdef"), seed=0)
    left_out = int(re.search(r", (\d+) of them left out for want of spread$", found.method)[1])
    assert left_out / 999 == pytest.approx(0.335, abs=0.045)  # three standard errors
    assert -1 <= found.low <= found.estimate <= found.high <= 1


def test_without_one_resample_with_spread_there_is_a_reason_and_no_interval():
    # 9 coefficients fit any resample of 10 texts with one of them twice: 10!/10^10 have none
    rng = np.random.default_rng(5)
    x, y, z = rng.normal(size=10), rng.normal(size=10), rng.normal(size=(10, 8))
    found = stats.rank_correlation(x, y, list("abcdefghij"), covariates=z, seed=0, resamples=99)
    assert abs(found.estimate) == pytest.approx(1)
    assert (found.low, found.high) == (None, None)
    assert found.reason == "no resample has spread on both sides"
    assert found.method.endswith("99 of them left out for want of spread")


SHROUT_AND_FLEISS = [
    [9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7],
]  # fmt: skip


def test_reliability_of_the_published_table():
    """Shrout & Fleiss 1979, tables 2 and 4: ICC(1,4) is .44."""
    found = stats.reliability(SHROUT_AND_FLEISS)
    assert found.icc_mean == pytest.approx(0.4428, abs=5e-4)
    assert found.ceiling == pytest.approx(np.sqrt(0.4428), abs=5e-4)


@pytest.mark.parametrize(
    ("ratings", "reason"),
    [
        ([[1.0]], "one text has no others to differ from"),
        ([[1.0], [2.0]], "one rating a text says nothing of raters"),
        ([[1.0, 3.0], [2.0, 2.0]], "all texts have the same mean rating"),
    ],
)
def test_reliability_that_cannot_be_known_has_a_reason(ratings, reason):
    found = stats.reliability(ratings)
    assert (found.icc_mean, found.ceiling, found.reason) == (None, None, reason)


def test_raters_who_agree_on_nothing_leave_a_ceiling_of_zero():
    found = stats.reliability([[1, 5], [5, 2], [2, 4]])
    assert found.icc_mean < 0
    assert found.ceiling == 0


def test_covariates_by_hand():
    made = covariates({"a": [7, 7, 8], "b": [8, 9], "empty": []})
    # Three kinds of token. For a: 7 occurs 0 and 8 once in the others, which have 2 tokens.
    expected = (2 * np.log2(1 / 5) + np.log2(2 / 5)) / 3
    assert made["a"] == (3.0, pytest.approx(expected))
    assert "empty" not in made


@pytest.fixture
def scored(cqa, workplace, tiny_model):
    rows = [
        {"id": f"t{i}", "work": f"w{i // 2}", "text": " ".join(["the river rose"] * (i + 1))}
        for i in range(8)
    ]
    (workplace / "outputs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = cqa("score", "outputs.jsonl", "--judge", str(tiny_model), "--json")
    assert done.exit_code == 0, done.output


def test_ratings_are_set_beside_scores(scored, cqa, workplace):
    lines = [f"t{i},r{r},surprise,{(i + r) % 5}" for i in range(8) for r in range(2)]
    (workplace / "ratings.csv").write_text("\n".join(["id,rater,criterion,value", *lines, ""]))
    done = cqa("report", "--ratings", "ratings.csv", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    (row,) = told["agreements"]  # without briefs only the surprise exists
    assert (row["quantity"], row["criterion"]) == ("surprise_bits_per_token", "surprise")
    assert (row["texts"], row["works"]) == (8, 4)
    assert -1 <= row["low"] <= row["rho"] <= row["high"] <= 1
    assert cqa("report", "--ratings", "ratings.csv").exit_code == 0


def test_bad_ratings_are_refused_with_their_place(scored, cqa, workplace):
    path = workplace / "ratings.csv"
    path.write_text(
        "id,rater,criterion,value\nt0,r0,joy,many\nt1,,joy,2\nt2,r0,joy,1\nt2,r0,joy,2\n"
    )
    done = cqa("report", "--ratings", "ratings.csv")
    assert done.exit_code == 3
    for told in (
        "ratings.csv:2: value: saw 'many'",
        "ratings.csv:3: rater",
        "ratings.csv:5: rater",
    ):
        assert told in done.stderr
    path.write_text("id,rater,criterion\n")
    assert "no column value" in cqa("report", "--ratings", "ratings.csv").stderr
    path.write_text("id,rater,criterion,value\nnobody,r0,joy,1\n")
    done = cqa("report", "--ratings", "ratings.csv")
    assert done.exit_code == 3
    assert "1 of 1 rated ids were not scored" in done.stderr
