"""What a training will cost, before anything is spent: steps, memory, time, energy, money."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cqa import runs
from cqa.config import TrainConfig
from cqa.errors import BudgetTooSmall
from cqa.examples import Tokens
from cqa.model_ref import Model
from cqa.training import energy, probe
from cqa.training import size as sizes
from cqa.training.budget import Budget
from cqa.training.rates import Rates

_EVALUATED = 1 / 3
"""A forward pass costs a third of a training step, as the FLOPs say."""
_BESIDE = 1.15
"""What a training takes over its steps: checkpoints, the loader, the result."""
_UNPROBED = (0.15, 0.35, 0.7)
"""Shares of the matrix-product peak that training is taken to reach where no step is timed."""


@dataclass(frozen=True)
class Estimate:
    """The plan of one training. None is what cannot be known, with the reason beside it."""

    parameters: int
    trained_parameters: int
    rows: int
    tokens: int
    """Of all planned epochs."""
    longest_row_tokens: int
    epochs: float
    steps: int
    asked_steps: int
    steps_per_epoch: int
    flops: float
    memory_bytes: int
    memory_basis: str
    device_seconds: float
    device_seconds_low: float
    device_seconds_high: float
    time_basis: str
    devices: int
    energy_wh: float | None
    energy_basis: str
    money: float | None
    currency: str | None
    price: str | None
    price_source: str | None
    """None where no price was given: then there is no money to speak of."""
    kept_share: float
    """Of the budget, for scoring and generation."""

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def estimate(
    model: Model,
    config: TrainConfig,
    learn: Sequence[Tokens],
    dev: Sequence[Tokens] = (),
    *,
    budget: Budget | None = None,
    rates: Rates | None = None,
    devices: int = 1,
    root: Path | None = None,
    size: sizes.Size | None = None,
) -> Estimate:
    """What this training will take on this machine.

    Time comes from earlier trainings of the same model with the same method on this machine where
    the results table has any, else from a few steps that are timed now, else from the speed of
    matrix products; `time_basis` says which.
    """
    budget, rates = budget or Budget(), rates or Rates()
    size = size or sizes.of(model, config)
    limits = budget.for_training(flops_per_token=size.flops_per_token)
    lengths = [len(row.ids) for row in learn]
    per_epoch = -(-len(lengths) // config.batch_size)
    asked = config.epochs * per_epoch
    (low, middle, high), basis = _seconds_per_token(model, config, size, learn, root)
    dev_tokens = sum(len(row.ids) for row in dev)
    step_tokens = sum(lengths) / per_epoch
    of_step = (step_tokens + dev_tokens * _EVALUATED / per_epoch) * _BESIDE
    steps = min(asked, _allowed(limits, of_step * middle, step_tokens, per_epoch))
    seconds = {name: steps * of_step * pace for name, pace in
               (("low", low), ("middle", middle), ("high", high))}  # fmt: skip
    tokens = round(steps * step_tokens)
    drawn = energy.spent(None, _why(devices), budget.power or rates.power, seconds["middle"])
    price = budget.price or rates.price
    return Estimate(
        parameters=size.parameters,
        trained_parameters=size.trained,
        rows=len(learn),
        tokens=tokens,
        longest_row_tokens=max(lengths),
        epochs=round(steps / per_epoch, 3),
        steps=steps,
        asked_steps=asked,
        steps_per_epoch=per_epoch,
        flops=size.flops_per_token * tokens,
        memory_bytes=size.state_bytes
        + size.activation_bytes(config.micro_batch_size * max(lengths)),
        memory_basis="weights, gradients, AdamW's moments, activations of the longest rows; "
        "libraries not counted",
        device_seconds=round(seconds["middle"], 3),
        device_seconds_low=round(seconds["low"], 3),
        device_seconds_high=round(seconds["high"], 3),
        time_basis=basis,
        devices=devices,
        energy_wh=drawn.wh,
        energy_basis=drawn.source,
        money=price.of(seconds["middle"]).amount if price else None,
        currency=price.per_hour.currency if price else None,
        price=str(price) if price else None,
        price_source=price.source if price else None,
        kept_share=budget.kept if budget.keeps else 0.0,
    )


def refuse_hopeless(
    budget: Budget, size: sizes.Size, config: TrainConfig, learn: Sequence[Tokens], devices: int
) -> None:
    """BudgetTooSmall where not one step can fit, however fast the device proves to be.

    That is certain only where the matrix products of the smallest step, at the speed that was
    measured for nothing but matrix products, would take longer than all there is.
    """
    limits = budget.for_training(flops_per_token=size.flops_per_token)
    if limits.device_seconds is None and limits.wall_seconds is None:
        return
    shortest = sorted(len(row.ids) for row in learn)[: config.batch_size]
    fastest = probe.matmul_flop_per_second(config.compute_dtype) * devices
    seconds = size.flops_per_token * sum(shortest) / (2 * fastest)
    left = limits.seconds_left(wall=0.0, device=0.0, devices=devices)
    if seconds > left:
        raise BudgetTooSmall(
            f"the budget ({budget.understood()}) does not hold one step: at twice this machine's "
            f"fastest matrix product ({fastest:.2g} FLOP/s) the smallest step takes "
            f"{seconds:.3g} s, and {left:.3g} s may be spent on training",
            next_step="give more, or a smaller batch size or model",
        )


def _allowed(limits: Budget, step_seconds: float, step_tokens: float, per_epoch: int) -> int:
    """Steps that the ceilings allow at this pace; the training itself measures again."""
    allowed = [float("inf")]
    time = limits.seconds_left(wall=0.0, device=0.0)
    if time != float("inf"):
        allowed.append(time / step_seconds)
    if limits.tokens is not None:
        allowed.append(limits.tokens / step_tokens)
    if limits.epochs is not None:
        allowed.append(limits.epochs * per_epoch + 1e-9)
    return int(min(min(allowed), 2**53))


def _seconds_per_token(
    model: Model, config: TrainConfig, size: sizes.Size, learn: Sequence[Tokens], root: Path | None
) -> tuple[tuple[float, float, float], str]:
    """(low, middle, high) device-seconds of a trained token, and what they rest on."""
    if paces := _paces(model, config, root):
        middle = statistics.median(paces)
        spread = (min(min(paces), 0.8 * middle), middle, max(max(paces), 1.25 * middle))
        return spread, f"{len(paces)} earlier trainings of this model on this machine"
    if timed := probe.seconds_per_token(model, config, size, learn):
        low, middle, high = timed
        # Accumulation, padding and another load of the machine make more difference than the steps.
        return (0.7 * low, middle, 1.6 * high), "a few steps timed now, on random weights"
    peak = probe.matmul_flop_per_second(config.compute_dtype)
    least, usual, best = (size.flops_per_token / (peak * share) for share in _UNPROBED)
    return (best, usual, least), (
        f"matrix products timed now ({peak:.3g} FLOP/s), of which training reaches "
        f"{_UNPROBED[0]:.0%} to {_UNPROBED[2]:.0%}"
    )


def _paces(model: Model, config: TrainConfig, root: Path | None) -> list[float]:
    """Device-seconds of a token in finished trainings like this one, as their bills have them."""
    here, found = runs.machine(), []
    for run in runs.all_runs(root):
        record = run.record
        alike = (
            record["stage"] == "train"
            and run.done
            and record["inputs"].get("model") == model.sha256
            and record["machine"] == here
            and all(record["config"].get(name) == getattr(config, name) for name in
                    ("method", "dtype", "micro_batch_size"))
        )  # fmt: skip
        pace = (record.get("spent") or {}).get("device_seconds_per_token") if alike else None
        same_device = alike and (record["spent"].get("device_kind") == probe.device())
        if pace and same_device:
            found.append(pace)
    return found


def _why(devices: int) -> str:
    _, why = energy.meter(energy.gpu_uuids(devices))
    return why
