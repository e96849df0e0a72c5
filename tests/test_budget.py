"""The grammar of budgets, read back in plain words, and what a budget leaves to n devices."""

from __future__ import annotations

import doctest
import random

import pytest

from cqa.errors import UsageRefused
from cqa.training import budget
from cqa.training.budget import Budget, parse, written
from cqa.training.rates import Money, Rates, power, price


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2gpu-hours", Budget(device_seconds=7200)),  # 2 · 3600
        ("1gpu-hour", Budget(device_seconds=3600)),
        ("0.5 gpu-hours", Budget(device_seconds=1800)),
        ("90gpu-minutes", Budget(device_seconds=5400)),  # 90 · 60
        ("30gpu-seconds", Budget(device_seconds=30)),
        ("1.5gpu-days", Budget(device_seconds=129_600)),  # 1.5 · 86400
        ("2GPU_Hours", Budget(device_seconds=7200)),
        ("90s", Budget(wall_seconds=90)),
        ("90 secs", Budget(wall_seconds=90)),
        ("1second", Budget(wall_seconds=1)),
        ("2m", Budget(wall_seconds=120)),
        ("30min", Budget(wall_seconds=1800)),
        ("30 minutes", Budget(wall_seconds=1800)),
        ("1h", Budget(wall_seconds=3600)),
        ("1.5hours", Budget(wall_seconds=5400)),
        ("12000tokens", Budget(tokens=12_000)),
        ("300ktokens", Budget(tokens=300_000)),
        ("1.5Mtokens", Budget(tokens=1_500_000)),
        ("1token", Budget(tokens=1)),
        ("5epochs", Budget(epochs=5)),
        ("0.5epoch", Budget(epochs=0.5)),
    ],
)
def test_one_amount_is_read(text, meant):
    assert parse(text) == meant


def test_amounts_of_different_kinds_are_joined_with_commas():
    everything = "2gpu-hours, 90min,300ktokens , 5epochs"
    assert parse(everything) == Budget(
        device_seconds=7200, wall_seconds=5400, tokens=300_000, epochs=5
    )


@pytest.mark.parametrize(
    "text",
    ["", " ", "2", "hours", "gpu-hours2", "-5s", "+5s", "1e3s", "infh", "nans", "2 gpu hours",
     "2gpuhours", "5gpus", "$", "500Whs", "1,000tokens", "90s,", ",90s", "90s;1h", "1.s", ".5h",
     "0x10s", "2h30m", "--help", "1e3hours", "5chf"],
)  # fmt: skip
def test_what_is_not_a_budget_is_refused_with_the_grammar(text):
    with pytest.raises(UsageRefused) as refused:
        parse(text)
    assert repr(text) in refused.value.what
    assert "is not understood" in refused.value.what
    assert budget.GRAMMAR in refused.value.next_step


@pytest.mark.parametrize("text", ["90ms", "5hs", "90ss"])
def test_an_abbreviation_has_no_plural(text):
    # 90ms are milliseconds to everybody, certainly not an hour and a half
    with pytest.raises(UsageRefused, match="is not understood"):
        parse(text)


@pytest.mark.parametrize(
    "text", ["0s", "0.0gpu-hours", "0epochs", "0tokens", "0.5tokens", "1h,0epochs"]
)
def test_a_budget_of_nothing_is_refused(text):
    with pytest.raises(UsageRefused, match="leaves nothing to spend"):
        parse(text)


@pytest.mark.parametrize("unit", ["s", "tokens", "epochs"])
def test_a_number_beyond_all_numbers_is_refused(unit):
    with pytest.raises(UsageRefused):
        parse("9" * 400 + unit)


@pytest.mark.parametrize(
    "text", ["90s,1h", "1gpu-hour,1gpu-minute", "5tokens,1ktoken", "1epoch,2epochs"]
)
def test_two_ceilings_of_one_kind_are_refused(text):
    with pytest.raises(UsageRefused, match="two ceilings of the same kind"):
        parse(text)


def test_the_grammar_that_is_told_is_understood():
    amounts = budget.GRAMMAR.removesuffix(", or several joined with commas").split(", ")
    assert len(amounts) == 10
    for amount in amounts:
        parse(amount, Rates(price("2.5usd/gpu-hour", "a test")))
    parse("2gpu-hours,30min,300ktokens,5epochs")


@pytest.mark.parametrize(
    ("text", "echo"),
    [
        ("2gpu-hours,keep=0", "at most 7200 device-seconds"),
        ("0.5s,keep=0", "at most 0.5 s of wall time"),
        (
            "2s",
            "at most 2 s of wall time, of which 10% is kept for scoring and generation",
        ),
        ("2pflops,keep=0", "at most 2e+15 FLOPs"),
        ("0.5kWh,keep=0", "at most 500 Wh, measured"),
        (
            "500Wh,power=0.3kW,keep=0",
            "at most 500 Wh at 300W a device, estimated",
        ),
        ("$5,price=2.5usd/gpu-hour,keep=0", "at most 5 usd at 2.5 usd/gpu-hour"),
        ("300ktokens", "at most 300,000 tokens"),
        ("1epoch", "at most 1 epochs"),
        (
            "1gpu-hour,30min,1Mtokens,2.5epochs,keep=0",
            "at most 3600 device-seconds and 1800 s of wall time and 1,000,000 tokens "
            "and 2.5 epochs",
        ),
    ],
)
def test_a_budget_is_echoed_in_plain_words(text, echo):
    assert parse(text).understood() == echo


def test_no_budget_is_no_limit():
    assert Budget().understood() == "no limit"
    assert Budget().seconds_left(wall=1e9, device=1e9, devices=3) == float("inf")
    assert Budget(tokens=1, epochs=1).seconds_left(wall=1e9, device=1e9) == float("inf")


def test_a_large_budget_is_echoed_with_all_its_digits():
    # 35 · 86400 = 3 024 000; a person does not read 3.024e+06
    echo = parse("35gpu-days").understood().replace(",", "")
    assert "3024000 device-seconds" in echo


def test_device_time_is_shared_by_the_devices_and_wall_time_is_not():
    rng = random.Random(0)
    for _ in range(200):
        devices, given, wall = rng.randint(1, 64), rng.uniform(1, 1e6), rng.uniform(1, 1e6)
        fresh = Budget(device_seconds=given).seconds_left(wall=0, device=0, devices=devices)
        # all devices together spend exactly what was given
        assert fresh * devices == pytest.approx(given, rel=1e-12)
        # after an elapsed second, `devices` device-seconds are gone and one second of the rest
        later = Budget(device_seconds=given).seconds_left(wall=1, device=devices, devices=devices)
        assert fresh - later == pytest.approx(1, rel=1e-6)
        assert (
            Budget(wall_seconds=wall).seconds_left(wall=1, device=1e9, devices=devices) == wall - 1
        )
        both = Budget(device_seconds=given, wall_seconds=wall)
        assert both.seconds_left(wall=0, device=0, devices=devices) == min(wall, fresh)


def test_what_was_overspent_is_negative():
    # 100 − 130 = −30 s of wall time; (60 − 80) / 2 = −10 s on two devices
    assert Budget(wall_seconds=100).seconds_left(wall=130, device=0) == -30
    assert Budget(device_seconds=60).seconds_left(wall=0, device=80, devices=2) == -10


def test_the_examples_in_the_module_are_right():
    found = doctest.testmod(budget)
    assert found.attempted > 0
    assert found.failed == 0


def test_money_is_device_time_at_its_price():
    # 5 / 2.5 = 2 hours; a fifth of them is kept
    asked = parse("5usd,price=2.5usd/gpu-hour,keep=0.2")
    assert asked.money == Money(5, "usd")
    assert asked.for_training(flops_per_token=1).device_seconds == pytest.approx(0.8 * 7200)
    # beside a smaller ceiling on device time, that one holds
    joined = parse("5usd,price=2.5usd/gpu-hour,1gpu-hour,keep=0")
    assert joined.for_training(flops_per_token=1).device_seconds == 3600
    # 0.10 a minute is 6 an hour
    assert price("0.1eur/gpu-minute", "a test").per_hour == Money(6, "eur")


@pytest.mark.parametrize("text", ["5usd", "$5", "3usd,1gpu-hour"])
def test_money_without_a_price_is_refused_with_the_remedy(text):
    with pytest.raises(UsageRefused, match="money without a price") as refused:
        parse(text)
    assert "--price 2.5usd/gpu-hour" in refused.value.next_step


def test_nothing_is_converted_between_currencies():
    with pytest.raises(UsageRefused, match="two currencies"):
        parse("5eur,price=2.5usd/gpu-hour")


def test_energy_at_a_stated_power_is_device_time_and_measured_energy_stays_energy():
    # 500 Wh / 250 W = 2 hours
    stated = parse("500Wh,power=250W,keep=0").for_training(flops_per_token=1)
    assert (stated.device_seconds, stated.energy_wh) == (7200, None)
    measured = parse("500Wh,keep=0.5").for_training(flops_per_token=1)
    assert (measured.device_seconds, measured.energy_wh) == (None, 250)


def test_flops_are_tokens_of_this_model():
    # 1e9 FLOPs, half kept, at 1e6 a token: 500 tokens
    assert parse("1e9flops,keep=0.5").for_training(flops_per_token=1e6).tokens == 500
    assert parse("1gflop,300tokens,keep=0").for_training(flops_per_token=1e6).tokens == 300
    # tokens and epochs are those of training alone: nothing of them is kept
    assert parse("300tokens,2epochs").for_training(flops_per_token=1).tokens == 300


@pytest.mark.parametrize("text", ["1h,keep=1", "1h,keep=-0.1", "1h,keep=x", "1h,keep=nan"])
def test_what_is_no_share_cannot_be_kept(text):
    with pytest.raises(UsageRefused, match="no share of the budget"):
        parse(text)


@pytest.mark.parametrize("said", ["2.5", "2.5usd", "usd/gpu-hour", "0usd/gpu-hour", "2usd/gpu-eon"])
def test_what_is_no_price_is_refused(said):
    with pytest.raises(UsageRefused, match="is not understood"):
        price(said, "--price")


def test_a_price_decides_a_training_only_where_money_is_its_ceiling():
    known = Rates(price("2.5usd/gpu-hour", "--price"), power("300W", "--power"))
    assert written(None, known, None) is None
    assert written("2gpu-hours", known, None) == "2gpu-hours"
    assert written("5usd", known, 0.2) == "5usd,price=2.5 usd/gpu-hour,keep=0.2"
    assert written("500Wh", known, None) == "500Wh,power=300W"
    # what is written is understood as it was meant
    again = parse(written("5usd,500wh", known, 0.2))
    assert again.understood() == parse("5usd,500wh,keep=0.2", known).understood()
    with pytest.raises(UsageRefused, match="said twice"):
        written("5usd,keep=0.1", known, 0.2)
