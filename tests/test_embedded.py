"""The embedded base model as it ships."""

from __future__ import annotations

import json

import pytest
from conftest import REPOSITORY

from cqa import lm, model_ref
from cqa.conditions import plan
from cqa.files import read_rows
from cqa.judge import traces_of
from cqa.measures import surprisal
from cqa.paths import EMBEDDED_MODEL, FOUNDING_BATCH, shipped
from cqa.types import Annotation, Text


@pytest.fixture(scope="module")
def embedded():
    return lm.load(model_ref.find("embedded"), device="cpu")


def test_it_is_a_small_qwen2_in_safetensors_with_its_card():
    config = json.loads((EMBEDDED_MODEL / "config.json").read_text())
    assert config["architectures"] == ["Qwen2ForCausalLM"]
    assert config["max_position_embeddings"] >= 2048
    assert sum(p.stat().st_size for p in EMBEDDED_MODEL.iterdir()) < 12e6
    assert {p.suffix for p in EMBEDDED_MODEL.iterdir()} <= {".json", ".safetensors", ".md"}
    assert "licen" in (EMBEDDED_MODEL / "README.md").read_text().lower()


def test_padding_end_of_text_and_start_are_what_training_and_scoring_need(embedded):
    raw = embedded.tokenizer.raw
    assert raw.eos_token_id is not None
    assert raw.pad_token_id not in (None, raw.eos_token_id)
    # There is no BOS: a page begins with the document separator.
    assert embedded.tokenizer.start_id == raw.eos_token_id
    assert raw.chat_template is None


def test_it_has_learned_english(embedded):
    """Passages that it cannot have seen: fewer bits per byte than a good compressor needs.

    xz -9 needs 3.2 bits per byte even on a long English text; a model that knew nothing would need
    13 bits for every token of its 8,192.
    """
    rows = read_rows(shipped(FOUNDING_BATCH) / "annotations.jsonl", Annotation)
    texts = [Text(id=row.id, text=row.passage.strip(), context=row.context) for row in rows]
    plans = [plan(t, t.id or "", (), embedded.tokenizer, embedded.window) for t in texts]
    traces = traces_of(embedded, plans)
    total = sum(float(surprisal(found["none"]).sum()) for found in traces)
    length = sum(len(p.text.encode()) for p in plans)
    assert total / length < 2.3


def test_a_text_survives_its_tokens(embedded):
    text = (REPOSITORY / "LICENSE").read_text() + "Łódź, 文章, naïve — “so”\t\n"
    ids = embedded.tokenizer.encode(text)
    assert embedded.tokenizer.raw.decode(ids) == text
    spans = embedded.tokenizer.offsets(text)
    assert len(spans) == len(ids)
    assert (spans[0][0], spans[-1][1]) == (0, len(text))
