"""Folder or Hub id -> a language model: its dtype stated, its adapter unmerged, its tokenizer."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from cqa import quantisation, quiet, untrusted

quiet.libraries()

from transformers import (  # noqa: E402
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
)

from cqa.engine import LanguageModel  # noqa: E402
from cqa.errors import DataRefused  # noqa: E402
from cqa.heap import keep_freed_memory  # noqa: E402
from cqa.model_ref import Model  # noqa: E402

if TYPE_CHECKING:
    from peft import PeftModel

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float64": torch.float64,
    "nf4": torch.bfloat16,
}

_PROBE = "It was late. The rain fell on the harbour."
LEAST_WINDOW = 16
"""Tokens. Nothing of use is scored or written in a shorter window."""

RECIPE = "cqa.json"
"""In a folder that `cqa train` made: the base model's name and what its weights were held in."""


class HubTokenizer:
    """A transformers tokenizer behind the three things that rendering asks of one."""

    def __init__(self, tokenizer, bos_token_id: int | None = None) -> None:
        """`bos_token_id` is what the model's own configuration says, if anything."""
        self.raw = tokenizer
        if tokenizer.eos_token_id is None:
            raise DataRefused(
                "the tokenizer has no EOS token, so no text can end",
                next_step="set eos_token in the model's tokenizer_config.json",
            )
        candidates = (tokenizer.bos_token_id, bos_token_id, tokenizer.eos_token_id)
        self.start_id: int = next(token for token in candidates if token is not None)
        self.encode = lru_cache(maxsize=4096)(self._encode)

    def _encode(self, text: str) -> list[int]:
        return self._tokens(text)["input_ids"] if text else []

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """For each token of `encode(text)`, the characters [start, end) that it covers."""
        if not text:
            return []
        encoded = self._tokens(text, return_offsets_mapping=True)
        return [(start, end) for start, end in encoded["offset_mapping"]]

    def _tokens(self, text: str, **options):
        # A "<|endoftext|>" that somebody wrote is text, not the end of it.
        return self.raw(text, add_special_tokens=False, split_special_tokens=True, **options)


def load(
    model: Model, *, adapter: Path | None = None, dtype: str = "float32", device: str | None = None
) -> LanguageModel:
    """Load a model, and an adapter on top of it that stays unmerged.

    Weights are stored in any dtype and computed in `dtype`; merging an adapter into bf16 weights
    would change them, and transformers picks a dtype by itself unless told.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cpu":
        keep_freed_memory()
    elif torch.device(device).index is not None:
        torch.cuda.set_device(device)  # weights in 4 bits are put where this points
    if adapter is not None:
        _refuse_other_base(adapter, dtype)
    tokenizer = load_tokenizer(model)
    loaded = load_model(model, dtype=dtype)
    # `generate` fills from here what our own configuration leaves open (repetition_penalty ...).
    loaded.generation_config = GenerationConfig()
    if adapter is not None:
        loaded = with_adapter(loaded, adapter, model.name)
    if dtype == "nf4":
        loaded.eval()  # is where it is: weights in 4 bits cannot be moved
    else:
        loaded.to(device).eval()
    if adapter is not None:
        _refuse_unsound(loaded, f"adapter {adapter}")
    return LanguageModel(
        name=model.name,
        model=loaded,
        tokenizer=tokenizer,
        window=window_of(loaded),
        dtype=dtype,
        device=device,
        adapter=str(adapter) if adapter else None,
    )


def with_adapter(model: PreTrainedModel, adapter: Path, name: str) -> PeftModel:
    """The model of this name with an adapter on it, which stays fp32 on bf16 weights, as trained.

    Raises DataRefused where the adapter belongs to another base or lacks weights.
    """
    from peft import PeftModel  # only where there is an adapter

    with untrusted.refused(
        f"adapter {adapter}: does not go onto {name}",
        next_step="give the base model that the adapter was trained on",
    ):
        adapted = PeftModel.from_pretrained(model, str(adapter))
        # Read once more: only this says which weights were missing and made up.
        told = adapted.load_adapter(str(adapter), "default")
    _refuse_other_weights(told.missing_keys, told.unexpected_keys, adapter)
    _refuse_adapter(adapted, adapter)
    return adapted


def load_model(model: Model, *, dtype: str = "float32") -> PreTrainedModel:
    """The bare model: safetensors only, no remote code, dtype and revision stated."""
    quantised = quantisation.four_bits() if dtype == "nf4" else {}
    with untrusted.refused(
        f"model {model.name}: cannot be loaded as a causal language model",
        next_step="check the folder or id; code from model repositories is never run",
    ):
        loaded, found = AutoModelForCausalLM.from_pretrained(
            model.source,
            revision=model.revision or "main",
            dtype=DTYPES[dtype],
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            **quantised,
        )
    if missing := sorted(found["missing_keys"]):
        raise DataRefused(
            f"model {model.name}: {len(missing)} of its weights are not in its files, the first is "
            f"{missing[0]}",
            next_step="copy the folder again; weights made up at random would be scored",
        )
    window = window_of(loaded)
    if not untrusted.is_size(window) or window < LEAST_WINDOW:
        raise DataRefused(
            f"model {model.name}: max_position_embeddings is {str(window)[:40]}; expected a "
            f"number of tokens, at least {LEAST_WINDOW}",
            next_step="correct it in the model's config.json",
        )
    _refuse_unsound(loaded, f"model {model.name}")
    return loaded


def load_tokenizer(model: Model) -> HubTokenizer:
    """The model's fast tokenizer; offsets need one."""
    with untrusted.refused(
        f"model {model.name}: its tokenizer cannot be loaded",
        next_step="the folder needs tokenizer.json and tokenizer_config.json",
    ):
        raw = AutoTokenizer.from_pretrained(
            model.source, revision=model.revision or "main", trust_remote_code=False, use_fast=True
        )
        config = AutoConfig.from_pretrained(
            model.source, revision=model.revision or "main", trust_remote_code=False
        )
        if not raw.is_fast:
            raise DataRefused(
                f"model {model.name}: its tokenizer has no fast version, so tokens cannot be "
                "placed",
                next_step="convert it once with AutoTokenizer(...).save_pretrained",
            )
        # Qwen's tokenizers have no BOS, and after chat tuning their EOS ends a turn and not a
        # document; the configuration names the document separator all the same.
        tokenizer = HubTokenizer(raw, getattr(config, "bos_token_id", None))
        _refuse_useless(tokenizer, model.name)
        _refuse_other_tokenizer(tokenizer, config, model.name)
    return tokenizer


def window_of(model: nn.Module) -> int:
    """The longest sequence in tokens that the model was made for."""
    window = getattr(model.config, "max_position_embeddings", None)
    return 2048 if window is None else window


def is_zero_adapter(model: nn.Module) -> bool:
    """Whether a LoRA adapter changes nothing, as a freshly made one does (every B matrix is 0)."""
    b_matrices = [p for name, p in model.named_parameters() if "lora_B" in name]
    return bool(b_matrices) and all(not p.detach().any() for p in b_matrices)


def _refuse_useless(tokenizer: HubTokenizer, name: str) -> None:
    """Of a folder without its files transformers makes a tokenizer that has no words."""
    ids = tokenizer.encode(_PROBE)
    back = tokenizer.raw.decode(ids, skip_special_tokens=True)
    if _letters(back) != _letters(_PROBE):
        raise DataRefused(
            f"model {name}: its tokenizer makes {len(ids)} tokens of {_PROBE!r}, and of those "
            f"{back[:80]!r}",
            next_step="copy the tokenizer's files (tokenizer.json) from where the model came",
        )


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def _refuse_other_tokenizer(tokenizer: HubTokenizer, config, name: str) -> None:
    """Every id that a text, a start, an end or padding can have needs an embedding.

    Special tokens that are none of these may lie beyond: Gemma 3's has one for images.
    """
    embeddings = getattr(config.get_text_config(), "vocab_size", None)
    if embeddings is None:
        return
    raw = tokenizer.raw
    special = {token for token, added in raw.added_tokens_decoder.items() if added.special}
    used = {f"{kind} token": getattr(raw, f"{kind}_token_id") for kind in ("bos", "eos", "pad")}
    used["start of a page"] = tokenizer.start_id
    used["last token"] = max(set(raw.get_vocab().values()) - special)
    for what, token in used.items():
        if token is not None and not (isinstance(token, int) and 0 <= token < embeddings):
            raise DataRefused(
                f"model {name}: the {what} has the id {str(token)[:40]}, and the model has "
                f"{embeddings} embeddings",
                next_step="use the model's own tokenizer and configuration",
            )


@torch.inference_mode()
def _refuse_unsound(model: nn.Module, what: str) -> None:
    """One short pass shows what would break or spoil every other."""
    with untrusted.refused(
        f"{what}: cannot be computed", next_step="copy the folder again from where it came"
    ):
        embeddings = model.get_input_embeddings().weight
        # Of few keys the kernels of some CPUs make zeros where a weight is NaN.
        length = min(2 * LEAST_WINDOW, window_of(model))
        ids = torch.arange(length, device=embeddings.device)[None] % len(embeddings)
        logits = model(input_ids=ids, use_cache=True).logits
        # A row of the embeddings that is not among the ids is seen in their sum.
        if not (logits.isfinite().all() and embeddings.sum().isfinite()):
            raise DataRefused(
                f"{what}: its weights give numbers that are not finite",
                next_step="copy the folder again, or use a dtype of more range: --dtype float32",
            )


def _refuse_other_weights(missing: list[str], unexpected: list[str], adapter: Path) -> None:
    if missing:
        raise DataRefused(
            f"adapter {adapter}: {len(missing)} of its weights are not in its file, the first is "
            f"{missing[0]}",
            next_step="copy the folder again; weights made up at random would be scored",
        )
    if unexpected:
        raise DataRefused(
            f"adapter {adapter}: {len(unexpected)} of the weights in its file have no place in "
            f"the model, the first is {unexpected[0]}",
            next_step="give the base and the adapter_config.json that it was trained with",
        )


def _refuse_other_base(adapter: Path, dtype: str) -> None:
    """An adapter corrects the rounding of the 4-bit weights it was trained on, and no others."""
    if not (adapter / RECIPE).is_file():
        return
    trained = untrusted.read_object(adapter / RECIPE).get("dtype")
    if (trained == "nf4") != (dtype == "nf4"):
        raise DataRefused(
            f"adapter {adapter}: trained on a base in {trained}, to be loaded on one in {dtype}",
            next_step=f"base and adapter with the base as it was trained on: --dtype {trained}",
        )


def _refuse_adapter(model: nn.Module, adapter: Path) -> None:
    if model.active_peft_config.is_prompt_learning:
        raise DataRefused(
            f"adapter {adapter}: it puts tokens of its own before the page, so positions would not "
            "be those of the text",
            next_step="use a LoRA, or another adapter that leaves the page as it is",
        )
    if is_zero_adapter(model) and not _was_asked_for(adapter):
        raise DataRefused(
            f"adapter {adapter}: every B matrix is zero, so it changes nothing",
            next_step="train it, or leave --adapter out to use the base model",
        )


def _was_asked_for(adapter: Path) -> bool:
    """Whether a zero adapter is meant to be one: a training of no steps, which says so itself."""
    state = adapter / "trainer_state.json"
    return state.is_file() and untrusted.read_object(state).get("max_steps") == 0
