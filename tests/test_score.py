"""`cqa score`: several judges, tables, traces that hold every number, long files, interruptions."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import items, read_rows, write_rows

from cqa import columns
from cqa.measures import ALL
from cqa.score import _Mean
from cqa.types import Score

KEYS = ("id", "context", "brief", "text", "foil", "work", "group")


@pytest.fixture
def outputs(workplace) -> Path:
    return write_rows(workplace / "texts.jsonl", [{k: row[k] for k in KEYS} for row in items()])


@pytest.fixture(scope="module")
def other_model(tiny_model, tmp_path_factory) -> Path:
    """A second judge: the tiny model with other weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("other-model")
    torch.manual_seed(5)
    config = AutoConfig.from_pretrained(tiny_model)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(folder)
    return folder


def test_several_judges_are_a_column_group_each(cqa, outputs, tiny_model, other_model):
    asked = ["--judge", str(tiny_model), "--judge", str(other_model), "--json"]
    result = cqa("score", str(outputs), *asked, "--out", "both.csv")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)["runs"]
    judges = [run["config"]["judge"] for run in found]
    alone = [read_rows(Path(run["path"]) / "scores.jsonl") for run in found]
    with open("both.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [row["id"] for row in items()]
    for number, row in enumerate(rows):
        for judge, scores in zip(judges, alone, strict=True):
            value = scores[number]["quantities"]["gain"]
            assert float(row[f"{judge}: gain"]) == value
    # the judges are not one judge under two names
    assert alone[0][0]["quantities"]["gain"] != alone[1][0]["quantities"]["gain"]

    assert cqa("score", str(outputs), *asked, "--out", "both.parquet").exit_code == 0
    table = pq.read_table("both.parquet").to_pylist()
    assert [row[f"{judges[1]}: surprise"] for row in table] == [
        score["quantities"]["surprise"] for score in alone[1]
    ]
    assert cqa("score", str(outputs), *asked, "--out", "both.jsonl").exit_code == 0
    assert [row["judge"] for row in read_rows(Path("both.jsonl"))] == judges * len(rows)


def test_two_folders_of_one_name_are_told_apart(cqa, outputs, tiny_model, other_model):
    for parent, model in (("a", tiny_model), ("b", other_model)):
        shutil.copytree(model, Path(parent, "model"))
    asked = ["--judge", "a/model", "--judge", "b/model", "--out", "both.csv"]
    assert cqa("score", str(outputs), *asked).exit_code == 0
    with open("both.csv", newline="") as file:
        (_, *names) = next(csv.reader(file))
    assert len(set(names)) == len(names)
    assert len([name for name in names if name.endswith(": gain")]) == 2


def test_a_name_that_looks_like_a_formula_is_text_in_a_spreadsheet(tmp_path):
    score = Score(
        id="=1+1",
        judge="@j",
        source="-x",
        group=None,
        work="\tWork",
        item="+1",
        sample=0,
        quantities=dict.fromkeys(ALL) | {"gain": -0.5},
        reasons={},
        tokens=1,
        characters=1,
        utf8_bytes=1,
        pieces=1,
    )
    write_rows(tmp_path / "scores.jsonl", [score.model_dump()])
    runs = [
        SimpleNamespace(
            file=lambda name: tmp_path / name,
            record={"label": "l", "config": {"judge": judge}, "inputs": {"model": "m"}},
        )
        for judge in ("@j", "other")
    ]
    columns.write(runs, tmp_path / "both.csv")
    with open(tmp_path / "both.csv", newline="") as file:
        names, cells = csv.reader(file)
    row = dict(zip(names, cells, strict=True))
    assert [row[name] for name in ("id", "source", "work", "item")] == [
        "'=1+1",
        "'-x",
        "'\tWork",
        "'+1",
    ]
    assert row["'@j: gain"] == row["other: gain"] == "-0.5", "a number stays one"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--judge", "{model}", "--judge", "{model}"], "the same judge twice"),
        (["--judge", "{model}", "--judge", "embedded", "--adapter", "latest"], "several judges"),
        (["--judge", "{model}", "--out", "scores.xlsx"], "no such kind of table"),
    ],
)
def test_judges_and_tables_that_make_no_sense_are_refused(cqa, outputs, tiny_model, typed, said):
    result = cqa("score", str(outputs), *(word.format(model=tiny_model) for word in typed))
    assert result.exit_code == 2
    assert said in result.stderr
    assert not list(Path("runs").glob("score-*"))


def test_every_sum_can_be_had_from_the_traces_without_the_model(cqa, outputs, tiny_model):
    result = cqa("score", str(outputs), "--judge", str(tiny_model), "--json")
    folder = Path(json.loads(result.stdout)["path"])
    bits: dict[tuple[str, str], float] = {}
    entropy: dict[tuple[str, str], float] = {}
    for row in pq.read_table(folder / "traces.parquet").to_pylist():
        key = row["id"], row["condition"]
        if row["condition"] in ("none", "foil|none"):  # where each token begins in the text
            assert len(row["start"]) == len(row["token_id"])
            assert row["start"][0] == 0
            assert row["start"] == sorted(row["start"])
        else:
            assert row["start"] is None
        assert len(row["token_id"]) == len(row["logprob_nats"]) == len(row["entropy_nats"])
        bits[key] = -sum(row["logprob_nats"]) / np.log(2)
        entropy[key] = sum(row["entropy_nats"]) / np.log(2)
    full = "intent+audience+reality"
    for score in read_rows(folder / "scores.jsonl"):
        found, name = score["quantities"], score["id"]
        others = [bits[name, f"mismatch-{k}"] for k in (1, 2, 3)]
        gain = bits[name, "none"] - bits[name, full]
        foil = bits[name, "foil|none"] - bits[name, "foil|full"]
        narrowing = entropy[name, "none"] - entropy[name, full]
        assert found["surprise"] == pytest.approx(bits[name, "none"])
        assert found["gain"] == pytest.approx(gain, abs=1e-9)
        assert found["specific_gain"] == pytest.approx(np.mean(others) - bits[name, full], abs=1e-9)
        assert found["contrast"] == pytest.approx(gain - foil, abs=1e-9)
        assert found["entropy_gain"] == pytest.approx(narrowing, abs=1e-9)
    columns = pq.read_table(folder / "scores.parquet").to_pylist()
    for score, row in zip(read_rows(folder / "scores.jsonl"), columns, strict=True):
        assert {name: row[name] for name in ALL} == score["quantities"]


def test_an_interrupted_scoring_goes_on_where_it_was(cqa, workplace, tiny_model, monkeypatch):
    rows = [
        {k: row[k] for k in KEYS} | {"id": f"{row['id']}-{n}"} for n in range(6) for row in items()
    ]
    write_rows(workplace / "long.jsonl", rows)
    typed = ["score", "long.jsonl", "--judge", str(tiny_model), "--json"]
    whole = json.loads(cqa(*typed).stdout)

    from cqa import score as stage

    monkeypatch.setenv("CQA_RUNS", str(workplace / "again"))
    real = stage.Judge.mark
    blocks: list[int] = []

    def pull_the_plug(self, texts, **options):
        if len(blocks) == 2:
            raise KeyboardInterrupt
        blocks.append(len(texts))
        return real(self, texts, **options)

    with monkeypatch.context() as patch:
        patch.setattr(stage.Judge, "mark", pull_the_plug)
        assert cqa(*typed).exit_code == 130
    assert blocks == [32, 32]
    # what a kill between the two files of a block, and in the middle of one, leaves behind
    (folder,) = Path("again").glob("score-*/blocks")
    (folder / "000002.parquet").write_bytes(b"PAR1")
    (folder / ".000002.jsonl.x.part").write_text('{"id": "item')
    done = json.loads(cqa(*typed).stdout)
    assert done["headline"]["blocks_found"] == 2
    one, two = (Path(run["path"]) / "scores.jsonl" for run in (whole, done))
    assert one.read_text() == two.read_text()


@pytest.fixture
def cut_short(cqa, outputs, tiny_model, monkeypatch):
    """A scoring of twelve rows that stopped after two of three blocks; a whole one beside it.

    Gives the command, and the folder of the blocks of the one that stopped.
    """
    from cqa import blocks
    from cqa import score as stage

    monkeypatch.setattr(blocks, "ROWS", 5)
    typed = ["score", str(outputs), "--judge", str(tiny_model), "--json"]
    assert cqa(*typed).exit_code == 0
    monkeypatch.setenv("CQA_RUNS", "again")
    real, marked = stage.Judge.mark, []

    def pull_the_plug(self, texts, **options):
        if len(marked) == 2:
            raise KeyboardInterrupt
        marked.append(texts)
        return real(self, texts, **options)

    with monkeypatch.context() as patch:
        patch.setattr(stage.Judge, "mark", pull_the_plug)
        assert cqa(*typed).exit_code == 130
    (folder,) = Path("again").glob("score-*/blocks")
    return lambda: cqa(*typed), folder


def _same_as_undisturbed(result) -> None:
    assert result.exit_code == 0, result.stderr
    (one,), (two,) = Path("runs").glob("score-*"), Path("again").glob("score-*")
    assert (one / "scores.jsonl").read_bytes() == (two / "scores.jsonl").read_bytes()
    assert pq.read_table(one / "traces.parquet").equals(pq.read_table(two / "traces.parquet"))


def _zeros(file: Path) -> None:
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    file.write_bytes(content)


def _flip(file: Path) -> None:
    """One bit of a number among the values, which decodes as well as before."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


DAMAGES = [
    ("000000.parquet", _zeros),
    ("000000.parquet", _flip),
    ("000000.parquet", lambda file: file.write_bytes(file.read_bytes()[:-5])),
    ("000000.parquet", Path.unlink),
    ("000001.jsonl", lambda file: file.write_text("{}\n" * 5)),
    ("000001.jsonl", lambda file: file.write_text(file.read_text().replace("0.1", "0.2", 1))),
    ("000001.jsonl", lambda file: file.write_bytes(file.read_bytes()[:-5])),
]


def test_a_damaged_block_is_scored_again(cut_short, monkeypatch):
    score_it, folder = cut_short
    shutil.copytree("again", "kept")
    for name, damage in DAMAGES:
        shutil.rmtree("again")
        shutil.copytree("kept", "again")
        before = (folder / name).read_bytes()
        damage(folder / name)
        assert not (folder / name).exists() or (folder / name).read_bytes() != before
        result = score_it()
        _same_as_undisturbed(result)
        assert json.loads(result.stdout)["headline"]["blocks_found"] == 1, name


def test_a_file_that_changes_while_it_is_scored_is_refused_and_its_blocks_are_not_used(
    cut_short, outputs, monkeypatch
):
    from cqa import texts

    score_it, folder = cut_short
    shutil.rmtree(folder)
    good = read_rows(outputs)
    other = [row | {"text": " It rained on all of them."} for row in good]
    more = [{"id": f"more-{n}", "text": "So it was."} for n in range(8)]  # a block more
    check = texts.TextFile.__init__
    for changed in (other, good + more, good[:7], [*good[:-1], other[-1]], [{"id": 1}]):

        def then_replace(self, path, changed=changed):
            check(self, path)
            write_rows(outputs, changed)

        write_rows(outputs, good)
        with monkeypatch.context() as patch:
            patch.setattr(texts.TextFile, "__init__", then_replace)
            result = score_it()
        assert result.exit_code == 3
        assert "the file changed while it was read" in result.stderr
        assert not list(Path("again").glob("score-*/scores.jsonl"))
    assert (folder / "000003.jsonl").exists(), "no block of a longer file was left behind"
    write_rows(outputs, good)
    _same_as_undisturbed(score_it())


PEAK = """
import json, resource, sys
from cqa import score
from cqa.cli import main
few = score.reference()[:4]
score.reference = lambda: few
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def test_memory_does_not_grow_with_the_rows_of_a_file(workplace, tiny_model):
    """300 rows and 1,500 rows of four pages each; the longer file alone is 18 MB of text."""

    def peak_mb(rows: int) -> float:
        file = workplace / f"{rows}.jsonl"
        page = "The ferry waited at the quay. " * 400
        write_rows(file, [{"id": str(n), "text": "So.", "note": page} for n in range(rows)])
        typed = [sys.executable, "-c", PEAK, "score", str(file), "--judge", str(tiny_model)]
        environment = os.environ | {"CQA_RUNS": str(workplace / "r"), "MALLOC_ARENA_MAX": "1"}
        done = subprocess.run(
            typed, env=environment, cwd=workplace, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        (line,) = (line for line in done.stderr.splitlines() if line.startswith("PEAK "))
        return int(line.split()[1]) / 1024

    assert peak_mb(1500) - peak_mb(300) < 12


def test_a_mean_of_numbers_one_by_one_is_the_mean_and_holds_few_of_them():
    drawn = random.Random(0)
    numbers = [drawn.lognormvariate(0, 3) for _ in range(10_000)]
    mean = _Mean()
    assert mean.value is None
    for number in numbers:
        mean.add(number)
    assert mean.value == pytest.approx(statistics.fmean(numbers), rel=1e-14)
    assert mean.count == 10_000
    assert len(mean._parts) < 4096
