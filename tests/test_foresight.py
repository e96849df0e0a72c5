"""What an experiment can find, worked out before it is run, against simulation."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from cqa.config import TrainConfig
from cqa.stats import planned_effect, planning
from cqa.study import foresight, pilot
from cqa.study.steps import Step


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


def test_the_assumed_spread_is_that_of_the_accepted_study():
    path = Path(__file__).parent.parent / "experiments/results/reproduce.csv"
    with path.open(encoding="utf-8", newline="") as file:
        first = next(
            row
            for row in csv.DictReader(file)
            if (row["quantity"], row["group"]) == ("specific_gain_bits_per_token", "literary")
        )
    spread = float(first["detectable"]) / planned_effect(int(first["works"]))
    assert spread == pytest.approx(pilot.ASSUMED["benchmark"].spread.work, rel=0.05)


@pytest.mark.parametrize("on", ["benchmark", "writing"])
def test_a_pilot_takes_each_seed_once_and_no_epoch_for_a_seed(monkeypatch, on):
    writing = on == "writing"

    def scoring(label, moved, ended, adapter=True, mismatched=3, items=8):
        inputs = {"data": "items", "model": "m"} | ({"adapter": "a"} if adapter else {})
        rows = [
            scored_text(f"i{n}", moved * (n % 4) if n or not writing else None, label)
            for n in range(items)
        ]
        config = {"mismatched": mismatched, "dtype": "float32"}
        label = f"texts-{label}" if writing else label
        record = {"stage": "score", "inputs": inputs, "label": label, "config": config}
        return SimpleNamespace(done=True, rows=rows, record=record | {"ended": ended})

    scored = [
        scoring("main-s2", 3.0, "2026-05"),
        scoring("main-s1-e2", 99.0, "2026-04"),  # an epoch of the same training
        scoring("main-s1", 1.0, "2026-03"),
        scoring("main-s1", 50.0, "2026-02"),  # replaced by a newer one
        scoring("main-s3", 70.0, "2026-03", mismatched=5),  # another measure
        scoring("main-s4", 80.0, "2026-03", items=7),  # other texts
        scoring("base", 0.0, "2026-01", adapter=False),
    ]
    other = scoring("main-s5", 60.0, "2026-06")  # of the other side
    other.record["label"] = "main-s5" if writing else "texts-main-s5"
    monkeypatch.setattr(pilot.runs, "all_runs", lambda root: [*scored, other])
    monkeypatch.setattr(pilot.score, "load_scores", lambda run: run.rows)
    items = [SimpleNamespace(id=f"i{n}", work=f"w{n}", group="literary") for n in range(8)]
    model = SimpleNamespace(sha256="m")
    study = SimpleNamespace(
        root=None,
        items_sha256="items",
        model=model,
        judge=model,
        data=SimpleNamespace(items=items),
        experiment=SimpleNamespace(
            analysis=SimpleNamespace(primary="q", arm="main", on=on, exclude={}),
            score=SimpleNamespace(mismatched=3, dtype="float32"),
        ),
    )
    found = pilot.of(study)
    works = np.arange(writing, 8) % 4  # one text was left empty
    assert found.spread == planning.Spread.of([1.0 * works, 3.0 * works])
    assert found.kept == (7 / 8 if writing else 1.0)
    assert found.source == "pilot: 2 scorings of main on this disk"
    scored.clear()
    assert pilot.of(study).spread == pilot.ASSUMED[on].spread
    assert "no pilot" in pilot.of(study).source


def scored_text(item, value, label):
    known = {"item": item, "sample": 0, "work": f"w{item[1:]}", "group": "literary"}
    own = SimpleNamespace(**known, id=item, quantities={"q": value})
    own.model_copy = lambda update: SimpleNamespace(**(vars(own) | update))
    return own


def test_a_step_is_timed_once_for_the_arms_whose_tokens_cost_the_same(monkeypatch):
    arms = {"main": {}, "shuffled": {"pairing": "shuffled"}, "fewer": {"rows": 5, "epochs": 2}}
    arms |= {"other": {"material": "continuation"}, "zero": {"method": "zero-step"}}
    planned = []

    def plan(config, model, data, **_):
        planned.append(config)
        return SimpleNamespace(device_seconds=30.0, tokens=300, time_basis="timed now")

    def rows(config, model, data, *, seed):
        return SimpleNamespace(learn=[SimpleNamespace(ids=[0] * 20)] * (config.rows or 3))

    monkeypatch.setattr(foresight.train, "plan", plan)
    monkeypatch.setattr(foresight, "prepared", rows)
    study = SimpleNamespace(
        model=None,
        data=None,
        root=None,
        arm=lambda name: name,
        experiment=SimpleNamespace(budget=None, train_config=lambda arm: TrainConfig(**arms[arm])),
    )
    steps = [Step("train", arm, seed) for arm in arms for seed in (1, 2)]
    seconds, basis = foresight._trained(study, steps, None)
    # a token takes 0.1 s: 3 rows of 20 five times, 5 rows twice; two seeds of each
    assert seconds == pytest.approx(2 * (30 + 0.1 * 300 + 0.1 * 200 + 30))
    assert [config.material for config in planned] == ["annotations", "continuation"]
    assert basis == "timed now"
    assert foresight._trained(study, steps[-2:], None) == (0.0, "no step is trained")
