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
        logp = torch.log_softmax(_at_least_fp32(head(states)), dim=-1)
        logprobs.append(logp.gather(-1, ids[:, None])[:, 0])
        p = logp.exp()
        # Where p is 0, log p may be −inf, and their product nan; from −1000 down p is 0 anyway.
        entropies.append(-torch.linalg.vecdot(p, logp.clamp_(min=-1000.0)))
    return torch.cat(logprobs), torch.cat(entropies)


def _at_least_fp32(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
