"""Hidden states and target ids -> log-probabilities and entropies. Pure tensor code."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

_LOWEST = -1e30
"""Instead of −inf: of a probability of 0, and before the first logit is seen."""


class Head:
    """The output embedding: states (n, d) -> logits (n, V) in at least fp32, a range at a time.

    Weights in bf16 are multiplied into fp32 logits: rounded to bf16 they move the specific gain by
    some thousandths of a bit per token.
    """

    def __init__(self, module: Callable[[Tensor], Tensor]) -> None:
        self.module = module
        self.weight = self.bias = None
        if type(module) is nn.Linear:
            self.weight = module.weight.detach()
            self.bias = None if module.bias is None else module.bias.detach()
            self._product = _into_fp32 if _device_can(_into_fp32, self.weight) else _in_fp32

    def __call__(self, states: Tensor, width: int) -> Iterator[Tensor]:
        """The logits of `width` ids after another; of other modules than a matrix, made at once."""
        if self.weight is None:
            yield from map(_at_least_fp32, self.module(states).split(width, dim=-1))
            return
        biases = self.bias.split(width) if self.bias is not None else None
        for i, weight in enumerate(self.weight.split(width)):
            product = self._product if states.dtype == weight.dtype else _in_fp32
            logits = product(states, weight)
            yield logits if biases is None else logits.add_(biases[i])


def _in_fp32(states: Tensor, weight: Tensor) -> Tensor:
    """states (n, d) · weight (w, d) -> (n, w), both made fp32 first."""
    return functional.linear(_at_least_fp32(states), _at_least_fp32(weight))


def _into_fp32(states: Tensor, weight: Tensor) -> Tensor:
    """The same of two 16-bit matrices by their own, faster kernels. CUDA has them."""
    return torch.mm(states, weight.t(), out_dtype=torch.float32)


def _device_can(product: Callable[[Tensor, Tensor], Tensor], weight: Tensor) -> bool:
    if weight.dtype not in (torch.bfloat16, torch.float16):
        return False
    try:
        product(weight[:1], weight[:1])
    except RuntimeError:
        return False
    return True


def token_terms(
    head: Head, hidden: Tensor, target: Tensor, *, rows: int, logits: int
) -> tuple[Tensor, Tensor]:
    """Log-probability of each target and entropy of its distribution, both in nats.

    hidden: (N, d), the states from which N tokens are predicted; target: (N,) ids. Returns two (N,)
    tensors in at least fp32. At most `logits` logits are held, of `rows` states and a range of the
    vocabulary: a block that stays in the cache costs little beside the product that makes it.
    """
    parts = zip(hidden.split(rows), target.split(rows), strict=True)
    finite = head.weight is not None
    terms = [_terms(head(states, max(1, logits // len(ids))), ids, finite) for states, ids in parts]
    logprob, entropy = zip(*terms, strict=True)
    return torch.cat(logprob), torch.cat(entropy)


def _terms(ranges: Iterator[Tensor], target: Tensor, finite: bool) -> tuple[Tensor, Tensor]:
    """One walk along the vocabulary (online softmax, Milakov & Gimelshein 2018, arXiv 1805.02867).

    Of the logits z so far it keeps the largest, total = Σ exp(z − largest) and
    moment = Σ exp(z − largest)·(z − largest). Then log Z = largest + log total, and the entropy is
    log total − moment / total.
    """
    first, own, total, moment = 0, 0.0, 0.0, 0.0
    largest = torch.full(target.shape, _LOWEST, device=target.device)
    for z in ranges:
        place = target - first
        here = z.gather(-1, place.clamp(0, z.shape[-1] - 1)[:, None])[:, 0]
        own = torch.where((place >= 0) & (place < z.shape[-1]), here, own)
        if not finite:  # of a probability of 0 the logit may be −inf, and 0 · −inf is nan
            z = z.clamp(min=_LOWEST)
        top = torch.maximum(largest, z.amax(-1))
        down = largest - top
        e = z.sub_(top[:, None]).exp()
        total, moment = (
            down.exp() * total + e.sum(-1),
            down.exp() * (moment + down * total) + e.mul_(z).sum(-1),
        )
        largest = top
        first += z.shape[-1]
    log_total = total.log()
    return own - largest - log_total, log_total - moment / total


def _at_least_fp32(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))
