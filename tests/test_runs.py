"""Run directories: what decides a result decides the name, and only a whole run is done."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from conftest import REPOSITORY

from cqa import runs
from cqa.errors import CqaError
from cqa.runs import Spec

SPEC = Spec(
    stage="train",
    label="annotations-s0",
    config={"epochs": 5, "rate": 0.1},
    inputs={"model": "aa", "data": "bb"},
    parents=["ingest-0", "ingest-1"],
    code="cc",
    seed=0,
    budget="90s",
)

OTHER = {
    "stage": ["score"],
    "config": [{"epochs": 6, "rate": 0.1}, {"epochs": 5}, {"epochs": "5", "rate": 0.1}],
    "inputs": [{"model": "aa", "data": "b"}, {"model": "bb", "data": "aa"}],
    "parents": [["ingest-1", "ingest-0"], ["ingest-0"]],
    "code": [""],
    "seed": [1, None],
    "budget": ["91s", None],
}

HOLD = """
import sys
from pathlib import Path
from cqa import runs
with runs.execute(runs.Spec("train", "one", {"a": 1}), Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
"""Takes a run and holds it until its standard input ends."""


def ids(root: Path) -> list[str]:
    return [run.id for run in runs.all_runs(root)]


def test_every_field_but_the_label_makes_another_fingerprint():
    assert {field.name for field in fields(Spec)} == {*OTHER, "label"}
    changed = [replace(SPEC, **{name: value}) for name in OTHER for value in OTHER[name]]
    prints = {spec.fingerprint for spec in [SPEC, *changed]}
    assert len(prints) == 1 + len(changed)
    assert replace(SPEC, label="another").fingerprint == SPEC.fingerprint


def test_the_order_of_settings_makes_no_other_fingerprint():
    turned = replace(SPEC, config={"rate": 0.1, "epochs": 5}, inputs={"data": "bb", "model": "aa"})
    assert turned.id == SPEC.id


def test_a_run_ends_in_a_record_with_what_was_told_and_is_found_again(tmp_path):
    with runs.execute(SPEC, tmp_path) as made:
        assert runs.find(SPEC, tmp_path) is None
        made.tell(headline={"steps": 3})
    found = runs.find(SPEC, tmp_path)
    assert found is not None
    assert (found.done, found.fresh, made.fresh) == (True, False, True)
    record = found.record
    assert record["headline"] == {"steps": 3}
    assert record["status"] == "done"
    assert record["reason"] is None
    assert record["id"] == found.path.name
    for name in ("stage", "label", "config", "inputs", "parents", "code", "seed", "budget"):
        assert record[name] == getattr(SPEC, name)
    assert runs.find(replace(SPEC, seed=1), tmp_path) is None


def test_a_run_without_its_record_is_not_done_and_can_be_taken_up_again(tmp_path):
    with runs.execute(SPEC, tmp_path) as made:
        made.file("half.txt").write_text("kept")
    (made.path / "run.json").unlink()
    assert runs.find(SPEC, tmp_path) is None
    (left,) = runs.all_runs(tmp_path)
    assert (left.record["status"], left.done) == ("interrupted", False)

    with runs.execute(SPEC, tmp_path) as again:
        assert again.file("half.txt").read_text() == "kept"
    attempts = runs.find(SPEC, tmp_path).record["attempts"]
    assert [attempt["reason"] for attempt in attempts] == ["interrupted", None]
    assert again.record["started"] == made.record["started"]


def test_a_record_of_something_else_is_not_taken_for_this_run(tmp_path):
    with runs.execute(SPEC, tmp_path) as made:
        pass
    record = json.loads(made.file("run.json").read_text())
    made.file("run.json").write_text(json.dumps(record | {"fingerprint": "f" * 64}))
    assert runs.find(SPEC, tmp_path) is None


def test_a_run_that_its_budget_cut_short_is_done(tmp_path):
    with runs.execute(SPEC, tmp_path) as made:
        made.tell(status="cut short", reason="90 s were over")
    found = runs.find(SPEC, tmp_path)
    assert (found.done, found.record["reason"]) == (True, "90 s were over")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("no memory left"), "RuntimeError: no memory left"),
        (CqaError("the brief is too long", next_step="shorten it"), "the brief is too long"),
        (KeyboardInterrupt(), "stopped by the user"),
    ],
)
def test_a_failed_run_keeps_its_reason_and_every_attempt(tmp_path, error, reason):
    for _ in range(2):
        with pytest.raises(type(error)), runs.execute(SPEC, tmp_path) as made:
            raise error
    assert runs.find(SPEC, tmp_path) is None
    failed = runs.read(made.path)
    assert (failed.record["status"], failed.record["reason"]) == ("failed", reason)

    with runs.execute(SPEC, tmp_path):
        pass
    done = runs.find(SPEC, tmp_path)
    assert [attempt["reason"] for attempt in done.record["attempts"]] == [reason, reason, None]
    assert all(attempt["seconds"] >= 0 for attempt in done.record["attempts"])
    assert (done.record["status"], done.record["reason"]) == ("done", None)


def test_a_result_that_json_cannot_say_is_a_failure_with_its_reason(tmp_path):
    # a loss that is not a number must not look like a run that somebody killed
    with pytest.raises(ValueError, match="JSON compliant"), runs.execute(SPEC, tmp_path) as made:
        made.tell(headline={"loss": float("nan")})
    record = runs.read(made.path).record
    assert record["status"] == "failed"
    assert "not JSON compliant" in record["reason"]


def test_a_second_process_on_a_run_is_refused_and_takes_over_when_the_first_is_gone(tmp_path):
    spec = Spec("train", "one", {"a": 1})
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    try:
        assert first.stdout.readline() == "held\n"
        begun = (tmp_path / spec.id / "begun.json").read_bytes()
        with pytest.raises(CqaError) as refused, runs.execute(spec, tmp_path):
            pytest.fail("two processes write into one run")
        told = f"{spec.id}: another process (pid {first.pid} on {platform.node()} since "
        assert refused.value.what.startswith(told)
        assert refused.value.next_step
        assert (tmp_path / spec.id / "begun.json").read_bytes() == begun, "nothing was touched"
        assert runs.read(tmp_path / spec.id).record["status"] == "running"
        with runs.execute(replace(spec, seed=1), tmp_path):
            pass  # another run is nobody's business
    finally:
        first.kill()
        first.communicate()
    assert runs.read(tmp_path / spec.id).record["status"] == "interrupted"
    with runs.execute(spec, tmp_path) as taken_over:
        pass
    assert len(taken_over.record["attempts"]) == 2


@pytest.mark.parametrize(
    "label",
    ["../../above", "/etc/passwd", "..", "", "  ", "a/b\\c", "-rf", "a\0b\n", "Œuvre n° 5",
     "x" * 500, "con:*?\"<>|", ".hidden", "~", "$(id)", "文章"],
)  # fmt: skip
def test_any_label_makes_a_safe_name_below_the_root(tmp_path, label):
    root = tmp_path / "root" / "runs"
    spec = replace(SPEC, label=label)
    with runs.execute(spec, root) as made:
        pass
    assert re.fullmatch(r"train(-[a-z0-9]+)*", spec.id)
    assert len(spec.id) <= 60
    assert made.path.parent == root
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(
        ["root", "runs", spec.id, "begun.json", "run.json", "lock"]
    )
    assert runs.find(spec, root).record["label"] == label, "the label itself is kept as it is"


def test_all_runs_are_listed_oldest_first_and_strangers_are_not(tmp_path):
    assert runs.all_runs(tmp_path / "nowhere") == []
    for seed in (3, 1, 2):
        with runs.execute(replace(SPEC, seed=seed), tmp_path) as made:
            made.record["started"] = f"2026-01-0{seed}"
    (tmp_path / "notes").mkdir()
    (tmp_path / "index.sqlite").write_text("")
    assert [run.record["seed"] for run in runs.all_runs(tmp_path)] == [1, 2, 3]


def test_the_hash_of_code_changes_with_the_module_and_its_name():
    one = runs.code_hash("render.py")
    assert one == runs.code_hash("render.py")
    assert len({one, runs.code_hash("overlap.py"), runs.code_hash("render.py", "overlap.py")}) == 3
