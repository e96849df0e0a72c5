"""One small study here, by submitit on this machine, and on a real Slurm: the same numbers.

make test-slurm. Not part of make test: it takes some minutes and needs root, slurm-wlm and munge.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from conftest import REPOSITORY, annotation, dialogue, experiment, items, read_rows, write_rows

from cqa.cluster import chains, places
from cqa.study.steps import Step

sys.path.insert(0, str(Path(__file__).parent))
import daemons
import paper_work

BEGUN: list[subprocess.Popen] = []


@pytest.fixture(autouse=True)
def no_command_outlives_its_test():
    """One that waits for jobs would ask a Slurm that is gone for ever."""
    yield
    while BEGUN:
        BEGUN.pop().kill()


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_model) -> Path:
    """A working directory with a batch, items, texts to score and a study long enough to stop."""
    folder = tmp_path_factory.mktemp("place")
    write_rows(folder / "batch/annotations.jsonl", [annotation(number) for number in range(6)])
    write_rows(folder / "batch/dialogues.jsonl", [dialogue(number) for number in range(6)])
    write_rows(folder / "items.jsonl", items())
    kept = ("context", "brief", "text", "work", "group")
    rows = [row | {"id": f"{row['id']}-{n}"} for n in range(6) for row in items()]
    write_rows(folder / "texts.jsonl", [{k: row[k] for k in ("id", *kept)} for row in rows])
    file = experiment(folder, tiny_model, epochs="20")
    text = file.read_text().replace('pairing = "shuffled"', 'pairing = "shuffled"\nwrite = false')
    file.write_text(text)
    return folder


@pytest.fixture(scope="module")
def plain(place) -> Path:
    """The runs of `cqa run` in one process."""
    return finished(cqa(place, "plain", "run", "small.toml", "--workers", "1"))


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    if missing := daemons.absent():
        pytest.fail(missing)
    with daemons.slurm(tmp_path_factory.mktemp("slurm")):
        yield


def cqa(place: Path, runs: str, *words: str) -> tuple[subprocess.Popen, Path]:
    """Begin a command of this checkout with a runs directory of its own."""
    environment = os.environ | {"CQA_RUNS": str(place / runs), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(REPOSITORY)
    command = [sys.executable, "-m", "cqa", *words]
    hears = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # also from a shell's background
    BEGUN.append(subprocess.Popen(command, cwd=place, env=environment, preexec_fn=hears))
    return BEGUN[-1], place / runs


def finished(begun: tuple[subprocess.Popen, Path], code: int = 0) -> Path:
    process, runs = begun
    assert process.wait(3600) == code
    return runs


def record(runs: Path, name: str) -> dict:
    (path,) = runs.glob(f"{name}-*/run.json")
    return json.loads(path.read_text("utf-8"))


def scores(runs: Path) -> dict[str, list[dict]]:
    """Every scoring of a runs directory by its name, without the fingerprint: it hashes the adapter
    with its configuration, in which PEFT writes the modules in another order each time."""
    found = sorted(runs.glob("score-*/scores.jsonl"))
    return {path.parent.name.rpartition("-")[0]: read_rows(path) for path in found}


def queued() -> str:
    return subprocess.run(
        ["squeue", "--noheader", "--array", "--format", "%i %j %T"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def until(found, seconds: float = 900.0):
    """What `found` gives as soon as it gives anything."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if seen := found():
            return seen
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds:g} s; the queue: {queued()}")


@pytest.fixture
def request_of(tmp_path, monkeypatch):
    """A request whose jobs are works of this kind."""

    def make(kind, **more) -> places.Request:
        def work(self, chain, steps, threads=None):
            names = tuple(step.name for step in steps)
            return kind(tmp_path, names, self.failures(chain), self.devices, threads)

        monkeypatch.setattr(places.Request, "work", work)
        monkeypatch.setattr(places.Slurm, "poll_seconds", 1.0)
        importable = [REPOSITORY, Path(__file__).parent]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, importable)))
        return places.Request(tmp_path, tmp_path / "cluster", minutes=5, **more)

    return make


def test_what_slurm_does_with_the_jobs_of_a_study(slurm, request_of, tmp_path):
    arms = ("good", "other", "bad")
    steps = [Step("score", "base")]
    steps += [Step(kind, arm, 0) for arm in arms for kind in ("train", "score")]
    asked = request_of(paper_work.Slow, sbatch={"partition": "all"})
    over: list[str] = []
    waiting = threading.Thread(
        target=lambda: over.extend(c.label for c in places.Slurm(asked).over(chains.chains(steps)))
    )
    waiting.start()
    until(lambda: all((tmp_path / f"{arm}-s0-train.log").exists() for arm in arms))
    jobs = json.loads((tmp_path / "cluster/jobs.json").read_text())
    trained = [jobs[f"{arm}-s0"][0] for arm in arms]
    array = trained[0].partition("_")[0]
    assert trained == [f"{array}_{number}" for number in range(3)]  # one array
    told = subprocess.run(
        ["scontrol", "show", "job", jobs["good-s0"][1]], capture_output=True, text=True, check=True
    )
    assert f"aftercorr:{array}" in told.stdout
    subprocess.run(["scontrol", "requeue", jobs["good-s0"][0]], check=True)
    subprocess.run(["scancel", "--signal=USR2", jobs["other-s0"][0]], check=True)
    assert {"good-s0", "other-s0"} <= set(places.Slurm(asked)._earlier())  # found again
    waiting.join(300)
    assert set(over) == {"base", "good-s0", "other-s0", "bad-s0"}
    for arm in ("good", "other"):
        log = (tmp_path / f"{arm}-s0-train.log").read_text().split()
        assert log == ["begun", "saved", "begun", "done"], arm
        assert (tmp_path / f"{arm}-s0-score.log").read_text().split() == ["begun", "done"]
    assert not (tmp_path / "bad-s0-score.log").exists()  # what waited for it is gone
    assert json.loads((tmp_path / "cluster/bad-s0.failed.json").read_text()) == {
        "bad-s0/train": "the device fell off"
    }


def test_two_nodes_are_one_group_of_processes(slurm, request_of, tmp_path):
    asked = request_of(paper_work.Who, nodes=2)
    steps = [Step("train", "good", 0)]
    assert len(list(places.Slurm(asked).over(chains.chains(steps)))) == 1
    found = [(tmp_path / f"rank-{rank}").read_text() for rank in (0, 1)]
    assert found == ["2 n1", "2 n2"]


def test_by_submitit_on_this_machine_the_numbers_are_the_same(place, plain):
    local = finished(cqa(place, "local", "run", "small.toml", "--on", "local"))
    # base and two arms on the benchmark; what base and one arm wrote; that arm's own marks of it
    assert len(scores(local)) == 6
    assert scores(local) == scores(plain)


def jobs_of(runs: Path) -> dict[str, list[str]]:
    """Label of each chain -> ids of its jobs; the folder's name ends in a hash."""
    (noted,) = runs.glob("cluster/small-*/jobs.json")
    return json.loads(noted.read_text())


def test_on_slurm_one_training_queued_again_in_its_middle_the_numbers_are_the_same(
    place, plain, slurm
):
    begun = cqa(place, "slurm", "run", "small.toml", "--on", "slurm", "--sbatch", "partition=all")
    runs = begun[1]
    checkpoints = "train-annotations-*/checkpoints/checkpoint-*/trainer_state.json"
    until(lambda: list(runs.glob(checkpoints)))
    jobs = jobs_of(runs)
    assert set(jobs) == {"base", "annotations-s0", "shuffled-s0"}
    trained, then = jobs["annotations-s0"]
    array = trained.partition("_")[0]
    # two trainings in one array, and another array that follows it element by element
    assert jobs["shuffled-s0"][0].partition("_")[0] == array
    told = subprocess.run(["scontrol", "show", "job", then], capture_output=True, text=True).stdout
    assert f"aftercorr:{array}" in told, told
    subprocess.run(["scontrol", "requeue", trained], check=True)

    # The command ends here, its jobs do not; the same command finds them and submits nothing.
    begun[0].send_signal(signal.SIGINT)
    finished(begun, 130)
    assert trained in queued()
    again = finished(cqa(place, "slurm", "run", "small.toml", "--on", "slurm"))
    now = jobs_of(runs)
    assert now["annotations-s0"] == jobs["annotations-s0"]

    attempts = record(again, "train-annotations")["attempts"]
    assert len(attempts) == 2, attempts
    assert attempts[0]["reason"] in ("stopped by the user", "interrupted")
    assert len(record(again, "train-shuffled")["attempts"]) == 1
    assert scores(again) == scores(plain)


def test_a_job_whose_time_is_almost_over_saves_its_work_and_is_queued_again(place, plain, slurm):
    begun = cqa(place, "time", "run", "small.toml", "--on", "slurm", "--only", "annotations/train")
    runs = begun[1]
    checkpoints = "train-annotations-*/checkpoints/checkpoint-*/trainer_state.json"
    until(lambda: list(runs.glob(checkpoints)))
    ((job,),) = jobs_of(runs).values()
    # What Slurm sends 90 s before the end of a job, and before some preemptions.
    subprocess.run(["scancel", "--signal=USR2", job], check=True)
    finished(begun)
    trained = record(runs, "train-annotations")
    assert [one["reason"] for one in trained["attempts"]] == ["stopped by the user", None]
    assert trained["outputs"] == record(plain, "train-annotations")["outputs"]  # to the bit


def test_two_nodes_train_as_two_devices_of_one_machine_do(place, plain, slurm):
    run = ("run", "small.toml", "--only", "annotations/train")
    nodes = finished(cqa(place, "nodes", *run, "--on", "slurm", "--nodes", "2"))
    devices = finished(cqa(place, "devices", *run, "--on", "local", "--devices", "2"))
    two, same = record(nodes, "train-annotations"), record(devices, "train-annotations")
    assert two["spent"]["devices"] == same["spent"]["devices"] == 2
    assert two["outputs"] == same["outputs"]  # to the bit
    one = record(plain, "train-annotations")  # which pads no last batch, so only begins alike
    assert two["headline"]["steps"] == one["headline"]["steps"]
    assert two["headline"]["first_loss"] == pytest.approx(one["headline"]["first_loss"], rel=1e-4)


def test_an_arm_that_fails_takes_only_its_own_jobs_with_it(place, slurm, tiny_model):
    text = (place / "small.toml").read_text().replace('name = "small"', 'name = "broken"')
    text = text.replace("epochs = 20", "epochs = 1")
    text = text.replace("write = false", "write = false\nrows = 400")
    (place / "broken.toml").write_text(text)
    runs = finished(cqa(place, "broken", "run", "broken.toml", "--on", "slurm"), code=1)
    assert record(runs, "train-shuffled")["status"] == "failed"
    assert len(scores(runs)) == 5  # the other arm is whole
    assert not queued()  # what waited for the failed training is gone


@pytest.fixture(scope="module")
def asked(tiny_model) -> list[str]:
    """A scoring of three blocks."""
    return ["score", "texts.jsonl", "--judge", str(tiny_model)]


@pytest.fixture(scope="module")
def whole(place, asked) -> Path:
    """It by one process."""
    return finished(cqa(place, "whole", *asked))


def test_shares_by_submitit_on_this_machine_are_joined_to_what_one_process_writes(
    place, asked, whole
):
    local = finished(cqa(place, "near", *asked, "--on", "local", "--shards", "2"))
    assert scores(local) == scores(whole)
    assert record(local, "score")["headline"]["blocks_found"] == 3


def test_shares_on_slurm_one_queued_again_and_one_ended_are_joined_to_what_one_process_writes(
    place, asked, whole, slurm
):
    # One at a time, so that the second is certain to wait while the first begins.
    one_by_one = ["--workers", "1", "--sbatch", "partition=all"]
    asked = [*asked, "--on", "slurm", "--shards", "3", *one_by_one]
    begun = cqa(place, "shares", *asked)

    def jobs() -> dict[str, list[str]]:
        found = [json.loads(file.read_text()) for file in begun[1].glob("cluster/*/jobs.json")]
        return found[0] if found else {}

    until(lambda: "join" in jobs())
    ids = [jobs()[f"share-{number}-of-3"][0] for number in (1, 2, 3)]
    array = ids[0].partition("_")[0]
    assert ids == [f"{array}_{number}" for number in range(3)]
    (joining,) = jobs()["join"]
    told = subprocess.run(["scontrol", "show", "job", joining], capture_output=True, text=True)
    assert f"afterok:{array}" in told.stdout, told
    subprocess.run(["scancel", ids[1]], check=True)
    until(lambda: f"{ids[0]} cqa-measure RUNNING" in queued())
    subprocess.run(["scontrol", "requeue", ids[0]], check=True)  # as one that is preempted

    finished(begun, 1)  # the second is missing
    until(lambda: not queued())  # nor does anything wait for it
    blocks = sorted(path.stem for path in begun[1].glob("score-*/blocks/*.jsonl"))
    assert blocks == ["000000", "000002"]
    joined = finished(cqa(place, "shares", *asked))
    # Three shares and what joins them; then the second alone, and what joins.
    assert len(list(joined.glob("cluster/*/jobs/*_submitted.pkl"))) == 6
    assert scores(joined) == scores(whole)
    assert record(joined, "score")["headline"]["blocks_found"] == 3
