"""Every command with every option, given anything; what is heavy is never reached or never done."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import pytest
import typer.main
from conftest import annotation, dialogue, experiment, items, write_rows
from fuzzing import COUNTED, FULL, WORDS, cases, in_time
from hypothesis import example, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cqa import runs, table
from cqa.cli import app, wiring
from cqa.errors import EXIT_CUT_SHORT, EXIT_GATE
from cqa.paths import EMBEDDED_MODEL
from cqa.runs import Spec

PROGRAM = typer.main.get_command(app)
COMMANDS = sorted(PROGRAM.commands)
ENDS = {0, 2, 3, EXIT_CUT_SHORT, *EXIT_GATE.values()}
NAMES = """
0 -1 1 2 nan inf -inf 1e400 0x10 1_000 ١ . .. / /dev/null /dev/zero pipe ~ latest embedded model
adapter batch items.jsonl outputs.jsonl ratings.csv small.toml locked a-folder a-file a-file/below
score-x train-x new/out.csv new/out.jsonl a-folder.csv org/name org/name@../x 90s 5usd 300W base
2usd/gpu-hour one/train */* verdict=improved change>x B=Anna,C=Bo epoch+3 development nf4 generic
generation,dialogue float32 1/3 slurm local sky partition=gpu
"""
VALUES = (
    *NAMES.split(),
    *(word for word in WORDS if "\x00" not in word),
    "9" * 30,
    "x" * 5000,
    "epoch 3",
)


TERMINAL = {chr(n) for n in (*range(32), *range(0x7F, 0xA0))} - {"\t", "\n"}
"""What a terminal obeys."""
TYPED: set[tuple[str, str]] = set()
"""Commands with the options that were given to them."""


class Heavy(Exception):
    """A model would be loaded or trained now: the command line was taken."""


def heavy(*_, **__):
    raise Heavy


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory):
    """A working directory with one of everything that can be named."""
    import cqa.training.sft  # noqa: F401 - takes seconds that no case should be charged

    folder = tmp_path_factory.mktemp("commands")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("CQA_RUNS", "runs")
        patch.setenv("COLUMNS", "120")
        patch.setattr(wiring, "load", heavy)
        patch.setattr(wiring, "fit", heavy)
        patch.setattr("cqa.parallel.launch", heavy)
        patch.setattr("cqa.training.devices.launch", heavy)
        patch.setattr("cqa.study.workers.Processes.__enter__", heavy)
        patch.setattr("cqa.cluster.carry.place", heavy)
        patch.setattr("cqa.train.plan", heavy)
        patch.setattr("cqa.audit.run", heavy)
        patch.setattr("cqa.doctor.examine", lambda: [])
        patch.setattr("huggingface_hub.snapshot_download", offline)
        patch.setattr("cqa.paths.BENCHMARK_ITEMS", str(folder / "items.jsonl"))
        patch.setattr(wiring, "shipped_sources", lambda: [Path("batch"), Path("items.jsonl")])
        write_rows(Path("batch/annotations.jsonl"), [annotation(n) for n in range(3)])
        write_rows(Path("batch/dialogues.jsonl"), [dialogue(n) for n in range(3)])
        write_rows(Path("items.jsonl"), items()[4:8])
        write_rows(Path("outputs.jsonl"), [{"text": "a"}])
        Path("ratings.csv").write_text("id,rater,criterion,value\na,r,good,1\n")
        Path("model").symlink_to(EMBEDDED_MODEL)
        experiment(folder, EMBEDDED_MODEL)
        for name in ("a-folder", "a-folder.csv", "adapter", "locked"):
            Path(name).mkdir()
        Path("locked").chmod(0o500)
        Path("a-file").write_text("no such thing")
        os.mkfifo("pipe")
        with runs.execute(Spec("train", "x", {"model": "m"}, inputs={"data": "d"})):
            pass
        with runs.execute(Spec("score", "x", {"judge": "j"}, inputs={"data": "d"})) as run:
            run.file("scores.jsonl").write_text("")
        yield folder


def offline(*_, **__):
    raise OSError("no network here")


def typed(words: list[str]) -> None:
    """Type it; only a fault of the program is raised."""
    COUNTED[0] += 1
    before = {path for path in Path.cwd().rglob("*") if "runs" not in path.parts}
    with in_time():
        result = CliRunner().invoke(app, words)
    if isinstance(result.exception, Heavy):
        return
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in ENDS, (words, result.output)
    if result.exit_code != 2:  # there the parser of the command line may repeat what was typed
        assert not set(result.output) & TERMINAL, words
    if result.exit_code in (2, 3):
        assert result.stderr.strip(), words
        assert "Traceback" not in result.output
        assert len(result.stderr) < 30_000
        after = {path for path in Path.cwd().rglob("*") if "runs" not in path.parts}
        assert after <= before, (words, after - before)
    if "--json" in words and result.exit_code == 3:
        assert json.loads(result.stdout)["exit"] == 3


@st.composite
def lines(draw) -> list[str]:
    """A command with some of its options and arguments, each with any value."""
    name = draw(st.sampled_from(COMMANDS))
    words = [name]
    for parameter in PROGRAM.commands[name].params:
        if draw(st.integers(0, 3)) or "--help" in parameter.opts:
            continue
        TYPED.add((name, parameter.name))
        if isinstance(parameter, click.Argument) or parameter.param_type_name == "argument":
            words.append(draw(st.sampled_from(VALUES)))
        elif getattr(parameter, "is_flag", False):
            words.append(parameter.opts[0])
        else:
            words += [parameter.opts[0], draw(st.sampled_from(VALUES))]
    if draw(st.integers(0, 3)) == 0:
        words.append(draw(st.sampled_from(VALUES)))
    return words


@cases(8, 1500)
@given(lines())
@example(["train", "x" * 300])  # a name too long for the system
@example(["generate", "--model", "~nobody/x"])  # nobody has that home
@example(["ingest", "pipe"])
@example(["generate", "--out", "5usd"])  # a training of no known model
@example(["run", "/dev/zero"])
@example(["score", "outputs.jsonl", "--out", "a-folder.csv"])
@example(["table", "--csv", "a-file/below"])
@example(["report", "score-x", "score-x", "--margin", "nan"])
@example(["report", "score-x", "score-x"])  # a scoring without results
@example(["run", "small.toml", "--minutes", "nan"])
@example(["train", "", "--json"])
@example(["score", "\udcff.jsonl", "--json"])  # a name in another encoding
@example(["report", "score-x", "--ratings", "ratings.csv"])
@example(["plan", "small.toml", "--json"])  # beside a training that says nothing of its settings
def test_any_line_is_carried_out_or_refused(words):
    typed(words)


@pytest.mark.skipif(not FULL, reason="a sample; `make fuzz` types all")
def test_every_option_of_every_command_was_typed():
    assert {
        (name, parameter.name) for name in COMMANDS for parameter in PROGRAM.commands[name].params
    } <= TYPED


@pytest.mark.parametrize("command", ["table", "ingest", "train"])
def test_a_file_in_the_place_of_the_runs_directory_is_refused(monkeypatch, command):
    monkeypatch.setenv("CQA_RUNS", "a-file")
    result = CliRunner().invoke(app, [command])
    assert result.exit_code == 3, result.output
    assert "a-file" in result.stderr
    assert "next: " in result.stderr


def test_a_name_with_markup_and_control_characters_is_shown_as_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv("CQA_RUNS", str(tmp_path))
    with (
        pytest.raises(ValueError, match="red"),
        runs.execute(Spec("score", "[/red]:smile:", {"judge": "[/red]"}, inputs={"data": "d"})),
    ):
        raise ValueError("[/red] :smile: \x1b]0;owned\x07\x9b2J")
    shown = CliRunner().invoke(app, ["table"])
    assert shown.exit_code == 0, shown.output
    assert "[/red] :smile:" in shown.stdout
    assert table.read()["reason"][0].startswith("ValueError: [/red]")
    assert not set(shown.output) & TERMINAL
    refused = CliRunner().invoke(app, ["score", "a\x1b[31m[/b].jsonl"])
    assert "\x1b" not in refused.stderr
    assert "[/b].jsonl: no such file" in refused.stderr
