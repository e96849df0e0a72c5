"""What the program wrote itself and reads again, spoilt: records, locks, scores, traces, index."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import experiment
from fuzzing import BAD, as_json, cases, outcome, spoilt, spoilt_bytes
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file
from samples import SCORED, TRAIN_CONFIG, TRAINED
from test_rows import SCORE

from cqa import blocks, export, report, runs, show, table, validity
from cqa.audit.reading import iter_sentences
from cqa.config import read_experiment
from cqa.measures import ALL
from cqa.reporting import listing, outputs
from cqa.runs import Spec
from cqa.study import lock
from cqa.table import run_of

SCORING = Spec("score", "x", {"judge": "j"}, inputs={"data": "d"})
TUNED = Spec("score", "x", {"judge": "j"}, inputs={"data": "d", "adapter": "a"})
LOCK = Path("small.lock.json")
RATINGS = Path("ratings.csv")
NOW = {"experiment": "n", "seeds": [0], "items": {"a": "b"}}
ROWS = [
    {"id": f"t{n}", "condition": "none", "parts": [], "token_id": [1, 2, n], "start": [0, 1, 2]}
    | {"logprob_nats": [-1.0] * 3, "entropy_nats": [1.0] * 3}
    for n in range(4)
]


@pytest.fixture(scope="module", autouse=True)
def scored(tmp_path_factory):
    """A run that scored four texts, and ratings of them."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("records")
        patch.chdir(folder)
        patch.setenv("CQA_RUNS", "runs")
        patch.setattr(validity.agreement, "QUANTITIES", ("gain_share",))
        with runs.execute(SCORING) as run:
            scores = [
                SCORE | {"id": f"t{n}", "quantities": dict.fromkeys(ALL, n / 7)} for n in range(4)
            ]
            run.file("scores.jsonl").write_text("".join(as_json(row) + "\n" for row in scores))
            run.file("traces.parquet").write_bytes(parquet(ROWS))
            run.tell(**SCORED)
        RATINGS.write_text(
            "id,rater,criterion,value\n" + "".join(f"t{n},r,good,{n}\n" for n in range(4))
        )
        yield run


def parquet(rows: list[dict], schema: pa.Schema | None = blocks.TRACES) -> bytes:
    into = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), into)
    return into.getvalue()


def use(run: runs.Run, name: str, content: bytes) -> str | None:
    """What the commands that read a run say while one of its files is another."""
    file = run.file(name)
    good = file.read_bytes() if file.exists() else None
    file.write_bytes(content)
    try:
        said = [outcome(lambda: table.read()), outcome(lambda: runs.all_runs()), outcome(listed)]
        read = runs.read(run.path) if not any(said) else None
        if read and read.done and name != "run.json":
            said.append(outcome(lambda: validity.run(read, RATINGS)))
    finally:
        if good is None:
            file.unlink()
        else:
            file.write_bytes(good)
        for other in Path("runs").glob("report-*"):
            shutil.rmtree(other)
    return next(filter(None, said), None)


def listed() -> None:
    """As `cqa table` and `cqa report --list` do."""
    show.table(*table.newest(30))
    found = table.models_of_reports()
    show.reports(found, listing.best(found), None, False)


def test_the_good_one_is_used(scored):
    assert use(scored, "none", b"") is None


@cases(8, 700)
@given(st.data())
def test_a_spoilt_record_is_used_or_refused(scored, data):
    record = json.loads(scored.file("run.json").read_text())
    content = data.draw(spoilt_bytes(as_json(data.draw(spoilt(record)))))
    use(scored, "run.json", content)


PRIMARY = {"group": "literary", "items": 6, "works": 6, "base": 0.5, "tuned": 0.75, "change": 0.25}
PRIMARY |= {"low": 0.125, "high": 0.5, "p": 0.03125}
MODEL = {"model": "m", "word": "improved", "device_seconds": 3.5, "seeds": [0], "epoch": None}
MODEL |= {"rows": 50, "primary": [PRIMARY]}


@cases(8, 300)
@given(spoilt({"kind": "exploratory: no lock", "models": [MODEL]}), st.booleans())
def test_a_spoilt_report_is_listed_or_named(bad, good):
    with runs.execute(Spec("report", "x", {})) as run:
        told = {"kind": "exploratory: no lock", "models": [MODEL]} if good else bad
        run.file("report.json").write_text(as_json(told), "utf-8", "surrogatepass")
    assert outcome(listed) is None
    if good:
        assert table.models_of_reports()[0]["change"] == 0.25
    shutil.rmtree(run.path)


@cases(5, 300)
@given(st.data())
def test_spoilt_traces_are_used_or_refused(scored, data):
    if data.draw(st.booleans()):
        content = data.draw(spoilt_bytes("").map(lambda _: parquet(ROWS)))
        at, by = data.draw(st.integers(0, len(content) - 1)), data.draw(st.binary(max_size=8))
        content = content[:at] + by + content[at + data.draw(st.integers(0, 40)) :]
    else:
        rows = data.draw(spoilt(ROWS))
        try:
            content = parquet(rows, data.draw(st.sampled_from([None, blocks.TRACES])))
        except (pa.ArrowException, TypeError, AttributeError, ValueError, OverflowError):
            return  # not to be had in such a file
    use(scored, "traces.parquet", content)


@cases(20, 500)
@given(st.data())
def test_a_spoilt_lock_is_used_or_refused(data):
    made = {"schema": 1, "written": runs.now(), "sha256": "s", "locked": NOW, "earlier": []}
    LOCK.write_bytes(data.draw(spoilt_bytes(as_json(data.draw(spoilt(made))))))

    def locked() -> None:
        held = lock.write(LOCK, NOW)
        lock.standing(held, NOW, [])
        lock.refuse_changed(LOCK, held, NOW)

    outcome(locked, place="small.lock.json")
    outcome(lambda: lock.write(LOCK, NOW, again=True), place="small.lock.json")


@cases(4, 200)
@given(st.data())
def test_a_spoilt_index_is_made_again(scored, data):
    assert outcome(lambda: table.read()) is None
    index = Path("runs/index.sqlite")
    content = bytearray(index.read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    index.write_bytes(content[: data.draw(st.sampled_from([len(content), 100, 0]))])
    for beside in Path("runs").glob("index.sqlite-*"):
        beside.unlink()
    frames = []
    assert outcome(lambda: frames.append(table.read())) is None
    assert frames[0]["id"].tolist() == [scored.id]
    index.unlink()


@cases(15, 400)
@given(st.lists(BAD, min_size=1, max_size=3), st.data())
def test_a_parquet_file_of_texts_is_read_or_refused(values, data):
    try:
        content = parquet([{"text": value, "n": {"inner": [value]}} for value in values], None)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        content = parquet(ROWS)
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(content) - 1))
        content = content[:at] + data.draw(st.binary(max_size=4)) + content[at + 3 :]
    Path("texts.parquet").write_bytes(content)
    outcome(lambda: list(iter_sentences(Path("texts.parquet"))), place="texts.parquet")


def test_a_name_with_slashes_and_dots_stays_among_the_locks(tmp_path):
    file = experiment(tmp_path, Path("m"))
    file.write_text(file.read_text().replace('"small"', '"a/../../../../../evil"'))
    root = tmp_path / "runs"
    path = lock.path_of(read_experiment(file).name, None, root)
    assert path.resolve().parent == (root / "locks").resolve()


@pytest.fixture(scope="module")
def trained(scored):
    """A training with the smallest adapter, and a scoring of what it made, beside `scored`."""
    spec = Spec(
        "train", "x", TRAIN_CONFIG, {"model": "0", "data": "1"}, parents=["ingest-0"], seed=0
    )
    with runs.execute(spec) as run:
        folder = run.file("adapter")
        folder.mkdir()
        (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 1}')
        save_file({"lora_A": np.ones((1, 2), "f")}, folder / "adapter_model.safetensors")
        run.tell(**TRAINED)
    tuned = Spec(**vars(TUNED) | {"parents": [run.id]})
    with runs.execute(tuned) as after:
        for name in ("scores.jsonl", "traces.parquet"):
            shutil.copy(scored.file(name), after.path)
        after.tell(**SCORED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outputs.figures, "save", lambda *_: None)
        patch.setattr(outputs.svg, "inline", lambda *_: "")
        yield run, spec, after, tuned


def typed(trained, scored) -> dict[str, object]:
    """What `cqa train`, `score`, `export` and `report` do where the runs are there."""
    run, spec, after, tuned = trained

    def found(what: Spec) -> None:
        if one := runs.find(what):
            (show.scores([one], False) if what is tuned else show.run(one, False))

    def exported() -> None:
        shutil.rmtree("given", ignore_errors=True)
        export.run(run_of(run.id), Path("given"))

    return {
        "train": lambda: found(spec),
        "score": lambda: found(tuned),
        "export": exported,
        "report": lambda: report.of_runs(scored.id, after.id, margin=0.01),
    }


def all_typed(trained, scored) -> dict[str, str | None]:
    """What each of them says."""
    told = {name: outcome(call) for name, call in typed(trained, scored).items()}
    for made in Path("runs").glob("report-*"):
        shutil.rmtree(made)
    return told


def test_good_records_are_found_exported_and_reported(scored, trained):
    assert set(all_typed(trained, scored).values()) == {None}


@cases(10, 1500)
@given(st.data())
def test_commands_use_or_refuse_spoilt_records(scored, trained, data):
    run = data.draw(st.sampled_from([trained[0], trained[2]]))
    file = run.file("run.json")
    good = file.read_text()
    section = data.draw(
        st.sampled_from(["spent", "headline", "config", "inputs", "data", "side_effects"])
    )
    record = json.loads(good)
    if section in record:
        record[section] = data.draw(spoilt(record[section]))
    else:
        record = data.draw(spoilt(record))
    try:
        file.write_text(as_json(record), "utf-8", "surrogatepass")
        all_typed(trained, scored)
    finally:
        file.write_text(good)


SPOILT = [
    *(("train", ("spent", name)) for name in ("tokens", "epochs", "device", "money", "flops")),
    ("train", ("planned", "device_seconds_low")),
    ("train", ("side_effects", "fiction", "before")),
    *(("train", ("data", name)) for name in ("licences", "sources")),
    ("train", ("config", "model")),
    ("train", ("inputs", "model")),
    ("score", ("headline", "dtype")),
    ("score", ("headline", "groups")),
    ("score", ("headline", "groups", 1, "texts")),
    ("score", ("headline", "groups", 0, "flags")),
    ("score", ("headline", "groups", 0, "gain_bits_per_token")),
    ("score", ("headline", "groups", 0, "residual_bits_per_token_scored")),
    ("score", ("headline", "thresholds", "surprise")),
    ("score", ("headline", "noise_floor", "largest_difference")),
    ("score", ("config", "judge")),
]
SECTIONS = [("train", (name,)) for name in ("spent", "headline", "data")]
SECTIONS += [("score", ("headline",))]


@pytest.mark.parametrize("how", ["missing", "of another type"])
@pytest.mark.parametrize(("of", "place"), [*SPOILT, *SECTIONS])
def test_what_commands_read_of_a_record_is_refused_by_run_and_field(
    scored, trained, of, place, how
):
    run = trained[0] if of == "train" else trained[2]
    file = run.file("run.json")
    good = file.read_text()
    record = json.loads(good)
    *above, last = place
    holder = record
    for step in above:
        holder = holder[step]
    if how == "missing":
        del holder[last]
    else:
        holder[last] = [{}]
    try:
        file.write_text(json.dumps(record))
        told = all_typed(trained, scored)
    finally:
        file.write_text(good)
    refusing = {"score"} if of == "score" else {"export"}
    if of == "train" and (len(place) > 1 or how != "missing"):  # what is not there is not shown
        refusing |= {"train"}
    assert {name for name, said in told.items() if said} >= refusing | {"report"}
    for name in refusing:
        assert run.id in told[name]
        assert str(last) in told[name] or place[0] in told[name]
        assert "delete the folder of this run" in told[name]


@pytest.mark.parametrize("files", [[], "x", 3, [1]])
def test_files_that_are_no_table_of_sizes_are_refused(trained, scored, files):
    file = trained[0].file("run.json")
    good = file.read_text()
    try:
        file.write_text(json.dumps(json.loads(good) | {"files": files}))
        assert "(files)" in (all_typed(trained, scored)["train"] or "")
    finally:
        file.write_text(good)


@pytest.mark.parametrize("name", ["../../evil<b>", "other", "", ".", "a/b"])
def test_a_record_with_the_id_of_another_run_is_refused(scored, name):
    file = scored.file("run.json")
    good = file.read_text()
    try:
        file.write_text(json.dumps(json.loads(good) | {"id": name}))
        assert "no record of a run (id" in (outcome(lambda: runs.read(scored.path)) or "")
        assert "no record of a run (id" in (outcome(table.read) or "")
    finally:
        file.write_text(good)
