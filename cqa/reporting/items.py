"""The benchmark item by item: what each model makes of it, and of each of its tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cqa.conditions import FOIL_FULL, FOIL_NONE, NONE
from cqa.files import sha256_of_value
from cqa.reporting.sheets import link
from cqa.types import Score, Text

SHOWN = (
    "specific_gain_bits_per_token",
    "gain_bits_per_token",
    "surprise_bits_per_token",
    "residual_bits_per_token",
    "contrast_bits_per_token",
    "phi_intent_bits_per_token",
    "phi_audience_bits_per_token",
    "phi_reality_bits_per_token",
)
"""What an item's own table shows."""


@dataclass(frozen=True)
class Side:
    """The benchmark as one model sees it: for each of its seeds the run and its scores."""

    label: str
    runs: tuple[str, ...]
    scores: tuple[Sequence[Score], ...]

    @cached_property
    def by_id(self) -> dict[str, list[Score]]:
        """Item -> its score under each seed."""
        found: dict[str, list[Score]] = {}
        for scores in self.scores:
            for score in scores:
                found.setdefault(score.id, []).append(score)
        return found

    def mean(self, item: str, quantity: str) -> float | None:
        """The mean over the seeds; None where one of them has none."""
        values = [score.quantities.get(quantity) for score in self.by_id.get(item, ())]
        known = [value for value in values if value is not None]
        return math.fsum(known) / len(known) if known and len(known) == len(values) else None


def rows(base: Side, main: Side, texts: Mapping[str, Text]) -> list[dict[str, Any]]:
    """One row for each item that base and main model have scored, the most moved first.

    `texts` holds the texts that are at hand. Of one that may not be redistributed neither its words
    nor the title of its work are in the row; nor are they where the text is not at hand.
    """
    made = []
    for key, (score, *_) in base.by_id.items():
        if key not in main.by_id:
            continue
        text = texts.get(key)
        cleared = text is not None and text.redistribution
        values = {
            name: (one := base.mean(key, name), two := main.mean(key, name), change(one, two))
            for name in SHOWN
        }
        made.append(
            {
                "id": key,
                "group": score.group or "literary",
                "work": score.work if cleared else None,
                "text": text if cleared else None,
                "withheld": text is not None and not cleared,
                "values": values,
                "quadrants": (score.quadrant, main.by_id[key][0].quadrant),
                "flags": score.flags,
                "reasons": score.reasons,
            }
        )
    made.sort(key=lambda row: (-_or_least(row["values"][SHOWN[0]][2]), row["id"]))
    for number, row in enumerate(made, start=1):
        row["anchor"] = f"item-{number}"
        row["link"] = link(row["anchor"], number)
    return made


def tidy(base: Side, tuned: Sequence[Side], texts: Mapping[str, Text]) -> Iterator[dict[str, Any]]:
    """Every item, model and shown quantity in a row of its own, with the runs it was taken from.

    The title of a work that may not be shown is replaced by a hash: it still says which items
    belong together, which is what the resampling needs.
    """
    for side in tuned:
        for key, (score, *_) in base.by_id.items():
            if key not in side.by_id:
                continue
            text = texts.get(key)
            work = score.work or key
            if text is None or not text.redistribution:
                work = f"work-{sha256_of_value(work)[:8]}"
            for name in SHOWN:
                one, two = base.mean(key, name), side.mean(key, name)
                yield {
                    "model": side.label,
                    "item": key,
                    "group": score.group,
                    "work": work,
                    "quantity": name,
                    "base": one,
                    "tuned": two,
                    "change": change(one, two),
                    "base_runs": " ".join(base.runs),
                    "tuned_runs": " ".join(side.runs),
                }


def plane(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """(surprise, residual) of each item before and after, where all four are known."""
    points = []
    for row in items:
        surprise, residual = (
            row["values"][f"{n}_bits_per_token"] for n in ("surprise", "residual")
        )
        before, after = (surprise[0], residual[0]), (surprise[1], residual[1])
        if None not in (*before, *after):
            points.append({"before": before, "after": after} | {k: row[k] for k in _OF_A_POINT})
    return points


_OF_A_POINT = ("id", "group", "link")


def change(one: float | None, two: float | None) -> float | None:
    """two − one, where both are known."""
    return None if one is None or two is None else two - one


@dataclass(frozen=True)
class Tokens:
    """A text token by token: where each begins, and −log2 p of each, without and with the brief."""

    start: list[int]
    none: list[float]
    full: list[float] | None


def tokens(traces: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Tokens]]:
    """Item -> `text` and `foil`, from the rows of a traces table.

    A table that was written before traces said where tokens begin gives nothing.
    """
    by_id: dict[str, dict[str, Mapping[str, Any]]] = {}
    full: dict[str, tuple[int, str]] = {}
    for row in traces:
        by_id.setdefault(row["id"], {})[row["condition"]] = row
        if row["parts"]:
            longest = (len(row["parts"]), row["condition"])
            full[row["id"]] = max(full.get(row["id"], longest), longest)
    found: dict[str, dict[str, Tokens]] = {}
    for key, conditions in by_id.items():
        names = {"text": (NONE, full.get(key, (0, ""))[1]), "foil": (FOIL_NONE, FOIL_FULL)}
        for side, (without, given) in names.items():
            row = conditions.get(without)
            if row is not None and row.get("start") is not None:
                bits = [_bits(conditions[n]) if n in conditions else None for n in (without, given)]
                found.setdefault(key, {})[side] = Tokens(row["start"], *bits)
    return found


def _bits(row: Mapping[str, Any]) -> list[float]:
    return [-value / math.log(2) for value in row["logprob_nats"]]


def _or_least(value: float | None) -> float:
    return -math.inf if value is None else value
