"""How large a model is and what a token of training costs, without loading its weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from cqa import quiet

quiet.libraries()

from peft import LoraConfig, get_peft_model  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM  # noqa: E402

from cqa.config import TrainConfig  # noqa: E402
from cqa.lm import DTYPES  # noqa: E402
from cqa.model_ref import Model  # noqa: E402

FLOPS_FORMULA = (
    "per token 4 x the weights that are multiplied (forward, and backward to the activations) "
    "+ 2 x those that are trained; 6 N where all are; logits of every token, no attention scores"
)


@dataclass(frozen=True)
class Size:
    """Parameters: all of them, those trained, those that a token is multiplied with."""

    parameters: int
    trained: int
    multiplied: int
    """All but the input embedding; the output head counts though it may share its weights."""
    trained_multiplied: int
    layers: int
    hidden: int
    inner: int
    vocabulary: int
    itemsize: int
    """Bytes of a frozen weight."""

    @property
    def flops_per_token(self) -> float:
        """As FLOPS_FORMULA says."""
        return 4.0 * self.multiplied + 2.0 * self.trained_multiplied

    @property
    def state_bytes(self) -> int:
        """Weights, and for each trained one a gradient and AdamW's two moments in fp32."""
        frozen = self.parameters - self.trained
        return frozen * self.itemsize + self.trained * 4 * 4

    def activation_bytes(self, tokens: int) -> int:
        """Of one micro-batch of so many tokens, padding included, without checkpointing.

        A layer keeps about 16 vectors of the hidden width and 4 of the inner one; the logits are
        kept in fp32 with their gradient and their softmax. A rough upper estimate.
        """
        layer = 16 * self.hidden + 4 * self.inner
        return tokens * (self.layers * layer * max(2, self.itemsize) + 3 * 4 * self.vocabulary)


def lora_config(config: TrainConfig) -> LoraConfig:
    """The adapter that these settings ask for."""
    return LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def empty(model: Model, config: TrainConfig, device: str = "meta") -> nn.Module:
    """The model with its adapter and no weights in it ("meta"), or random ones (a device)."""
    shape = AutoConfig.from_pretrained(
        model.source, revision=model.revision or "main", trust_remote_code=False
    )
    with torch.device(device):
        made = AutoModelForCausalLM.from_config(
            shape, dtype=getattr(torch, config.compute_dtype), trust_remote_code=False
        )
        made.tie_weights()
        return get_peft_model(made, lora_config(config)) if config.method == "lora" else made


def of(model: Model, config: TrainConfig) -> Size:
    """The size of a model under these settings. Nothing is downloaded but its configuration."""
    made = empty(model, config)
    shape = made.config
    parameters = sum(p.numel() for p in made.parameters())
    trained = sum(p.numel() for p in made.parameters() if p.requires_grad)
    core = made.get_base_model() if config.method == "lora" else made
    read, head = core.get_input_embeddings(), core.get_output_embeddings()
    looked_up = read.weight.numel() if read is not None else 0
    tied = head is not None and (
        head.weight is read.weight or getattr(shape, "tie_word_embeddings", False)
    )
    unique = parameters - (looked_up if tied and head.weight is not read.weight else 0)
    multiplied = unique - looked_up + (looked_up if tied else 0)
    trained_multiplied = trained if config.method == "lora" else multiplied
    hidden = getattr(shape, "hidden_size", 1024)
    return Size(
        parameters=unique,
        trained=trained if config.method == "lora" else unique,
        multiplied=multiplied,
        trained_multiplied=trained_multiplied,
        layers=getattr(shape, "num_hidden_layers", 1),
        hidden=hidden,
        inner=getattr(shape, "intermediate_size", None) or 4 * hidden,
        vocabulary=getattr(shape, "vocab_size", 0),
        itemsize=1 if config.dtype == "nf4" else DTYPES[config.dtype].itemsize,
    )
