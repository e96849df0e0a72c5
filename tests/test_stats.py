"""Against hand enumeration, published examples, scipy and statsmodels, and simulation."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats as scipy_stats
from statsmodels.stats.power import TTestIndPower, TTestPower
from statsmodels.stats.weightstats import DescrStatsW

from cqa import stats
from cqa.stats.interval import expanded

# Darwin's maize, cross- minus self-fertilised, eighths of an inch; Fisher 1935, §17 and §21
MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
# Student's sleep data, drug 1 minus drug 2, hours (R: datasets::sleep)
SLEEP = [-1.2, -2.4, -1.3, -1.3, 0.0, -1.0, -1.8, -0.8, -4.6, -1.4]
# Depression scale, first minus second visit: Hollander & Wolfe 1973, p. 29, in R's ?wilcox.test
FIRST = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
SECOND = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])


def singles(values, prefix="w"):
    """One item per work."""
    return [f"{prefix}{index:03d}" for index in range(len(values))]


def clustered(rng, works, per_work, *, mean=0.0, between=1.0, within=1.0, prefix="w"):
    """Items of works that share an effect: the spread of item values is between² + within²."""
    labels = [f"{prefix}{w:03d}" for w in range(works) for _ in range(per_work)]
    shared = np.repeat(rng.normal(0, between, works), per_work)
    return mean + shared + rng.normal(0, within, works * per_work), labels


# Works


def test_by_work_adds_up_and_sorts():
    works = stats.by_work([1.0, 10.0, 2.0, 30.0, 6.0], ["b", "a", "b", "a", "b"])
    assert works.labels == ("a", "b")
    assert works.sums.tolist() == [40.0, 9.0]  # 10 + 30; 1 + 2 + 6
    assert works.counts.tolist() == [2, 3]
    assert works.means.tolist() == [20.0, 3.0]
    assert works.items == 5
    assert works.item_mean == 49 / 5  # not (20 + 3) / 2


def test_by_work_is_bitwise_the_same_in_any_order():
    rng = np.random.default_rng(1)
    delta, work = clustered(rng, 7, 11)
    delta *= 10.0 ** rng.integers(-8, 8, len(delta))  # a plain running sum would differ
    shuffled = rng.permutation(len(delta))
    one, other = stats.by_work(delta, work), stats.by_work(delta[shuffled], np.take(work, shuffled))
    assert one.labels == other.labels
    assert one.sums.tobytes() == other.sums.tobytes()


@pytest.mark.parametrize(
    ("delta", "work", "message"),
    [
        ([1.0, 2.0], ["a"], "one change and one work per item"),
        ([[1.0]], ["a"], "one change and one work per item"),
        ([1.0, math.nan], ["a", "b"], r"delta\[1\] is nan"),
        ([math.inf], ["a"], r"delta\[0\] is inf"),
        ([None], ["a"], r"delta\[0\] is nan"),
        ([1.0], [""], r"work\[0\] is ''"),
        ([1.0], [None], r"work\[0\] is None"),
    ],
)
def test_by_work_refuses_what_would_make_a_wrong_number(delta, work, message):
    with pytest.raises(ValueError, match=message):
        stats.by_work(delta, work)


def test_standard_error_by_hand():
    # sums 2, 4, 9; counts 1, 1, 2; item mean 15/4 = 3.75
    # sum − mean · count: −1.75, 0.25, 1.5; squares 3.0625 + 0.0625 + 2.25 = 5.375
    # SE² = 3/2 · 5.375 / 4²
    works = stats.by_work([2, 4, 4, 5], ["a", "b", "c", "c"])
    assert stats.standard_error(works) == pytest.approx(math.sqrt(1.5 * 5.375) / 4)


def test_standard_error_is_that_of_clustered_least_squares():
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 9, 60)
    delta = rng.normal(size=60) + codes / 5
    fit = sm.OLS(delta, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": codes})
    works = stats.by_work(delta, [f"w{code}" for code in codes])
    assert stats.standard_error(works) == pytest.approx(fit.bse[0])


# Intervals


def test_interval_of_single_item_works_is_scipys():
    rng = np.random.default_rng(3)
    delta = rng.exponential(size=25)
    ours = stats.bootstrap_interval(delta, singles(delta), seed=11, level=0.9, resamples=2000)
    theirs = scipy_stats.bootstrap(
        (delta,), np.mean, confidence_level=0.9, n_resamples=2000, rng=np.random.default_rng(11)
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs))
    assert ours.estimate == pytest.approx(delta.mean())
    assert (ours.works, ours.items, ours.level, ours.reason) == (25, 25, 0.9, None)


def test_interval_of_unequal_works_against_an_enumerated_bca():
    """All 5^5 resamples of five works, then Efron's formulas, written out."""
    sums, counts = np.array([1.0, 8.0, 2.1, 9.3, -4.0]), np.array([1, 3, 2, 4, 1])
    theta = sums.sum() / counts.sum()
    draws = np.array(list(itertools.product(range(5), repeat=5)))
    resampled = np.sort(sums[draws].sum(1) / counts[draws].sum(1))
    normal = scipy_stats.norm
    below = (np.mean(resampled < theta - 1e-12) + np.mean(resampled <= theta + 1e-12)) / 2
    z0 = normal.ppf(below)
    left_out = (sums.sum() - sums) / (counts.sum() - counts)
    u = left_out.mean() - left_out
    a = np.sum(u**3) / (6 * np.sum(u**2) ** 1.5)
    ends = []
    for z in normal.ppf([0.05, 0.95]):
        ends.append(np.quantile(resampled, normal.cdf(z0 + (z0 + z) / (1 - a * (z0 + z)))))

    delta = np.repeat(sums / counts, counts)
    work = np.repeat(["a", "b", "c", "d", "e"], counts)
    interval = stats.bootstrap_interval(delta, work, seed=4, level=0.9, resamples=40_000)
    assert interval.estimate == pytest.approx(theta)
    # Monte Carlo error only; the means of the works spread from −4 to 2.7
    assert (interval.low, interval.high) == pytest.approx(ends, abs=0.04)
    assert ends[1] - ends[0] > 2


def test_interval_resamples_works_not_items():
    # 4 works of 50 equal items: 200 items know no more than 4 numbers
    delta = np.repeat([0.0, 1.0, 2.0, 3.0], 50)
    by_work = stats.bootstrap_interval(delta, np.repeat(list("abcd"), 50), seed=1)
    by_item = stats.bootstrap_interval(delta, singles(delta), seed=1)
    # SE by item 1.118/√200 = 0.079; by work sd/√4 with sd ≈ 1.118 .. 1.29, about 0.6
    assert by_work.high - by_work.low > 5 * (by_item.high - by_item.low)


def test_interval_depends_on_seed_and_data_alone():
    delta, work = clustered(np.random.default_rng(5), 12, 3)
    order = np.random.default_rng(6).permutation(len(delta))
    one = stats.bootstrap_interval(delta, work, seed=9, resamples=999)
    assert one == stats.bootstrap_interval(
        delta[order], np.take(work, order), seed=9, resamples=999
    )
    assert one == stats.bootstrap_interval(
        delta, work, seed=np.random.default_rng(9), resamples=999
    )
    assert one != stats.bootstrap_interval(delta, work, seed=10, resamples=999)


@pytest.mark.parametrize(
    ("delta", "work", "reason", "estimate"),
    [
        ([], [], "no items", None),
        ([1.0, 2.0], ["a", "a"], "1 work; at least 3 are needed", 1.5),
        ([1.0, 2.0], ["a", "b"], "2 works; at least 3 are needed", 1.5),
        ([0.0] * 4, list("abcd"), "every work changed by the same amount", 0.0),
        # 0.1 + 0.2 and 0.3 differ in the last bit: still no spread
        ([0.1, 0.2, 0.15, 0.15, 0.15], list("aabcd"), "every work changed by the same", 0.15),
    ],
)
@pytest.mark.parametrize("interval_of", [stats.bootstrap_interval, stats.sign_flip_interval])
def test_no_interval_has_a_reason(interval_of, delta, work, reason, estimate):
    interval = interval_of(delta, work, seed=0)
    assert (interval.low, interval.high) == (None, None)
    assert interval.reason.startswith(reason)
    assert interval.estimate == (None if estimate is None else pytest.approx(estimate))
    assert not interval.above(-1e9)
    assert not interval.below(1e9)


def test_bootstrap_interval_covers():
    rng = np.random.default_rng(7)
    missed_low = missed_high = 0
    for repeat in range(250):
        delta, work = clustered(rng, 30, 3, mean=0.4)
        interval = stats.bootstrap_interval(delta, work, seed=repeat, resamples=499)
        missed_low += interval.low > 0.4
        missed_high += interval.high < 0.4
    # Nominal 12.5 in all; a binomial(250, .065) exceeds 29 once in a thousand.
    assert 2 <= missed_low + missed_high <= 29
    assert max(missed_low, missed_high) <= 20


# Sign flips


def test_sign_flips_of_three_works_by_hand():
    # Work sums 3, 2, −1 (N = 4). |sum| over the 8 patterns: ±3 ±2 ±1 is 6, 4, 2, 0, twice each.
    # Observed 4: as extreme are 6 and 4, so 4 of 8.
    delta, work = [1.0, 2.0, 2.0, -1.0], ["a", "a", "b", "c"]
    assert stats.sign_flip_test(delta, work, seed=0).p == 4 / 8
    assert stats.sign_flip_test(np.negative(delta), work, seed=0).p == 4 / 8


def test_sign_flips_of_four_works_all_up():
    test = stats.sign_flip_test([1, 1, 2, 5], list("abcd"), seed=0)
    assert test.p == 2 / 16
    assert test.statistic == 9 / 4
    assert test.method == "all 16 sign flips by work"


def test_sign_flips_keep_a_work_together():
    # Eight items up, but in two works: 2 of 4 patterns are as extreme, not 2 of 256.
    test = stats.sign_flip_test([1.0] * 8, ["a"] * 4 + ["b"] * 4, seed=0)
    assert test.p == 0.5
    assert stats.sign_flip_test([1.0] * 8, singles([1] * 8), seed=0).p == 2 / 256


def test_sign_flips_of_equal_sums_are_not_lost_to_rounding():
    # 0.1 + 0.2 + 0.3 in any order of signs gives values that differ in the last bit.
    test = stats.sign_flip_test([0.1, 0.2, 0.3], list("abc"), seed=0)
    assert test.p == 2 / 8


def test_fishers_exact_count_for_darwins_maize():
    # Fisher 1935, §21: of 2^15 = 32768 patterns 863 give a sum of 314 or more; two-sided 5.267 %.
    exact = stats.sign_flip_test(MAIZE, singles(MAIZE), seed=0, resamples=2**15)
    assert exact.p == 2 * 863 / 32768
    # Random patterns: p .0527 ± 3 · √(.0527 · .947 / 9999) = ± .0067
    drawn = stats.sign_flip_test(MAIZE, singles(MAIZE), seed=1)
    assert drawn.p == pytest.approx(exact.p, abs=0.0067)
    assert drawn.method == "9999 random sign flips by work"
    # 40 works all up: no random pattern is as extreme, the data itself still counts as one
    assert stats.sign_flip_test([1.0] * 40, singles([1] * 40), seed=0).p == 1 / 10_000


def test_sign_flips_agree_with_scipy():
    rng = np.random.default_rng(8)
    for _ in range(5):
        delta, work = clustered(rng, 9, 2, mean=0.3)
        works = stats.by_work(delta, work)
        scipys = scipy_stats.permutation_test((works.sums,), np.sum, permutation_type="samples")
        ours = stats.sign_flip_test(delta, work, seed=0)
        assert ours.p == pytest.approx(scipys.pvalue)


def test_sign_flips_without_items_and_without_change():
    assert stats.sign_flip_test([], [], seed=0).reason == "no items"
    assert stats.sign_flip_test([0.0] * 5, list("abcde"), seed=0).p == 1.0


def test_sign_flip_test_keeps_its_size_and_finds_a_planted_effect():
    rng = np.random.default_rng(9)
    false = true = 0
    for repeat in range(300):
        delta, work = clustered(rng, 20, 4)
        false += stats.sign_flip_test(delta, work, seed=repeat, resamples=499).p <= 0.05
        true += stats.sign_flip_test(delta + 1.0, work, seed=repeat, resamples=499).p <= 0.05
    # binomial(300, .05): 15 ± 3.8; outside 3 .. 29 once in some thousands
    assert 3 <= false <= 29
    # sd of a work mean √(1 + 1/4) = 1.118; noncentrality √20 / 1.118 = 4: power .97
    assert true >= 270


def test_testing_items_as_if_independent_would_fail_the_same_check():
    rng = np.random.default_rng(10)
    false = 0
    for repeat in range(100):
        delta, _ = clustered(rng, 10, 8)
        false += stats.sign_flip_test(delta, singles(delta), seed=repeat, resamples=199).p <= 0.05
    assert false > 25  # design effect 1 + 7 · 0.5 = 4.5: z of 1.96 is one of 0.92, p .36


# The interval that inverts the sign flips


def test_sign_flip_interval_of_six_works_by_hand():
    # 64 patterns: k = ⌊64 · .025⌋ = 1, so the ends are the smallest and largest subset means,
    # which are the smallest and largest work mean.
    delta = [4.0, 1.0, 2.0, 7.0, 3.0, 2.5]
    interval = stats.sign_flip_interval(delta, list("abcdef"), seed=0)
    assert (interval.low, interval.high) == (1.0, 7.0)
    # At 90 %: ⌊64 · .05⌋ = 3. Lowest subset means: 1; (1+2)/2 = 1.5; (1+2.5)/2 = 1.75
    # Highest: 7; (7+4)/2 = 5.5; (7+3)/2 = 5
    ninety = stats.sign_flip_interval(delta, list("abcdef"), seed=0, level=0.9)
    assert (ninety.low, ninety.high) == (1.75, 5.0)


def test_sign_flip_interval_says_what_the_test_says():
    rng = np.random.default_rng(12)
    for _ in range(3):
        delta, work = clustered(rng, 8, 3)
        work = work[:-2] + work[:1] * 2  # unequal works: the first has five items, the last one
        interval = stats.sign_flip_interval(delta, work, seed=0)
        for end, inward in ((interval.low, 1e-6), (interval.high, -1e-6)):
            inside = stats.sign_flip_test(delta - (end + inward), work, seed=0).p
            outside = stats.sign_flip_test(delta - (end - inward), work, seed=0).p
            assert inside > 0.05 >= outside


def test_sign_flip_interval_by_chance_is_near_the_exact_one():
    delta, work = clustered(np.random.default_rng(13), 12, 2, mean=1.0)
    exact = stats.sign_flip_interval(delta, work, seed=0)
    drawn = stats.sign_flip_interval(delta, work, seed=0, resamples=4000)
    assert "all 4096" in exact.method
    assert "4000 random" in drawn.method
    width = exact.high - exact.low
    assert drawn.low == pytest.approx(exact.low, abs=0.05 * width)
    assert drawn.high == pytest.approx(exact.high, abs=0.05 * width)


def test_sign_flip_interval_needs_six_works():
    # 2^5 = 32 patterns: the most extreme one has p = 1/32 > .025
    interval = stats.sign_flip_interval([1.0, 2, 3, 4, 5], list("abcde"), seed=0)
    assert interval.low is None
    assert "5 works have too few sign patterns for a 95% interval" in interval.reason


def test_sign_flip_interval_covers_with_few_works():
    rng = np.random.default_rng(14)
    missed = boot_missed = 0
    for repeat in range(300):
        delta, work = clustered(rng, 8, 2)
        interval = stats.sign_flip_interval(delta, work, seed=repeat)
        missed += not interval.low <= 0 <= interval.high
        boot = stats.bootstrap_interval(delta, work, seed=repeat, resamples=299)
        boot_missed += not boot.low <= 0 <= boot.high
    assert 2 <= missed <= 28  # binomial(300, .047): 14 ± 3.7
    assert boot_missed > missed  # why it exists: the bootstrap misses 13 % with 8 works


# Wilcoxon


def test_wilcoxon_on_published_examples():
    # Fisher's maize, scipy.stats.wilcoxon documentation: two-sided p = 0.041259765625, T₋ = 24
    maize = stats.wilcoxon_on_work_means(MAIZE, singles(MAIZE))
    assert maize.p == 0.041259765625
    assert maize.statistic == 15 * 16 / 2 - 24
    # R, ?wilcox.test, depression data: V = 40, p-value = 0.01953 (= 10/512) one-sided
    visit = stats.wilcoxon_on_work_means(FIRST - SECOND, singles(FIRST))
    assert (visit.statistic, visit.p) == (40, 2 * 10 / 512)
    assert visit.method.endswith("exact")


def test_wilcoxon_weighs_works_equally():
    # Work means 1, 2, −3: T₊ = 1 + 2, whatever the number of items
    test = stats.wilcoxon_on_work_means([1.0] * 9 + [2.0, -3.0], ["a"] * 9 + ["b", "c"])
    assert (test.statistic, test.works, test.items) == (3, 3, 11)


def test_wilcoxon_with_ties_is_enumerated():
    # |m| = 1, 1, 2, 3 have ranks 1.5, 1.5, 3, 4; signs + + + −: T₊ = 6.
    # Patterns with T₊ ≥ 6, ranks doubled (3 3 6 8, total 20, at least 12):
    # 20; without one: 17 17 14 12; pairs 8+6 = 14; (8+3 = 11 twice, 6+3 and 3+3 too small) → 6,
    # and as many at the other end
    test = stats.wilcoxon_on_work_means([1.0, 1.0, 2.0, -3.0], list("abcd"))
    assert test.p == pytest.approx(12 / 16)
    assert test.method.endswith("exact")


def test_wilcoxon_leaves_out_what_did_not_change():
    with_zero = stats.wilcoxon_on_work_means([*MAIZE, 0.0], singles([*MAIZE, 0.0]))
    assert with_zero.p == 0.041259765625
    assert with_zero.works == 16
    still = stats.wilcoxon_on_work_means([0.0, 0.0, 0.0], list("abc"))
    assert (still.p, still.reason) == (None, "no work changed")


def test_wilcoxon_of_many_works_is_approximate():
    delta = np.random.default_rng(15).normal(0.2, 1, 60)
    test = stats.wilcoxon_on_work_means(delta, singles(delta))
    assert test.p == pytest.approx(scipy_stats.wilcoxon(delta, method="asymptotic").pvalue)
    assert test.method.endswith("normal approximation")


# Effect sizes


def test_hedges_factor_in_closed_form():
    # Γ(1)/Γ(½) = 1/√π; Γ(2)/(√2 Γ(3/2)) = √(2/π); Γ(5)/(√5 Γ(9/2)) = 24/(√5 · 105 √π / 16)
    assert stats.hedges_factor(2) == pytest.approx(1 / math.sqrt(math.pi))
    assert stats.hedges_factor(4) == pytest.approx(math.sqrt(2 / math.pi))
    assert stats.hedges_factor(10) == pytest.approx(24 * 16 / (105 * math.sqrt(5 * math.pi)))
    assert stats.hedges_factor(95) == pytest.approx(1 - 3 / (4 * 95 - 1), abs=1e-5)
    with pytest.raises(ValueError, match="more than 1 degree"):
        stats.hedges_factor(1)


def test_dz_of_the_sleep_data_as_published():
    # R effectsize documentation, paired sleep data: d −1.28 [−2.12, −0.41], g −1.17 [−1.94, −0.38]
    effect = stats.cohens_dz(SLEEP, singles(SLEEP))
    corrected = (effect.estimate, effect.low, effect.high)
    assert corrected == pytest.approx((-1.17, -1.94, -0.38), abs=0.005)
    factor = stats.hedges_factor(9)
    plain = tuple(value / factor for value in corrected)
    assert plain == pytest.approx((-1.28, -2.12, -0.41), abs=0.005)
    # mean −1.58, sd 1.230: −1.2846
    assert plain[0] == pytest.approx(-1.58 / np.std(SLEEP, ddof=1))


def test_dz_interval_excludes_zero_exactly_when_the_t_test_does():
    rng = np.random.default_rng(16)
    seen = set()
    for _ in range(40):
        delta = rng.normal(0.6, 1, 12)
        effect = stats.cohens_dz(delta, singles(delta))
        significant = scipy_stats.ttest_1samp(delta, 0).pvalue < 0.05
        assert (effect.low > 0 or effect.high < 0) == significant
        seen.add(significant)
    assert seen == {True, False}


def test_dz_is_taken_on_work_means():
    # means 1, 2, 3 → 2 / 1, J(2) = 1/√π
    effect = stats.cohens_dz([0.0, 2.0, 2.0, 3.0], ["a", "a", "b", "c"])
    assert effect.estimate == pytest.approx(2 / math.sqrt(math.pi))
    assert stats.cohens_dz([1.0] * 5, list("abcde")).estimate is None
    # A change that is huge beside its spread still has finite ends
    sure = stats.cohens_dz([100.0, 100.1, 99.9, 100.05], list("abcd"))
    assert 0 < sure.low < sure.estimate < sure.high


def test_rank_biserial_of_published_examples():
    # Maize: T₊ 96, T₋ 24: (96 − 24)/120
    maize = stats.rank_biserial(MAIZE, singles(MAIZE), seed=0, resamples=999)
    assert maize.estimate == pytest.approx(0.6)
    assert -1 <= maize.low < 0.6 < maize.high <= 1
    # R effectsize documentation, depression data: 0.78 (V = 40 of 45: (40 − 5)/45)
    visit = stats.rank_biserial(FIRST - SECOND, singles(FIRST), seed=0, resamples=999)
    assert visit.estimate == pytest.approx(35 / 45)
    # Sleep: every changed pair the same way, one zero left out
    sleep = stats.rank_biserial(SLEEP, singles(SLEEP), seed=0)
    assert (sleep.estimate, sleep.low) == (-1, None)
    assert "same way" in sleep.reason


def test_rank_biserial_with_ties_and_zeros_by_hand():
    # 0 left out; |m| = 1, 1, 2: ranks 1.5, 1.5, 3; signs + − +: (4.5 − 1.5) / 6
    effect = stats.rank_biserial([0.0, 1.0, -1.0, 2.0], list("abcd"), seed=0, resamples=99)
    assert effect.estimate == pytest.approx(0.5)
    assert stats.rank_biserial([0.0] * 3, list("abc"), seed=0).reason == "no work changed"


def test_rank_biserial_interval_covers():
    rng = np.random.default_rng(17)
    # m normal with mean .5 and sd 1: r = 2 P(m₁ + m₂ > 0) − 1 = 2 Φ(.5 · √2) − 1 = .52, up to 1/n
    truth = 2 * scipy_stats.norm.cdf(0.5 * math.sqrt(2)) - 1
    covered = 0
    for repeat in range(100):
        delta = rng.normal(0.5, 1, 30)
        effect = stats.rank_biserial(delta, singles(delta), seed=repeat, resamples=199)
        covered += effect.low <= truth <= effect.high
    assert 87 <= covered <= 99  # binomial(100, .95) is below 87 once in a thousand


# Literary minus factual


def test_difference_of_single_item_works_is_scipys():
    rng = np.random.default_rng(18)
    a, b = rng.normal(1, 1, 12), rng.exponential(1, 9)
    ours = stats.difference_of_differences(
        a, singles(a, "a"), b, singles(b, "b"), seed=5, resamples=2000
    )
    theirs = scipy_stats.bootstrap(
        (a, b),
        lambda x, y, axis=-1: x.mean(axis) - y.mean(axis),
        n_resamples=2000,
        rng=np.random.default_rng(5),
    ).confidence_interval
    assert ours.interval.estimate == pytest.approx(a.mean() - b.mean())
    # The order in which the batches are drawn differs: equal up to Monte Carlo error.
    assert (ours.interval.low, ours.interval.high) == pytest.approx(tuple(theirs), abs=0.08)
    assert ours.interval.works == 21


def test_label_test_by_hand():
    # a = 5, 6, 7; b = 1, 2, 3: of C(6, 3) = 20 assignments this and its mirror image are the most
    # extreme: 2/20.
    groups = [5.0, 6.0, 7.0], list("abc"), [1.0, 2.0, 3.0], list("xyz")
    assert stats.difference_of_differences(*groups, seed=0, resamples=999).test.p == 2 / 20


def test_label_test_is_the_permuted_welch_t():
    rng = np.random.default_rng(19)
    a, b = rng.normal(0.8, 2, 5), rng.normal(0, 1, 7)
    ours = stats.difference_of_differences(a, singles(a, "a"), b, singles(b, "b"), seed=0).test
    pooled = np.concatenate([a, b])
    observed = scipy_stats.ttest_ind(a, b, equal_var=False).statistic
    null = []
    for chosen in itertools.combinations(range(12), 5):
        inside = np.isin(np.arange(12), chosen)
        null.append(
            scipy_stats.ttest_ind(pooled[inside], pooled[~inside], equal_var=False).statistic
        )
    assert ours.method.endswith("all 792")
    assert ours.p == pytest.approx(np.mean(np.abs(null) >= abs(observed) - 1e-9))


def test_label_test_counts_a_perfect_separation_as_most_extreme():
    # Four works 1 and four 0; a has three 1s. Of C(8, 4) = 70 assignments 4² = 16 give a three 1s,
    # 16 one, and 1 each all or none: there the standard error is 0 and t infinite.
    a, b = [1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]
    groups = (a, list("abcd"), b, list("wxyz"))
    assert stats.difference_of_differences(*groups, seed=0).test.p == 34 / 70


def test_label_test_does_not_care_for_a_common_shift():
    rng = np.random.default_rng(39)
    a, b = rng.normal(0.8, 2, 5), rng.normal(0, 1, 7)
    p = [
        stats.difference_of_differences(
            a + shift, singles(a, "a"), b + shift, singles(b, "b"), seed=0
        ).test.p
        for shift in (0.0, 1e9)
    ]
    assert p[0] == p[1] < 1


def test_label_test_moves_whole_works_of_unequal_size():
    # Only 4 works a side: C(8, 4) = 70 assignments, however many items
    a, b = [3.0] * 10 + [4.0, 5.0, 6.0], [0.0, 1.0, 2.0] + [1.5] * 10
    test = stats.difference_of_differences(
        a, ["a"] * 10 + list("bcd"), b, list("wxy") + ["z"] * 10, seed=0
    ).test
    assert test.p >= 1 / 70
    assert (test.works, test.items) == (8, 26)
    # (10·3 + 4 + 5 + 6)/13 − (0 + 1 + 2 + 10·1.5)/13 = 45/13 − 18/13
    assert test.statistic == pytest.approx(27 / 13)


def test_label_test_keeps_its_size_when_the_control_spreads_differently():
    rng = np.random.default_rng(20)
    false = 0
    for repeat in range(200):
        a, work_a = clustered(rng, 8, 2, between=3.0, prefix="a")
        b, work_b = clustered(rng, 24, 2, between=0.3, within=0.3, prefix="b")
        test = stats.difference_of_differences(a, work_a, b, work_b, seed=repeat, resamples=199)
        false += test.test.p <= 0.05
    # An unstudentised difference rejects about 30 % here; studentised 6-8 %.
    assert false <= 28


def test_difference_finds_a_planted_interaction():
    rng = np.random.default_rng(21)
    a, work_a = clustered(rng, 24, 4, mean=1.2, prefix="a")
    b, work_b = clustered(rng, 24, 4, prefix="b")
    result = stats.difference_of_differences(a, work_a, b, work_b, seed=1)
    assert result.interval.low > 0
    assert result.interval.low < 1.2 < result.interval.high
    assert result.test.p < 0.01


def test_difference_refuses_linked_or_tiny_groups():
    shared = stats.difference_of_differences(
        [1.0, 2, 4], list("abc"), [1.0, 5, 9], list("cde"), seed=0
    )
    assert shared.interval.reason == shared.test.reason == "works in both groups: c"
    assert shared.interval.estimate == pytest.approx(7 / 3 - 5)
    tiny = stats.difference_of_differences([1.0, 2], ["a", "b"], [1.0, 5, 9], list("cde"), seed=0)
    assert tiny.test.p is None
    assert tiny.interval.reason == "group a: 2 works; at least 3 are needed"
    empty = stats.difference_of_differences([], [], [1.0, 5, 9], list("cde"), seed=0)
    assert (empty.interval.estimate, empty.interval.reason) == (None, "group a: no items")


def test_difference_when_only_one_group_has_spread_or_none():
    a, still = [1.0, 2.0, 4.0, 5.0], [0.0] * 4
    one = stats.difference_of_differences(a, list("abcd"), still, list("wxyz"), seed=0)
    assert one.interval.reason is None
    assert one.interval.estimate == 3.0
    none = stats.difference_of_differences([1.0] * 4, list("abcd"), still, list("wxyz"), seed=0)
    assert none.interval.reason.startswith("every work changed by the same amount")


def test_from_five_seeds_on_the_difference_of_differences_speaks_of_new_seeds():
    rng = np.random.default_rng(5)
    work_a, work_b = singles(range(60), "a"), singles(range(50), "b")
    a, b = rng.normal(0.0, 0.05, (5, 60)), rng.normal(0.0, 0.05, (5, 50))
    own = np.array([0.4, -0.5, 0.9, 0.1, -0.2])[:, None]  # what a seed does to group a alone

    def difference(of_a, of_b):
        return stats.difference_of_differences(of_a, work_a, of_b, work_b, seed=0)

    found = difference(a + own, b)
    by_seed = (a + own).mean(axis=1) - b.mean(axis=1)
    assert found.seed_means == pytest.approx(by_seed)
    assert found.between_seed_sd == pytest.approx(by_seed.std(ddof=1))
    # the works hardly vary, so that this is scipy's interval of the five differences
    level = 2 * scipy_stats.norm.cdf(scipy_stats.t.ppf(0.975, 4) * math.sqrt(5 / 4)) - 1
    oracle = scipy_stats.bootstrap(
        [by_seed], np.mean, method="BCa", confidence_level=level, rng=np.random.default_rng(1)
    )
    low, high = oracle.confidence_interval
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high), abs=0.08)
    # what a seed does to both groups alike is no difference
    alike, none = difference(a + own, b + own).interval, difference(a, b).interval
    assert (alike.low, alike.high) == pytest.approx((none.low, none.high))
    assert alike.high - alike.low < 0.1 * (found.interval.high - found.interval.low)
    # with four, the interval is that of their mean
    four = difference((a + own)[:4], b[:4])
    assert four.interval == difference((a + own)[:4].mean(0), b[:4].mean(0)).interval
    assert (four.crossed, found.crossed) == (False, True)
    with pytest.raises(ValueError, match="4 seeds in a and 5 in b"):
        difference(a[:4], b)


# Equivalence


def test_tost_is_statsmodels_when_works_are_equal():
    rng = np.random.default_rng(22)
    delta, work = clustered(rng, 15, 3, between=0.2, within=0.2)
    means = delta.reshape(15, 3).mean(axis=1)
    p = DescrStatsW(means).ttost_mean(-0.15, 0.15)[0]
    assert stats.tost(delta, work, 0.15) == pytest.approx(p)


def test_tost_at_05_is_the_90_percent_t_interval_within_the_margin():
    delta, work = clustered(np.random.default_rng(23), 20, 3, mean=0.1, between=0.1, within=0.1)
    works = stats.by_work(delta, work)
    half = scipy_stats.t.isf(0.05, 19) * stats.standard_error(works)
    reach = abs(works.item_mean) + half
    assert stats.tost(delta, work, reach * 1.001) < 0.05 < stats.tost(delta, work, reach * 0.999)
    # and what decides, the 90 % interval of the sign flips, is much the same with 20 works
    decides = stats.sign_flip_interval(delta, work, seed=0, level=0.9)
    assert max(-decides.low, decides.high) == pytest.approx(reach, rel=0.05)


def test_equivalence_is_not_shown_by_noise():
    # A large p against zero is no evidence of no effect: spread 1 beside a margin of 0.1
    delta, work = clustered(np.random.default_rng(24), 6, 2)
    assert stats.sign_flip_test(delta, work, seed=0).p > 0.05
    assert stats.tost(delta, work, 0.1) > 0.05
    within = stats.sign_flip_interval(delta, work, seed=0, level=0.9)
    assert not stats.control_unmoved(within, 0.1).holds
    assert stats.tost([0.0] * 2, ["a", "b"], 0.1) is None
    with pytest.raises(ValueError, match="margin is positive"):
        stats.tost(delta, work, 0.0)


# Multiplicity


def test_holm_by_hand():
    # sorted .005 .01 .03 .04 times 4 3 2 1: .02 .03 .06 .04 → running maximum .02 .03 .06 .06
    adjusted = stats.holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert dict(adjusted.p) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert adjusted.tests == 4


def test_holm_does_not_count_what_was_not_tested():
    adjusted = stats.holm({"a": 0.02, "unscored": None, "b": 0.5})
    assert adjusted.p == {"a": pytest.approx(0.04), "unscored": None, "b": pytest.approx(0.5)}
    assert list(adjusted.p) == ["a", "unscored", "b"]
    assert adjusted.tests == 2
    assert stats.holm({}).tests == 0
    for wrong in (1.2, -0.1, math.nan):
        with pytest.raises(ValueError, match="lies between 0 and 1"):
            stats.holm({"a": wrong})


def test_max_t_of_one_column_is_the_sign_flip_test():
    # With equally large works t rises with the mean, so the patterns are ranked alike.
    delta, work = clustered(np.random.default_rng(25), 10, 3, mean=0.5)
    alone = stats.max_t({"x": (delta, work)}, seed=0)
    assert alone.p["x"] == pytest.approx(stats.sign_flip_test(delta, work, seed=0).p)


def test_max_t_by_enumeration():
    """Three columns, six works, one of them missing two works: every pattern, in plain loops."""
    rng = np.random.default_rng(26)
    labels = list("abcdef")
    columns = {
        "strong": (rng.normal(1.5, 1, 6), labels),
        "weak": (rng.normal(0.3, 1, 6) * 1000, labels),  # another unit changes nothing
        "short": (rng.normal(0.8, 1, 4), labels[:4]),
    }

    def t(values):
        return abs(np.mean(values)) / (np.std(values, ddof=1) / math.sqrt(len(values)))

    observed = {name: t(values) for name, (values, _) in columns.items()}
    strongest_first = sorted(observed, key=observed.get, reverse=True)
    reached = dict.fromkeys(columns, 0)
    for signs in itertools.product([-1, 1], repeat=6):
        null = {name: t(values * signs[: len(values)]) for name, (values, _) in columns.items()}
        for place, name in enumerate(strongest_first):
            largest = max(null[other] for other in strongest_first[place:])
            reached[name] += largest >= observed[name] * (1 - 1e-9)
    expected, running = {}, 0.0
    for name in strongest_first:
        running = max(running, reached[name] / 64)
        expected[name] = running

    adjusted = stats.max_t(columns, seed=0)
    assert dict(adjusted.p) == pytest.approx(expected)
    assert adjusted.method == "step-down max-T, all 64 sign flips by work"


def test_max_t_charges_nothing_for_the_same_question_twice():
    delta, work = clustered(np.random.default_rng(27), 11, 2, mean=0.6)
    once = stats.sign_flip_test(delta, work, seed=0).p
    twice = stats.max_t({"bits": (delta, work), "nats": (delta * math.log(2), work)}, seed=0)
    assert twice.p == {"bits": pytest.approx(once), "nats": pytest.approx(once)}
    assert stats.holm({"bits": once, "nats": once}).p["bits"] == pytest.approx(2 * once)


def test_max_t_controls_the_family_and_finds_the_real_one():
    rng = np.random.default_rng(28)
    any_false = found = 0
    for repeat in range(200):
        columns = {f"null{i}": clustered(rng, 15, 2) for i in range(6)}
        columns["real"] = clustered(rng, 15, 2, mean=2.0)
        p = stats.max_t(columns, seed=repeat, resamples=199).p
        any_false += any(p[f"null{i}"] <= 0.05 for i in range(6))
        found += p["real"] <= 0.05
    # Six unadjusted tests would fail 1 − .95^6 = 26 % of the time, 53 of 200.
    assert any_false <= 22  # binomial(200, .05) exceeds 22 once in some thousands
    assert found >= 190


def test_max_t_degenerate_columns():
    delta, work = [1.0, 2.0, 4.0], list("abc")
    adjusted = stats.max_t(
        {
            "fine": (delta, work),
            "one": ([1.0], ["a"]),
            "none": ([], []),
            "still": ([0.0] * 3, work),
        },
        seed=0,
    )
    assert (adjusted.p["one"], adjusted.p["none"], adjusted.p["still"]) == (None, None, 1.0)
    assert adjusted.p["fine"] == 2 / 8
    assert adjusted.tests == 2
    assert stats.max_t({"none": ([], [])}, seed=0).tests == 0


# Power


def test_planned_effects_as_tabled():
    # 96 independent items: d = 0.29; 96 against 96: d = 0.41
    assert round(stats.planned_effect(96), 2) == 0.29
    assert round(stats.planned_effect(96, 96), 2) == 0.41
    # Cohen 1988: d = .5 needs 34 pairs, or 64 in each of two groups
    assert stats.planned_effect(34) < 0.5 < stats.planned_effect(33)
    assert stats.planned_effect(64, 64) < 0.5 < stats.planned_effect(63, 63)
    with pytest.raises(ValueError, match="2 works in each group"):
        stats.planned_effect(1)


@pytest.mark.parametrize("works", [4, 24, 96])
def test_planned_effect_agrees_with_statsmodels(works):
    ours = stats.planned_effect(works, power=0.9, alpha=0.01)
    assert TTestPower().power(ours, works, 0.01) == pytest.approx(0.9, abs=1e-6)
    ours = stats.planned_effect(works, 2 * works, power=0.9, alpha=0.01)
    assert TTestIndPower().power(ours, works, 0.01, ratio=2) == pytest.approx(0.9, abs=1e-6)


def test_smallest_detectable_counts_works_not_items():
    rng = np.random.default_rng(29)
    delta, work = clustered(rng, 24, 4)
    found = stats.smallest_detectable(delta, work)
    # Equally large works: d_z of 24 works times the sd of their means
    sd = delta.reshape(24, 4).mean(axis=1).std(ddof=1)
    assert found.effect == pytest.approx(stats.planned_effect(24) * sd)
    assert found.df == pytest.approx(23)
    as_if_independent = stats.smallest_detectable(delta, singles(delta))
    # design effect 1 + 3 · 0.5 = 2.5, √2.5 = 1.58
    assert found.effect / as_if_independent.effect == pytest.approx(1.58, abs=0.35)


@pytest.mark.parametrize("floor", [0.0, 0.3])
def test_smallest_detectable_is_found_with_the_power_asked_for(floor):
    delta, work = clustered(np.random.default_rng(30), 18, 3)
    found = stats.smallest_detectable(delta, work, power=0.7, alpha=0.02, noise_floor=floor)
    # power written out with the noncentral t
    critical = scipy_stats.t.isf(0.01, found.df)
    above = scipy_stats.nct.sf(critical, found.df, (found.effect - floor) / found.se)
    below = scipy_stats.nct.cdf(-critical, found.df, (found.effect + floor) / found.se)
    assert above + below == pytest.approx(0.7)


def test_a_noise_floor_moves_the_bar():
    delta, work = clustered(np.random.default_rng(30), 18, 3)
    # by itself: the other tail no longer counts, else exactly
    plain = stats.smallest_detectable(delta, work).effect
    beyond = stats.smallest_detectable(delta, work, noise_floor=0.3).effect
    assert beyond == pytest.approx(plain + 0.3, rel=1e-4)


def test_smallest_detectable_difference_is_welchs():
    rng = np.random.default_rng(31)
    a, b = rng.normal(0, 2, 20), rng.normal(0, 1, 30)
    found = stats.smallest_detectable_difference(a, singles(a, "a"), b, singles(b, "b"))
    welch = scipy_stats.ttest_ind(a, b, equal_var=False)
    assert found.df == pytest.approx(welch.df)
    assert found.se == pytest.approx((a.mean() - b.mean()) / welch.statistic)
    # power written out with the noncentral t
    critical = scipy_stats.t.isf(0.025, found.df)
    shift = found.effect / found.se
    power = scipy_stats.nct.sf(critical, found.df, shift)
    power += scipy_stats.nct.cdf(-critical, found.df, shift)
    assert power == pytest.approx(0.8)
    # swapped, it is as large; one group without spread is no obstacle, a work in both is one
    swapped = stats.smallest_detectable_difference(b, singles(b, "b"), a, singles(a, "a"))
    assert swapped.effect == pytest.approx(found.effect)
    still = stats.smallest_detectable_difference(a, singles(a, "a"), [1.0] * 4, list("wxyz"))
    assert still.effect == pytest.approx(stats.smallest_detectable(a, singles(a)).effect)
    linked = stats.smallest_detectable_difference(a, singles(a), b, singles(b))
    assert linked.reason.startswith("works in both groups: w000")


def test_seeds_that_move_the_two_groups_apart_make_the_detectable_difference_larger():
    rng = np.random.default_rng(40)
    a, b = rng.normal(0, 2, (5, 20)), rng.normal(0, 1, (5, 30))
    labels = [singles(range(20), "a"), singles(range(30), "b")]
    few = stats.smallest_detectable_difference(a[:4], labels[0], b[:4], labels[1])
    mean = stats.smallest_detectable_difference(a[:4].mean(0), labels[0], b[:4].mean(0), labels[1])
    assert few.effect == mean.effect  # of these very seeds
    # five: the variances of both groups' means over works and that of the seeds' differences
    found = stats.smallest_detectable_difference(a, labels[0], b, labels[1])
    parts = [(table.mean(0).var(ddof=1) / table.shape[1], table.shape[1] - 1) for table in (a, b)]
    parts.append(((a.mean(1) - b.mean(1)).var(ddof=1) / 5, 4))
    variance = sum(part for part, _ in parts)
    assert found.se == pytest.approx(math.sqrt(variance))
    assert found.df == pytest.approx(variance**2 / sum(part**2 / df for part, df in parts))
    # what a seed does to both groups alike is not in their difference
    moved = rng.normal(0, 5, (5, 1))
    same = stats.smallest_detectable_difference(a + moved, labels[0], b + moved, labels[1])
    assert same.effect == pytest.approx(found.effect)


def test_planted_effects_are_found_at_the_stated_power():
    rng = np.random.default_rng(32)
    # sd of a work mean √(0.5² + 1/4) = 0.7071; 20 works
    effect = stats.planned_effect(20) * math.sqrt(0.5**2 + 1 / 4)
    found = 0
    for repeat in range(300):
        delta, work = clustered(rng, 20, 4, mean=effect, between=0.5)
        found += stats.sign_flip_test(delta, work, seed=repeat, resamples=499).p <= 0.05
    assert found / 300 == pytest.approx(0.8, abs=0.075)  # 3.2 standard errors


def test_power_without_spread_or_sense():
    still = stats.smallest_detectable([0.0] * 4, list("abcd"))
    assert (still.effect, still.power, still.se) == (None, None, None)
    assert still.reason.startswith("every work")
    assert stats.smallest_detectable([], []).reason == "no items"
    few = stats.smallest_detectable_difference([1, 2], ["a", "b"], [1, 2, 3], list("xyz"))
    assert few.reason.startswith("group a: 2 works")
    # With 3 works a one-in-twenty change needs a very large effect, but a finite one
    assert 1 < stats.smallest_detectable([0.0, 1.0, 2.0], list("abc")).effect < 10
    with pytest.raises(ValueError, match="alpha < power"):
        stats.smallest_detectable([0.0, 1.0, 2.0], list("abc"), power=0.01)
    with pytest.raises(ValueError, match="not negative"):
        stats.smallest_detectable([0.0, 1.0, 2.0], list("abc"), noise_floor=-1)


# Seeds


def test_few_seeds_are_averaged_and_their_spread_stands_beside():
    rng = np.random.default_rng(33)
    base, work = clustered(rng, 10, 2)
    table = np.array([base + 0.1, base + 0.2, base + 0.6])
    result = stats.over_seeds(table, work, seed=3)
    assert not result.crossed
    averaged = stats.bootstrap_interval(base + 0.3, work, seed=3)
    assert result.interval.low == pytest.approx(averaged.low)
    assert result.interval.high == pytest.approx(averaged.high)
    assert result.seed_means == pytest.approx([base.mean() + shift for shift in (0.1, 0.2, 0.6)])
    # .1 .2 .6 around .3: √((.04 + .01 + .09)/2)
    assert result.between_seed_sd == pytest.approx(math.sqrt(0.07))
    assert stats.over_seeds(table[:1], work, seed=3).between_seed_sd is None


def test_seeds_are_crossed_from_five_on():
    rng = np.random.default_rng(34)
    base, work = clustered(rng, 12, 2)
    shifts = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    crossed = stats.over_seeds(base + shifts[:, None], work, seed=0, resamples=2000)
    assert crossed.crossed
    assert crossed.interval.estimate == pytest.approx(base.mean())
    fixed = stats.bootstrap_interval(base, work, seed=0, resamples=2000)
    # as wide as Student's t says: the shifts have variance 2.5, their mean a fifth of it
    of_seeds, of_works = 2.5 / 5, base.reshape(12, 2).mean(1).var(ddof=1) / 12
    se = math.sqrt(of_seeds + of_works)
    t = scipy_stats.t.ppf(0.975, se**4 / (of_seeds**2 / 4 + of_works**2 / 11))
    assert crossed.interval.high - crossed.interval.low == pytest.approx(2 * t * se, rel=0.15)
    # Seeds that agree add nothing: what is left is the expansion for 12 works
    same = stats.over_seeds(np.tile(base, (5, 1)), work, seed=0, resamples=2000)
    wider = (same.interval.high - same.interval.low) / (fixed.high - fixed.low)
    assert wider == pytest.approx(2.200985 * math.sqrt(12 / 11) / 1.959964, rel=0.1)
    assert same.between_seed_sd == pytest.approx(0)


def test_the_interval_of_five_seeds_that_differ_covers():
    rng = np.random.default_rng(40)
    covered = 0
    for _ in range(150):
        table = rng.normal(0, 1, (1, 90)) + rng.normal(0, 1, (5, 1)) + rng.normal(0, 0.5, (5, 90))
        covered += covers(stats.over_seeds(table, singles(range(90)), seed=rng, resamples=999))
    assert covered / 150 == pytest.approx(0.94, abs=0.055)  # without the expansion 0.86


def test_a_bootstrap_is_expanded_to_the_width_of_students_t():
    one = expanded(0.95, [0.7], [10])
    assert scipy_stats.norm.ppf((1 + one) / 2) == pytest.approx(2.262157 * math.sqrt(10 / 9))
    assert expanded(0.95, [0.7], [10**6]) == pytest.approx(0.95, abs=1e-5)
    # Welch: two equal parts of 5 and 20 have 1 / (.25 / 4 + .25 / 19) degrees of freedom
    two = scipy_stats.norm.ppf((1 + expanded(0.9, [1.0, 1.0], [5, 20])) / 2)
    t = scipy_stats.t.ppf(0.95, 1 / (0.25 / 4 + 0.25 / 19))
    assert two == pytest.approx(t * math.sqrt(2 / (4 / 5 + 19 / 20)))


def covers(found, truth=0.0):
    return found.interval.low <= truth <= found.interval.high


def test_what_can_be_found_counts_the_spread_between_seeds_from_five_on():
    rng = np.random.default_rng(41)
    base, work = clustered(rng, 20, 3)
    shifts = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])[:, None]
    four, five = (stats.smallest_detectable(base + s, work) for s in (shifts[1:], shifts))
    assert four == stats.smallest_detectable(base + 0.5, work)
    # sd² of the shifts 2.5, of their mean 2.5 / 5; Satterthwaite's degrees of freedom
    of_works = four.se**2
    assert five.se**2 == pytest.approx(of_works + 0.5)
    assert five.df == pytest.approx((of_works + 0.5) ** 2 / (of_works**2 / 19 + 0.25 / 4))
    assert five.effect > four.effect


def test_seeds_degenerate():
    still = stats.over_seeds(np.zeros((5, 4)), list("abcd"), seed=0)
    assert still.interval.reason.startswith("every work")
    with pytest.raises(ValueError, match="table of seeds by items"):
        stats.over_seeds([1.0, 2.0], ["a", "b"], seed=0)
    with pytest.raises(ValueError, match="is nan"):
        stats.over_seeds([[1.0, math.nan], [1.0, 2.0]], ["a", "b"], seed=0)


# Null calibration


def test_null_calibration_of_the_sign_flips():
    delta, work = clustered(np.random.default_rng(35), 16, 3, mean=5.0)
    result = stats.calibrate_sign_flips(delta, work, seed=0, repeats=1000, resamples=199)
    assert result.super_uniform
    assert len(result.p_values) == 1000
    assert 0.03 <= result.rate_at_05 <= 0.073  # .05 ± 3.3 standard errors
    # The planted 5.0 is what the swaps remove
    assert stats.sign_flip_test(delta, work, seed=0).p < 0.001


def test_null_calibration_of_the_difference():
    rng = np.random.default_rng(36)
    a, work_a = clustered(rng, 10, 3, mean=4.0, prefix="a")
    b, work_b = clustered(rng, 14, 2, prefix="b")
    result = stats.calibrate_difference(a, work_a, b, work_b, seed=0, repeats=1000, resamples=99)
    assert result.super_uniform
    assert 0.03 <= result.rate_at_05 <= 0.073


def test_null_calibration_of_few_works_is_exact_and_conservative():
    result = stats.calibrate_sign_flips([1.0, 2.0, 4.0, 8.0], list("abcd"), seed=0, repeats=400)
    # 16 patterns of distinct |sum| in pairs: p is one of 1/8 .. 8/8, so never ≤ .05
    assert set(result.p_values) <= {k / 8 for k in range(1, 9)}
    assert (result.rate_at_05, result.super_uniform) == (0.0, True)


def test_null_calibration_catches_a_broken_test():
    uniform = np.random.default_rng(37).uniform(size=1000)
    assert stats.NullCalibration.of(uniform).super_uniform
    assert stats.NullCalibration.of(np.sqrt(uniform)).super_uniform  # too large p: conservative
    assert not stats.NullCalibration.of(uniform**1.5).super_uniform  # too small p
    with pytest.raises(ValueError, match="no items"):
        stats.calibrate_sign_flips([], [], seed=0)
    with pytest.raises(ValueError, match="two works in each group"):
        stats.calibrate_difference([1.0], ["a"], [1.0, 2.0], ["b", "c"], seed=0)


# Verdicts


def interval(low, high, level=0.95, reason=None):
    middle = None if low is None else (low + high) / 2
    return stats.Interval(middle, low, high, level, "by hand", 10, 20, reason)


UP = interval(0.1, 0.5)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.03, 0.20, "improved"),  # lower end > f = .02
        (0.02, 0.20, "no worse"),  # not above f
        (-0.04, 0.20, "no worse"),  # lower end > −m = −.05
        (-0.05, 0.20, "inconclusive"),  # not above −m
        (-0.30, 0.20, "inconclusive"),
        (-0.30, -0.02, "inconclusive"),  # upper end not below −f
        (-0.30, -0.03, "worse"),
        (-0.045, -0.025, "worse"),  # worse comes before no worse
    ],
)
def test_verdict_in_its_order(low, high, word):
    result = stats.verdict(interval(low, high), 0.02, 0.05, UP)
    assert result.word == word
    assert not result.decay
    assert (result.reason is not None) == (word == "inconclusive")
    assert (result.noise_floor, result.margin) == (0.02, 0.05)


def test_a_noise_floor_that_was_not_measured_is_none_and_is_told():
    assert stats.verdict(interval(0.001, 0.2), None, 0.05, UP).word == "improved"
    assert stats.verdict(interval(-0.2, -0.001), None, 0.05, UP).word == "worse"
    open_end = stats.verdict(interval(-0.3, 0.2), None, 0.05, UP)
    assert (open_end.word, open_end.noise_floor) == ("inconclusive", None)
    assert open_end.reason == (
        "the interval -0.3 to +0.2 is neither beyond 0 (noise floor not measured) nor above the "
        "margin -0.05"
    )
    measured = stats.verdict(interval(-0.3, 0.2), 0.0, 0.05, UP)
    assert "neither beyond the noise floor ±0 nor" in measured.reason


def test_verdict_of_decay_is_at_best_inconclusive():
    for bracket in (interval(-0.4, -0.1), interval(-0.1, 0.3), interval(0.0, 0.3)):
        improved = stats.verdict(interval(0.1, 0.3), 0.02, 0.05, bracket)
        assert (improved.word, improved.decay) == ("inconclusive", True)
        assert improved.reason.startswith("decay: improved but for the first bracket")
        no_worse = stats.verdict(interval(-0.01, 0.3), 0.02, 0.05, bracket)
        assert (no_worse.word, no_worse.decay) == ("inconclusive", True)
        worse = stats.verdict(interval(-0.3, -0.1), 0.02, 0.05, bracket)
        assert (worse.word, worse.decay) == ("worse", True)  # never softened


def test_verdict_without_intervals():
    missing = interval(None, None, reason="2 works; at least 3 are needed")
    primary = stats.verdict(missing, 0.02, 0.05, UP)
    assert primary.word == "inconclusive"
    assert primary.reason == "no interval: 2 works; at least 3 are needed"
    bracket = stats.verdict(interval(0.1, 0.3), 0.02, 0.05, missing)
    assert (bracket.word, bracket.decay) == ("inconclusive", False)
    assert "has no interval" in bracket.reason
    # A quantity without brackets has nothing to check
    assert stats.verdict(interval(0.1, 0.3), 0.02, 0.05, None).word == "improved"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((interval(0, 1, 0.9), 0.0, 0.1, UP), "95% interval, got one of 90%"),
        ((interval(0, 1), 0.0, 0.1, interval(0, 1, 0.9)), "95% interval, got one of 90%"),
        ((interval(0, 1), -0.1, 0.1, UP), "noise floor"),
        ((interval(0, 1), 0.0, -0.1, UP), "margin"),
        ((interval(0, 1), math.nan, 0.1, UP), "noise floor"),
        ((interval(0, 1), 0.0, math.inf, UP), "margin"),
    ],
)
def test_verdict_refuses_senseless_rules(arguments, message):
    with pytest.raises(ValueError, match=message):
        stats.verdict(*arguments)


def test_selective_and_control_unmoved():
    assert stats.selective(interval(0.01, 0.4)).holds
    assert not stats.selective(interval(0.0, 0.4)).holds
    assert not stats.selective(interval(None, None, reason="no items")).holds
    assert stats.control_unmoved(interval(-0.04, 0.03, 0.90), 0.05).holds
    assert not stats.control_unmoved(interval(-0.06, 0.03, 0.90), 0.05).holds
    assert not stats.control_unmoved(interval(-0.04, 0.05, 0.90), 0.05).holds
    assert not stats.control_unmoved(interval(None, None, 0.90, "no items"), 0.05).holds
    with pytest.raises(ValueError, match="90% interval, got one of 95%"):
        stats.control_unmoved(interval(-0.04, 0.03), 0.05)
    with pytest.raises(ValueError, match="95% interval, got one of 90%"):
        stats.selective(interval(0, 1, 0.90))


def test_a_whole_study_planted_and_null():
    rng = np.random.default_rng(38)
    literary, works_l = clustered(rng, 24, 4, mean=0.5, between=0.3, within=0.5, prefix="l")
    factual, works_f = clustered(rng, 24, 4, between=0.05, within=0.1, prefix="f")
    primary = stats.bootstrap_interval(literary, works_l, seed=1)
    control = stats.sign_flip_interval(factual, works_f, seed=1, level=0.9)
    apart = stats.difference_of_differences(literary, works_l, factual, works_f, seed=1)
    result = stats.verdict(primary, 0.05, 0.1, primary)
    assert result.word == "improved"
    assert stats.selective(apart.interval).holds
    assert stats.control_unmoved(control, 0.1).holds
    null = stats.bootstrap_interval(factual, works_f, seed=1)
    assert stats.verdict(null, 0.05, 0.1, primary).word == "no worse"


# Never NaN


@pytest.mark.parametrize(
    "delta",
    [[], [0.0], [1.0], [0.0, 0.0], [0.0] * 3, [1e-300] * 3, [1e12, 1e12, -1e12], [5.0] * 8,
     [0.0, 0.0, 0.0, 1.0], [1e-9, 2e-9, 1e9]],
)  # fmt: skip
def test_nothing_is_ever_nan(delta):
    work, other = singles(delta), [1.0, 2.0, 4.0]
    results = [
        stats.bootstrap_interval(delta, work, seed=0, resamples=99),
        stats.sign_flip_interval(delta, work, seed=0),
        stats.sign_flip_test(delta, work, seed=0),
        stats.wilcoxon_on_work_means(delta, work),
        stats.cohens_dz(delta, work),
        stats.rank_biserial(delta, work, seed=0, resamples=99),
        stats.difference_of_differences(delta, work, other, list("xyz"), seed=0, resamples=99),
        stats.max_t({"one": (delta, work), "two": (other, list("xyz"))}, seed=0, resamples=99),
        stats.smallest_detectable(delta, work),
        stats.smallest_detectable_difference(delta, work, other, list("xyz")),
        stats.over_seeds([delta] * 5, work, seed=0, resamples=99),
    ]

    def numbers(value):
        if isinstance(value, dict):
            return [number for part in value.values() for number in numbers(part)]
        if isinstance(value, list | tuple):
            return [number for part in value for number in numbers(part)]
        return [value] if isinstance(value, float) else []

    for result in results:
        found = numbers(dataclasses.asdict(result))
        assert all(math.isfinite(number) for number in found), result
        reason = getattr(result, "reason", None)
        if hasattr(result, "low"):
            assert (result.low is None) == (result.high is None) == (reason is not None)
