"""Model and adapter folders are made by strangers: what is refused before any library reads them.

A library believes what a folder says of itself: an index may name a pickle or a file elsewhere, a
configuration may name code on the Hub, or sizes that no file holds and the memory has to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cqa.device_faults import is_out_of_memory
from cqa.errors import CqaError, DataRefused
from cqa.files.strict import finite
from cqa.paths import shown

LARGEST_JSON = 10_000_000
"""Bytes of a configuration, an index or a tokenizer's settings."""
LARGEST_HEADER = 25_000_000
"""Bytes of a safetensors header; a hundred thousand tensors take 15 million."""
SLACK = 8
"""How many weights one stored number may stand for: packed 4-bit weights are 8 in an int32."""

LARGEST_LABELS = 1000
"""Labels of a classifier; they are written out one by one, and a language model has none."""

_SIZES = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "inner": ("intermediate_size", "n_inner", "ffn_dim"),
    "vocabulary": ("vocab_size",),
    "positions": ("n_positions",),
    "heads": ("num_attention_heads", "n_head"),
    "head": ("head_dim",),
    "experts": ("num_experts", "num_local_experts", "n_routed_experts"),
    "expert": ("moe_intermediate_size",),
}
"""What the sizes of a model are called in its configuration."""
_PRODUCTS = (
    ("vocabulary", "hidden"),
    ("positions", "hidden"),
    ("layers", "hidden", "inner"),
    ("layers", "hidden", "heads", "head"),
    ("experts", "hidden", "expert"),
)
"""Every such product is a part of the weights."""


def check_model(folder: Path) -> None:
    """DataRefused unless the folder is weights with a configuration that fits them."""
    check_no_adapter(folder)
    config = read_object(folder / "config.json")
    check_config(config, folder / "config.json")
    check_indexes(folder)
    headers = [header(path) for path in sorted(folder.glob("*.safetensors"))]
    tensors = [one for each in headers for one in each.values()]
    for part in (config, config.get("text_config")):
        if isinstance(part, dict):
            _check_sizes(part, folder / "config.json", tensors)
    if (folder / "tokenizer_config.json").is_file():
        read_object(folder / "tokenizer_config.json")
    if not any(path.is_file() for name in _VOCABULARIES for path in folder.glob(name)):
        raise DataRefused(
            f"model {shown(folder)}: no tokenizer there (tokenizer.json, tokenizer.model or the "
            "files of a vocabulary)",
            next_step="copy the tokenizer's files from where the model came",
        )


def check_no_adapter(folder: Path) -> None:
    """DataRefused where a model folder holds an adapter, which would be put on unasked."""
    for path in sorted([*folder.glob("adapter_config.json"), *folder.glob("adapter_model.*")]):
        raise DataRefused(
            f"model {shown(folder)}: {path.name} is of an adapter, not of a model",
            next_step="give the base with --model and the adapter, in a folder of its own, with "
            "--adapter",
        )


def check_config(config: Mapping[str, Any], path: Path) -> None:
    """DataRefused where a configuration names code or weights elsewhere, or endless labels.

    A kernel would be fetched and run; weights under another name would be neither checked nor
    hashed.
    """
    for name, value in entries(config):
        if name == "transformers_weights" and value is not None:
            raise DataRefused(
                f"{shown(path)}: transformers_weights names {str(value)[:80]!r}",
                next_step="take it out, and have the weights in model.safetensors or in shards "
                "with their index",
            )
        if name in _LABELS:
            count = len(value) if isinstance(value, dict | list) else value
            if isinstance(count, int | float) and count > LARGEST_LABELS:
                raise DataRefused(
                    f"{shown(path)}: {name} says {str(count)[:40]} labels; at most "
                    f"{LARGEST_LABELS} are made",
                    next_step=f"take {name} out; a language model has no labels",
                )
    for name, value in _strings(config):
        if name.endswith(_CODE) and "/" in value:
            raise DataRefused(
                f"{shown(path)}: {name} is {value[:80]!r}, which is code of somebody's",
                next_step=f"take {name} out; code from model repositories is never run",
            )


def check_indexes(folder: Path) -> None:
    """DataRefused where an index of shards names anything but safetensors of its own folder."""
    for path in sorted(folder.glob("*.index.json")):
        shards = read_object(path).get("weight_map")
        if path.name.endswith(".bin.index.json"):
            continue  # of pickles, and not read
        if not isinstance(shards, dict) or not shards:
            raise DataRefused(f"{shown(path)}: no weight_map", next_step=AGAIN)
        for shard in shards.values():
            if not isinstance(shard, str) or not shard.endswith(".safetensors"):
                raise DataRefused(
                    f"{shown(path)}: it names {str(shard)[:80]!r}, which is no safetensors file",
                    next_step=AGAIN,
                )
            if shard != Path(shard).name or "\\" in shard:
                raise DataRefused(
                    f"{shown(path)}: it names {shard[:80]!r}, which is not in the folder itself",
                    next_step=AGAIN,
                )


def header(path: Path) -> dict[str, dict[str, Any]]:
    """The tensors of a safetensors file: name -> dtype, shape, data_offsets. Nothing is loaded."""
    try:
        size = path.stat().st_size
        with path.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            if size < 8 or length > size - 8:
                raise DataRefused(
                    f"{shown(path)}: cut off ({size} bytes; its header alone would have {length})",
                    next_step="copy the file again",
                )
            if length > LARGEST_HEADER:
                raise DataRefused(
                    f"{shown(path)}: a header of {length / 1e6:.0f} MB", next_step=AGAIN
                )
            told = json.loads(handle.read(length))
        told.pop("__metadata__", None)
        for one in told.values():
            begin, end = one["data_offsets"]
            if not 0 <= begin <= end <= size - 8 - length:
                raise ValueError("weights beyond the end of the file")
            if not all(is_size(extent) or extent == 0 for extent in one["shape"]):
                raise ValueError("a shape that is none")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataRefused(
            f"{shown(path)}: no safetensors file ({_line(error)})", next_step="copy the file again"
        ) from error
    return told


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object of a file of a stranger's folder, or DataRefused."""
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError(f"more than {LARGEST_JSON / 1e6:.0f} MB")
        value = json.loads(path.read_text("utf-8"), parse_constant=finite, parse_float=finite)
        if not isinstance(value, dict):
            raise TypeError("not a JSON object")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise DataRefused(
            f"{shown(path)}: cannot be read ({_line(error)})", next_step=AGAIN
        ) from error
    return value


@contextmanager
def refused(what: str, *, next_step: str) -> Iterator[None]:
    """What a library says of a stranger's folder, whatever its type, as DataRefused.

    Only for calls that do nothing but read such a folder. Libraries raise from there whatever
    happens to go wrong inside them, plain Exception included.
    """
    try:
        yield
    except CqaError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise DataRefused(f"{what} ({_line(error)})", next_step=next_step) from error


_VOCABULARIES = (
    "tokenizer.json", "tokenizer.*.json", "*.model", "vocab*", "*tiktoken*", "tekken.json",
)  # fmt: skip
"""Files of which transformers makes a tokenizer; of none of them it makes an empty one."""
_LABELS = "num_labels", "id2label", "label2id"
_CODE = "attn_implementation", "attn_implementation_internal", "experts_implementation"
AGAIN = "give the folder that save_pretrained wrote"


def _check_sizes(config: Mapping[str, Any], path: Path, tensors: list[dict[str, Any]]) -> None:
    """A model is made as large as its configuration says before its weights are looked at."""
    stored = sum(one["data_offsets"][1] - one["data_offsets"][0] for one in tensors)
    sizes: dict[str, int] = {}
    for size, names in _SIZES.items():
        for name in names:
            if (value := config.get(name)) is None:
                continue
            if isinstance(value, list) and all(map(is_size, value)):  # layer by layer
                value = max(value, default=None)
            if not is_size(value):
                raise DataRefused(
                    f"{shown(path)}: {name} is {str(value)[:40]}; expected a whole number above 0",
                    next_step=AGAIN,
                )
            sizes[size] = value
    if sizes.get("layers", 0) > max(1, len(tensors)):
        raise DataRefused(
            f"{shown(path)}: {str(sizes['layers'])[:40]} layers, and {len(tensors)} tensors in the "
            "weights",
            next_step=AGAIN,
        )
    for product in _PRODUCTS:
        if not all(size in sizes for size in product):
            continue
        asked = 1
        for size in product:
            asked *= sizes[size]
        if asked > SLACK * stored:
            said = " x ".join(f"{size} {str(sizes[size])[:40]}" for size in product)
            raise DataRefused(
                f"{shown(path)}: {said} is more than its weights of {stored} bytes can hold",
                next_step=AGAIN,
            )


def is_size(value: Any) -> bool:
    """Whether a JSON value is a whole number above 0 that a machine can count with."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63


def entries(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """(name, value) of all that a JSON value holds, however deep; an item bears its list's name."""
    waiting = [(name, value)]
    while waiting:
        above, value = waiting.pop()
        yield above, value
        if isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            waiting += [(above, inner) for inner in value]


def _strings(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """(name, string) of every string in a JSON value; what lies below an implementation is one."""
    waiting = [(name, value)]
    while waiting:
        above, value = waiting.pop()
        if isinstance(value, str):
            yield above, value
        elif isinstance(value, dict):
            below = above.endswith(_CODE)
            waiting += [(above if below else name, inner) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(above, inner) for inner in value]


def _line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
