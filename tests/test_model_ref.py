"""What a model is: the same weights and settings are the same, wherever and however written."""

from __future__ import annotations

import json

from numpy import zeros
from safetensors.numpy import save_file

from cqa import model_ref


def test_an_adapter_is_the_same_in_whatever_order_and_place_it_was_written(tmp_path, tiny_model):
    base = model_ref.find(str(tiny_model))
    seen = set()
    for name, modules in (("a", ["q_proj", "v_proj"]), ("b", ["v_proj", "q_proj"])):
        folder = tmp_path / name
        folder.mkdir()
        config = {"peft_type": "LORA", "r": 2, "target_modules": modules}
        config["base_model_name_or_path"] = name
        (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")
        save_file({"lora_A": zeros((2, 2), "float32")}, folder / "adapter_model.safetensors")
        seen.add(model_ref.subject(base, folder).adapter_sha256)
    assert len(seen) == 1
    config["r"] = 1
    (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    assert model_ref.subject(base, folder).adapter_sha256 not in seen
