"""The loss on a CPU: logits of the learned tokens only, made once.

Without Triton, TRL's fused output embedding makes the logits of every position, padding and what is
only read included, and makes them again in the backward pass. Here the gradient of the hidden state
is kept from the forward pass, so each row of logits is made once and no more than a chunk of them
is in memory. What TRL's trainer gets back is what its own head would give.
"""

from __future__ import annotations

import functools
import types

import torch
from torch import Tensor, nn
from trl.trainer.utils import FusedCausalLMOutput

_LOGITS = 2**22
"""Of one chunk; more would leave the cache."""


class LogProb(torch.autograd.Function):
    """Log-probability of each target in nats, its distribution's entropy, and whether it led."""

    @staticmethod
    def forward(
        ctx, hidden: Tensor, weight: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """hidden (N, d), weight (V, d), targets (N) -> three times (N)."""
        chunk = _rows(weight)
        logprob, entropy, led, gradient = [], [], [], []
        for states, ids in zip(hidden.split(chunk), targets.split(chunk), strict=True):
            logp = torch.log_softmax((states @ weight.t()).float(), -1)
            own = logp.gather(-1, ids[:, None])
            p = logp.exp()
            logprob.append(own[:, 0])
            entropy.append(-torch.linalg.vecdot(p, logp))
            led.append(own[:, 0] >= logp.amax(-1))
            if hidden.requires_grad:
                # d logp_target / d hidden = W_target - sum_v p_v W_v
                gradient.append(weight[ids] - p.to(weight.dtype) @ weight)
        ctx.save_for_backward(hidden, weight, targets, *gradient)
        entropies, leads = torch.cat(entropy), torch.cat(led)
        ctx.mark_non_differentiable(entropies, leads)
        return torch.cat(logprob), entropies, leads

    @staticmethod
    def backward(ctx, of_logprob: Tensor, *_: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """The hidden state's gradient was kept; the weight's needs the logits once more."""
        hidden, weight, targets, *kept = ctx.saved_tensors
        to_hidden = to_weight = None
        if ctx.needs_input_grad[0]:
            to_hidden = of_logprob[:, None].to(hidden.dtype) * torch.cat(kept)
        if ctx.needs_input_grad[1]:
            to_weight = torch.zeros_like(weight)
            chunk = _rows(weight)
            parts = (hidden.split(chunk), targets.split(chunk), of_logprob.split(chunk))
            for states, ids, share in zip(*parts, strict=True):
                p = torch.softmax((states @ weight.t()).float(), -1)
                p.scatter_add_(-1, ids[:, None], torch.full_like(p[:, :1], -1.0))
                to_weight.addmm_((p * -share[:, None]).to(weight.dtype).t(), states)
        return to_hidden, to_weight, None


def install(model: nn.Module) -> bool:
    """Give a bare model this head in the place of TRL's; whether it could be done.

    It is left alone where its logits are more than output embedding times hidden state (scaled,
    capped, biased), where that embedding is wrapped, and on a GPU, where TRL's kernels are good.
    """
    head, body = model.get_output_embeddings(), getattr(model, "base_model", None)
    if type(head) is not nn.Linear or head.bias is not None or body in (None, model):
        return False
    if head.weight.device.type != "cpu" or not _is_plain(model, body, head):
        return False
    fused = model.forward

    @functools.wraps(type(model).forward)
    def forward(self, *args, fused_lm_head=False, labels=None, **kwargs):
        if not fused_lm_head or labels is None or self.config.to_dict().get("output_router_logits"):
            return fused(*args, fused_lm_head=fused_lm_head, labels=labels, **kwargs)
        kwargs["use_cache"] = False
        mask = kwargs.get("attention_mask")
        if mask is not None and bool((mask[:, 1:] <= mask[:, :-1]).all()):
            # Padding on the right is seen by no learned position of a causal model; without a mask
            # the fast causal kernels are taken.
            del kwargs["attention_mask"]
        states = self.base_model(*args, **kwargs).last_hidden_state[:, :-1]
        learned = labels[:, 1:] != -100
        found = LogProb.apply(
            states[learned], self.get_output_embeddings().weight, labels[:, 1:][learned]
        )
        logprob, entropy, led = (
            part.new_zeros(learned.shape).masked_scatter(learned, part) for part in found
        )
        return FusedCausalLMOutput(
            loss=-logprob.sum() / learned.sum().clamp(min=1),
            log_probs=logprob,
            entropy=entropy,
            is_top1=led,
            label_mask=learned,
        )

    model.forward = types.MethodType(forward, model)
    return True


def _rows(weight: Tensor) -> int:
    return max(64, _LOGITS // weight.shape[0])


@torch.no_grad()
def _is_plain(model: nn.Module, body: nn.Module, head: nn.Linear) -> bool:
    ids = torch.arange(8)[None] % head.weight.shape[0]
    was = model.training
    model.eval()
    states = body(input_ids=ids, use_cache=False).last_hidden_state
    logits = model(input_ids=ids, use_cache=False).logits
    model.train(was)
    return torch.allclose(head(states).float(), logits.float(), atol=1e-4, rtol=1e-4)
