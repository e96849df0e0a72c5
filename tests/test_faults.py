"""A sample of `make faults`, and what is looked at before an attempt goes on from another."""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from safetensors.numpy import save_file

from cqa import leftovers, runs
from cqa.errors import CqaError, of_the_machine
from cqa.files import whole, write_json
from cqa.runs import Spec

sys.path.append(str(REPOSITORY / "experiments" / "faults"))

SPEC = Spec("score", "base", {"judge": "embedded"})
SAMPLE = [
    *(("kill", "ingest", seed) for seed in range(3)),
    ("kill", "lock", 0),
    ("SIGTERM", "ingest", 0),
    ("full disk, injected", "ingest", 0),
    ("clock a day back", "ingest", 0),
    ("vanished file", "ingest", 0),
    ("cut record", "ingest", 0),
    *(("kill", "small score", seed) for seed in (1, 4)),  # before a late write and an early one
    *(("kill", "small train", seed) for seed in (1, 4)),
    ("too little memory", "small score", 1),
    ("corrupt SQLite", "table", 0),
]


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory):
    """Where the commands of the campaign are prepared."""
    from commands import Kitchen

    return Kitchen(tmp_path_factory.mktemp("kitchen"))


@pytest.mark.parametrize(("fault", "name", "seed"), SAMPLE)
def test_a_command_that_is_disturbed_goes_on_to_the_same_end(kitchen, fault, name, seed):
    import campaign

    disturb, _ = campaign.PLAN[fault]
    ended = campaign.survive(kitchen, kitchen.command(name), disturb, random.Random(seed))
    if (fault, seed) in {("kill", 1), ("kill", 4)}:
        assert ended == "-9", "it was over before it was killed"


def test_the_page_has_the_table_of_the_outcomes():
    import campaign

    folder = REPOSITORY / "experiments" / "faults"
    made = campaign.table(campaign._read(folder / "outcomes.csv"))
    assert made.strip() in (folder / "README.md").read_text("utf-8")


def test_the_campaign_sees_what_does_not_survive(kitchen, monkeypatch):
    import campaign

    def forge(place, command, rng):
        (file,) = place.glob("runs/ingest-*/items.jsonl")
        file.write_text("{}\n")

    command = kitchen.command("ingest")
    monkeypatch.setattr(leftovers, "damage", lambda run, record: None)  # as if nobody looked
    monkeypatch.setattr(campaign.faults, "AFTER", {forge})
    with pytest.raises(AssertionError, match="other content"):
        campaign.survive(kitchen, command, forge, random.Random(0))


def test_the_campaign_sees_a_command_that_hangs_and_ends_it(tmp_path):
    import campaign
    from place import begin

    place = tmp_path / "place"
    place.mkdir()
    process = begin(place, ["--version"], lambda: time.sleep(60))
    began = time.monotonic()
    with pytest.raises(AssertionError, match="hangs"):
        campaign.faults._in_time(place, process, 0.1)
    assert time.monotonic() - began < 30
    assert campaign.faults._in_time(place, begin(place, ["--version"]), 60).code == 0


def test_a_finished_run_whose_file_is_not_as_it_was_is_made_again(tmp_path):
    def make() -> runs.Run:
        with runs.execute(SPEC, tmp_path) as run:
            for name in ("scores.jsonl", "traces.parquet", "quality.json"):
                run.file(name).write_text("whole")
            run.tell(outputs={"scores.jsonl": leftovers.sha256_of(run.file("scores.jsonl"))})
        return run

    made = make()
    assert runs.find(SPEC, tmp_path)
    made.file("traces.parquet").unlink()
    assert runs.find(SPEC, tmp_path), "deleted to make room"
    for name, content in [
        ("scores.jsonl", "other"),
        ("scores.jsonl", None),
        ("traces.parquet", "half"),
        ("quality.json", None),
    ]:
        if content is None:
            made.file(name).unlink()
        else:
            made.file(name).write_text(content)
        assert runs.find(SPEC, tmp_path) is None, name
        make()
        assert name in runs.find(SPEC, tmp_path).record["attempts"][-2]["reason"]


def test_what_is_not_whole_is_taken_away_and_what_is_whole_stays(tmp_path):
    for step in (1, 2, 3):
        folder = tmp_path / "checkpoints" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        save_file({"weight": np.ones((4, 4), np.float32)}, folder / "model.safetensors")
        write_json(folder / "trainer_state.json", {"global_step": step})
    cut(tmp_path / "checkpoints" / "checkpoint-3" / "model.safetensors")
    cut(tmp_path / "checkpoints" / "checkpoint-2" / "trainer_state.json")
    (tmp_path / ".scores.jsonl.abc.part").write_text("of a killed process")
    with whole(tmp_path / "now.json") as out:
        leftovers.tidy(tmp_path)
        out.write("of a living one")
    assert [path.name for path in tmp_path.glob("checkpoints/*")] == ["checkpoint-1"]
    assert (tmp_path / "now.json").read_text() == "of a living one"
    assert not list(tmp_path.glob(".*.part"))


def cut(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) - 5])


def test_of_two_that_write_a_file_that_must_be_new_one_has_its_way(tmp_path):
    write_json(tmp_path / "lock.json", "first", new=True)
    with pytest.raises(FileExistsError):
        write_json(tmp_path / "lock.json", "second", new=True)
    assert json.loads((tmp_path / "lock.json").read_text()) == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["lock.json"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "x"), "the disk is full"),
        (RuntimeError("Error while serializing: I/O error: (os error 28)"), "the disk is full"),
        (
            RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"),
            "full",
        ),
        (OSError(27, "File too large", "x"), "the disk is full"),
        (PermissionError(13, "Permission denied", "there"), "'there': no right to it"),
        (OSError(30, "Read-only file system", "there"), "'there': no right to it"),
        (MemoryError(), "the memory is too small"),
        (OSError(12, "Cannot allocate memory"), "the memory is too small"),
        (RuntimeError("can't start new thread"), "the memory is too small"),
        (torch.OutOfMemoryError("Tried to allocate 2 GiB"), "the memory is too small"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 5"), "memory"),
    ],
)
def test_faults_of_the_machine_are_told_with_a_remedy(error, said):
    told = of_the_machine(error)
    assert isinstance(told, CqaError)
    assert said in told.what
    assert told.next_step
    assert of_the_machine(ValueError("a defect")) is None
    assert of_the_machine(FileNotFoundError(2, "No such file", "x")) is None
