"""Hidden states and target ids -> log-probabilities and entropies. Pure tensor code."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def token_terms(
    head: Callable[[Tensor], Tensor], hidden: Tensor, target: Tensor, chunk: int = 512
) -> tuple[Tensor, Tensor]:
    """Log-probability of each target and entropy of its distribution, both in nats.

    hidden: (N, d), the states from which N tokens are predicted; target: (N,) ids; `head` maps
    (n, d) to logits (n, V). Returns two (N,) tensors in at least fp32. The logits are made `chunk`
    rows at a time and in no lower precision than fp32 go through the softmax, so that the full
    (N, V) is never held and bf16 weights do not lose the last bits of the normaliser.
    """
    logprobs, entropies = [], []
    for states, ids in zip(hidden.split(chunk), target.split(chunk), strict=True):
        logits = head(states)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        logp = torch.log_softmax(logits, dim=-1)
        logprobs.append(logp.gather(-1, ids[:, None])[:, 0])
        # entr(p) = −p·log p is 0 at p = 0, where p * logp would be 0 * −inf = nan.
        entropies.append(torch.special.entr(logp.exp()).sum(-1))
    return torch.cat(logprobs), torch.cat(entropies)
