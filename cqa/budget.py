"""What may be spent: "2gpu-hours", "90s", "30min", "300ktokens", "3epochs", alone or joined.

A budget is a ceiling, never a target. GPU-time counts every device; without a GPU the machine
counts as one device.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cqa.errors import UsageRefused

_AMOUNT = re.compile(r"^(\d+(?:\.\d+)?)\s*([a-z][a-z-]*)$")

_DEVICE_SECONDS = {"gpu-second": 1.0, "gpu-minute": 60.0, "gpu-hour": 3600.0, "gpu-day": 86400.0}
_SECONDS = {
    **dict.fromkeys(("s", "sec", "second"), 1.0),
    **dict.fromkeys(("m", "min", "minute"), 60.0),
    **dict.fromkeys(("h", "hour"), 3600.0),
}
_TOKENS = {"token": 1.0, "ktoken": 1e3, "mtoken": 1e6}
_EPOCHS = {"epoch": 1.0}

GRAMMAR = "2gpu-hours, 90s, 30min, 1h, 300ktokens, 5epochs, or several joined with commas"


@dataclass(frozen=True)
class Budget:
    """Ceilings; None where nothing was asked for. Joined ceilings hold all at once."""

    device_seconds: float | None = None
    wall_seconds: float | None = None
    tokens: int | None = None
    """Tokens that pass through the model in training, padding not counted."""
    epochs: float | None = None

    def understood(self) -> str:
        """The budget in plain words, echoed back before anything is spent."""
        said = []
        if self.device_seconds is not None:
            said.append(f"{self.device_seconds:g} device-seconds")
        if self.wall_seconds is not None:
            said.append(f"{self.wall_seconds:g} s of wall time")
        if self.tokens is not None:
            said.append(f"{self.tokens:,} tokens")
        if self.epochs is not None:
            said.append(f"{self.epochs:g} epochs")
        return "at most " + " and ".join(said) if said else "no limit"

    def seconds(self, devices: int = 1) -> float | None:
        """The ceiling on elapsed seconds that wall time and device time give together."""
        limits = [self.wall_seconds]
        if self.device_seconds is not None:
            limits.append(self.device_seconds / devices)
        known = [limit for limit in limits if limit is not None]
        return min(known) if known else None


def parse(text: str) -> Budget:
    """Read a budget. UsageRefused names the part that is not understood and the grammar.

    >>> parse("2gpu-hours,3epochs")
    Budget(device_seconds=7200.0, wall_seconds=None, tokens=None, epochs=3.0)
    """
    found: dict[str, float] = {}
    for part in text.lower().replace("_", "-").split(","):
        match = _AMOUNT.match(part.strip())
        unit = match[2] if match else ""
        for kind, units in _KINDS.items():
            known = unit if unit in units else unit.removesuffix("s")
            if match and known in units:
                break
        else:
            raise UsageRefused(
                f"--budget {text!r}: {part.strip()!r} is not understood", next_step=f"say {GRAMMAR}"
            )
        amount = float(match[1]) * units[known]
        if amount <= 0:
            raise UsageRefused(
                f"--budget {text!r}: {part.strip()!r} leaves nothing to spend",
                next_step=f"say {GRAMMAR}",
            )
        if kind in found:
            raise UsageRefused(
                f"--budget {text!r}: two ceilings of the same kind ({kind})",
                next_step="keep the smaller one",
            )
        found[kind] = amount
    if "tokens" in found:
        found["tokens"] = int(found["tokens"])
    return Budget(**found)


_KINDS = {
    "device_seconds": _DEVICE_SECONDS,
    "wall_seconds": _SECONDS,
    "tokens": _TOKENS,
    "epochs": _EPOCHS,
}
