"""What can go wrong between rows, tokenizer and model before the first step, and is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from cqa.errors import DataRefused
from cqa.examples import Tokens
from cqa.lm import HubTokenizer, window_of

_UNTRAINED = 0.05
"""Of the median norm of the embeddings: a special token below it was never seen in training."""


def refuse_unfit(
    rows: Sequence[Tokens], tokenizer: HubTokenizer, model: PreTrainedModel, *, frozen: bool
) -> None:
    """Refuse rows that would be cut, that teach nothing or never end, or that the model lacks.

    `frozen`: the embeddings are not trained, so a special token that they do not know stays noise.
    """
    window = window_of(model)
    lengths = [len(row.ids) for row in rows]
    if long := [length for length in lengths if length > window]:
        raise DataRefused(
            f"{len(long)} of {len(rows)} examples are longer than the model's window of {window} "
            f"tokens (the longest has {max(long)})",
            next_step="shorten them or choose a model with a longer window; nothing is truncated",
        )
    end = tokenizer.raw.eos_token_id
    for number, row in enumerate(rows, start=1):
        if not 0 < row.learned < len(row.ids):
            raise DataRefused(
                f"example {number}: {row.learned} of its {len(row.ids)} tokens are to be learned",
                next_step="an example needs something to read and something to learn",
            )
        if row.ids[-1] != end:
            raise DataRefused(
                f"example {number}: its last token is {row.ids[-1]}, not the end of text ({end})",
                next_step="a model that never sees the end of a text never ends one",
            )
    _refuse_unknown(rows, tokenizer, model, frozen)


def _refuse_unknown(
    rows: Sequence[Tokens], tokenizer: HubTokenizer, model: PreTrainedModel, frozen: bool
) -> None:
    table = model.get_input_embeddings().weight.detach()
    used = {token for row in rows for token in row.ids}
    if (largest := max(used)) >= len(table):
        raise DataRefused(
            f"token {tokenizer.raw.convert_ids_to_tokens(largest)!r} has the id {largest}, but the "
            f"model has {len(table)} embeddings: it was added to the tokenizer alone",
            next_step="use the model's own tokenizer, or resize and train its embeddings first",
        )
    if not frozen or table.dtype not in (torch.float32, torch.bfloat16, torch.float64):
        return
    norms = table.float().norm(dim=1)
    least = _UNTRAINED * float(norms.median())
    special = used & set(tokenizer.raw.all_special_ids)
    if blank := sorted(token for token in special if float(norms[token]) < least):
        names = ", ".join(repr(t) for t in tokenizer.raw.convert_ids_to_tokens(blank))
        raise DataRefused(
            f"the special token {names} is in the rows, but its embedding was never trained, and a "
            "LoRA leaves embeddings as they are",
            next_step="--full, or a tokenizer whose eos_token and bos_token the model knows",
        )


def agree_on_end(model: PreTrainedModel, tokenizer: HubTokenizer) -> None:
    """One end of text for tokenizer, model and generation: the one that the rows teach.

    Some base models name another one in their configuration than their tokenizer does, and a
    model so tuned would never stop by itself.
    """
    for config in (model.config, model.generation_config):
        config.eos_token_id = tokenizer.raw.eos_token_id
        config.pad_token_id = tokenizer.raw.pad_token_id


def with_pad(tokenizer: HubTokenizer) -> Any:
    """A tokenizer whose pad token is not the end of text, where it has another unused token."""
    raw = tokenizer.raw
    if raw.pad_token_id is None or raw.pad_token_id == raw.eos_token_id:
        unused = [t for t in raw.all_special_tokens if t not in (raw.eos_token, raw.bos_token)]
        raw.pad_token = unused[0] if unused else raw.eos_token
    return raw


def collator(tokenizer: HubTokenizer) -> DataCollatorForLanguageModeling:
    """Rows of a batch padded on the right, never with the end of text.

    Which token stands there is seen by nobody: no position looks to its right and none there is
    learned. So where a tokenizer has no pad token an ordinary one serves.
    """
    raw = tokenizer.raw
    pad = raw.pad_token_id
    if pad is None or pad == raw.eos_token_id:
        pad = 0 if raw.eos_token_id != 0 else 1
    return DataCollatorForLanguageModeling(pad_token_id=pad)
