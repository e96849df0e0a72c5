"""The command line: light help, examples that work, one JSON object, errors for people."""

from __future__ import annotations

import csv
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from conftest import REPOSITORY, experiment
from rich.text import Text

from cqa import runs
from cqa.cli import app
from cqa.runs import Run, Spec
from cqa.study.steps import Step

COMMANDS = (
    "ingest", "plan", "train", "generate", "score", "report", "export", "run", "lock", "table",
    "doctor",
)  # fmt: skip

HELPS = """
import sys
from typer.testing import CliRunner
from cqa.cli import app
from cqa.study.steps import Step
for words in (["--help"], *([name, "--help"] for name in sys.argv[1:])):
    assert CliRunner().invoke(app, words).exit_code == 0, words
heavy = {"torch", "transformers", "trl", "peft", "datasets", "pandas", "numpy", "scipy", "sklearn",
         "statsmodels", "matplotlib", "pyarrow", "submitit"}
print(sorted(heavy & {name.split(".")[0] for name in sys.modules}))
"""
"""Shows every help and prints which heavy libraries it took."""


def subprocess_python(*words: str, **more) -> subprocess.CompletedProcess:
    """This Python on this checkout, whatever is installed."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env=environment, **more
    )


def help_lines(cqa, *words: str) -> list[str]:
    result = cqa(*words, "--help")
    assert result.exit_code == 0
    return [line.strip() for line in result.stdout.splitlines() if line.strip()]


def example_of(cqa, *words: str) -> list[str]:
    """The words of the example that a help ends with."""
    last = help_lines(cqa, *words)[-1]
    assert last.startswith("Example: cqa "), last
    return shlex.split(last.removeprefix("Example: cqa "))


def test_no_help_imports_a_heavy_library():
    shown = subprocess_python("-c", HELPS, *COMMANDS)
    assert shown.stdout == "[]\n", shown.stderr


def test_the_list_of_commands_is_that_of_the_tests():
    assert tuple(typer.main.get_command(app).commands) == COMMANDS


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_help_ends_with_an_example_that_the_program_understands(cqa, name):
    words = example_of(cqa, *name.split())
    program = typer.main.get_command(app)
    understood = []
    for command in program.commands.values():
        command.callback = lambda name=command.name, **options: understood.append((name, options))
    program.main(words, standalone_mode=False)
    ((seen, options),) = understood
    assert seen == (name or "run")
    # what is written after an option or stands alone has reached the command
    for word in words[1:]:
        if not word.startswith("-"):
            assert word in {str(value) for value in options.values()}


def test_every_option_and_argument_says_what_it_is():
    for command in typer.main.get_command(app).commands.values():
        assert command.help
        for parameter in command.params:
            assert parameter.help, (command.name, parameter.name)
            # what looks like markup would be left out on the terminal
            assert Text.from_markup(parameter.help).plain == parameter.help


def test_the_examples_that_cost_nothing_work_when_pasted(cqa, workplace):
    for name in ("ingest", "table", "doctor"):
        words = example_of(cqa, name)
        result = cqa(*words)
        assert result.exit_code == 0, (words, result.output)
    with Path("results.csv").open(encoding="utf-8") as file:
        assert [row["stage"] for row in csv.DictReader(file)] == ["ingest"]
    assert (REPOSITORY / example_of(cqa, "run")[-1]).is_file()


@pytest.mark.parametrize("name", ["ingest", "table", "doctor"])
def test_json_is_exactly_one_object_on_stdout(cqa, name):
    for _ in range(2):  # what is made and what is found are told in the same form
        result = cqa(name, "--json")
        assert isinstance(json.loads(result.stdout), dict)


@pytest.mark.parametrize("name", ["train", "score"])
def test_json_is_one_object_though_an_experiment_has_several_arms(
    cqa, workplace, batch, benchmark, monkeypatch, name
):
    class Done:
        """A study whose every stage is done."""

        steps = tuple(Step(kind, arm, 0) for arm in ("one", "two") for kind in ("train", "score"))

        def do(self, step):
            return Run(Path("runs/x"), {"id": "x", "headline": {}, "status": "done"})

    monkeypatch.setattr("cqa.cli.wiring.study", lambda path: Done())
    result = cqa(name, "--experiment", "small.toml", "--json")
    assert isinstance(json.loads(result.stdout), dict)


def test_an_error_is_one_json_object_too(cqa):
    result = cqa("score", "missing.jsonl", "--json")
    told = {"error": "missing.jsonl: no such file", "next": "check the path", "exit": 3}
    assert json.loads(result.stdout) == told


def test_scoring_a_file_that_is_not_there_says_so_and_what_to_do():
    result = subprocess_python("-m", "cqa", "score", "missing.jsonl", cwd=REPOSITORY / "tests")
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr == "cqa: missing.jsonl: no such file\n  next: check the path\n"


def test_scoring_outputs_before_anything_was_generated_names_the_command(cqa):
    result = cqa("score", "outputs.jsonl")
    assert result.stderr == "cqa: outputs.jsonl: no such file\n  next: cqa generate writes it\n"


@pytest.fixture
def named(workplace, batch, benchmark) -> Path:
    """What the references below may name: an experiment and folders that are no models."""
    experiment(workplace, workplace / "empty")
    (workplace / "empty").mkdir()
    (workplace / "pickled").mkdir()
    (workplace / "pickled" / "config.json").write_text("{}")
    (workplace / "pickled" / "pytorch_model.bin").write_bytes(b"")
    return workplace


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        ("report nope nope", 2, "run 'nope': no such run"),
        ("train nope", 2, "run 'nope': no such run"),
        ("generate --adapter nope", 2, "run 'nope': no such run"),
        ("score --benchmark --adapter nope", 2, "run 'nope': no such run"),
        ("generate --adapter latest", 2, "no finished training of embedded"),
        ("score --benchmark --adapter latest", 2, "no finished training of embedded"),
        ("report", 2, "no tuned model has been scored yet"),
        ("score", 2, "nothing to score"),
        ("score items.jsonl --benchmark", 2, "a file and --benchmark at once"),
        ("train --experiment small.toml --arm nope", 2, "--arm 'nope': no such arm"),
        ("train batch --experiment small.toml", 2, "DATA beside an experiment file"),
        ("plan small.toml --epochs 3 --full", 2, "--full, --epochs beside an experiment file"),
        ("report --margin inf", 2, "--margin inf: not a finite number"),
        ("run small.toml --minutes inf --on slurm", 2, "--minutes inf: not a finite number"),
        ("score items.jsonl --shard 3", 2, "--shard '3': not of the form NUMBER/OF"),
        ("train batch --budget 2parsecs", 2, "'2parsecs' is not understood"),
        ("train --model nope", 3, "model 'nope': neither `embedded`, nor a folder"),
        ("generate --model empty", 3, "model empty: empty has no config.json"),
        ("score --benchmark --judge pickled", 3, "no safetensors weights (pickles are not loaded)"),
        ("generate --adapter empty", 3, "adapter empty: no adapter_config.json there"),
        ("score --benchmark --adapter empty", 3, "adapter empty: no adapter_config.json there"),
        ("generate nope.jsonl", 3, "nope.jsonl: no such file"),
        ("score items.jsonl --pool nope.jsonl", 3, "nope.jsonl: no such file"),
        ("ingest nope", 3, "nope: no such file"),
        ("run nope.toml", 3, "nope.toml: no such experiment file"),
        ("report --experiment nope.toml", 3, "nope.toml: no such experiment file"),
    ],
)
def test_a_reference_to_nothing_is_told_with_a_next_step(cqa, named, typed, code, said):
    result = cqa(*typed.split())  # anything but an error for people would be raised here
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert "\n  next: " in result.stderr
    assert not (named / "runs").exists(), "nothing has been begun"


def test_the_beginning_of_a_run_id_is_enough_if_only_one_run_begins_with_it(cqa, workplace):
    for seed in (0, 1):
        with runs.execute(Spec("train", f"s{seed}", {}, seed=seed, inputs={"data": "d"})):
            pass
    several = cqa("report", "train-s", "train-s")
    assert several.exit_code == 2
    assert "run 'train-s': 2 runs begin with it" in several.stderr
    one = cqa("report", "train-s0", "train-s1")
    assert "no such run" not in one.stderr
    assert "begin with it" not in one.stderr


@pytest.mark.parametrize("stage", ["train", "report", "score"])
def test_a_run_of_another_stage_is_not_trained_on(cqa, workplace, stage):
    with runs.execute(Spec(stage, "x", {})) as other:
        pass
    result = cqa("train", other.id)
    assert result.exit_code == 2, result.output
    assert other.id in result.stderr
    assert "next: " in result.stderr


def test_only_scorings_can_be_reported(cqa, workplace):
    with runs.execute(Spec("ingest", "x", {}, inputs={"data": "d"})) as other:
        pass
    result = cqa("report", other.id, other.id)
    assert result.exit_code == 2, result.output
    assert other.id in result.stderr
    assert len(runs.all_runs()) == 1, "no report has been begun"


@pytest.mark.parametrize(
    "typed",
    [
        "nope",
        "train --epochs 0",
        "train --learning-rate -1",
        "train --learning-rate nan",
        "train --seed -1",
        "train --seed 4294967296",
        "generate --dtype float99",
        "generate --temperature 0",
        "generate --min-p 1",
        "score --benchmark --mismatched 16",
        "score --benchmark --dtype float99",
        "report --margin 0",
        "table --last 0",
    ],
)
def test_an_option_out_of_range_is_a_fault_of_the_command_line(cqa, workplace, typed):
    result = cqa(*typed.split())
    assert result.exit_code == 2, result.output
    assert not (workplace / "runs").exists()


def test_an_empty_budget_is_not_a_budget_without_limit(cqa, batch):
    # `--budget "$B"` with B unset
    assert cqa("train", "nope", "--budget", "").exit_code == 2


@pytest.mark.parametrize(
    "typed",
    [
        "ingest batch --experiment small.toml",
        "train --experiment small.toml --budget 90s",
        "train --experiment small.toml --epochs 1",
        "train --experiment small.toml --seed 1",
        "train --experiment small.toml --full",
        "generate items.jsonl --experiment small.toml",
        "generate --experiment small.toml --samples 2",
        "generate --experiment small.toml --adapter latest",
        "score items.jsonl --experiment small.toml",
        "score --experiment small.toml --benchmark",
        "score --experiment small.toml --judge other",
        "score --experiment small.toml --out scores.jsonl",
        "report a b --experiment small.toml",
        "report --experiment small.toml --margin 0.1",
        "train nope --arm shuffled",
    ],
)
def test_an_option_that_would_be_ignored_is_refused(cqa, named, monkeypatch, typed):
    class Untouched:
        """A study in which nothing may be done."""

        tuned = ()

        def __getattr__(self, name):
            raise AssertionError(f"`cqa {typed}` went ahead with {name}")

    monkeypatch.setattr("cqa.cli.wiring.study", lambda path: Untouched())
    result = cqa(*typed.split())
    assert result.exit_code == 2, result.output
    assert not (named / "runs").exists()


def test_the_table_can_be_read_when_no_run_has_a_seed(cqa):
    made = json.loads(cqa("ingest", "--json").stdout)
    assert made["seed"] is None
    shown = cqa("table")
    assert shown.exit_code == 0
    assert made["id"] in shown.stdout


def test_without_a_command_the_help_is_shown(cqa):
    result = cqa()
    assert result.exit_code == 2
    assert "Usage:" in result.output
    assert "ingest" in result.output


def test_the_version_is_that_of_the_package(cqa):
    from cqa import __version__

    assert cqa("--version").stdout == f"cqa {__version__}\n"
