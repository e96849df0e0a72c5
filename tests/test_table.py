"""The results table: an index that can be lost, and rows for every run, the failed ones too."""

from __future__ import annotations

import csv
import fcntl
import json
import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cqa import runs, table
from cqa.runs import Spec

INGEST = Spec("ingest", "founding", {"dev_share": 0.2}, inputs={"data": "dd"}, code="c0")
TRAIN = Spec(
    "train",
    "annotations-s0",
    {"model": "embedded"},
    inputs={"model": "mm", "data": "dd"},
    parents=[INGEST.id],
    code="c1",
    seed=7,
    budget="90s",
)
SCORE = Spec("score", "base", {"judge": "embedded"}, inputs={"model": "mm"}, code="c2")


@pytest.fixture
def root(tmp_path) -> Path:
    """Three runs: one done at the second attempt, one failed, one interrupted."""
    root = tmp_path / "runs"
    with runs.execute(INGEST, root) as run:
        run.tell(headline={"annotations": 24})
    with pytest.raises(RuntimeError), runs.execute(TRAIN, root):
        raise RuntimeError("out of memory")
    with runs.execute(TRAIN, root) as run:
        run.tell(spent={"tokens": 12}, headline={"steps": 3})
    with pytest.raises(RuntimeError), runs.execute(replace(TRAIN, seed=8), root):
        raise RuntimeError("the device fell off")
    with runs.execute(SCORE, root) as run:
        pass
    (run.path / "run.json").unlink()
    return root


def by_id(root: Path) -> dict[str, dict]:
    return {row["id"]: row for row in table.read(root).to_dict("records")}


def forget(root: Path) -> None:
    for path in root.glob("index.sqlite*"):
        path.unlink()


def same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return one.to_csv() == other.to_csv()


def test_every_run_is_a_row_with_everything_that_decided_it(root):
    rows = by_id(root)
    assert set(rows) == {INGEST.id, TRAIN.id, replace(TRAIN, seed=8).id, SCORE.id}
    row = rows[TRAIN.id]
    assert (row["stage"], row["label"], row["status"]) == ("train", "annotations-s0", "done")
    assert (row["model"], row["model_sha256"], row["data_sha256"]) == ("embedded", "mm", "dd")
    assert (row["parents"], row["code_sha256"], row["seed"]) == (INGEST.id, "c1", 7)
    assert (row["budget_asked"], json.loads(row["budget_spent"])) == ("90s", {"tokens": 12})
    assert json.loads(row["headline"]) == {"steps": 3}
    assert set(json.loads(row["versions"])) >= {"cqa", "python", "torch"}
    assert row["fingerprint"] == TRAIN.fingerprint
    assert rows[SCORE.id]["model"] == "embedded"


def test_failed_and_interrupted_runs_are_rows_with_their_reason(root):
    rows = by_id(root)
    failed = rows[replace(TRAIN, seed=8).id]
    assert (failed["status"], failed["reason"]) == ("failed", "RuntimeError: the device fell off")
    assert rows[SCORE.id]["status"] == "interrupted"
    again = rows[TRAIN.id]
    assert (again["attempts"], again["earlier_failures"]) == (2, "RuntimeError: out of memory")


def test_a_lost_index_is_made_again_with_the_same_content(root):
    before = table.read(root)
    forget(root)
    assert same(table.read(root), before)


@pytest.mark.parametrize("content", [b"", b"not a database", random.Random(0).randbytes(20_000)])
def test_an_index_overwritten_with_anything_is_made_again(root, content):
    before = table.read(root)
    forget(root)
    (root / "index.sqlite").write_bytes(content)
    assert same(table.read(root), before)


def test_an_index_damaged_anywhere_can_be_read_and_rebuilt(root):
    # A damaged row that a query does not find may go unseen until a rebuild; no damage may crash.
    before = table.read(root)
    whole = (root / "index.sqlite").read_bytes()
    rng = random.Random(0)
    for _ in range(60):
        damaged = bytearray(whole)
        start, length = rng.randrange(len(whole)), rng.choice([1, 64, 1000])
        damaged[start : start + length] = rng.randbytes(min(length, len(whole) - start))
        forget(root)
        (root / "index.sqlite").write_bytes(damaged)
        assert len(table.read(root)) >= 4, (start, length)
        table.rebuild(root)
        assert same(table.read(root), before)


def test_a_damaged_schema_that_sqlite_quotes_in_bytes_that_are_no_text_is_made_again(root):
    before = table.read(root)
    index = root / "index.sqlite"
    whole = index.read_bytes()
    forget(root)
    index.write_bytes(whole.replace(b"PRIMARY KEY", b"PRIMARY \xa6EY", 1))
    with closing(sqlite3.connect(index)) as damaged, pytest.raises(UnicodeDecodeError):
        damaged.execute("SELECT 1 FROM runs")
    assert same(table.read(root), before)


MODELS = [{"model": "m", "word": "improved", "device_seconds": 3.5, "seeds": [0], "epoch": None}]
PRIMARY = {"group": "literary", "items": 6, "works": 6, "base": 0.5, "tuned": 0.75, "change": 0.25}
MODELS[0] |= {"rows": 50, "primary": [PRIMARY | {"low": 0.125, "high": 0.5, "p": 0.03125}]}
TYPED = [
    ("table",),
    ("table", "--json"),
    ("table", "--csv", "t.csv"),
    ("table", "--where", "status=done"),
    ("report", "--list"),
    ("report", "--list", "--json"),
]


@pytest.fixture
def whole_index(cqa, root) -> dict[tuple, str]:
    """What each command says of the table before it is damaged, a report being among the runs."""
    with runs.execute(Spec("report", "x", {}), root) as run:
        told = {"kind": "confirmatory: locked", "models": MODELS}
        run.file("report.json").write_text(json.dumps(told))
        run.tell(headline={"sentence": "It did."})
    return {typed: said_by(cqa, typed) for typed in TYPED}


def said_by(cqa, typed) -> str:
    result = cqa(*typed)
    assert result.exit_code == 0, (typed, result.output)
    return result.stdout + (Path("t.csv").read_text("utf-8") if "--csv" in typed else "")


@pytest.mark.parametrize(
    "change",
    [
        "headline = replace(headline, '{', '[')",
        "headline = '[1]'",
        "headline = x'ff00'",
        "headline = CAST(x'ff' AS TEXT)",
        "seconds = 'long'",
        "seconds = seconds + 1",
        "started = NULL",
        "id = NULL WHERE stage = 'train' AND status = 'done'",
        "id = 'score-x' WHERE stage = 'train' AND status = 'done'",
        "id = 7 WHERE stage = 'train' AND status = 'done'",
        "stamp = NULL",
        "seed = 'seven'",
        "models = '['",
        "models = '[]'",
        "models = NULL",
        "checksum = NULL",
    ],
)
def test_a_damaged_cell_is_seen_and_the_index_made_again(cqa, root, whole_index, change):
    for typed, before in whole_index.items():
        with closing(sqlite3.connect(root / "index.sqlite")) as index, index:
            index.execute(f"UPDATE runs SET {change}")
        assert said_by(cqa, typed) == before, typed


def test_a_byte_anywhere_in_the_index_changes_nothing_that_a_command_shows(cqa, root, whole_index):
    with closing(sqlite3.connect(root / "index.sqlite")) as index:
        index.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = (root / "index.sqlite").read_bytes()
    begins = [at for at in range(len(whole)) if whole[at : at + 13] == b'{"sentence": ']
    assert begins
    rng = random.Random(1)
    for at in [*begins, *(begins[0] + rng.randrange(-400, 400) for _ in range(12))]:
        forget(root)
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.randrange(8)
        (root / "index.sqlite").write_bytes(damaged)
        for typed in (("table", "--json"), ("report", "--list")):
            assert said_by(cqa, typed) == whole_index[typed], at


def test_a_damaged_index_that_cannot_be_deleted_is_read_in_memory(root, monkeypatch):
    before = table.read(root)
    with closing(sqlite3.connect(root / "index.sqlite")) as index, index:
        index.execute("UPDATE runs SET headline = '['")
    monkeypatch.setattr("cqa.table.index._forget", lambda path: None)
    assert same(table.read(root), before)


def test_a_record_by_anybody_is_a_row_of_cells_of_the_right_kinds(cqa, root):
    file = root / TRAIN.id / "run.json"
    record = json.loads(file.read_text())
    strange = {"seed": 2**70, "seconds": 1}
    strange |= {"spent": {"tokens": 2**70, "flops": 1e25, "device_seconds": -0.0, "money": "no"}}
    file.write_text(json.dumps(record | strange))
    for typed in TYPED:
        said_by(cqa, typed)
    row = by_id(root)[TRAIN.id]
    assert (row["flops"], row["device_seconds"], row["seconds"]) == (1e25, 0.0, 1.0)
    assert all(pd.isna(row[name]) for name in ("seed", "tokens", "money"))


def test_an_index_of_an_earlier_version_is_made_again(root):
    before = table.read(root)
    forget(root)
    with closing(sqlite3.connect(root / "index.sqlite")) as old, old:
        old.execute("CREATE TABLE runs (id TEXT PRIMARY KEY, stage TEXT, stamp TEXT)")
        old.execute("INSERT INTO runs VALUES (?, 'train', 'old')", (TRAIN.id,))
    assert same(table.read(root), before)


def test_a_run_directory_that_has_gone_is_gone_from_the_table(root):
    assert TRAIN.id in by_id(root)
    shutil.rmtree(root / TRAIN.id)
    assert TRAIN.id not in by_id(root)
    assert len(by_id(root)) == 3


def test_a_run_that_ends_later_changes_its_row(root):
    assert by_id(root)[SCORE.id]["status"] == "interrupted"
    with runs.execute(SCORE, root):
        assert by_id(root)[SCORE.id]["status"] == "running"
    assert by_id(root)[SCORE.id]["status"] == "done"


def test_a_run_whose_process_is_killed_changes_its_row_though_no_file_changes(root):
    with (root / SCORE.id / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as a process at work holds it
        assert by_id(root)[SCORE.id]["status"] == "running"
    assert by_id(root)[SCORE.id]["status"] == "interrupted"


def test_files_and_folders_that_are_no_runs_are_left_alone(root):
    (root / "notes.txt").write_text("mine")
    (root / "folder").mkdir()
    assert len(by_id(root)) == 4
    assert (root / "notes.txt").read_text() == "mine"


def test_a_seed_is_a_whole_number_though_some_runs_have_none(root):
    table.export_csv(root / "t.csv", root)
    rows = {row["id"]: row for row in csv.DictReader((root / "t.csv").open(encoding="utf-8"))}
    assert (rows[TRAIN.id]["seed"], rows[INGEST.id]["seed"]) == ("7", "")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_that_a_spreadsheet_would_compute_is_exported_as_text(root, start):
    # the label of a score run is the name of the file that was scored: anybody's choice
    label = f'{start}HYPERLINK("http://x","y")'
    with runs.execute(replace(SCORE, label=label), root) as run:
        run.tell(reason="-1 is not allowed")
    out = root / "t.csv"
    assert table.export_csv(out, root) == 5
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    assert [row["label"] for row in rows if row["id"] == run.id] == [f"'{label}"]
    assert [row["reason"] for row in rows if row["id"] == run.id] == ["'-1 is not allowed"]
    for row in rows:
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row.values())


def test_the_command_shows_failures_and_exports_every_run(cqa, workplace, root):
    shown = cqa("table", "--csv", "results.csv")
    assert shown.exit_code == 0
    assert "RuntimeError: the device fell off" in shown.stdout
    assert "wrote 4 runs to results.csv" in shown.stderr
    assert len(list(csv.DictReader((workplace / "results.csv").open()))) == 4
    newest = cqa("table", "--last", "1")
    assert SCORE.id in newest.stdout
    assert INGEST.id not in newest.stdout
    assert "... and 3 older runs" in newest.stdout


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("status=failed", [replace(TRAIN, seed=8).id]),
        ("label~NOTATIONS", [TRAIN.id, replace(TRAIN, seed=8).id]),
        ("seed>7", [replace(TRAIN, seed=8).id]),
        ("started<2020", []),
    ],
)
def test_the_table_is_filtered(cqa, root, condition, found):
    told = json.loads(cqa("table", "--where", condition, "--json").stdout)
    assert [row["id"] for row in told["runs"]] == found
    for wrong in ("colour=red", "seconds>much", "status", "1;DROP TABLE runs=1"):
        assert cqa("table", "--where", wrong).exit_code == 2


def test_an_index_that_cannot_be_written_is_read_with_what_it_lacks(root, monkeypatch):
    before = table.read(root)
    with runs.execute(replace(TRAIN, seed=9), root):
        pass
    with closing(sqlite3.connect(root / "index.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # as a process that writes and writes
        during = table.read(root)
        shutil.rmtree(root / SCORE.id)
        assert len(table.read(root)) == len(during) - 1
    assert len(during) == len(before) + 1
    forget(root)
    (root / "index.sqlite").mkdir()  # can be neither opened nor deleted
    assert len(table.read(root)) == len(before)


def test_a_damaged_record_is_named_with_what_to_do(cqa, root):
    (root / TRAIN.id / "run.json").write_text('{"id": ')
    assert f"runs/{TRAIN.id}/run.json: cannot be read" in cqa("table").stdout
    assert by_id(root)[TRAIN.id]["status"] == "failed"
    with runs.execute(TRAIN, root):
        pass  # the same command goes on
    assert by_id(root)[TRAIN.id]["status"] == "done"
    for name in ("run.json", "begun.json"):
        (root / TRAIN.id / name).write_text("")
    result = cqa("table")
    assert result.exit_code == 3
    assert f"runs/{TRAIN.id}/begun.json: cannot be read" in result.stderr
    assert "next: " in result.stderr


def test_no_runs_are_an_empty_table_with_a_next_step(cqa):
    assert cqa("table").stdout == "no runs yet: cqa run experiments/reproduce.toml\n"
    assert json.loads(cqa("table", "--json").stdout) == {"runs": []}
