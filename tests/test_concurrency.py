"""Several at once: writers of one results table, and two commands on one experiment."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

from conftest import REPOSITORY, experiment

from cqa import runs
from cqa.study import lock

sys.path.append(str(REPOSITORY / "experiments" / "bench"))


def test_sixteen_writers_lose_no_run_and_block_no_reader(tmp_path):
    from scale_writers import measure

    found = measure(tmp_path, processes=16, readers=1, seconds=1.0)
    assert found.ended_well
    assert found.made == found.listed >= 16
    assert found.longest_read_seconds < 5


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
