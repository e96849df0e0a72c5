"""The first line of every report."""

from __future__ import annotations

from cqa import stats
from cqa.analysis import Comparison


def of(comparison: Comparison, cost: str) -> str:
    """The first line of every report: verdict, effect with interval, control, cost.

    A control is called unmoved by its 90 % interval, which is then shown; otherwise the 95 % one is
    shown, and the control is called moved where that interval excludes 0.
    """
    found = comparison.verdict
    word = {
        "improved": "Improved",
        "worse": "Worse",
        "no worse": "No worse",
        "inconclusive": "Inconclusive",
    }[found.word]
    if found.word == "improved" and comparison.selective and comparison.selective.holds:
        word += " and selective"
    if found.decay:
        word += " (decay: the texts with their briefs were not shown to become likelier)"
    of = "of texts written for" if comparison.on == "writing" else "on"
    what = f"specific gain {of} literary items"
    parts = [f"{word}: {what} {said(found.interval)} bits per token{_over_seeds(comparison)}"]
    control = comparison.change(comparison.primary, "factual")
    if control is None or comparison.control is None:
        parts.append("no factual control")
    elif comparison.control.holds:
        parts.append(
            f"control unmoved within ±{found.margin:g}, {said(comparison.control.interval)}"
        )
    elif _excludes_0(control.interval):
        parts.append(f"control moved, {said(control.interval)}")
    else:
        parts.append(f"control {said(control.interval)}, not shown to be unmoved")
    return "; ".join([*parts, f"cost {cost}"]) + "."


def _excludes_0(interval: stats.Interval) -> bool:
    low, high = interval.low, interval.high
    return low is not None and high is not None and not low <= 0 <= high


def _over_seeds(comparison: Comparison) -> str:
    main = comparison.change(comparison.primary, "literary")
    if main is None or main.between_seed_sd is None:
        return ""
    whose = "" if main.crossed else "these "
    return (
        f", mean of {whose}{len(main.seed_means)} seeds "
        f"(SD between them {main.between_seed_sd:.4f})"
    )


def said(interval: stats.Interval) -> str:
    """An interval in words: `+0.031 (95 % interval 0.008 to 0.055)`."""
    if interval.estimate is None:
        return f"not estimable ({interval.reason})"
    if interval.low is None or interval.high is None:
        return f"{interval.estimate:+.4f} (no interval: {interval.reason})"
    return (
        f"{interval.estimate:+.4f} "
        f"({interval.level * 100:g} % interval {interval.low:+.4f} to {interval.high:+.4f})"
    )
