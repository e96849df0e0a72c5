"""Model and adapter folders, spoilt: configuration, tokenizer, index, weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from fuzzing import as_json, cases, outcome, spoilt, spoilt_bytes
from hypothesis import given
from hypothesis import strategies as st

from cqa import lm, model_ref
from cqa.judge import Judge
from cqa.sampling import Prompt, write
from cqa.types import Text

ADAPTER = Path("adapter")
MODEL = Path("model")


@pytest.fixture(scope="module", autouse=True)
def good(tmp_path_factory, tiny_model):
    """A working directory with a good model and a good adapter; name of a file -> its bytes."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("models"))
        shutil.copytree(tiny_model, MODEL)
        bare = AutoModelForCausalLM.from_pretrained(MODEL)
        tuned = get_peft_model(bare, LoraConfig(r=2, init_lora_weights=False))
        tuned.save_pretrained(ADAPTER)
        (MODEL / "model.safetensors.index.json").write_text(INDEX)
        yield {file: file.read_bytes() for folder in (MODEL, ADAPTER) for file in folder.iterdir()}


INDEX = json.dumps({"metadata": {}, "weight_map": {"lm_head.weight": "model.safetensors"}})
JSON = ("config.json", "tokenizer_config.json", "tokenizer.json", "model.safetensors.index.json")


def use() -> None:
    """As `cqa score` and `cqa generate` with `--adapter adapter` do, of one short text."""
    subject = model_ref.subject(model_ref.find(str(MODEL)), ADAPTER)
    ours = lm.load(subject.model, adapter=subject.adapter, device="cpu")
    (marked,) = Judge("judge", "0", ours, ()).mark([Text(text="So it goes.")])
    assert all(np.isfinite(trace.logprob_nats).all() for trace in marked.traces.values())
    prompt = Prompt((ours.tokenizer.start_id, *ours.tokenizer.encode("So it")), seed=0)
    (written,) = write(ours, [prompt], max_new_tokens=3, temperature=1.0, min_p=0.0)
    assert 0 <= written.tokens <= 3


def with_file(good: dict[Path, bytes], file: Path, content: bytes) -> str | None:
    """What loading and using says while one file is another."""
    for path, known in good.items():
        path.write_bytes(content if path == file else known)
    return outcome(use)


def test_the_good_one_is_used(good):
    assert with_file(good, Path("none"), b"") is None


@pytest.mark.parametrize(
    ("file", "more"),
    [
        (MODEL / "tokenizer_config.json", {"model_max_length": "é"}),  # compared when it encodes
        (ADAPTER / "adapter_config.json", {"layers_to_transform": float("nan")}),
        (ADAPTER / "adapter_config.json", {"lora_alpha": float("inf")}),
        (MODEL / "config.json", {"num_attention_heads": 0}),
        (MODEL / "config.json", {"max_position_embeddings": 1}),
        (MODEL / "config.json", {"layer_types": ["sliding_attention"] * 2}),
        (MODEL / "model.safetensors.index.json", {"weight_map": []}),
    ],
)
def test_faults_that_were_found_are_refused(good, file, more):
    assert with_file(good, file, as_json(json.loads(good[file]) | more).encode())


@cases(4, 200)
@given(st.sampled_from(JSON), st.data())
def test_a_spoilt_model_is_used_or_refused(good, name, data):
    value = json.loads(good[MODEL / name])
    if name == "tokenizer.json":  # of all its merges and words only what is special
        vocabulary, merges = value["model"].pop("vocab"), value["model"].pop("merges")
        value = data.draw(spoilt(value))
        if isinstance(value, dict) and isinstance(value.get("model"), dict):
            value["model"] |= {"vocab": vocabulary, "merges": merges}
    else:
        value = data.draw(spoilt(value))
    with_file(good, MODEL / name, data.draw(spoilt_bytes(as_json(value))))


@cases(3, 100)
@given(st.data())
def test_a_spoilt_adapter_is_used_or_refused(good, data):
    value = data.draw(spoilt(json.loads(good[ADAPTER / "adapter_config.json"])))
    with_file(good, ADAPTER / "adapter_config.json", data.draw(spoilt_bytes(as_json(value))))


@cases(5, 150)
@given(
    st.sampled_from([MODEL / "model.safetensors", ADAPTER / "adapter_model.safetensors"]), st.data()
)
def test_spoilt_weights_are_used_or_refused(good, file, data):
    whole = bytearray(good[file])
    length = int.from_bytes(whole[:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):  # in the header, where it matters
        whole[data.draw(st.integers(0, 8 + length - 1))] = data.draw(st.integers(0, 255))
    keep = data.draw(st.sampled_from([len(whole), len(whole) - 1, 8 + length, 9, 8, 3, 0]))
    with_file(good, file, bytes(whole[:keep]))
