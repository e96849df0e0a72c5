"""Adapter folders are made by strangers: what is refused before PEFT reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from cqa import untrusted
from cqa.errors import DataRefused
from cqa.paths import shown

ADAPTERS = {
    "LORA", "ADALORA", "LOHA", "LOKR", "OFT", "BOFT", "VERA", "IA3", "HRA", "RANDLORA", "MISS",
    "FOURIERFT", "LN_TUNING", "C3A", "DELORA", "SHIRA", "ROAD",
}  # fmt: skip
"""Kinds of PEFT that are weights and nothing else: they name no file and no module to import."""
PROMPTS = {"PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "MULTITASK_PROMPT_TUNING", "CPT"}

_NO_SIZE = re.compile(r"alpha|seed|prng|step|indices|^tinit$|^tfinal$|^deltaT$|^label_mask")
"""Names of numbers in a configuration that make nothing large."""
_A_MATRIX = re.compile(r"lora_(embedding_)?A\b")


def check(folder: Path) -> None:
    """DataRefused unless the folder is an adapter of safetensors that imports nothing."""
    path = folder / "adapter_config.json"
    config = untrusted.read_object(path)
    kind = config.get("peft_type")
    if kind in PROMPTS:
        raise DataRefused(
            f"adapter {shown(folder)}: it puts tokens of its own before the page, so positions "
            "would not be those of the text",
            next_step="use a LoRA, or another adapter that leaves the page as it is",
        )
    if kind not in ADAPTERS:
        raise DataRefused(
            f"{shown(path)}: peft_type is {str(kind)[:80]!r}, which is not loaded here",
            next_step="use a LoRA, or another adapter that is weights and nothing else",
        )
    if config.get("megatron_config"):
        raise DataRefused(
            f"{shown(path)}: megatron_config asks for a module to be imported",
            next_step="take it out; code from model repositories is never run",
        )
    if config.get("layer_replication"):
        raise DataRefused(
            f"{shown(path)}: layer_replication makes another base of more layers",
            next_step="use an adapter of the base as it is",
        )
    weights = folder / "adapter_model.safetensors"
    if not weights.is_file():
        raise DataRefused(
            f"adapter {shown(folder)}: no adapter_model.safetensors there (pickles are not loaded)",
            next_step="save it with save_pretrained(..., safe_serialization=True)",
        )
    _check_sizes(config, path, untrusted.header(weights))


def _check_sizes(config: dict[str, Any], path: Path, tensors: dict[str, Any]) -> None:
    """An adapter is made as large as its configuration says before its weights are looked at."""
    if config["peft_type"] == "LORA":
        shapes = [one["shape"] for name, one in tensors.items() if _A_MATRIX.search(name)]
        ranks = [shape[0] for shape in shapes if shape]
        largest = max(ranks, default=0)
        asked = untrusted.entries(config.get("rank_pattern") or {}, "rank_pattern")
        asked = [("r", config.get("r", 0)), *(each for each in asked if each[0] != "rank_pattern")]
        for name, rank in asked:
            if not untrusted.is_size(rank) or rank > largest:
                raise DataRefused(
                    f"{shown(path)}: {name[:40]} is {str(rank)[:40]}, and the largest in its "
                    f"weights is {largest}",
                    next_step=untrusted.AGAIN,
                )
    largest = max((extent for one in tensors.values() for extent in one["shape"]), default=0)
    for key, value in config.items():
        if _NO_SIZE.search(key):
            continue
        for name, number in untrusted.entries(value, key):
            if not isinstance(number, int) or isinstance(number, bool) or abs(number) <= largest:
                continue
            if key.endswith("_config") and _NO_SIZE.search(name):
                continue
            raise DataRefused(
                f"{shown(path)}: {name[:40]} is {str(number)[:40]}, and nothing in its weights is "
                f"longer than {largest}",
                next_step=untrusted.AGAIN,
            )
