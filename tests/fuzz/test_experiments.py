"""Experiment files, budgets and the small languages of options, spoilt."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from conftest import REPOSITORY
from fuzzing import BAD, NUMBERS, WORDS, cases, outcome, spoilt, spoilt_bytes
from hypothesis import given
from hypothesis import strategies as st

from cqa import sources
from cqa.config import (
    AnalysisConfig,
    ArmConfig,
    Experiment,
    GenerateConfig,
    StudyScoreConfig,
    TrainConfig,
    read_experiment,
    validated,
)
from cqa.reporting import listing
from cqa.study import schedule
from cqa.study.steps import steps_of
from cqa.training import budget, rates

FILE = Path("an.toml")
GOOD = tomllib.loads((REPOSITORY / "experiments/reproduce.toml").read_text("utf-8"))
STEPS = steps_of(Experiment.model_validate(GOOD))
TEXT = (REPOSITORY / "experiments/controls.toml").read_text("utf-8")


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory):
    """A working directory of these cases."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("experiments"))
        yield


def toml(value) -> str:
    """A value as TOML, as far as it has a form there; made to be wrong where it has none."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, dict):
        pairs = ", ".join(f"{toml(str(key))} = {toml(inner)}" for key, inner in value.items())
        return f"{{ {pairs} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str):
        escaped = value.encode("unicode_escape").decode("ascii").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)


def taken(path: Path = FILE) -> None:
    """Read and made into steps, as every command does that takes such a file."""
    steps_of(read_experiment(path))


@cases(25, 1500)
@given(spoilt(GOOD), st.data())
def test_an_experiment_file_is_read_or_refused_by_name(bad, data):
    bad = bad if isinstance(bad, dict) else {"name": bad}
    text = "".join(f"{toml(str(key))} = {toml(value)}\n" for key, value in bad.items())
    FILE.write_bytes(data.draw(spoilt_bytes(text)))
    outcome(taken, place="an.toml")


@cases(10, 500)
@given(spoilt_bytes(TEXT))
def test_a_file_that_an_editor_has_spoilt_is_refused_by_name(data):
    FILE.write_bytes(data)
    outcome(taken, place="an.toml")


CONFIGS = (TrainConfig, GenerateConfig, StudyScoreConfig, ArmConfig, AnalysisConfig, Experiment)
FIELDS = [(kind, name) for kind in CONFIGS for name in kind.model_fields]


@cases(60, 1500)
@given(st.sampled_from(FIELDS), BAD)
def test_every_field_takes_what_it_can_and_names_itself(field, value):
    kind, name = field
    said = outcome(lambda: validated(kind, {name: value}, "here"))
    assert said is None or name in said or "expected" in said


TERMS = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(list(map(str, NUMBERS))),
    st.sampled_from(["2gpu-hours", "90s", "5usd", "$5", "€2", "keep=0.2", "price=1usd/gpu-hour"]),
    st.sampled_from(
        ["power=300W", "1e17flops", "1e999flops", "9" * 400 + "tokens", "500Wh", "5wh"]
    ),
    st.text(alphabet="0123456789.e+-=, $€£gpuhoursktflw/", max_size=24),
)


@cases(40, 1000)
@given(st.lists(TERMS, max_size=4).map(",".join), st.none() | st.floats())
def test_a_budget_is_understood_or_refused(text, keep):
    said = outcome(lambda: budget.parse(text))
    if said is None:
        assert budget.parse(text).understood()
    outcome(lambda: budget.written(text, rates.Rates(), keep))
    outcome(lambda: rates.price(text, "--price"))
    outcome(lambda: rates.power(text, "--power"))


@cases(20, 500)
@given(TERMS, TERMS)
def test_speakers_conditions_and_steps_are_understood_or_refused(one, two):
    outcome(lambda: sources.speakers_of(f"{one}={two}"))
    outcome(lambda: listing.where([], [f"change{one}", f"model~{two}"]))
    outcome(lambda: schedule.chosen(STEPS, [one, two]))


def numbers(count: int) -> str:
    return ", ".join(map(str, range(count)))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("seeds = [" + "[" * 5000, "an.toml"),  # deeper than the parser goes
        ("seeds = [1" + "0" * 5000 + "]", "an.toml"),  # Python gives up at 4300 digits
        ("seeds = [0x" + "f" * 9000 + "]", "seeds[0]"),
        (f"seeds = [{numbers(20_000)}]", "at most 10000 scorings"),
        ("\n".join(f'[[arms]]\nname = "a{n}"' for n in range(1200)), "arms"),
        ('[[arms]]\nname = "long"\ncurve = true\nepochs = 10000000000000', "arms[2].epochs"),
        ("[generate]\nsamples = 1000000000000", "generate.samples"),
        ("[train]\nlora_rank = 1000000000", "train.lora_rank"),
        ("# " + "x" * 300_000, "300,0"),
    ],
)
def test_bombs_are_refused(more, said):
    head = 'name = "n"\nquestion = "q"\n'
    arms = '\n[[arms]]\nname = "one"\n[[arms]]\nname = "two"\n'
    foot = '\n[analysis]\narm = "one"\nmargin = 0.1\n'
    FILE.write_text(head + (more + arms if "seeds" in more else arms + more) + foot, "utf-8")
    assert said in (outcome(taken, place="an.toml") or "")


def test_a_byte_order_mark_is_no_fault():
    FILE.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    assert outcome(taken) is None


def test_what_is_no_file_is_refused():
    Path("folder.toml").mkdir(exist_ok=True)
    for name in ("folder.toml", "/dev/zero", "x" * 300, "a\x00b", "~nobody/x.toml"):
        assert outcome(lambda name=name: taken(Path(name)))
