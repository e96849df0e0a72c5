"""Several processes at one scoring: the result does not depend on their number."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import items, read_rows, write_rows

from cqa import parallel
from cqa.cluster import carry
from cqa.errors import UsageRefused
from cqa.parallel import Share
from cqa.training.devices import launcher


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_every_block_belongs_to_exactly_one_share(processes):
    shares = [Share(rank, processes) for rank in range(processes)]
    for block in range(50):
        assert sum(share.has(block) for share in shares) == 1


@pytest.mark.parametrize("written", ["0/3", "4/3", "3", "a/3", "1/0", "-1/3", "1/3/5", ""])
def test_a_share_that_is_none_is_refused(written):
    with pytest.raises(UsageRefused, match="not of the form NUMBER/OF with 1 ≤ NUMBER ≤ OF"):
        parallel.shard(written)


@pytest.mark.parametrize(
    ("environment", "typed", "said"),
    [
        ({"CQA_SCORE_WORKER": "score-x"}, "score one.jsonl", "CQA_SCORE_WORKER=score-x"),
        ({"CQA_SCORE_WORKER": ""}, "score one.jsonl", "no run of this command"),
        ({"CQA_SCORE_WORKER": "x", "RANK": "2", "WORLD_SIZE": "2"}, "score one.jsonl", "0 to 1"),
        ({"CQA_SCORE_WORKER": "x", "RANK": "0", "WORLD_SIZE": "0"}, "score one.jsonl", "from 1 to"),
        ({"RANK": "a", "WORLD_SIZE": "2"}, "train", "RANK=a"),
        ({"RANK": "0", "WORLD_SIZE": "²"}, "train", "WORLD_SIZE=²"),
        ({"RANK": "0", "WORLD_SIZE": "-1"}, "train", "WORLD_SIZE=-1"),
    ],
)
def test_an_environment_that_no_launcher_set_is_refused(
    cqa, workplace, tiny_model, monkeypatch, environment, typed, said
):
    write_rows(workplace / "one.jsonl", [{"text": "So it was."}])
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    typed = typed.split()
    judge = ["--judge", str(tiny_model)] if typed[0] == "score" else []
    result = cqa(*typed, *judge)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert "unset" in result.stderr


@pytest.fixture
def few_items(benchmark, monkeypatch) -> None:
    """Twelve items where the benchmark has 192: each scoring reads all to set its thresholds."""
    monkeypatch.setattr("cqa.paths.BENCHMARK_ITEMS", str(benchmark))
    monkeypatch.setattr("cqa.score.BENCHMARK_ITEMS", str(benchmark))


def test_shares_of_an_array_are_joined_to_what_one_process_writes(
    cqa, workplace, tiny_model, few_items
):
    rows = [row | {"id": f"{row['id']}-{copy}"} for copy in range(4) for row in items()]
    kept = ("id", "context", "brief", "text", "foil", "work", "group")
    write_rows(workplace / "many.jsonl", [{k: row[k] for k in kept} for row in rows])
    asked = ["score", "many.jsonl", "--judge", str(tiny_model)]

    assert cqa(*asked).exit_code == 0
    (whole,) = (workplace / "runs").glob("score-*")
    one = whole.rename(workplace / "one")

    shared = cqa(*asked, "--shard", "2/2")
    assert shared.exit_code == 0, shared.stderr
    (begun,) = (workplace / "runs").glob("score-*")
    assert begun == whole
    assert [file.name for file in (begun / "blocks").glob("*.jsonl")] == ["000001.jsonl"]
    assert not (begun / "run.json").exists()  # a share is no result
    assert cqa(*asked).exit_code == 0  # block 0, which no share has written, is scored now
    for name in ("scores.jsonl", "traces.parquet", "scores.parquet"):
        assert (begun / name).read_bytes() == (one / name).read_bytes(), name
    assert json.loads((begun / "run.json").read_text())["headline"]["blocks_found"] == 1
    assert cqa(*asked, "--shard", "1/2").exit_code == 0  # what is joined is not begun again
    assert not (begun / "blocks").exists()
    assert cqa(*asked, "--shard", "1/2", "--out", "a.csv").exit_code == 2


class Typed:
    """A place whose jobs are typed here, one after the other; those in `fails` end in a message."""

    def __init__(self, cqa, folder: Path, fails=()):
        self._cqa, self._folder, self._fails = cqa, folder, fails
        self.logs, self.did = {}, []

    def over(self, parts, then=None):
        for part in parts:
            self.did.append(part.label)
            self.logs[part.label] = self._folder / f"{part.label}.err"
            (command,) = self.request.work(part, part.steps, 1).commands()
            assert command[:3] == [sys.executable, "-m", "cqa"]
            if part.label in self._fails:
                said = "cqa: the disk is full\n  next: make room\ncqa: stopped; the same command"
                self.logs[part.label].write_text(said)
            else:
                done = self._cqa(*command[3:])
                assert done.exit_code == 0, done.stderr
            yield part


def test_shares_that_are_jobs_are_joined_and_one_that_fails_is_done_by_the_same_command(
    cqa, workplace, tiny_model, few_items, monkeypatch
):
    kept = ("context", "brief", "text", "work", "group")
    rows = [
        {k: row[k] for k in kept} | {"id": f"{row['id']}-{n}"} for n in range(3) for row in items()
    ]
    write_rows(workplace / "-many.jsonl", rows)  # 36 rows: two blocks
    asked = ["score", "--judge", str(tiny_model), "--mismatched", "1", "--noise-floor"]
    jobs = ["--on", "local", "--shards", "3", "--workers", "2", "--", "-many.jsonl"]
    typed = Typed(cqa, workplace, fails=["share-2-of-3"])

    def place(on, request):
        assert (on, request.at_once) == ("local", 2)
        typed.request = request
        return typed

    monkeypatch.setattr(carry, "place", place)
    broken = cqa(*asked, *jobs)
    assert broken.exit_code == 1
    assert f"share-2-of-3: the disk is full; see {workplace}/share-2-of-3.err" in broken.stderr
    assert typed.did == ["share-1-of-3", "share-2-of-3"]  # the third has no block; nothing to join
    (run,) = (workplace / "runs").glob("score-*")
    assert [file.name for file in (run / "blocks").glob("*.jsonl")] == ["000000.jsonl"]

    typed._fails, typed.did = (), []
    done = cqa(*asked, *jobs)
    assert done.exit_code == 0, done.stderr
    assert typed.did == ["share-2-of-3", "join"]
    facts = json.loads((run / "run.json").read_text())["headline"]
    assert facts["blocks_found"] == 2
    assert facts["noise_floor"]["texts"] == 24
    one = run.rename(workplace / "joined")
    assert cqa(*asked, "--", "-many.jsonl").exit_code == 0
    for name in ("scores.jsonl", "traces.parquet", "scores.parquet"):
        assert (run / name).read_bytes() == (one / name).read_bytes(), name
    assert len(read_rows(run / "scores.jsonl")) == 36
    typed.did = []
    assert cqa(*asked, *jobs).exit_code == 0
    assert typed.did == []


def test_the_launcher_starts_as_many_processes_as_it_is_asked_for(tmp_path):
    code = "import os; open(os.environ['RANK'], 'w').write(os.environ['WORLD_SIZE'])"
    (tmp_path / "who.py").write_text(code)
    subprocess.run([*launcher(2), "-m", "who"], cwd=tmp_path, check=True, capture_output=True)
    assert [(tmp_path / rank).read_text() for rank in ("0", "1")] == ["2", "2"]


def test_two_processes_give_the_scores_of_one(workplace, tiny_model):
    rows = [
        {key: row[key] for key in ("context", "text", "work", "group")}
        | {"id": f"{row['id']}-{copy}"}
        | ({"brief": row["brief"]} if copy == 0 else {})
        for row in items()
        for copy in range(6)
    ]
    write_rows(workplace / "many.jsonl", rows)  # 72 rows: three blocks, with briefs in each

    def score(processes: int) -> list[dict]:
        runs = workplace / f"runs-{processes}"
        command = [sys.executable, "-m", "cqa", "score", "many.jsonl", "--judge", str(tiny_model)]
        command += ["--processes", str(processes)]
        environment = os.environ | {"CQA_RUNS": str(runs), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, env=environment, cwd=workplace, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert len(list(runs.glob("score-*"))) == 1
        # one process finds no block done; with helpers every block of the three is theirs
        facts = json.loads(next(runs.glob("score-*/run.json")).read_text())["headline"]
        assert facts["blocks_found"] == (0 if processes == 1 else 3)
        return read_rows(next(runs.glob("score-*/scores.jsonl")))

    one, two = score(1), score(2)
    assert [row["id"] for row in one] == [row["id"] for row in two] == [row["id"] for row in rows]
    for a, b in zip(one, two, strict=True):
        for name, value in a["quantities"].items():
            other = b["quantities"][name]
            assert (value is None) == (other is None)
            if value is not None and name.endswith("per_token"):
                assert np.isclose(value, other, atol=1e-4), name
