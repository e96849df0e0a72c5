"""What an experiment can find, worked out before it is run, against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cqa.stats import planning


def test_the_chance_of_an_inconclusive_end_is_that_of_simulated_studies():
    rng = np.random.default_rng(0)
    works, sd, margin, floor = 20, 0.05, 0.03, 0.002
    for effect in (-0.03, 0.0, 0.02):
        data = rng.normal(effect, sd, (20_000, works))
        mean, se = data.mean(1), data.std(1, ddof=1) / works**0.5
        half = stats.t.isf(0.025, works - 1) * se
        rate = np.mean((mean - half <= -margin) & (mean + half >= -floor))
        chance = planning.chance_of_inconclusive(
            effect, sd / works**0.5, works - 1, margin=margin, noise_floor=floor
        )
        assert chance == pytest.approx(rate, abs=0.015)


def test_more_works_mend_an_inconclusive_end_and_one_fewer_does_not():
    spread = planning.Spread(0.05)
    works = planning.works_needed(spread, 1, margin=0.01)

    def chance(n):
        se = spread.standard_error(n, 1)
        return planning.chance_of_inconclusive(0.0, se, n - 1, margin=0.01)

    assert chance(works) <= 0.2 < chance(works - 1)
    # margin = (1.960 + z) · sd / √works; one in forty ends in `worse`, so z is that of .2 + .025
    assert works == pytest.approx(((1.960 + 0.755) * 0.05 / 0.01) ** 2, rel=0.02)


def test_the_parts_of_the_spread_are_told_apart():
    rng = np.random.default_rng(2)
    parts = planning.Spread(work=3.0, within=2.0, seed=1.0)
    tables = [
        rng.normal(0, 3, (1, 200)) + rng.normal(0, 1, (40, 1)) + rng.normal(0, 2, (40, 200))
        for _ in range(20)
    ]
    found = np.mean(
        [[s.work**2, s.within**2, s.seed**2] for s in map(planning.Spread.of, tables)], 0
    )
    assert found == pytest.approx([9, 4, 1], rel=0.1)
    # from five seeds on the seeds count: 9/200 + 4/1000 + 1/5; below, for these seeds, they do not
    assert parts.standard_error(200, 5) ** 2 == pytest.approx(9 / 200 + 4 / 1000 + 1 / 5)
    assert parts.standard_error(200, 4) ** 2 == pytest.approx(9 / 200 + 4 / 800)


def test_the_smallest_effect_is_that_of_the_design_page():
    # METRIC: 96 independent items find d = 0.29
    assert planning.detectable(planning.Spread(1.0), 96, 1) == pytest.approx(0.29, abs=0.005)
