"""What the program wrote itself and reads again, spoilt: records, locks, scores, traces, index."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import experiment
from fuzzing import BAD, as_json, cases, outcome, spoilt, spoilt_bytes
from hypothesis import given
from hypothesis import strategies as st
from test_rows import SCORE

from cqa import blocks, runs, show, table, validity
from cqa.audit.reading import iter_sentences
from cqa.config import read_experiment
from cqa.measures import ALL
from cqa.reporting import listing
from cqa.runs import Spec
from cqa.study import lock

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
        with runs.execute(Spec("score", "x", {"judge": "j"}, inputs={"data": "d"})) as run:
            scores = [
                SCORE | {"id": f"t{n}", "quantities": dict.fromkeys(ALL, n / 7)} for n in range(4)
            ]
            run.file("scores.jsonl").write_text("".join(as_json(row) + "\n" for row in scores))
            run.file("traces.parquet").write_bytes(parquet(ROWS))
            run.tell(headline={"groups": []})
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
