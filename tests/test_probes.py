"""Texts made to fool the metric: what they are made of, and what the report says of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import items, read_rows, write_rows

from cqa.measures import ALL
from cqa.overlap import words
from cqa.probes import PROBES, probed, treatments
from cqa.types import Brief, Score, Text

PRIMARY = "specific_gain_bits_per_token"


def made(probe: str) -> Text:
    text = Text(
        id="t",
        context="The ferry was late. Nobody said so.",
        text=" The harbour kept its lamps lit. A dog slept on the ropes.",
        brief=Brief(intent="Let them wait.", reality="Ferries are late in fog."),
        foil=" They waited and were sad.",
    )
    other = Text(text=" Mornings smelled of tar.", brief=Brief(intent="Let it smell."))
    (row,) = (row for row in probed([text, other]) if row.id == f"t/{probe}")
    assert (row.context, row.brief, row.foil) == (text.context, text.brief, None)
    return row


def test_every_probe_is_what_its_name_says():
    own = words("The harbour kept its lamps lit. A dog slept on the ropes.")
    everything = {*own, *words("Mornings smelled of tar.")}
    assert sorted(words(made("shuffled words").text)) == sorted(own)
    assert len(words(made("random words").text)) == len(own)
    assert {*words(made("random words").text)} <= everything
    sentences = made("shuffled sentences").text
    assert {s.strip() for s in sentences.split(".") if s.strip()} <= {
        *("The ferry was late", "Nobody said so"),
        *("The harbour kept its lamps lit", "A dog slept on the ropes"),
    }
    rare = words(made("rare words").text)
    assert len(rare) == len(own)
    assert rare[0] == own[0], "short words stay"
    assert made("copied brief").text == " Let them wait. Ferries are late in fog."
    assert words(made("repeated text").text) == own * 3


def test_a_text_without_a_brief_is_not_probed():
    assert probed([Text(text="Alone."), Text(text=" ", brief=Brief(intent="x"))]) == []


def score(source: str, name: str, value: float | None, *flags: str) -> Score:
    values = dict.fromkeys(ALL) | {PRIMARY: value}
    return Score(
        id=f"{name}/{source}",
        judge="j",
        source=source,
        group=None,
        work=None,
        item=None,
        sample=None,
        quantities=values,
        reasons={},
        tokens=1,
        characters=1,
        utf8_bytes=1,
        pieces=1,
        flags=flags,
    )


def test_treatments_are_counted_against_the_texts_they_were_made_from():
    texts = [score("the text itself", "a", 0.2), score("the text itself", "b", 0.4)]
    rows = [score(probe, name, 0.3) for probe in PROBES for name in "ab"]
    rows = [row for row in rows if row.source not in ("copied brief", "rare words")]
    rows += [score("copied brief", name, 2.0, "copies the brief") for name in "ab"]
    rows += [score("rare words", name, None) for name in "ab"]
    found = {one.probe: one for one in treatments([*texts, *rows], PRIMARY)}
    assert list(found) == list(PROBES)
    one = found["random words"]
    assert (one.texts, one.beats_its_text, one.flagged_as_copy) == (2, 1, 0)
    assert (one.mean, one.mean_of_texts) == (pytest.approx(0.3), pytest.approx(0.3))
    assert (found["copied brief"].beats_its_text, found["copied brief"].flagged_as_copy) == (2, 2)
    assert (found["rare words"].texts, found["rare words"].mean) == (0, None)


def test_the_report_says_how_each_probe_was_treated_and_the_copy_is_flagged(cqa, tiny_model):
    keys = ("id", "context", "brief", "text", "work", "group")
    rows = [{key: row[key] for key in keys} for row in items()]
    write_rows(Path("pool.jsonl"), rows)
    some = [*rows[:4], *rows[6:10]]
    write_rows(Path("texts.jsonl"), some)
    typed = ["score", "texts.jsonl", "--probes", "--judge", str(tiny_model), "--pool", "pool.jsonl"]
    result = cqa(*typed, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    by_name = {one["probe"]: one for one in told["probes"]}
    assert list(by_name) == list(PROBES)
    assert by_name["copied brief"]["flagged_as_copy"] == 8
    assert by_name["random words"]["flagged_as_copy"] == 0
    scores = {
        row["id"]: row["quantities"][PRIMARY]
        for row in read_rows(Path(told["path"], "scores.jsonl"))
    }
    for probe, one in by_name.items():
        pairs = [(scores[f"{row['id']}/{probe}"], scores[f"{row['id']}/text"]) for row in some]
        assert one["texts"] == len(pairs) == 8
        assert one["mean"] == pytest.approx(sum(a for a, _ in pairs) / 8)
        assert one["beats_its_text"] == sum(a > b for a, b in pairs)
    shown = cqa(*typed).stdout
    assert all(probe in shown for probe in PROBES)
