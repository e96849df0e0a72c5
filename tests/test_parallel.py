"""Several processes at one scoring: the result does not depend on their number."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import items, read_rows, write_rows

from cqa.parallel import Share


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_every_block_belongs_to_exactly_one_share(processes):
    shares = [Share(rank, processes) for rank in range(processes)]
    for block in range(50):
        assert sum(share.has(block) for share in shares) == 1


def test_two_processes_give_the_scores_of_one(workplace, tiny_model):
    rows = [
        {key: row[key] for key in ("context", "brief", "text", "work", "group")}
        | {"id": f"{row['id']}-{copy}"}
        for copy in range(6)
        for row in items()
    ]
    write_rows(workplace / "many.jsonl", rows)  # 72 rows: three blocks

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
        (traces,) = runs.glob("score-*/traces.parquet")
        assert pq.ParquetFile(traces).num_row_groups == 3
        return read_rows(next(runs.glob("score-*/scores.jsonl")))

    one, two = score(1), score(2)
    assert [row["id"] for row in one] == [row["id"] for row in two] == [row["id"] for row in rows]
    for a, b in zip(one, two, strict=True):
        for name, value in a["quantities"].items():
            other = b["quantities"][name]
            assert (value is None) == (other is None)
            if value is not None and name.endswith("per_token"):
                assert np.isclose(value, other, atol=1e-4), name
