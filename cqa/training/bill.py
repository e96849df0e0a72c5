"""What a training has spent, over all its devices and attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cqa.training import energy
from cqa.training.budget import Budget
from cqa.training.ledger import Ledger
from cqa.training.rates import Rates
from cqa.training.size import FLOPS_FORMULA, Size

if TYPE_CHECKING:
    from cqa.training.job import Outcome


def bill(
    outcome: Outcome, ledger: Ledger, size: Size, budget: Budget, rates: Rates
) -> dict[str, Any]:
    """The `spent` section of a training's record. What is not known is None with its reason."""
    attempts = ledger.attempts
    device_seconds = sum(one.device_seconds for one in attempts)
    tokens = ledger.tokens
    steps_kept = outcome.steps
    price = budget.price or rates.price
    drawn = energy.spent(
        ledger.energy_wh, outcome.energy_source, budget.power or rates.power, device_seconds
    )
    stepped = outcome.stepping_seconds * outcome.devices
    achieved = size.flops_per_token * outcome.stepped_tokens / stepped if stepped else None
    peak = outcome.matmul_flop_per_second
    return {
        "device_seconds": round(device_seconds, 2),
        "wall_seconds": round(sum(one.wall_seconds for one in attempts), 2),
        "tokens": tokens,
        "tokens_repeated": tokens - outcome.tokens,
        "epochs": round(outcome.epochs, 3),
        "steps": steps_kept,
        "steps_repeated": sum(one.steps for one in attempts) - steps_kept,
        "attempts": len(attempts),
        "rows_read_twice": outcome.rows_read_twice,
        "plan": [{"after_step": step, "steps": total} for step, total in outcome.fits],
        "flops": size.flops_per_token * tokens,
        "flops_formula": FLOPS_FORMULA,
        "achieved_flop_per_second": achieved,
        "matmul_flop_per_second": peak,
        "share_of_matmul_peak": achieved / (peak * outcome.devices) if achieved else None,
        "peak_memory_bytes": outcome.peak_memory_bytes,
        "peak_memory_of": outcome.peak_memory_of,
        "energy_wh": drawn.wh,
        "energy_source": drawn.source,
        "money": price.of(device_seconds).amount if price else None,
        "currency": price.per_hour.currency if price else None,
        "price": str(price) if price else None,
        "price_source": price.source if price else "not available: no --price was given",
        "device_seconds_per_token": stepped / outcome.stepped_tokens
        if outcome.stepped_tokens
        else None,
        "micro_batch_size": outcome.micro_batch_size,
        "accumulation": outcome.accumulation,
        "out_of_memory": sum(one.out_of_memory for one in attempts),
        "devices": outcome.devices,
        "device": outcome.device,
        "device_kind": "cpu" if outcome.device.startswith("cpu") else "cuda",
    }
