"""The plan of a training and its bill as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Fields = Mapping[str, Any]


def plan(planned: Fields) -> Iterator[tuple[str, str]]:
    """(what, how much and from where), from an `Estimate`'s record."""
    share = planned["trained_parameters"] / planned["parameters"]
    yield "parameters", f"{planned['parameters']:,}"
    yield "trained", f"{planned['trained_parameters']:,} ({share:.2%})"
    yield (
        "rows",
        f"{planned['rows']}, the longest {planned['longest_row_tokens']} tokens; "
        "none is cut or dropped",
    )
    fewer = planned["steps"] < planned["asked_steps"]
    asked = f" of {planned['asked_steps']} asked for: the budget holds no more" if fewer else ""
    yield "optimiser steps", f"{planned['steps']}{asked} ({planned['epochs']:g} epochs)"
    yield "tokens", f"{planned['tokens']:,}"
    yield "FLOPs", f"{planned['flops']:.3g}"
    yield "memory", f"{_bytes(planned['memory_bytes'])} ({planned['memory_basis']})"
    low, high = planned["device_seconds_low"], planned["device_seconds_high"]
    yield (
        "device time",
        f"{_time(planned['device_seconds'])}, {_time(low)} to {_time(high)} "
        f"on {planned['devices']} device{'s' if planned['devices'] > 1 else ''} "
        f"({planned['time_basis']})",
    )
    yield "energy", _known(planned["energy_wh"], "Wh", planned["energy_basis"])
    yield "money", _money(planned)
    if planned["kept_share"]:
        yield "kept", f"{planned['kept_share']:.0%} of the budget, for scoring and generation"


def side_effects(found: Fields | None) -> Iterator[tuple[str, str]]:
    """(which texts, bits per byte before and after), from a training's `side_effects`."""
    for genre, effect in (found or {}).items():
        if isinstance(effect, Mapping):
            yield (
                f"neutral {genre}",
                f"{effect['before']:.4f} bits per byte before, {effect['after']:.4f} after: "
                f"{effect['change']:+.4f} (95 % interval {effect['change_low']:+.4f} to "
                f"{effect['change_high']:+.4f})",
            )


def bill(spent: Fields, planned: Fields | None) -> Iterator[tuple[str, str]]:
    """(what, how much), from the `spent` section of a training, beside what was planned."""
    before = ""
    if planned:
        low, high = planned["device_seconds_low"], planned["device_seconds_high"]
        before = f"; planned {_time(planned['device_seconds'])} ({_time(low)} to {_time(high)})"
    attempts = f", {spent['attempts']} attempts" if spent["attempts"] > 1 else ""
    yield "device time", f"{_time(spent['device_seconds'])} on {spent['device']}{attempts}{before}"
    yield "wall time", _time(spent["wall_seconds"])
    again = spent["tokens_repeated"]
    repeated = f", {again:,} of them twice" if again else ""
    yield (
        "steps, tokens",
        f"{spent['steps']} ({spent['epochs']:g} epochs), {spent['tokens']:,}{repeated}",
    )
    if twice := spent.get("rows_read_twice"):
        yield "read twice", f"{twice} rows of every epoch, so that all devices have as many"
    if fits := spent.get("plan"):
        first, *later = fits
        slower = "".join(
            f"; lowered to {fit['steps']} after step {fit['after_step']}: training became slower"
            for fit in later
        )
        yield "plan", f"fitted to {first['steps']} steps after step {first['after_step']}{slower}"
    share = spent["share_of_matmul_peak"]
    speed = "speed not known: no step in this attempt"
    if share is not None:
        speed = (
            f"{spent['achieved_flop_per_second']:.3g} a second, {share:.0%} of the fastest "
            f"matrix product here"
        )
    yield "FLOPs", f"{spent['flops']:.3g}, {speed}"
    yield "peak memory", f"{_bytes(spent['peak_memory_bytes'])}, {spent['peak_memory_of']}"
    if spent["out_of_memory"]:
        yield (
            "out of memory",
            f"{spent['out_of_memory']} times; ended with {spent['micro_batch_size']} rows at once "
            f"x {spent['accumulation']}",
        )
    yield "energy", _known(spent["energy_wh"], "Wh", spent["energy_source"])
    yield "money", _money(spent)


def _known(amount: float | None, unit: str, source: str) -> str:
    return source if amount is None else f"{amount:.4g} {unit}, {source}"


def _money(fields: Fields) -> str:
    if fields["money"] is None:
        return "not available: no --price was given"
    return (
        f"{fields['money']:.4g} {fields['currency']} at {fields['price']} "
        f"({fields['price_source']})"
    )


def _bytes(amount: float) -> str:
    return f"{amount / 1e9:.3g} GB" if amount >= 1e8 else f"{amount / 1e6:.3g} MB"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
