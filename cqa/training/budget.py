"""What may be spent: "2gpu-hours", "90s", "30min", "300ktokens", "3epochs", alone or joined.

A budget is a ceiling, never a target. GPU-time counts every device; without a GPU the machine
counts as one device.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from cqa.errors import UsageRefused

_AMOUNT = re.compile(r"^(\d+(?:\.\d+)?)\s*([a-z][a-z-]*)$")

_UNITS = {
    "gpu-second": ("device_seconds", 1.0),
    "gpu-minute": ("device_seconds", 60.0),
    "gpu-hour": ("device_seconds", 3600.0),
    "gpu-day": ("device_seconds", 86400.0),
    "second": ("wall_seconds", 1.0),
    "minute": ("wall_seconds", 60.0),
    "hour": ("wall_seconds", 3600.0),
    "token": ("tokens", 1.0),
    "ktoken": ("tokens", 1e3),
    "mtoken": ("tokens", 1e6),
    "epoch": ("epochs", 1.0),
}
"""Unit -> the ceiling it belongs to, and how many of that ceiling's own unit it is."""

_SHORT = {
    **dict.fromkeys(("s", "sec", "secs"), "second"),
    **dict.fromkeys(("m", "min", "mins"), "minute"),
    "h": "hour",
}

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
            said.append(f"{_plain(self.device_seconds)} device-seconds")
        if self.wall_seconds is not None:
            said.append(f"{_plain(self.wall_seconds)} s of wall time")
        if self.tokens is not None:
            said.append(f"{self.tokens:,} tokens")
        if self.epochs is not None:
            said.append(f"{_plain(self.epochs)} epochs")
        return "at most " + " and ".join(said) if said else "no limit"

    def seconds_left(self, *, wall: float, device: float, devices: int = 1) -> float:
        """Seconds until the first ceiling on time is reached; infinite where there is none.

        wall: seconds of wall time spent; device: device-seconds spent, over all `devices`.
        """
        left = [float("inf")]
        if self.wall_seconds is not None:
            left.append(self.wall_seconds - wall)
        if self.device_seconds is not None:
            left.append((self.device_seconds - device) / devices)
        return min(left)


def parse(text: str) -> Budget:
    """Read a budget. UsageRefused names the part that is not understood and the grammar.

    >>> parse("2gpu-hours,3epochs")
    Budget(device_seconds=7200.0, wall_seconds=None, tokens=None, epochs=3.0)
    """
    found: dict[str, float] = {}
    for part in text.lower().replace("_", "-").split(","):
        match = _AMOUNT.match(part.strip())
        unit = match[2] if match else ""
        singular = _SHORT.get(unit) or unit.removesuffix("s")
        if match is None or singular not in _UNITS:
            raise UsageRefused(
                f"--budget {text!r}: {part.strip()!r} is not understood", next_step=f"say {GRAMMAR}"
            )
        kind, size = _UNITS[singular]
        amount = float(match[1]) * size
        if kind == "tokens":
            amount = int(amount) if math.isfinite(amount) else amount
        if not math.isfinite(amount):
            raise UsageRefused(
                f"--budget {text!r}: {part.strip()[:40]!r} is more than can be counted",
                next_step=f"say {GRAMMAR}",
            )
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
    return Budget(**found)


def _plain(number: float) -> str:
    """All digits, none of them for show: 3024000, 0.5."""
    return f"{number:.6f}".rstrip("0").rstrip(".")
