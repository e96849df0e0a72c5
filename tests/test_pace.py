"""Keeping to a budget, on a clock made of numbers: the loop below is that of the trainer."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest

from cqa.training.budget import Budget
from cqa.training.pace import Pace

WARMUP = 0.1


@dataclass
class Trained:
    """What a simulated training did."""

    steps: int
    seconds: float
    tokens: int
    shares: list[float]
    """Of the peak learning rate, step by step."""
    plans: list[int]
    """Total steps as planned before each step."""


def train(pace: Pace, steps: Iterable[tuple[float, int]], *, loading: float = 0.0) -> Trained:
    """Take steps of (seconds, tokens) for as long as the pace allows."""
    done = Trained(0, loading, 0, [], [])
    for seconds, tokens in steps:
        if pace.seconds_left(done.seconds) <= 0 or done.steps >= pace.total_steps:
            return done
        done.plans.append(pace.total_steps)
        done.shares.append(pace.learning_rate_share(done.steps, WARMUP))
        done.steps += 1
        done.seconds += seconds
        done.tokens += tokens
        pace.lower_to_fit(done.steps, done.seconds, done.seconds - loading, done.tokens)
    assert done.steps >= pace.total_steps, "the simulation ran out of steps"
    return done


def plan(budget: Budget, tokens: Sequence[int] = (10,) * 100, **more: float) -> Pace:
    return Pace(budget, tokens, steps_per_epoch=10, **more)


def test_without_a_budget_every_planned_step_is_taken():
    done = train(plan(Budget()), [(1e6, 10)] * 100)
    assert (done.steps, set(done.plans)) == (100, {100})


@pytest.mark.parametrize(
    ("budget", "devices"),
    [
        # 7 s of loading, 100 steps of 2 s, each believed to take 10 % longer: 7 + 220 = 227 s,
        # and what saving takes
        (Budget(wall_seconds=230), 1),
        (Budget(device_seconds=230), 1),
        (Budget(device_seconds=4 * 230), 4),
        # 100 steps of 10 tokens: exactly 1000
        (Budget(tokens=1000), 1),
        (Budget(epochs=10), 1),
        (Budget(wall_seconds=230, device_seconds=230, tokens=1000, epochs=10), 1),
    ],
)
def test_a_plan_that_fits_is_never_touched(budget, devices):
    done = train(plan(budget, devices=devices), [(2.0, 10)] * 100, loading=7)
    assert done.steps == 100
    assert set(done.plans) == {100}


def test_a_plan_that_fits_is_not_spoilt_by_a_slow_first_step():
    # 30 + 99 · 1 = 129 s of 150 s. The first step says nothing about the others.
    done = train(plan(Budget(wall_seconds=150)), [(30.0, 10), *[(1.0, 10)] * 99])
    assert done.steps == 100


@pytest.mark.parametrize(
    ("epochs", "steps"), [(1, 10), (0.5, 5), (0.25, 2), (2.39, 23), (0.05, 0), (50, 100)]
)
def test_a_budget_of_epochs_is_rounded_down_to_whole_steps(epochs, steps):
    # ten steps are one epoch; 0.25 epochs are 2.5 steps, so 2
    assert plan(Budget(epochs=epochs)).total_steps == steps


def test_a_budget_of_epochs_is_not_lost_to_rounding():
    # in floating point 0.29 · 100 is 28.999999999999996
    for hundredth in range(1, 1000, 4):
        pace = Pace(Budget(epochs=hundredth / 100), [10] * 1000, steps_per_epoch=100)
        assert pace.total_steps == hundredth


@pytest.mark.parametrize("step_seconds", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_time_is_a_ceiling_and_most_of_it_is_used(step_seconds, share):
    # The steps alone take 100 · step_seconds; of that and loading a share is allowed.
    for seed in range(20):
        rng = random.Random(seed)
        budget = 5 + max(3, share * 100) * step_seconds
        steps = [(step_seconds * rng.uniform(0.96, 1.04), 10) for _ in range(100)]
        done = train(plan(Budget(wall_seconds=budget), saving_seconds=0.0), steps, loading=5)
        assert done.seconds <= budget
        # at most two steps and a tenth of the time (a step may take so much longer) are left over
        assert done.seconds >= 5 + (budget - 5) / 1.15 - 2 * step_seconds


def test_time_is_a_ceiling_when_steps_take_as_long_as_their_rows_are():
    # Half of all rows are three times as long as the others, and they come in any order: the step
    # that does not fit is not begun, though a mean step would fit.
    for seed in range(200):
        rng = random.Random(seed)
        tokens = [100] * 50 + [300] * 50
        rng.shuffle(tokens)
        steps = [(count / 100 * rng.uniform(0.97, 1.03), count) for count in tokens]
        budget = Budget(wall_seconds=rng.uniform(8, 150))
        done = train(plan(budget, tokens, saving_seconds=0.0), steps)
        assert done.seconds <= budget.wall_seconds, (seed, budget)


def test_a_second_step_is_not_begun_where_it_cannot_fit():
    # 10 s, no time for saving: after a step of 6 s there are 4 s left, and that is no step.
    pace = plan(Budget(wall_seconds=10), saving_seconds=0.0)
    assert train(pace, [(6.0, 10)] * 100).seconds <= 10


def test_a_step_that_is_slower_than_any_before_still_fits():
    # n steps of 10 s leave 10.5 s: enough for one like them, not for one of 10.8 s, which may come
    for n in range(3, 40):
        pace = plan(Budget(wall_seconds=n * 10 + 10.5), saving_seconds=0.0)
        done = train(pace, [*[(10.0, 10)] * n, *[(10.8, 10)] * 100])
        assert done.seconds <= n * 10 + 10.5


def test_what_earlier_attempts_spent_is_spent():
    # 60 of 100 s are gone before this attempt, which then has 40 s for steps of 1 s.
    done = train(plan(Budget(wall_seconds=100), wall_before=60.0), [(1.0, 10)] * 100)
    assert 33 <= done.seconds <= 40
    # and 40 device-seconds are 20 s on two devices
    shared = plan(Budget(device_seconds=100), device_before=60.0, devices=2)
    assert 15 <= train(shared, [(1.0, 10)] * 100).seconds <= 20
    # also where steps become slower after the plan was made
    slower = plan(Budget(device_seconds=40), devices=2)
    assert train(slower, [(0.5, 10)] * 5 + [(2.0, 10)] * 95).seconds <= 20
    # nothing is left: nothing is begun
    assert train(plan(Budget(wall_seconds=100), wall_before=100.0), [(1.0, 10)] * 100).steps == 0


def test_time_for_saving_is_kept_back():
    done = train(plan(Budget(wall_seconds=50), saving_seconds=20.0), [(1.0, 10)] * 100)
    assert done.seconds <= 30


def test_time_for_reading_the_development_side_is_planned_for_whole_epochs_only():
    # Ten steps of 1 s an epoch, and 100 tokens of the development side: 5 s, as long as 5 steps.
    # Of 44 s, 40 hold at a margin of a tenth: two epochs with their readings, 30 s, and the ten
    # steps of a third without it, not with it.
    pace = plan(Budget(wall_seconds=44), saving_seconds=0.0, dev_tokens=100)
    steps = [(6.0 if step in (10, 20) else 1.0, 10) for step in range(100)]
    done = train(pace, steps)
    assert done.steps == 29
    # Of 8 s, 7 hold: they are all for steps.
    pace = plan(Budget(wall_seconds=8), saving_seconds=0.0, dev_tokens=100)
    assert train(pace, [(1.0, 10)] * 100).steps == 7


def test_tokens_are_used_up_to_the_last_step_that_fits_and_the_plan_is_known_beforehand():
    for seed in range(400):
        rng = random.Random(seed)
        tokens = [rng.choice([1, 5, 20, rng.randint(1, 100)]) for _ in range(100)]
        order = rng.choice(["as it is", "short first", "long first"])
        if order != "as it is":
            tokens.sort(reverse=order == "long first")
        limit = rng.randint(1, sum(tokens) + 50)
        done = train(plan(Budget(tokens=limit), tokens), [(1.0, count) for count in tokens])
        assert done.tokens <= limit, (seed, order)
        assert done.steps == 100 or done.tokens + tokens[done.steps] > limit, (seed, order)
        assert set(done.plans) <= {done.steps}, (seed, order)


def test_tokens_that_a_kill_lost_lower_the_plan_before_the_first_step():
    # 300 tokens are 30 steps of 10. A kill lost 4 steps after the checkpoint of step 10, so 260
    # tokens are 26 steps, 10 of them done.
    pace = plan(Budget(tokens=300))
    assert pace.total_steps == 30
    pace.tokens_lost = 40
    pace.lower_to_tokens(10, 100)
    assert (pace.total_steps, pace.fits) == (26, [(10, 26)])


def test_the_plan_is_fitted_once_also_where_steps_differ():
    # Steps of 60 to 140 tokens in any order, long ones first: their mean is known, so the first few
    # do not spoil the fit, and a pace that wavers by a tenth leaves it alone.
    for seed in range(30):
        rng = random.Random(seed)
        tokens = [rng.randint(60, 140) for _ in range(1000)]
        tokens[: 5 + seed % 10] = sorted(tokens[: 5 + seed % 10], reverse=seed % 2 == 0)
        pace = plan(Budget(wall_seconds=300), tokens, saving_seconds=0.0)
        done = train(pace, [(count / 100 * rng.uniform(0.9, 1.1), count) for count in tokens])
        assert len(pace.fits) == 1, (seed, pace.fits)
        assert 0.8 * 300 <= done.seconds <= 300, (seed, done.seconds)


def test_a_machine_that_becomes_slower_lowers_the_plan_a_few_times_and_never_breaks_the_ceiling():
    for seed in range(30):
        rng = random.Random(seed)
        when, factor = rng.uniform(50, 250), rng.uniform(1.3, 2.5)
        pace = plan(Budget(wall_seconds=300), [10] * 1000, saving_seconds=0.0)
        now, steps = 0.0, []
        for _ in range(1000):
            steps.append((rng.uniform(0.97, 1.03) * (factor if now > when else 1.0), 10))
            now += steps[-1][0]
        done = train(pace, steps)
        assert len(pace.fits) <= 5, (seed, pace.fits)
        assert done.seconds <= 300, (seed, done.seconds)
        assert pace.learning_rate_share(done.steps, WARMUP) == 0


def test_the_learning_rate_warms_up_and_decays_to_nothing_at_the_planned_end():
    # 10 of 100 steps of warm-up: 1/10, 2/10 ... 1, then 90 steps down: 90/90, 89/90 ... 1/90
    shares = train(plan(Budget()), [(1.0, 10)] * 100).shares
    assert shares[:10] == [(step + 1) / 10 for step in range(10)]
    assert shares[10:] == [(100 - step) / 90 for step in range(10, 100)]


def test_the_learning_rate_follows_the_lowered_plan():
    # 300 tokens are 30 steps of 10, and that is known beforehand. The warm-up is 3 steps, 1/3 ...
    # 3/3, then 27 steps go down: 27/27, 26/27 ... 1/27.
    shares = train(plan(Budget(tokens=300)), [(1.0, 10)] * 100).shares
    assert shares[:3] == [1 / 3, 2 / 3, 1]
    assert shares[3:] == [(30 - step) / 27 for step in range(3, 30)]
    # 22 s hold 20 steps of 1 s that may take a tenth longer. Until the pace is known the warm-up is
    # that of 100 steps, then that of 20, which is 2 steps, and the rest goes down.
    pace = plan(Budget(wall_seconds=22), saving_seconds=0.0)
    shares = train(pace, [(1.0, 10)] * 100).shares
    ((after, total),) = pace.fits
    assert shares[:after] == [(step + 1) / 10 for step in range(after)]
    assert shares[after:] == [(total - step) / (total - 2) for step in range(after, total)]


@pytest.mark.parametrize(
    "budget", [Budget(wall_seconds=35), Budget(tokens=300), Budget(wall_seconds=35, tokens=300)]
)
def test_the_learning_rate_decays_to_nothing_at_the_lowered_end(budget):
    for seed in range(20):
        rng = random.Random(seed)
        steps = [(rng.uniform(0.97, 1.03), rng.randint(9, 10)) for _ in range(100)]
        pace = plan(budget, [tokens for _, tokens in steps])
        done = train(pace, steps)
        assert 25 <= done.steps <= 36, "most of the 100 steps do not fit"
        # About thirty steps, three of them warm-up: a step is 1/27 of the decay. The end may come
        # a few steps early, never in the middle of the slope.
        assert done.shares[-1] <= 5 / 27
        assert pace.learning_rate_share(done.steps, WARMUP) == 0
        falling = done.shares[10:]
        assert all(one > later for one, later in itertools.pairwise(falling))


def test_the_share_of_the_learning_rate_stays_between_nothing_and_all():
    for total in range(0, 30):
        pace = plan(Budget(), [10] * total)
        for warmup in (0.0, 0.1, 0.5, 0.99):
            assert all(0 <= pace.learning_rate_share(step, warmup) <= 1 for step in range(40))
            assert all(pace.learning_rate_share(step, warmup) > 0 for step in range(total))
