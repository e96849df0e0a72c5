"""How fast this machine is: its matrix products, and one training step of the model itself."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import torch

from cqa.config import TrainConfig
from cqa.examples import Tokens
from cqa.model_ref import Model
from cqa.training import head
from cqa.training import size as sizes

MOST_PARAMETERS = {"cpu": 60_000_000, "cuda": 500_000_000}
"""A model of more is not built with random weights only to be timed."""
_STEPS = 3


def device() -> str:
    """The device that a training takes."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def wait_for(where: str) -> None:
    """Return when the device has done all that was asked of it; a clock would stop too soon."""
    if where == "cuda":
        torch.cuda.synchronize()


def matmul_flop_per_second(dtype: str = "float32", seconds: float = 0.15) -> float:
    """The fastest square matrix product that this device was seen to make, in FLOP/s."""
    where = device()
    width = 8192 if where == "cuda" else 768
    one = torch.randn(width, width, device=where, dtype=getattr(torch, dtype))
    best, until = 0.0, time.perf_counter() + seconds
    one @ one
    while best == 0.0 or time.perf_counter() < until:
        wait_for(where)
        began = time.perf_counter()
        one @ one
        wait_for(where)
        best = max(best, 2.0 * width**3 / (time.perf_counter() - began))
    return best


def seconds_per_token(
    model: Model, config: TrainConfig, size: sizes.Size, rows: Sequence[Tokens]
) -> tuple[float, float, float] | None:
    """(least, median, most) seconds of a token in a few steps; None where the model is too large.

    The model is built from its configuration with random weights, so nothing is loaded. A step is a
    micro-batch of rows as long as the median row, forward, backward and AdamW.
    """
    where = device()
    if size.parameters > MOST_PARAMETERS[where]:
        return None
    with torch.random.fork_rng():
        made = sizes.empty(model, config, where).train()
        core = made.get_base_model() if config.method != "full" else made
        fused = {"fused_lm_head": True} if head.install(core) else {}
        row = sorted(rows, key=lambda row: len(row.ids))[len(rows) // 2]
        shape = (config.micro_batch_size, len(row.ids))
        ids = torch.randint(0, size.vocabulary, shape, device=where)
        labels = ids.clone()
        labels[:, : len(row.ids) - row.learned] = -100
        trained = [p for p in made.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=0.0)
        found = []
        for step in range(_STEPS + 1):
            wait_for(where)
            began = time.perf_counter()
            made(input_ids=ids, labels=labels, **fused).loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            wait_for(where)
            if step:  # the first one warms up
                found.append((time.perf_counter() - began) / ids.numel())
    return min(found), statistics.median(found), max(found)
