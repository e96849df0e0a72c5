"""What may be spent: "2gpu-hours", "300ktokens", "1e17flops", "500Wh", "5usd", alone or joined.

A budget is a ceiling, never a target. GPU-time counts every device and every attempt; without a GPU
the machine counts as one device. The same text holds what the ceilings are counted with: the price
and power of a device, and the share that is kept for scoring and generation.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from cqa.errors import UsageRefused
from cqa.training import rates
from cqa.training.rates import Money, Power, Price, Rates

KEPT = 0.1
"""Of time, FLOPs, energy and money: kept for scoring and generation unless told otherwise."""

_AMOUNT = re.compile(r"^(\d+(?:\.\d+)?)\s*([a-z][a-z-]*)$")
_SCIENTIFIC = re.compile(r"^(\d+(?:\.\d+)?e\+?\d+)\s*([a-z][a-z-]*)$")

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
    "flop": ("flops", 1.0),
    "gflop": ("flops", 1e9),
    "tflop": ("flops", 1e12),
    "pflop": ("flops", 1e15),
    "eflop": ("flops", 1e18),
    "wh": ("energy_wh", 1.0),
    "kwh": ("energy_wh", 1e3),
}
"""Unit -> the ceiling it belongs to, and how many of that ceiling's own unit it is."""

_SHORT = {
    **dict.fromkeys(("s", "sec", "secs"), "second"),
    **dict.fromkeys(("m", "min", "mins"), "minute"),
    "h": "hour",
    "wh": "wh",
    "kwh": "kwh",
}

GRAMMAR = (
    "2gpu-hours, 90s, 30min, 1h, 300ktokens, 5epochs, 1e17flops, 2pflops, 500Wh, 5usd, "
    "or several joined with commas"
)


@dataclass(frozen=True)
class Budget:
    """Ceilings; None where nothing was asked for. Joined ceilings hold all at once."""

    device_seconds: float | None = None
    wall_seconds: float | None = None
    tokens: int | None = None
    """Tokens that pass through the model in training, padding not counted."""
    epochs: float | None = None
    flops: float | None = None
    """As `flops_per_token` counts them, an estimate that leaves attention out."""
    energy_wh: float | None = None
    money: Money | None = None
    price: Price | None = None
    power: Power | None = None
    kept: float = KEPT

    @property
    def keeps(self) -> bool:
        """Whether there is a ceiling of which a share can be kept for scoring and generation."""
        shared = (self.device_seconds, self.wall_seconds, self.flops, self.energy_wh, self.money)
        return self.kept > 0 and any(value is not None for value in shared)

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
        if self.flops is not None:
            said.append(f"{self.flops:.4g} FLOPs")
        if self.energy_wh is not None:
            how = f" at {self.power} a device, estimated" if self.power else ", measured"
            said.append(f"{_plain(self.energy_wh)} Wh{how}")
        if self.money is not None and self.price is not None:
            said.append(f"{self.money} at {self.price}")
        if not said:
            return "no limit"
        kept = f", of which {self.kept:.0%} is kept for scoring and generation"
        return "at most " + " and ".join(said) + (kept if self.keeps else "")

    def for_training(self, *, flops_per_token: float) -> Budget:
        """What training may spend: device-seconds, wall time, tokens, epochs, measured energy.

        The kept share is taken off. Money is device-seconds at its price, energy at a stated power
        is device-seconds too, and FLOPs are tokens; energy without a stated power stays energy.
        """
        share = 1 - self.kept
        device = [self.device_seconds]
        if self.money is not None and self.price is not None:
            device.append(self.money.amount / self.price.per_hour.amount * 3600)
        if self.energy_wh is not None and self.power is not None:
            device.append(self.energy_wh / self.power.watts * 3600)
        tokens = [self.tokens]
        if self.flops is not None:
            tokens.append(int(self.flops * share / flops_per_token))
        measured = self.energy_wh if self.power is None else None
        return Budget(
            device_seconds=_times(share, _least(device)),
            wall_seconds=_times(share, self.wall_seconds),
            tokens=_least(tokens),
            epochs=self.epochs,
            energy_wh=_times(share, measured),
            kept=0.0,
        )

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


def parse(text: str, beside: Rates | None = None) -> Budget:
    """Read a budget. UsageRefused names the part that is not understood and the grammar.

    `beside` is a price and a power that were said elsewhere; those in the text come first.

    >>> parse("2gpu-hours,3epochs,keep=0").understood()
    'at most 7200 device-seconds and 3 epochs'
    >>> parse("5usd,price=2.5usd/gpu-hour").for_training(flops_per_token=1).device_seconds
    6480.0
    """
    found: dict = {}
    for part in text.lower().replace("_", "-").split(","):
        kind, amount = _term(part.strip(), text)
        if kind in found:
            raise UsageRefused(
                f"--budget {text!r}: two ceilings of the same kind ({kind})",
                next_step="keep the smaller one",
            )
        found[kind] = amount
    budget = Budget(**found)
    return _counted(text, replace_missing(budget, beside or Rates()))


def written(text: str | None, terms: Rates, keep: float | None) -> str | None:
    """The budget with the terms that decide what it allows, as one text; None for no limit.

    A price without a ceiling of money, or a power without one of energy, stays out: it changes the
    bill and not the training.
    """
    parts = [text] if text is not None else []
    if text is not None:
        budget = parse(text, terms)
        if budget.money is not None and "price=" not in text:
            parts.append(f"price={budget.price}")
        if budget.energy_wh is not None and budget.power is not None and "power=" not in text:
            parts.append(f"power={budget.power}")
        if keep is not None and "keep=" in text:
            raise UsageRefused(
                f"--budget {text!r} and --keep: the kept share is said twice",
                next_step="leave one of them out",
            )
        if keep is not None:
            parts.append(f"keep={keep:g}")
    joined = ",".join(parts)
    if joined:
        parse(joined)
    return joined or None


def replace_missing(budget: Budget, beside: Rates) -> Budget:
    """The budget with a price and a power from elsewhere, where its text has none."""
    return replace(budget, price=budget.price or beside.price, power=budget.power or beside.power)


def _term(part: str, text: str) -> tuple[str, object]:
    """One part of a budget -> the ceiling or term it sets, and its amount."""
    name, equals, value = part.partition("=")
    if equals and name.strip() in ("price", "power", "keep"):
        if name.strip() == "keep":
            return "kept", _share(value.strip(), text)
        read = rates.price if name.strip() == "price" else rates.power
        return name.strip(), read(value, "in the budget")
    if money := rates.money(part):
        _refuse_none(money.amount, part, text)
        return "money", money
    match = _AMOUNT.match(part) or _SCIENTIFIC.match(part)
    unit = match[2] if match else ""
    singular = _SHORT.get(unit) or unit.removesuffix("s")
    plural_of_short = unit.removesuffix("s") in ("wh", "kwh") and unit.endswith("s")
    scientific = match is not None and "e" in match[1]
    if (
        match is None
        or singular not in _UNITS
        or plural_of_short
        or (scientific and _UNITS[singular][0] not in ("flops", "tokens"))
    ):
        raise UsageRefused(
            f"--budget {text!r}: {part!r} is not understood", next_step=f"say {GRAMMAR}"
        )
    kind, size = _UNITS[singular]
    amount = float(match[1]) * size
    if not math.isfinite(amount):
        raise UsageRefused(
            f"--budget {text!r}: {part[:40]!r} is more than can be counted",
            next_step=f"say {GRAMMAR}",
        )
    if kind == "tokens":
        amount = int(amount)
    _refuse_none(amount, part, text)
    return kind, amount


def _refuse_none(amount: float, part: str, text: str) -> None:
    if amount <= 0:
        raise UsageRefused(
            f"--budget {text!r}: {part!r} leaves nothing to spend", next_step=f"say {GRAMMAR}"
        )


def _share(value: str, text: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = math.nan
    if not 0 <= share < 1:
        raise UsageRefused(
            f"--budget {text!r}: keep={value} is no share of the budget",
            next_step="say keep=0.2 for a fifth, keep=0 for nothing",
        )
    return share


def _counted(text: str, budget: Budget) -> Budget:
    """The budget, if its money can be counted in device-hours."""
    if budget.money is None:
        return budget
    if budget.price is None:
        raise UsageRefused(
            f"--budget {text!r}: money without a price cannot be counted",
            next_step="say what a device costs: --price 2.5usd/gpu-hour",
        )
    if budget.price.per_hour.currency != budget.money.currency:
        raise UsageRefused(
            f"--budget {text!r}: {budget.money} at {budget.price} are two currencies",
            next_step=f"give the price in {budget.money.currency}; nothing is converted here",
        )
    return budget


def _least(amounts: list) -> float | None:
    known = [amount for amount in amounts if amount is not None]
    return min(known) if known else None


def _times(share: float, amount: float | None) -> float | None:
    return None if amount is None else share * amount


def _plain(number: float) -> str:
    """All digits, none of them for show: 3024000, 0.5."""
    return f"{number:.6f}".rstrip("0").rstrip(".")
