"""An adapter merged into its base in fp32, and the check that the result is the same model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from cqa.errors import CqaError
from cqa.lm import HubTokenizer, load_model, load_tokenizer, with_adapter
from cqa.model_ref import Model
from cqa.training.rows import agree_on_end

TOLERANCE = 1e-3
"""Largest difference of a logit. fp32 gives some 1e-5; a merge in bf16 gave 1e-1 and more."""
_POSITIONS = 32
"""Of each text, evenly spread: all logits of a large vocabulary would not fit the memory."""


def merge(base: Model, adapter: Path, folder: Path, texts: Sequence[str]) -> float:
    """Write the merged model to `folder`; the largest difference of a logit over the texts.

    The adapter stays unmerged on the one side, the other is what was written, read again. A
    difference above the tolerance is a failure, and the folder is left for the caller to remove.
    """
    tokenizer = load_tokenizer(base)
    model = with_adapter(load_model(base, dtype="float32"), adapter, base.name).eval()
    before = logits(model, tokenizer, texts)
    merged = model.merge_and_unload(safe_merge=True)
    agree_on_end(merged, tokenizer)
    merged.save_pretrained(folder, safe_serialization=True)
    tokenizer.raw.save_pretrained(folder)
    again = AutoModelForCausalLM.from_pretrained(  # nosec B615 - written a line above
        folder, dtype=torch.float32, trust_remote_code=False, use_safetensors=True
    ).eval()
    after = logits(again, tokenizer, texts)
    pairs = zip(before, after, strict=True)
    largest = max(float((one - two).abs().max()) for one, two in pairs)
    if not largest <= TOLERANCE:
        raise CqaError(
            f"the merged model is another one: a logit differs by {largest:.2g} "
            f"(at most {TOLERANCE:g} over {len(texts)} texts)",
            next_step="use the adapter as it is: cqa export without --merge",
        )
    return largest


@torch.inference_mode()
def logits(model: nn.Module, tokenizer: HubTokenizer, texts: Sequence[str]) -> list[Tensor]:
    """For each text the logits (positions, V) at evenly spread positions."""
    found = []
    for text in texts:
        ids = [tokenizer.start_id, *tokenizer.encode(text)][:1024]
        step = max(1, len(ids) // _POSITIONS)
        found.append(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, ::step])
    return found
