"""What a device costs and draws: "2.5usd/gpu-hour", "300W", each with where it was said."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cqa.errors import UsageRefused

CURRENCIES = {"$": "usd", "€": "eur", "£": "gbp"}
_PRICE = re.compile(r"^(.+?)/(?:gpu-?|device-)(hour|h|minute|min|second|s)$")
_MONEY = re.compile(r"^(?:([$€£])\s*(\d+(?:\.\d+)?)|(\d+(?:\.\d+)?)\s*(usd|eur|gbp))$")
_POWER = re.compile(r"^(\d+(?:\.\d+)?)\s*(k?w)$")
_SECONDS = {"hour": 3600, "h": 3600, "minute": 60, "min": 60, "second": 1, "s": 1}


@dataclass(frozen=True)
class Money:
    """An amount in a currency; nothing is ever converted."""

    amount: float
    currency: str

    def __str__(self) -> str:
        return f"{self.amount:.6f}".rstrip("0").rstrip(".") + f" {self.currency}"


@dataclass(frozen=True)
class Price:
    """What an hour of one device costs."""

    per_hour: Money
    source: str

    def of(self, device_seconds: float) -> Money:
        """What so many device-seconds cost."""
        return Money(self.per_hour.amount * device_seconds / 3600, self.per_hour.currency)

    def __str__(self) -> str:
        return f"{self.per_hour}/gpu-hour"


@dataclass(frozen=True)
class Power:
    """What one device is said to draw; energy from it is an estimate and is called one."""

    watts: float
    source: str

    def wh(self, device_seconds: float) -> float:
        """Watt-hours of so many device-seconds."""
        return self.watts * device_seconds / 3600

    def __str__(self) -> str:
        return f"{self.watts:g}W"


@dataclass(frozen=True)
class Rates:
    """What is known of a device beside its speed. It changes the bill, never the weights."""

    price: Price | None = None
    power: Power | None = None


def money(text: str) -> Money | None:
    """`5usd`, `$5`, `€2.50`; None where it is no money."""
    if match := _MONEY.match(text.strip().lower()):
        sign, after, before, code = match.groups()
        return Money(float(after or before), CURRENCIES[sign] if sign else code)
    return None


def price(text: str, source: str) -> Price:
    """`2.5usd/gpu-hour`, or UsageRefused."""
    match = _PRICE.match(text.strip().lower().replace("_", "-"))
    amount = money(match[1]) if match else None
    if match is None or amount is None or amount.amount <= 0:
        raise UsageRefused(
            f"price {text!r} ({source}) is not understood",
            next_step="say --price 2.5usd/gpu-hour (usd, eur or gbp)",
        )
    per_hour = amount.amount * 3600 / _SECONDS[match[2]]
    return Price(Money(per_hour, amount.currency), source)


def power(text: str, source: str) -> Power:
    """`300W`, or UsageRefused."""
    match = _POWER.match(text.strip().lower())
    watts = float(match[1]) * (1000 if match[2] == "kw" else 1) if match else 0.0
    if watts <= 0:
        raise UsageRefused(
            f"power {text!r} ({source}) is not understood",
            next_step="say --power 300W: what one device draws",
        )
    return Power(watts, source)
