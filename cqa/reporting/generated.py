"""What the models wrote: the judges' view of it, and measures that need no model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cqa import analysis
from cqa.reporting.results import row, together
from cqa.style import MEASURES, Source, measured, overall
from cqa.types import Score, Text

OWN = "the judge marks its own text"


@dataclass(frozen=True)
class Written:
    """The texts of one model, and their scores by the fixed judge and, if it did, by itself."""

    label: str
    texts: Sequence[Text]
    scores: Sequence[Score]
    own_scores: Sequence[Score] = ()
    arm: str = ""
    """What the seeds of a model have in common."""
    runs: tuple[str, ...] = ()
    """Ids: of the writing, of the fixed judge's scoring, of its own."""


def judged(models: Sequence[Written], source: Source, primary: str) -> list[dict[str, Any]]:
    """One row for each model and way of judging, the base first; `marked` says which way it is.

    A judge that wrote the texts itself is no fixed judge for them: `judge_wrote` says whose.
    """
    own = _judge_wrote(models)
    rows = []
    for way, scores_of in _WAYS.items():
        for one in models:
            if not (scores := scores_of(one)):
                continue
            facts = overall(one.texts, measured(one.texts, source))
            rows.append(
                {"model": one.label, "judge": scores[0].judge, "marked": _said(way, one, own)}
                | {"judge_wrote": own, "runs": list(one.runs)}
                | facts
                | {name: _mean(scores, name) for name in ("gain_bits_per_token", primary)}
            )
    return rows


def changes(models: Sequence[Written], primary: str) -> list[dict[str, Any]]:
    """How the primary quantity of what each arm writes changed, over its seeds, in each way.

    Their p are adjusted together.
    """
    own = _judge_wrote(models)
    rows = []
    for way, scores_of in _WAYS.items():
        for label, seeds in _arms(models):
            sides = [scores_of(models[0]), *(scores_of(one) for one in seeds)]
            if all(sides):
                said = _said(way, seeds[0], own)
                rows += [
                    row(label, change) | {"marked": said}
                    for change in analysis.changes_of_writing(*sides, quantities=[primary])
                ]
    return together(rows)


def style(models: Sequence[Written], source: Source) -> list[dict[str, Any]]:
    """Each measure of the writing before and after, over the seeds of an arm, paired by item."""
    if not models:
        return []
    works = {text.item or text.id or "": text.work for text in models[0].texts}
    before = measured(models[0].texts, source)
    rows = []
    for label, seeds in _arms(models):
        after = [measured(one.texts, source) for one in seeds]
        for measure in MEASURES:
            found = _paired(before, after, works, measure)
            rows.append({"model": label, "measure": measure} | found)
    return rows


def _arms(models: Sequence[Written]) -> list[tuple[str, list[Written]]]:
    """The tuned models, those of one arm together; a single one keeps its own label."""
    arms: dict[str, list[Written]] = {}
    for one in models[1:]:
        arms.setdefault(one.arm or one.label, []).append(one)
    return [(arm if len(of) > 1 else of[0].label, of) for arm, of in arms.items()]


def _paired(
    before: Mapping[str, Mapping[str, float | None]],
    after: Sequence[Mapping[str, Mapping[str, float | None]]],
    works: Mapping[str, str | None],
    measure: str,
) -> dict[str, Any]:
    """Items that have the measure before and after under every seed."""
    both = [key for key in sorted(before) if all(key in seed for seed in after)]
    rows = [(key, [side[key][measure] for side in (before, *after)]) for key in both]
    kept = [(key, values) for key, values in rows if None not in values]
    if not kept:
        why = "one sample an item" if measure == "distinct_k" else "no item has it on both sides"
        return dict.fromkeys(("base", "tuned", "change", "low", "high")) | {
            "items": 0,
            "works": 0,
            "reason": why,
        }
    table = np.array([values for _, values in kept], dtype=float).T
    interval = analysis.deciding_interval(table[1:] - table[0], [works[k] or k for k, _ in kept])
    return {
        "items": interval.items,
        "works": interval.works,
        "base": float(table[0].mean()),
        "tuned": float(table[1:].mean()),
        "change": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "reason": interval.reason,
    }


def side_by_side(models: Sequence[Written]) -> list[dict[str, Any]]:
    """For each item and sample: the brief, and what base and tuned models wrote."""
    rows: dict[tuple[str | None, int | None], dict[str, Any]] = {}
    for one in models:
        for text in one.texts:
            found = rows.setdefault((text.item, text.sample), {"text": text, "written": []})
            found["written"].append((one.label, text.text))
    return list(rows.values())


_WAYS: dict[str, Callable[[Written], Sequence[Score]]] = {
    "fixed judge": lambda one: one.scores,
    "self-judged": lambda one: one.own_scores,
}


def _judge_wrote(models: Sequence[Written]) -> list[str]:
    return [one.label for one in models if any(OWN in score.flags for score in one.scores)]


def _said(way: str, one: Written, own: Sequence[str]) -> str:
    return f"{way}, which wrote it" if way == "fixed judge" and one.label in own else way


def _mean(scores: Sequence[Score], name: str) -> float | None:
    values = [s.quantities[name] for s in scores if s.quantities[name] is not None]
    return sum(values) / len(values) if values else None
