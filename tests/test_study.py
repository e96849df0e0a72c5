"""The whole road on a tiny model, through the command line."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import statistics
from pathlib import Path

import pytest
from conftest import annotation, dialogue, experiment, items, read_rows, write_rows

from cqa.reporting import outputs


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_model) -> Path:
    """The place of a small experiment that ran to its end, with what was said before and after."""
    from typer.testing import CliRunner

    from cqa.cli import app

    place = tmp_path_factory.mktemp("finished")
    write_rows(place / "items.jsonl", items())
    write_rows(place / "batch/annotations.jsonl", [annotation(n) for n in range(6)])
    write_rows(place / "batch/dialogues.jsonl", [dialogue(n) for n in range(6)])
    file = str(experiment(place, tiny_model))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("CQA_RUNS", str(place / "runs"))
        for name, words in {
            "ahead": ["plan", file, "--price", "3usd/gpu-hour", "--json"],
            "first": ["run", file],
        }.items():
            done = CliRunner().invoke(app, words, catch_exceptions=False)
            assert done.exit_code == 0, done.output
            (place / f"{name}.txt").write_text(done.stdout, "utf-8")
    return place


@pytest.fixture
def place(finished, workplace) -> Path:
    """A copy of `finished` to work on, which is the working directory."""
    shutil.copytree(finished, workplace, dirs_exist_ok=True)
    return workplace


def test_the_plan_names_every_step_and_its_price(finished):
    ahead = json.loads((finished / "ahead.txt").read_text("utf-8"))
    work = {one["kind"]: one for one in ahead["work"]}
    assert {kind: one["steps"] for kind, one in work.items()} == {
        "score": 3, "train": 2, "generate": 3, "score-texts": 3, "score-own": 2
    }  # fmt: skip
    assert all("timed now" in one["basis"] and one["seconds"] > 0 for one in work.values())
    assert ahead["money"] == pytest.approx(3 * ahead["seconds_left"] / 3600)
    assert work["score-texts"]["seconds"] < work["score"]["seconds"]  # no foil, no noise floor


def test_an_experiment_runs_to_its_table_and_a_second_time_does_nothing(cqa, place):
    file = place / "small.toml"
    first = (place / "first.txt").read_text("utf-8")
    assert "specific gain on literary items" in first
    assert "nothing to compare with" in first
    runs = sorted((place / "runs").glob("*/run.json"))
    # ingest, 3 scorings of the benchmark, 2 trainings, 3 times texts, 3 scorings of them, 2 by the
    # models that wrote them, report
    assert len(runs) == 15
    before = {path: path.read_bytes() for path in [*runs, file]}

    # a file that expects nothing is left as it is, also when its results are accepted
    second = cqa("run", str(file), "--accept")
    assert second.exit_code == 0
    assert "specific gain on literary items" in (place / "results/small.md").read_text()
    assert "nothing to do: all 15 stages" in second.stderr
    assert {path: path.read_bytes() for path in before} == before

    # what is missing again will take as long as the like of it did
    shutil.rmtree(next(place.glob("runs/score-own-shuffled-*")))
    ahead = json.loads(cqa("plan", str(file), "--json").stdout)
    assert (ahead["steps"], ahead["done"]) == (13, 12)
    (one,) = ahead["work"]
    records = [json.loads(path.read_text()) for path in runs if path.is_file()]
    like = [r for r in records if any(p.startswith("generate-") for p in r["parents"])]
    seconds = [r["attempts"][0]["seconds"] for r in like if r["stage"] == "score"]
    assert len(seconds) == 4
    assert one["seconds"] == pytest.approx(statistics.median(seconds))
    assert one["basis"] == "as long as the like of it took on this disk"


def test_the_report_carries_the_same_numbers_in_every_format(cqa, place):
    results = json.loads(cqa("run", "small.toml", "--json").stdout)
    folder = Path(results["path"])
    html = (folder / "report.html").read_text("utf-8")
    markdown = (folder / "report.md").read_text("utf-8")
    assert results["sentence"] in markdown
    rows = list(csv.DictReader((folder / "results.csv").open()))
    primary = next(
        row
        for row in rows
        if row["model"] == "annotations-s0"
        and row["group"] == "literary"
        and row["quantity"] == "specific_gain_bits_per_token"
    )
    change = results["models"][0]["primary"][0]["change"]
    assert float(primary["change"]) == change
    assert f"{change:+.4f}" in html
    assert f"{change:+.4f}" in markdown
    # the change is the mean over the items of tuned less base, recomputed from the scores
    by_arm = {
        arm: {
            row["id"]: row["quantities"]["specific_gain_bits_per_token"]
            for row in read_rows(next(place.glob(f"runs/score-{arm}-*/scores.jsonl")))
            if row["group"] == "literary"
        }
        for arm in ("base", "annotations-s0")
    }
    deltas = [by_arm["annotations-s0"][key] - by_arm["base"][key] for key in by_arm["base"]]
    assert abs(sum(deltas) / len(deltas) - change) < 1e-12


def test_expected_numbers_are_compared_and_accepted(cqa, place):
    file = place / "small.toml"
    more = '\n[expected]\n"base.literary.gain_bits_per_token" = { value = 99.0, tolerance = 0.1 }\n'
    file.write_text(file.read_text("utf-8") + more, "utf-8")
    differs = cqa("run", str(file))
    assert differs.exit_code == 1
    assert "base.literary.gain_bits_per_token: expected 99.0" in differs.stdout
    assert cqa("run", str(file), "--accept").exit_code == 0
    assert "specific gain on literary items" in (place / "results/small.md").read_text()
    assert (place / "results/small.csv").exists()
    assert "99.0" not in file.read_text()
    agrees = cqa("run", str(file))
    assert agrees.exit_code == 0, agrees.stdout
    assert "numbers are as expected" in agrees.stdout


def test_what_was_interrupted_goes_on_and_what_failed_stays_in_the_table(
    cqa, workplace, tiny_model, batch, benchmark, monkeypatch
):
    from cqa import sampling

    file = experiment(workplace, tiny_model)
    real, calls = sampling.write, []

    def fails_at_the_second_model(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("the device fell off")
        return real(*args, **kwargs)

    monkeypatch.setattr(sampling, "write", fails_at_the_second_model)
    with contextlib.suppress(RuntimeError):
        cqa("run", str(file))
    table = json.loads(cqa("table", "--json").stdout)["runs"]
    failed = [row for row in table if row["status"] == "failed"]
    assert [row["reason"] for row in failed] == ["RuntimeError: the device fell off"]
    records = workplace.glob("runs/*/run.json")
    kept = {path: path.read_bytes() for path in records if failed[0]["id"] not in str(path)}

    monkeypatch.setattr(sampling, "write", real)
    assert cqa("run", str(file)).exit_code == 0
    assert {path: path.read_bytes() for path in kept} == kept
    again = json.loads(cqa("table", "--json").stdout)["runs"]
    row = next(row for row in again if row["id"] == failed[0]["id"])
    assert (row["status"], row["attempts"]) == ("done", 2)
    assert "the device fell off" in row["earlier_failures"]


def test_an_adapter_of_no_steps_scores_as_its_base_and_a_failure_leaves_the_others(
    cqa, workplace, tiny_model, batch, benchmark, monkeypatch
):
    # `lost` asks for more annotations than there are, and fails; with two processes or with one
    file = experiment(workplace, tiny_model)
    arms = (
        '[[arms]]\nname = "zero"\nmethod = "zero-step"\nwrite = false\n'
        '[[arms]]\nname = "lost"\nrows = 99\nwrite = false\n'
    )
    text = file.read_text().replace(
        'name = "annotations"\n', 'name = "annotations"\nwrite = false\ncurve = true\n'
    )
    text = text.replace('[[arms]]\nname = "shuffled"\npairing = "shuffled"\n', "")
    file.write_text(text.replace("[train]", arms + "[train]"))
    scored = ("run", str(file), "--only", "*/score")
    stopped = cqa(*scored, "--minutes", "0")
    assert (stopped.exit_code, "0 of 8 steps are done" in stopped.stdout) == (4, True)
    found = cqa(*scored, "--workers", "2")
    assert found.exit_code == 1, found.output
    assert "missing lost-s0/train: rows = 99" in found.stdout
    assert "missing lost-s0/score: needs lost-s0/train, which failed" in found.stdout
    assert "6 of 8 steps are done, 6 of them now" in found.stdout
    base, zero, half, tuned = (
        [
            row["quantities"]
            for row in read_rows(next(workplace.glob(f"runs/score-{run}/scores.jsonl")))
        ]
        for label in ("base", "zero-s0", "annotations-s0-e1", "annotations-s0")
        for run in [f"{label}-{'[0-9a-f]' * 10}"]
    )
    assert zero == base
    assert base != half != tuned != base
    lock = json.loads((workplace / "small.lock.json").read_text())
    records = [json.loads(path.read_text()) for path in workplace.glob("runs/score-*/run.json")]
    assert all(record["started"] > lock["written"] for record in records)

    # what two processes made is what one finds, and the report says what is missing
    monkeypatch.setattr(
        "cqa.analysis.QUANTITIES", ("specific_gain_bits_per_token", "residual_bits_per_token")
    )
    reported = cqa("run", str(file), "--workers", "1", "--json")
    assert reported.exit_code == 1
    results = json.loads(reported.stdout)
    assert set(results["missing"]) == {"lost-s0/train", "lost-s0/score"}
    assert results["kind"].startswith("confirmatory")
    zeros = next(model for model in results["models"] if model["arm"] == "zero")
    assert [row["change"] for row in zeros["primary"]] == [0.0, 0.0]

    # the curve goes from the base over the first epoch's folder to the adapter of the last one
    curve = [model for model in results["models"] if model["arm"] == "annotations"]
    assert [(model["model"], model["after_epochs"]) for model in curve] == [
        ("annotations-s0", 2),
        ("annotations-s0-e1", 1),
    ]
    key = "specific_gain_bits_per_token"
    literary = [half[n][key] - base[n][key] for n in range(6)]  # the first six items
    assert curve[1]["primary"][0]["change"] == pytest.approx(sum(literary) / 6)
    points = outputs._points(results["models"], "epoch")
    drawn = sorted((p["x"], p["change"]) for p in points if p["group"] == "literary")
    assert drawn == [(0, 0.0), *((n, curve[2 - n]["primary"][0]["change"]) for n in (1, 2))]
    assert (Path(results["path"]) / "figures/curve-epoch.svg").is_file()
