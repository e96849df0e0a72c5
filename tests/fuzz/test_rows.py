"""Rows of every kind of file, spoilt; folders, pipes and devices in their place; endless lines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import annotation, dialogue, items
from fuzzing import FULL, NUMBERS, WORDS, as_json, cases, deep, outcome, spoilt, spoilt_bytes
from hypothesis import given
from hypothesis import strategies as st

from cqa import ingest, sources
from cqa.errors import DataRefused
from cqa.files import read_rows, reading
from cqa.texts import TextFile
from cqa.types import Score
from cqa.validity import read_ratings

MARKS = {
    "annotation": "ann-0",
    "annotator": "R",
    "kinds": ["reality", "intent"],
    "load_bearing": [1],
}
TEXT = {key: items()[0][key] for key in ("id", "text", "context", "brief", "foil", "group", "work")}
TEXT |= {
    "source": "s",
    "item": "i",
    "sample": 0,
    "model": "m",
    "continues": True,
    "meta": {"run": "r"},
}
SCORE = {
    "id": "a", "judge": "j", "group": None, "work": "w", "source": None, "item": None, "sample": 1,
    "quantities": {"gain_share": 0.5, "nce_bits": None}, "reasons": {"nce_bits": "no foil"},
    "tokens": 3, "characters": 9, "utf8_bytes": 9, "pieces": 1, "quadrant": "noise", "flags": ["f"],
}  # fmt: skip
GOOD = {
    "dialogues.jsonl": dialogue(0),
    "annotations.jsonl": annotation(0),
    "items.jsonl": items()[0],
    "marks.jsonl": MARKS,
    "outputs.jsonl": TEXT,
    "scores.jsonl": SCORE,
}
ROWS = st.sampled_from(sorted(GOOD)).flatmap(
    lambda name: st.tuples(st.just(name), spoilt(GOOD[name]), st.just(GOOD[name]))
)


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory):
    """A working directory of these cases with a runs directory of its own."""
    folder = tmp_path_factory.mktemp("rows")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("CQA_RUNS", "runs")
        yield folder


def read(name: str) -> None:
    """As the command that takes such a file reads it."""
    if name == "outputs.jsonl":
        list(TextFile(Path(name)))
    elif name == "scores.jsonl":
        read_rows(Path(name), Score, unique=None)
    else:
        read_rows(Path(name), sources.KINDS[name], unique="id")


@cases(40, 4000)
@given(ROWS, st.data())
def test_a_row_is_read_or_refused_by_file_and_line(spoilt_row, data):
    name, bad, good = spoilt_row
    rows = data.draw(st.permutations([bad, good])) if data.draw(st.booleans()) else [bad]
    text = "".join(as_json(row) + "\n" for row in rows)
    Path(name).write_bytes(data.draw(spoilt_bytes(text)))
    outcome(lambda: read(name), place=name)


def check_whole(name: str, content: bytes) -> str | None:
    """What an ingest run says of one bad file beside good ones; refused, nothing is written."""
    for file, rows in {
        "dialogues.jsonl": [dialogue(n) for n in range(3)],
        "annotations.jsonl": [annotation(n) for n in range(3)],
        "items.jsonl": items()[:2],
    }.items():
        Path(file).write_text("".join(as_json(row) + "\n" for row in rows), "utf-8")
    Path(name).write_bytes(content)
    before = set(Path("runs").glob("*")) if Path("runs").exists() else set()
    given = [Path(file) for file in ("dialogues.jsonl", "annotations.jsonl", "items.jsonl")]
    given += [Path(name)] if name == "marks.jsonl" else []
    said = outcome(lambda: ingest.run(given))
    after = set(Path("runs").glob("*")) if Path("runs").exists() else set()
    assert said is None or after == before
    return said


WHOLE = ("dialogues.jsonl", "annotations.jsonl", "items.jsonl", "marks.jsonl")


@cases(8, 400)
@given(st.sampled_from(WHOLE), st.data())
def test_a_data_set_is_made_or_nothing_is_written(name, data):
    rows = [data.draw(spoilt(GOOD[name])), GOOD[name]]
    check_whole(name, "".join(as_json(row) + "\n" for row in rows).encode("utf-8", "surrogatepass"))


@cases(20, 1000)
@given(st.data())
def test_ratings_are_read_or_refused(data):
    cell = st.one_of(st.sampled_from(WORDS), st.sampled_from(list(map(str, NUMBERS))), st.just("a"))
    line = st.lists(cell, min_size=3, max_size=5).map(",".join)
    lines = ["id,rater,criterion,value", "a,r,good,1", *data.draw(st.lists(line, max_size=3))]
    if data.draw(st.integers(0, 5)) == 0:
        lines = lines[1:]
    Path("ratings.csv").write_bytes(data.draw(spoilt_bytes("\n".join(lines))))
    outcome(lambda: read_ratings(Path("ratings.csv")), place="ratings.csv")


def test_a_folder_a_pipe_and_a_device_are_refused_where_a_file_belongs(place):
    os.makedirs("folder.jsonl", exist_ok=True)
    os.mkfifo("pipe.jsonl")
    for name in ("folder.jsonl", "pipe.jsonl", "/dev/zero", "missing.jsonl", "x" * 300):
        assert outcome(lambda name=name: list(TextFile(Path(name))))
        assert outcome(lambda name=name: read_ratings(Path(name)))
        assert outcome(lambda name=name: ingest.run([Path(name)]))
    os.remove("pipe.jsonl")


def test_a_line_that_is_too_long_is_refused_and_the_next_one_read(place, monkeypatch):
    if not FULL:
        monkeypatch.setattr(reading, "LARGEST_LINE", 3_000_000)
    with Path("long.jsonl").open("wb") as file:
        file.write(b'{"text": "')
        for _ in range(reading.LARGEST_LINE // 1_000_000 + 1):
            file.write(b"a" * 1_000_000)
        file.write(b'"}\n{"text": 1}\n')
    with pytest.raises(DataRefused) as caught:
        TextFile(Path("long.jsonl"))
    os.remove("long.jsonl")
    long, next_one = caught.value.problems
    assert (long.where, long.seen) == (
        "long.jsonl:1",
        f"more than {reading.LARGEST_LINE // 10**6} MB in one line",
    )
    assert next_one.where == "long.jsonl:2"


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("outputs.jsonl", TEXT | {"sample": 10**30}),  # no column of a table holds it
        ("dialogues.jsonl", dialogue(0) | {"turns": [{"turn": 1}] * 5000}),
        ("annotations.jsonl", annotation(0) | {"load_bearing": list(range(9000))}),
        ("dialogues.jsonl", dialogue(0) | {"id": deep(900)}),
    ],
)
def test_faults_that_were_found_are_told_in_few_words(name, bad):
    Path(name).write_text(as_json(bad) + "\n", "utf-8")
    assert outcome(lambda: read(name), place=f"{name}:1")
