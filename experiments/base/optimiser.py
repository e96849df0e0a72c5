"""Muon for the matrices inside the layers, AdamW for all else, and one schedule for both."""

import torch
from torch import Tensor, nn

WARM_UP = 0.02  # of the time


def learning_rate_factor(progress: float) -> float:
    """Rise over the first 2 % of the time, then fall in a straight line to zero at its end."""
    return min(progress / WARM_UP, (1 - progress) / (1 - WARM_UP), 1.0) if progress < 1 else 0.0


class Muon(torch.optim.Optimizer):
    """Momentum whose step is replaced by the nearest orthogonal matrix (Jordan et al., 2024).

    Torch has this optimiser too, with one matrix at a time and in bfloat16, which is slow on CPUs
    without native bfloat16. Here equal shapes are stacked and `dtype` is the caller's. The step is
    scaled to the size of a typical AdamW step (0.2 * sqrt(longer side)), so that one learning rate
    serves both optimisers.
    """

    def __init__(self, params, lr: float, weight_decay: float, dtype: torch.dtype) -> None:
        super().__init__(params, {"lr": lr, "momentum": 0.95, "weight_decay": weight_decay})
        self.dtype = dtype

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = {}
            for p in group["params"]:
                shapes.setdefault(p.shape, []).append(p)
            for shape, params in shapes.items():
                updates = torch.stack([self._momentum(p, group["momentum"]) for p in params])
                scale = -group["lr"] * 0.2 * max(shape) ** 0.5
                for p, update in zip(params, orthogonalise(updates.to(self.dtype)), strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=scale)

    def _momentum(self, p: nn.Parameter, momentum: float) -> Tensor:
        state = self.state[p]
        if "average" not in state:
            state["average"] = torch.zeros_like(p)
        state["average"].lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(state["average"], momentum)  # Nesterov: look one step ahead


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Push all singular values of each matrix towards one by a quintic Newton-Schulz iteration.

    The coefficients trade exactness for speed: values end between about 0.7 and 1.2, which does as
    well in training as exact ones.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


def make_optimisers(
    model: nn.Module, lr: float, embedding_lr: float, dtype: torch.dtype
) -> list[torch.optim.Optimizer]:
    """Muon and AdamW; each group remembers its own peak rate for `set_progress`."""
    matrices, embeddings, others = [], [], []
    for name, p in model.named_parameters():
        if p.ndim < 2:
            others.append(p)
        else:
            (embeddings if "embed" in name else matrices).append(p)
    adam_groups = [
        {"params": embeddings, "lr": embedding_lr, "weight_decay": 0.0},
        {"params": others, "lr": lr, "weight_decay": 0.0},
    ]
    optimisers = [
        Muon(matrices, lr, weight_decay=0.1, dtype=dtype),
        torch.optim.AdamW(adam_groups, betas=(0.9, 0.95), eps=1e-10),
    ]
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
    return optimisers


def set_progress(optimisers: list[torch.optim.Optimizer], progress: float) -> float:
    """Set every rate for this part of the time gone, and return the factor used."""
    factor = learning_rate_factor(progress)
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * factor
    return factor
