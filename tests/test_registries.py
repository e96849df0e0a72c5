"""A measure, an importer and a material are added as CONTRIBUTING.md says, and used."""

from __future__ import annotations

import re
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import REPOSITORY, annotation, experiment, write_rows

from cqa import importers, materials, measures
from cqa.config import read_experiment
from cqa.errors import DataRefused
from cqa.examples import examples
from cqa.importers import formats, tools
from cqa.types import Annotation

MEASURE, READER, LINE, MATERIAL = re.findall(
    r"```python\n(.*?)```", (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL
)


def added(code: str, module: ModuleType) -> dict[str, Any]:
    """The names of a module to which this code has been added."""
    names = dict(vars(module))
    exec(code, names)
    return names


def test_a_measure_is_in_every_score_or_null_with_the_reason(monkeypatch):
    monkeypatch.setattr(measures, "MEASURES", dict(measures.MEASURES))
    monkeypatch.setattr(measures, "ALL", [*measures.ALL, "first_token_gain"])
    added(MEASURE, measures)

    def trace(*probabilities):
        return measures.Trace(np.log(np.array(probabilities)), np.zeros(len(probabilities)))

    seen = measures.Evidence(
        traces={"none": trace(0.125, 0.5), "": trace(0.5, 0.5)},
        full=None,
        mismatched=(),
        reasons={"brief": "no brief", "mismatch": "no brief", "foil": "no foil"},
        size=measures.Size(2, 2, 2),
        foil_size=None,
        parts=(),
        novel=np.array([True, True]),
    )
    values, reasons = measures.quantities(seen)
    assert values["first_token_gain"] is None
    assert reasons["first_token_gain"] == "no brief"
    values, reasons = measures.quantities(replace(seen, full=""))
    assert values["first_token_gain"] == pytest.approx(2.0)  # from 1/8 to 1/2
    assert "first_token_gain" not in reasons


def test_an_importer_is_found_by_the_records_it_fits_and_its_dialogues_are_read(
    monkeypatch, workplace
):
    read_interview = added(READER, tools)["read_interview"]
    names = vars(formats) | {"tools": SimpleNamespace(read_interview=read_interview)}
    for name, form in eval(f"{{{LINE}}}", names).items():
        monkeypatch.setitem(formats.RECORDS, name, form)
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

    monkeypatch.setattr(materials, "MATERIALS", dict(materials.MATERIALS))
    monkeypatch.setattr("cqa.examples.MATERIALS", materials.MATERIALS)
    added(MATERIAL, materials)
    study = read_experiment(file)
    config = study.train_config(study.arms[1])
    rows = [Annotation(**annotation(number)) for number in range(3)]
    made = examples(rows, ["generation"], material=config.material)
    assert [example.learned for example in made] == [row.context for row in rows]
