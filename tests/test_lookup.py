"""One run among all: the index finds what reading every record finds."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3

import pytest

from cqa import runs, table
from cqa.errors import UsageRefused
from cqa.runs import Spec
from cqa.table import lookup

STAGES = ("train", "score")


def made(root, name: str, **told):
    """A record as it may lie there, finished at a time that is said."""
    with runs.execute(
        Spec(told.get("stage", "score"), name, {}, seed=random.randrange(2**40)), root
    ) as run:
        pass
    folder = root / name
    run.path.rename(folder)
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | told | {"id": name}))


@pytest.fixture
def many(tmp_path):
    """Sixty runs: several began or ended at the same moment, some did not end well."""
    rng = random.Random(0)
    for number in range(60):
        made(
            tmp_path / "runs",
            f"{rng.choice('abc')}-{number}",
            stage=rng.choice(STAGES),
            status=rng.choice(["done", "done", "cut short", "failed"]),
            started=f"2026-01-0{rng.randrange(1, 4)}",
            ended=f"2026-02-0{rng.randrange(1, 4)}",
            label=f"l{rng.randrange(3)}",
            inputs={"model": f"m{rng.randrange(2)}"},
            parents=[f"p{rng.randrange(3)}", f"p{rng.randrange(30)}"],
        )  # fmt: skip
    return tmp_path / "runs"


def by_reading(root, stage, where):
    """What `latest` means: the first of those that ended last, in the order of their beginnings."""
    found = [r for r in runs.all_runs(root) if r.done and r.record["stage"] == stage and where(r)]
    return max(found, key=lambda run: run.record["ended"], default=None)


def path_of(run):
    return run and run.path.name


def test_the_newest_run_is_the_one_that_reading_every_record_finds(many, monkeypatch):
    for stage in (*STAGES, "report"):
        for label in ("l0", "l1", "l2", "l3"):
            for model in ("m0", "m1"):

                def where(run, label=label, model=model):
                    record = run.record
                    return record["label"] == label and record["inputs"]["model"] == model

                wanted = path_of(by_reading(many, stage, where))
                assert path_of(table.latest(stage, where, many)) == wanted
                cells = {"label": label, "model_sha256": model}
                assert path_of(table.latest(stage, where, many, **cells)) == wanted
        for parent in ("p1", "p2"):

            def child(run, parent=parent):
                return parent in run.record["parents"]

            found = next(table.finished(stage, many, parents=parent), None)
            assert path_of(found) == path_of(by_reading(many, stage, child))
    monkeypatch.setattr(lookup, "asked", _no_index)
    every = list(table.finished("score", many))
    monkeypatch.undo()
    assert [run.path for run in table.finished("score", many)] == [run.path for run in every]


def _no_index(*_):
    raise sqlite3.OperationalError("disk I/O error")


@pytest.mark.parametrize("index", [True, False])
def test_a_reference_is_an_id_a_folder_or_a_beginning_of_one_id_alone(many, monkeypatch, index):
    if not index:
        monkeypatch.setattr(lookup, "asked", _no_index)
    every = runs.all_runs(many)
    for reference in (
        "a",
        "b-1",
        *(f"{a}-{n}" for a in "abc" for n in range(60)),
        "",
        "a-%",
        "a_1",
        "\udcff",
    ):
        matches = [run for run in every if reference and run.id.startswith(reference)]
        if len(matches) == 1:
            assert table.run_of(reference, many).path == matches[0].path
            continue
        said = f"{len(matches)} runs begin with it" if matches else "no such run"
        with pytest.raises(UsageRefused, match=said):
            table.run_of(reference, many)
    assert table.run_of(str(every[0].path), many).id == every[0].id
    shutil.rmtree(many)
    with pytest.raises(UsageRefused, match="no such run"):
        table.run_of("a", many)
    assert table.latest("score", lambda run: True, many) is None
    assert not many.exists(), "to look makes no folder"


def test_a_run_that_ended_a_moment_ago_is_found_and_one_begun_anew_is_not(tmp_path):
    spec = Spec("score", "one", {})
    for _ in range(2):
        with runs.execute(spec, tmp_path):
            assert table.latest("score", lambda run: True, tmp_path) is None
        assert table.latest("score", lambda run: True, tmp_path).id == spec.id
        (tmp_path / spec.id / "run.json").unlink()


def test_only_the_record_that_is_wanted_is_read(many, monkeypatch):
    ids = [run.id for run in runs.all_runs(many)]
    one = next(name for name in ids if sum(other.startswith(name) for other in ids) == 1)
    table.read(many)
    read, whole = [], runs.read
    monkeypatch.setattr(runs, "read", lambda path: read.append(path) or whole(path))
    assert table.latest("score", lambda run: True, many)
    assert len(read) == 1
    assert table.run_of(one, many).id == one
    assert len(read) == 2


def test_a_damaged_index_that_cannot_be_deleted_is_not_read(many, monkeypatch):
    before = len(table.read(many))
    for path in many.glob("index.sqlite*"):
        path.unlink()
    (many / "index.sqlite").write_bytes(b"no index" * 1000)
    monkeypatch.setattr("cqa.table.index._forget", lambda path: None)
    assert len(table.read(many)) == before
