"""Several at once: writers of one results table, and two commands on one experiment."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from statistics import median

import psutil
from conftest import REPOSITORY, experiment

from cqa import runs, table
from cqa.study import lock
from cqa.study.steps import Step
from cqa.study.workers import Processes

sys.path.append(str(REPOSITORY / "experiments" / "bench"))

import scale_writers


def test_sixteen_writers_lose_no_run_and_block_no_reader(tmp_path):
    found = scale_writers.measure(tmp_path, processes=16, readers=1, seconds=1.0)
    assert found.ended_well
    assert found.made == found.listed >= 16
    alone = median(wait_of_a_read(tmp_path) for _ in range(5))
    if not math.isnan(alone):  # Linux tells how long a thread waited for something else than a core
        assert found.median_wait_seconds < alone + INDEX_WAIT_SECONDS


def test_a_reader_waits_no_longer_for_a_writer_that_does_not_end_than_the_index_says(tmp_path):
    def one_more(number: int) -> None:
        with runs.execute(runs.Spec("score", "of", {"judge": "m"}, seed=number), tmp_path):
            pass

    one_more(0)
    alone = median(wait_of_a_read(tmp_path) for _ in range(5))
    with closing(sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        one_more(1)
        during = median(wait_of_a_read(tmp_path) for _ in range(3))
        assert table.newest(9, root=tmp_path)[1] == 2, "the index lacks one of them"
    if not math.isnan(alone):
        assert 0.5 * INDEX_WAIT_SECONDS < during < alone + 1.5 * INDEX_WAIT_SECONDS


INDEX_WAIT_SECONDS = 0.2


def wait_of_a_read(root: Path) -> float:
    return scale_writers.timed(lambda: table.newest(30, root=root))[1]


def _run(file: Path, said: Path) -> None:
    import torch

    from cqa.cli import app

    torch.set_num_threads(1)
    with said.open("w") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        app(["run", str(file), "--workers", "1"])


def test_two_commands_on_one_experiment_share_the_work(workplace, tiny_model, batch, benchmark):
    from cqa.training import sft  # noqa: F401  imported once, before the forks

    file = experiment(workplace, tiny_model, epochs="1")
    one_arm = file.read_text().replace(
        'name = "annotations"', 'name = "annotations"\nwrite = false'
    )
    one_arm = one_arm.replace('[[arms]]\nname = "shuffled"\npairing = "shuffled"\n', "")
    file.write_text(one_arm.replace("[analysis]", "[score]\nnoise_floor = false\n\n[analysis]"))
    fork = multiprocessing.get_context("fork")
    outs = [workplace / "one.txt", workplace / "two.txt"]
    both = [fork.Process(target=_run, args=(file, out)) for out in outs]
    for process in both:
        process.start()
    for process in both:
        process.join(300)
    said = [out.read_text() for out in outs]
    assert [process.exitcode for process in both] == [0, 0], said
    found = runs.all_runs(workplace / "runs")
    assert {run.record["stage"] for run in found} >= {"ingest", "train", "score", "report"}
    for run in found:
        assert run.done, run.id
        assert len(run.record["attempts"]) == 1, f"{run.id} was made twice"
    assert not any("failed" in one for one in said)
    assert lock.path_of("small", file, None).exists()


ENDLESS = """
import os, time
from pathlib import Path
from cqa.study.steps import Step
from cqa.study.workers import Processes

class Endless:
    def do(self, step):
        Path(f"{step.arm}.new").write_text(str(os.getpid()))
        Path(f"{step.arm}.new").rename(f"{step.arm}.pid")
        time.sleep(600)

if __name__ == "__main__":
    with Processes(2, Endless) as hands:
        for arm in ("one", "two"):
            hands.start(Step("train", arm))
        hands.finished()
"""


def test_the_workers_of_a_command_that_was_killed_end_with_it(workplace):
    (workplace / "endless.py").write_text(ENDLESS)
    command = subprocess.Popen(
        [sys.executable, "endless.py"], env=os.environ | {"PYTHONPATH": str(REPOSITORY)}
    )
    workers = []
    try:
        for arm in ("one", "two"):
            file = workplace / f"{arm}.pid"
            _soon(file.exists)
            workers.append(psutil.Process(int(file.read_text())))
        command.kill()
        command.wait()
        _soon(lambda: all(map(_has_ended, workers)))
    finally:
        command.kill()
        for worker in workers:
            with suppress(psutil.NoSuchProcess):
                worker.kill()


class Lost:
    """Who makes this is killed before it has read its first step."""

    def __init__(self) -> None:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)


class Patient:
    """Does its steps at once."""

    def do(self, step: Step) -> None:
        pass


def test_a_worker_that_is_killed_takes_its_step_with_it_and_another_takes_its_place(
    monkeypatch,
):
    step, fork = Step("train", "one"), multiprocessing.get_context("fork")
    monkeypatch.setattr(multiprocessing, "get_context", lambda kind: fork)  # imports nothing anew
    with Processes(1, Lost) as hands:
        hands.start(step)
        assert hands.finished() == [(step, "its process ended with exit code -9")]
    with Processes(1, Patient) as hands:
        hands.start(step)
        assert hands.finished() == [(step, None)]
        (worker,) = multiprocessing.active_children()
        worker.kill()
        worker.join()
        hands.start(step)  # the one that had nothing to do is gone
        assert hands.finished() == [(step, None)]


def _soon(holds) -> None:
    end = time.monotonic() + 120  # a busy machine needs its time
    while not holds():
        assert time.monotonic() < end, "not in two minutes"
        time.sleep(0.05)


def _has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE  # where nobody collects it
    except psutil.NoSuchProcess:
        return True
