"""A measure, an importer and a material are one function and one line each: here is one of each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import annotation, experiment, write_rows

from cqa import importers, materials, measures
from cqa.config import read_experiment
from cqa.errors import DataRefused
from cqa.examples import examples
from cqa.importers import reading
from cqa.importers.held import Held, draft
from cqa.types import Annotation


def test_a_measure_is_in_every_score_or_null_with_the_reason(monkeypatch):
    def last_token_gain(without: measures.Trace, given: measures.Trace) -> float:
        """The gain of the last token, in bits."""
        return float(np.diff([given.logprob_nats[-1], without.logprob_nats[-1]])[0] / -np.log(2))

    monkeypatch.setattr(measures, "MEASURES", dict(measures.MEASURES))
    monkeypatch.setattr(measures, "ALL", [*measures.ALL, "last_token_gain"])
    measures.measure(last_token_gain)

    def trace(*probabilities):
        return measures.Trace(np.log(np.array(probabilities)), np.zeros(len(probabilities)))

    seen = measures.Evidence(
        traces={"none": trace(0.5, 0.125), "": trace(0.5, 0.5)},
        full=None,
        mismatched=(),
        reasons={"brief": "no brief", "mismatch": "no brief", "foil": "no foil"},
        size=measures.Size(2, 2, 2),
        foil_size=None,
        parts=(),
        novel=np.array([True, True]),
    )
    values, reasons = measures.quantities(seen)
    assert values["last_token_gain"] is None
    assert reasons["last_token_gain"] == "no brief"
    values, reasons = measures.quantities(replace(seen, full=""))
    assert values["last_token_gain"] == pytest.approx(2.0)  # from 1/8 to 1/2
    assert "last_token_gain" not in reasons


def test_an_importer_is_found_by_the_records_it_fits_and_its_dialogues_are_read(
    monkeypatch, workplace
):
    def read_interview(record, place, known):
        """`who` and `says` of each line of an interview."""
        named = [{"author": one["who"], "text": one["says"]} for one in record["interview"]]
        return draft(Held("interview", named), place, known, [record])

    form = reading.Form("our own interviews", lambda record: "interview" in record, read_interview)
    monkeypatch.setitem(reading.RECORDS, "interview", form)
    spoken = [
        {"who": "C", "says": "You hear it first."},
        {"who": "B", "says": "And if there were a lift?"},
        {"who": "C", "says": "Then it is only a parcel."},
    ]
    file = write_rows(workplace / "ours.jsonl", [{"id": "one", "interview": spoken}])
    assert importers.detect(file) == "interview"
    (found,) = importers.read(file)
    assert [turn.turn for turn in found.outcome.turns] == ["C1", "B1", "C2"], found
    assert found.outcome.turns[1].text == "And if there were a lift?"


def test_a_material_can_be_said_in_an_experiment_file_and_makes_the_examples(
    monkeypatch, workplace
):
    file = experiment(workplace, workplace)
    text = file.read_text().replace('pairing = "shuffled"', 'material = "upside-down"')
    file.write_text(text)
    with pytest.raises(DataRefused, match="upside-down"):
        read_experiment(file)

    def upside_down(like, record, seed):
        """The passage before its context."""
        return replace(like, preface="", given=(record.passage,), learned=record.context)

    monkeypatch.setattr(materials, "MATERIALS", dict(materials.MATERIALS))
    monkeypatch.setattr("cqa.examples.MATERIALS", materials.MATERIALS)
    materials.material(upside_down)
    study = read_experiment(file)
    config = study.train_config(study.arms[1])
    rows = [Annotation(**annotation(number)) for number in range(3)]
    made = examples(rows, ["generation"], material=config.material)
    assert [example.learned for example in made] == [row.context for row in rows]
