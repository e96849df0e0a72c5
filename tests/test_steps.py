"""What a study consists of, in what order it is done, and what happens when a part of it fails."""

from __future__ import annotations

import json
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import annotation, experiment

from cqa import analysis, pairing, selection
from cqa.config import read_experiment
from cqa.errors import DataRefused
from cqa.examples import examples
from cqa.study import lock, schedule
from cqa.study.steps import Step, steps_of
from cqa.types import Annotation

ARMS = """
[[arms]]
name = "curve"
curve = true
write = false
rows = 4
"""


@pytest.fixture
def steps(workplace) -> list[Step]:
    """Those of a file with three arms, two seeds and one curve over three epochs."""
    file = experiment(workplace, workplace, epochs="3")
    text = file.read_text().replace("seeds = [0]", "seeds = [3, 4]")
    file.write_text(text.replace("[train]", ARMS + "[train]"))
    return steps_of(read_experiment(file))


def test_steps_are_arms_by_seeds_by_epochs_each_after_what_it_needs(steps):
    names = [step.name for step in steps]
    assert len(set(names)) == len(names)
    assert names[:3] == ["base/score", "annotations-s3/train", "annotations-s3/score"]
    # 1 base, 3 arms x 2 seeds trained and scored, 2 early epochs x 2 seeds, 5 writers twice; last,
    # when all that decides is known, each tuned one marks its own texts (the base is the judge)
    assert len(names) == 1 + 12 + 4 + 10 + 4
    own = ["annotations-s3", "annotations-s4", "shuffled-s3", "shuffled-s4"]
    assert names[-4:] == [f"{label}/score-own" for label in own]
    assert "curve-s4-e2/score" in names
    assert not any(name.startswith("curve") and "generate" in name for name in names)
    for at, step in enumerate(steps):
        assert all(need in steps[:at] for need in step.needs)


def test_a_base_that_is_not_the_judge_marks_its_own_texts_too(workplace):
    file = experiment(workplace, workplace)
    file.write_text(file.read_text().replace(f'judge = "{workplace}"', 'judge = "embedded"'))
    names = [step.name for step in steps_of(read_experiment(file))]
    assert names[-3:] == ["base/score-own", "annotations-s0/score-own", "shuffled-s0/score-own"]


def test_only_takes_what_it_names_and_what_that_needs(steps):
    chosen = {step.name for step in schedule.chosen(steps, ["shuffled-s4/generate"])}
    assert chosen == {"shuffled-s4/train", "shuffled-s4/generate"}
    assert len(schedule.chosen(steps, ["*/train"])) == 6
    with pytest.raises(Exception, match="no such step") as refused:
        schedule.chosen(steps, ["shufled/train"])
    assert "shuffled/train" in refused.value.next_step


class Paper:
    """A study on paper: a step takes as long as it says, and those in `broken` fail."""

    def __init__(self, steps, seconds, broken=()):
        self.seconds, self.broken, self.now = seconds, set(broken), 0.0
        self.done: dict[Step, object] = {}
        self.root, self.capacity, self._over = None, 1, []

    def find(self, step):
        return self.done.get(step)

    def is_elsewhere(self, step):
        return False

    def start(self, step):
        self.now += self.seconds
        if step.name in self.broken:
            self._over.append((step, "the device fell off"))
        else:
            self.done[step] = SimpleNamespace()
            self._over.append((step, None))

    def finished(self):
        over, self._over = self._over, []
        return over


@pytest.fixture
def carry_out(monkeypatch):
    """`schedule.carry_out` on paper, where every step is known to take as long as it does."""

    class Known:
        def __init__(self, study):
            self.study = study

        def learn(self, run):
            pass

        def expected(self, step):
            return self.study.seconds

        def left(self, steps, workers):
            return self.study.seconds * len(steps)

    monkeypatch.setattr(schedule, "Durations", Known)

    def run(paper, steps, **limits):
        return schedule.carry_out(paper, steps, paper, clock=lambda: paper.now, **limits)

    return run


def test_a_failure_takes_with_it_only_what_needs_it(steps, carry_out):
    paper = Paper(steps, 1.0, broken=["annotations-s3/train"])
    found = carry_out(paper, steps)
    assert found.failed["annotations-s3/train"] == "the device fell off"
    assert found.failed["annotations-s3/score"] == "needs annotations-s3/train, which failed"
    assert set(found.failed) == {s.name for s in steps if s.label == "annotations-s3"}
    assert found.done == len(steps) - len(found.failed)
    assert carry_out(paper, steps).fresh == 0  # what is done is found


def test_a_slice_ends_before_a_step_that_would_not_fit_and_the_next_goes_on(steps, carry_out):
    paper = Paper(steps, 10.0)
    first = carry_out(paper, steps, seconds=35.0)
    assert (first.done, paper.now) == (3, 30.0)
    assert first.left == tuple(steps[3:])
    slices = 1
    while carry_out(paper, steps, seconds=35.0).left:
        slices += 1
    assert len(paper.done) == len(steps)
    assert slices == -(-len(steps) // 3) - 1


def test_a_smaller_selection_is_part_of_every_larger_one():
    rows = [Annotation(**annotation(number)) for number in range(6)]
    chosen = [{row.id for row in selection.first(rows, size)} for size in range(1, 7)]
    assert [len(one) for one in chosen] == [1, 2, 3, 4, 5, 6]
    assert all(one < other for one, other in pairwise(chosen))
    with pytest.raises(DataRefused, match="there are 6 annotations"):
        selection.first(rows, 7)


def test_a_selection_by_kind_keeps_those_steps_and_parts_and_every_example():
    rows = [Annotation(**annotation(number)) for number in range(2)]
    made = examples(selection.of_kinds(rows, ["audience"]), ["appreciation"])
    assert len(made) == 2
    assert made[0].preface == "Audience: Expects a parcel.\n\n"
    assert "Audience: They wait for a parcel." in made[0].learned
    assert "Reality:" not in made[0].learned
    assert "Decision: Let it be heard first." in made[0].learned
    assert examples(selection.of_kinds(rows, ["craft"]), ["generation"])[0].preface == ""


def test_a_lock_names_every_field_that_differs_and_keeps_what_it_replaces(tmp_path):
    path, now = (
        tmp_path / "a.lock.json",
        {"margin": 0.01, "arms": {"a": {"epochs": 5}}, "seeds": [1]},
    )
    held = lock.write(path, now)
    assert lock.write(path, now) == held  # once
    early = SimpleNamespace(record={"started": "2000-01-01T00:00:00.000+00:00"})
    late = SimpleNamespace(record={"started": "2999-01-01T00:00:00.000+00:00"})
    assert lock.standing(held, now, [late]).confirmatory
    assert "older than the lock" in lock.standing(held, now, [early, late]).said

    other = {"margin": 0.02, "arms": {"a": {"epochs": 5}, "b": {"epochs": 1}}, "seeds": [1]}
    assert lock.write(path, other) == held  # left as it is
    told = lock.standing(held, other, [late])
    assert not told.confirmatory
    assert [(d.field, d.locked, d.now) for d in told.deviations] == [
        ("margin", 0.01, 0.02),
        ("arms.b.epochs", None, 1),
    ]
    with pytest.raises(DataRefused, match=r"margin: locked 0\.01, now 0\.02"):
        lock.refuse_changed(path, held, other)
    again = lock.write(path, other, again=True)
    assert again["earlier"][0]["sha256"] == held["sha256"]
    forged = json.loads(json.dumps(again))
    forged["locked"]["margin"] = 0.5
    assert "hash" in lock.standing(forged, forged["locked"], [late]).said


def test_the_interval_speaks_of_new_seeds_only_from_five_on():
    rng = np.random.default_rng(1)
    works = [f"w{n}" for n in range(30)]
    shifts = np.array([0.3, -0.3, 0.2, -0.2, 0.0])[:, None]
    table = 1.0 + shifts + rng.normal(0, 0.1, (5, 30))

    def change(seeds):
        p = pairing.Paired(tuple(works), tuple(works), np.zeros((1, 30)), table[:seeds], 0)
        return analysis._change("gain_bits_per_token", "literary", p)

    three, five = change(3), change(5)
    assert (three.crossed, five.crossed) == (False, True)
    assert three.seed_means == pytest.approx(table[:3].mean(axis=1))
    assert five.between_seed_sd == pytest.approx(table.mean(axis=1).std(ddof=1))
    # the seeds differ far more than the works do, and only the crossed interval knows
    assert five.interval.high - five.interval.low > 4 * (three.interval.high - three.interval.low)
