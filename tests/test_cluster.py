"""Chains, jobs and task files; the jobs themselves run in tests/slurm (make test-slurm)."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import yaml
from conftest import experiment

from cqa import runs, train
from cqa.cli import wiring
from cqa.cluster import carry, chains, places, shares, sky, work
from cqa.config import read_experiment
from cqa.errors import EXIT_DONE, UsageRefused
from cqa.study.steps import Step, steps_of


@pytest.fixture
def steps(workplace) -> list[Step]:
    file = experiment(workplace, workplace)
    return steps_of(read_experiment(file))


def test_a_chain_holds_everything_that_its_steps_need(steps):
    found = chains.chains(steps)
    assert [chain.label for chain in found] == ["base", "annotations-s0", "shuffled-s0"]
    assert sorted(step.name for chain in found for step in chain.steps) == sorted(
        step.name for step in steps
    )
    for chain in found:
        for at, step in enumerate(chain.steps):
            assert set(step.needs) <= set(chain.steps[:at])
        assert {*chain.training, *chain.rest} == set(chain.steps)


def test_arms_whose_names_differ_in_a_character_are_chains_of_their_own():
    arms = ["no_brief", "no-brief", "no+brief", "no:brief", "no/brief", "no.brief"]
    found = chains.chains(Step("train", arm, 0) for arm in arms)
    labels = [chain.label for chain in found]
    assert labels[:2] == ["no_brief-s0", "no-brief-s0"]
    assert len(set(labels)) == len(arms)
    assert not any(set(label) & set("+:/") for label in labels)
    for chain in found:  # alone as well it is called what it is called beside the others
        assert chains.Chain(chain.steps).label == chain.label
        assert [
            step.arm for one in found for step in one.steps if step.fits(f"{chain.name}/*")
        ] == [chain.steps[0].arm]


def test_experiments_of_one_file_name_have_folders_of_their_own(workplace, tiny_model, monkeypatch):
    def folder(file: Path) -> Path:
        asked = []
        monkeypatch.setattr(carry, "carry_out", lambda *given: asked.append(given[2]))
        wiring.carry_out_on("local", file, wiring.study(file), [], [], {"nodes": 1})
        return asked[0].folder

    text = experiment(workplace, tiny_model).read_text("utf-8")
    names = "one/small.toml", "two/small.toml", "small.v1.toml", "small.v2.toml"
    files = [Path(name) for name in names]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")
    found = [folder(file) for file in files]
    assert len({each.resolve() for each in found}) == len(files)
    assert found[0].name.startswith("small-")
    # The same command finds its jobs again, by whatever name of the file.
    assert [folder(file.resolve()).resolve() for file in files] == [f.resolve() for f in found]
    assert [folder(file) for file in files] == found


@pytest.mark.parametrize("given", ["partition", "=x", "gres=", "a;b=c", "x=a\nb"])
def test_what_is_no_option_of_sbatch_is_refused(given):
    with pytest.raises(UsageRefused, match="not of the form NAME=VALUE"):
        places.sbatch_options([given])


@pytest.mark.parametrize(
    ("given", "by"), [("time=10", "--minutes"), ("array=0-3", "cqa"), ("dependency=x", "cqa")]
)
def test_an_option_of_sbatch_that_would_break_the_jobs_is_refused(given, by):
    with pytest.raises(UsageRefused, match=f"it is set by {by}"):
        places.sbatch_options([given])


def test_where_there_is_no_slurm_it_is_refused(workplace, monkeypatch):
    monkeypatch.setenv("PATH", str(workplace))
    with pytest.raises(UsageRefused, match="no sbatch"):
        carry.place("slurm", places.Request(Path("small.toml"), workplace))


def test_options_of_sbatch_are_taken_as_slurm_writes_them():
    given = ["--gres=gpu:1", "mem_per_cpu=4G", "comment=a=b"]
    assert places.sbatch_options(given) == {
        "gres": "gpu:1", "mem-per-cpu": "4G", "comment": "a=b"
    }  # fmt: skip


class Paper:
    """A study whose steps are done when `done` says so, and a place that does them on paper."""

    def __init__(self, fails=()):
        self.done: set[Step] = set()
        self.locked, self._fails = True, fails

    def find(self, step):
        return step if step in self.done else None

    def over(self, asked):
        for chain in asked:
            broken = {}
            for step in chain.steps:
                if step.name in self._fails:
                    broken[step.name] = "the device fell off"
                elif self.done.issuperset(step.needs):
                    self.done.add(step)
            self.request.failures(chain).write_text(json.dumps(broken))
            yield chain


def test_what_a_job_says_of_a_failure_is_told_and_only_what_needs_it_is_missing(
    steps, workplace, monkeypatch
):
    paper = Paper(fails=["shuffled-s0/train"])
    paper.request = places.Request(Path("small.toml"), workplace)
    monkeypatch.setattr(carry, "place", lambda on, request: paper)
    found = carry.carry_out(paper, steps, paper.request, "slurm")
    assert found.failed["shuffled-s0/train"] == "the device fell off"
    assert found.failed["shuffled-s0/score"] == "needs shuffled-s0/train, which failed"
    assert found.done == found.fresh == len(steps) - len(found.failed)
    assert all(name.startswith("shuffled-s0/") for name in found.failed)
    paper._fails = ()
    assert carry.carry_out(paper, steps, paper.request, "slurm").failed == {}
    assert carry.carry_out(paper, steps, paper.request, "slurm").fresh == 0


def test_jobs_of_an_earlier_call_are_waited_for_and_not_submitted_again(
    steps, workplace, monkeypatch
):
    slurm = places.Slurm(places.Request(Path("small.toml"), workplace))
    submitted, queues = [], [{"7_0", "8_0"}, {"8_0", "9"}, {"9"}, set()]

    def array(works, name, nodes, after=()):
        submitted.extend(one.steps for one in works)
        return [f"9{name}" if name == "train" else "9" for _ in works]

    monkeypatch.setattr(slurm, "_array", array)
    monkeypatch.setattr(slurm, "poll_seconds", 0.0)
    monkeypatch.setattr(places, "queue", lambda: queues.pop(0))
    (workplace / "jobs.json").write_text(json.dumps({"annotations-s0": ["7_0", "8_0"]}))
    asked = chains.chains(steps)
    over = [chain.label for chain in slurm.over(asked)]
    assert over == ["annotations-s0", "base", "shuffled-s0"]
    assert not any("annotations-s0" in name for names in submitted for name in names)
    assert len(submitted) == 3  # base; the training of shuffled, and what follows it


def test_the_job_that_joins_follows_a_new_array_and_each_share_that_was_in_the_queue(
    workplace, monkeypatch
):
    slurm = places.Slurm(shares.Request(Path("texts.jsonl"), workplace))
    arrays, queues = [], [{"7_1"}, {"9_0", "9_1"}, set()]

    def array(works, name, nodes, after=()):
        arrays.append(([work.words for work in works], list(after)))
        return ["9_0", "9_1"] if len(works) == 2 else ["10"] * len(works)

    monkeypatch.setattr(slurm, "_array", array)
    monkeypatch.setattr(slurm, "poll_seconds", 0.0)
    monkeypatch.setattr(places, "queue", lambda: queues.pop(0))
    (workplace / "jobs.json").write_text(json.dumps({"b": ["7_1"], "join": ["8"]}))
    parts = [shares.Part(name, (name,)) for name in "abc"]
    over = [part.label for part in slurm.over(parts, shares.Part("join", ("join",)))]
    assert over == ["b", "a", "c"]
    submitted = [one for one in arrays if one[0]]
    assert submitted == [([("a",), ("c",)], []), ([("join",)], ["9", "7_1"])]
    assert slurm.logs["b"] == workplace / "jobs/7_1_0_log.err"
    noted = {"a": ["9_0"], "b": ["7_1"], "c": ["9_1"], "join": ["10"]}
    assert json.loads((workplace / "jobs.json").read_text()) == noted


_SLOW = """
import json, pathlib, signal, sys, time
here = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: (here.write_text("saved"), sys.exit(130)))
if not here.exists():
    here.with_suffix(".begun").write_text("")
    time.sleep(60)
here.write_text(here.read_text() + ", then done")
"""


class Slow(work.StudyJob):
    """A work that waits for its signal the first time, and is done at once the second."""

    def command(self, names, *, alone):
        return [sys.executable, "-c", _SLOW, str(self.file)]


def test_a_job_that_is_preempted_lets_its_work_save_and_goes_on(workplace, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{Path(__file__).parent.parent}")
    file = workplace / "state"
    request = places.Request(file, workplace, minutes=5)
    monkeypatch.setattr(
        places.Request, "work", lambda self, chain, *_: Slow(file, ("a/train",), workplace / "told")
    )
    chain = SimpleNamespace(label="a", steps=())
    local = places.Local(request, 1, 0)
    job = local._start(chain, 0)
    end = time.monotonic() + 120
    while not file.with_suffix(".begun").exists():
        assert time.monotonic() < end, job.stderr()
        time.sleep(0.1)
    for process in _processes_of(job):  # as Slurm does before it ends a job
        process.send_signal(signal.SIGUSR2)
    while not job.done():
        assert time.monotonic() < end, job.stderr()
        time.sleep(0.1)
    assert file.read_text() == "saved, then done", job.stderr()
    job.result()  # raises where the job failed


def test_the_other_processes_of_a_training_take_part_in_the_run_of_the_first(
    workplace, tiny_model, batch, benchmark, monkeypatch
):
    file = experiment(workplace, tiny_model)
    study = wiring.study(file)
    (step,) = (step for step in study.steps if step.name == "annotations-s0/train")
    assisted: list[tuple] = []
    monkeypatch.setattr(train, "assist", lambda *given, **more: assisted.append((given, more)))
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert work.main(str(file), str(workplace / "told"), step.name) == EXIT_DONE
    (((what, config, model, data), more),) = assisted
    assert runs.directory(what, more["root"]) == runs.directory(study.spec(step), study.root)
    assert config == study.experiment.train_config(study.arm(step.arm))
    assert (model.sha256, data.run_id) == (study.model.sha256, study.data.run_id)
    assert not (workplace / "told").exists()  # what failed is told by the first alone


def _processes_of(job) -> list[psutil.Process]:
    """What submitit's controller has started, and what that has started."""
    return psutil.Process(int(job.job_id)).children(recursive=True)


def test_a_file_that_no_command_can_name_is_refused_with_the_reason(steps):
    with pytest.raises(UsageRefused, match="characters in the file name") as refused:
        sky.task(Path("a\nb.toml"), "small", steps, 1)
    assert "rename the file" in refused.value.next_step


def test_the_task_file_has_only_what_skypilot_documents(steps):
    written = sky.task(Path("small.toml"), "small", steps, 1)
    task = yaml.safe_load(written)
    # https://docs.skypilot.co/en/latest/reference/yaml-spec.html
    assert set(task) <= {
        "name", "workdir", "num_nodes", "resources", "envs", "secrets", "volumes", "file_mounts",
        "setup", "run", "config",
    }  # fmt: skip
    assert set(task["resources"]) <= {
        "infra", "accelerators", "cpus", "memory", "instance_type", "use_spot", "disk_size",
        "disk_tier", "image_id", "ports", "labels", "any_of", "ordered", "job_recovery", "autostop",
    }  # fmt: skip
    assert all(isinstance(value, str) for value in task["envs"].values())
    assert task["file_mounts"]["/cqa-runs"]["mode"] in ("MOUNT", "COPY", "MOUNT_CACHED")
    assert task["envs"]["CQA_RUNS"] in task["file_mounts"]
    lines = [line for line in written.splitlines() if "--env ONLY=" in line]
    launched = [line.split("ONLY=")[1].strip("'") for line in lines]
    assert launched == ["base/*", "annotations-s0/*", "shuffled-s0/*"]
    for step in steps:
        assert sum(step.fits(pattern) for pattern in launched) == 1
