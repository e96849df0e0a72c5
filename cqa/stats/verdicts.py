"""From intervals to words. The rules are fixed before the run; nothing here looks at a p value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from cqa.stats.interval import Interval

Word = Literal["improved", "worse", "no worse", "inconclusive"]


@dataclass(frozen=True)
class Verdict:
    """One word for the primary quantity, with what it rests on.

    `decay`: it is not shown that the texts with their briefs became likelier, so a change may only
    be that of a model grown worse without them, and the word is at best inconclusive. `reason` says
    why an inconclusive verdict is one.
    """

    word: Word
    interval: Interval
    noise_floor: float | None
    margin: float
    decay: bool
    reason: str | None = None


@dataclass(frozen=True)
class Claim:
    """An addition to the sentence, made only where its interval allows it."""

    holds: bool
    interval: Interval
    margin: float | None = None


def verdict(
    interval_95: Interval,
    noise_floor: float | None,
    margin: float,
    first_bracket_interval: Interval | None,
) -> Verdict:
    """The first that applies, f being the noise floor and m the margin.

        improved       lower end > f
        worse          upper end < −f
        no worse       lower end > −m
        inconclusive   otherwise, and instead of improved or no worse where the first bracket's
                       interval is not above 0 (decay)

    Parameters
    ----------
    interval_95 : 95 % interval of the change; without ends the verdict is inconclusive.
    noise_floor, margin : in the unit of the interval, not negative. Without a noise floor (None:
        not measured) the interval is compared with 0, and the reason says so.
    first_bracket_interval : 95 % interval of the change of log-probability with the true brief,
        e.g. Δlog2 p(x|y,c); None only for a quantity that has no brackets. Without ends it cannot
        show that there is no decay: inconclusive, but not labelled decay.

    Raises
    ------
    ValueError
        Another level than .95, or a noise floor or margin that is negative or not finite.
    """
    _check_level(interval_95, 0.95)
    for name, value in (("noise floor", noise_floor), ("margin", margin)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise ValueError(f"a {name} is finite and not negative, got {value}")
    word = _word(interval_95, noise_floor or 0.0, margin)
    reason = _why_inconclusive(interval_95, noise_floor, margin) if word == "inconclusive" else None
    decay = False
    if first_bracket_interval is not None:
        _check_level(first_bracket_interval, 0.95)
        decay = first_bracket_interval.low is not None and not first_bracket_interval.above(0)
        if not first_bracket_interval.above(0) and word in ("improved", "no worse"):
            reason = _why_capped(word, first_bracket_interval)
            word = "inconclusive"
    return Verdict(word, interval_95, noise_floor, margin, decay, reason)


def _word(interval: Interval, noise_floor: float, margin: float) -> Word:
    if interval.above(noise_floor):
        return "improved"
    if interval.below(-noise_floor):
        return "worse"
    if interval.above(-margin):
        return "no worse"
    return "inconclusive"


def _why_inconclusive(interval: Interval, noise_floor: float | None, margin: float) -> str:
    if interval.reason is not None:
        return f"no interval: {interval.reason}"
    floor = "0 (noise floor not measured)"
    if noise_floor is not None:
        floor = f"the noise floor ±{noise_floor:.4g}"
    return (
        f"the interval {interval.low:+.4g} to {interval.high:+.4g} is neither beyond {floor} nor "
        f"above the margin {-margin:.4g}"
    )


def _why_capped(word: Word, bracket: Interval) -> str:
    if bracket.reason is not None:
        return f"{word} but for the first bracket, which has no interval: {bracket.reason}"
    return (
        f"decay: {word} but for the first bracket, {bracket.low:+.4g} to {bracket.high:+.4g}, "
        "which is not above 0: the text with its brief was not shown to become likelier"
    )


def selective(difference_95: Interval) -> Claim:
    """Literary changed more than factual: the 95 % interval of the difference is above 0."""
    _check_level(difference_95, 0.95)
    return Claim(difference_95.above(0), difference_95)


def control_unmoved(control_90: Interval, margin: float) -> Claim:
    """The control's 90 % interval lies within ±margin (two one-sided tests at .05)."""
    _check_level(control_90, 0.90)
    if not margin > 0:
        raise ValueError(f"an equivalence margin is positive, got {margin}")
    return Claim(control_90.above(-margin) and control_90.below(margin), control_90, margin)


def _check_level(interval: Interval, level: float) -> None:
    if not math.isclose(interval.level, level):
        raise ValueError(f"this rule reads a {level:.0%} interval, got one of {interval.level:.0%}")
