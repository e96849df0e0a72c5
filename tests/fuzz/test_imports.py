"""Exports of other tools, transcripts and subtitles, spoilt or made to be slow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fuzzing import FULL, as_json, cases, outcome, spoilt, spoilt_bytes
from hypothesis import given
from hypothesis import strategies as st
from test_importers import ARGILLA, DOCCANO, LABEL_STUDIO, LAMP, MESSAGES, PRODIGY, SRT, VTT

from cqa import ingest

JSON = {
    "label-studio.json": LABEL_STUDIO,
    "argilla.json": ARGILLA,
    "prodigy.jsonl": PRODIGY,
    "doccano.jsonl": DOCCANO,
    "messages.jsonl": MESSAGES,
}
TEXT = {"lamp.txt": LAMP, "lamp.vtt": VTT, "lamp.srt": SRT}


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory):
    """A working directory of these cases with a runs directory of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("imports"))
        patch.setenv("CQA_RUNS", "runs")
        yield


def ingested(name: str, content: bytes) -> None:
    """As `cqa ingest NAME` does; refused, nothing is written."""
    Path(name).write_bytes(content)
    before = set(Path("runs").glob("*"))
    said = outcome(lambda: ingest.run([Path(name)]), place=name)
    assert said is None or set(Path("runs").glob("*")) == before


@cases(25, 900)
@given(st.sampled_from(sorted(JSON)), st.data())
def test_a_spoilt_export_is_taken_or_refused(name, data):
    value = data.draw(spoilt(JSON[name]))
    lines = name.endswith("l") and isinstance(value, list)
    text = "\n".join(map(as_json, value)) if lines else as_json(value)
    ingested(name, data.draw(spoilt_bytes(text)))


@cases(15, 600)
@given(st.sampled_from(sorted(TEXT)), st.data())
def test_a_spoilt_transcript_is_taken_or_refused(name, data):
    text = TEXT[name]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        text = (
            text[:at] + data.draw(st.text(max_size=5)) + text[at + data.draw(st.integers(0, 9)) :]
        )
    ingested(name, data.draw(spoilt_bytes(text)))


LONG = 200_000 if FULL else 8_000
SLOW = (
    "a",
    " ",
    "\t",
    ":",
    "[",
    "(",
    "<v ",
    "&",
    "B:",
    "B: a\n",
    "0",
    "00:",
    "-->",
    "---\n",
    "-",
    "，",
)
SLOW += ("{\\", "♪", "\n", "\r", "=", ",", "work:", "exit: C", "1\n00:00:01,000 --> 00:00:02,000\n")


@pytest.mark.parametrize("piece", SLOW if FULL else SLOW[1:3])
def test_a_long_line_of_one_thing_takes_no_longer_than_others(piece):
    many = piece * (LONG // len(piece))
    for name, text in {
        "l.txt": f"work: w\nB: {many}\nC: b\n{many}",
        "l.vtt": f"WEBVTT\n\n00:01.000 --> 00:02.000\n<v B>{many}\n\n{many}",
        "l.srt": f"1\n00:00:01,000 --> 00:00:02,000\nB: {many}\n\n{many}",
        "l.jsonl": json.dumps({"text": f"B: {many}\nC: b", "label": [[0, 1, many]]}),
    }.items():
        ingested(name, text.encode())
