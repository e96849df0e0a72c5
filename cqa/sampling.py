"""Prompts -> texts. One seed per (run seed, item, sample), whatever else is in the batch.

`generate` with `do_sample` draws from one stream for the whole batch, so a text would depend on its
neighbours. Here each prompt has its own stream of Gumbel noise, added to the logits before the
largest is taken, which is an exact draw from the softmax (Gumbel 1954; Maddison et al. 2014,
arXiv 1411.0030).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
)

from cqa.lm import LanguageModel


@dataclass(frozen=True)
class Prompt:
    """Ids to continue (start token included) and the seed of this one continuation."""

    ids: tuple[int, ...]
    seed: int


@dataclass(frozen=True)
class Continuation:
    """What was written, and whether the model ended it by itself."""

    text: str
    tokens: int
    ended: bool


def seed_of(run_seed: int, item: str, sample: int) -> int:
    """The seed of one text, from the run's seed, the item's id and the number of the sample."""
    digest = hashlib.sha256(f"{run_seed}\0{item}\0{sample}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class GumbelNoise(LogitsProcessor):
    """Adds noise of row i from generator i, so that greedy decoding becomes a draw."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """scores: (B, V) -> (B, V)."""
        # Drawn on the CPU in any case: the same text on every device.
        width = scores.shape[1]
        noise = torch.stack(
            [torch.rand(width, generator=g, dtype=torch.float64) for g in self._generators]
        )
        gumbel = -torch.log(-torch.log(noise.clamp_min(1e-300)))
        return scores + gumbel.to(scores.device, scores.dtype)


@torch.inference_mode()
def write(
    lm: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    max_new_tokens: int,
    temperature: float,
    min_p: float,
) -> list[Continuation]:
    """Continue a batch of prompts. Padding stands left, masked: rows do not see each other."""
    raw = lm.tokenizer.raw
    end = raw.eos_token_id
    pad = raw.pad_token_id if raw.pad_token_id is not None else end
    width = max(len(prompt.ids) for prompt in prompts)
    ids = torch.full((len(prompts), width), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, prompt in enumerate(prompts):
        ids[i, width - len(prompt.ids) :] = torch.tensor(prompt.ids)
        mask[i, width - len(prompt.ids) :] = 1
    warpers = LogitsProcessorList()
    if temperature != 1.0:
        warpers.append(TemperatureLogitsWarper(temperature))
    if min_p > 0:
        warpers.append(MinPLogitsWarper(min_p))
    warpers.append(GumbelNoise([prompt.seed for prompt in prompts]))
    # A configuration of our own: the one shipped with a model may penalise repetition or sample.
    settings = GenerationConfig(
        do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=end, pad_token_id=pad
    )
    written = lm.model.generate(
        input_ids=ids.to(lm.device),
        attention_mask=mask.to(lm.device),
        logits_processor=warpers,
        generation_config=settings,
    )
    return [_continuation(row[width:].tolist(), end, raw) for row in written]


def _continuation(ids: list[int], end: int, tokenizer) -> Continuation:
    ended = end in ids
    if ended:
        ids = ids[: ids.index(end)]
    text = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return Continuation(text, len(ids), ended)
