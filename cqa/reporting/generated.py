"""What the models wrote: the judges' view of it, and measures that need no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cqa import analysis, stats, writing
from cqa.reporting.results import row
from cqa.types import Score, Text

OWN = "the judge marks its own text"
_SEED = 20260525


@dataclass(frozen=True)
class Written:
    """The texts of one model, and their scores by the fixed judge and, if asked, by itself."""

    label: str
    texts: Sequence[Text]
    scores: Sequence[Score]
    own_scores: Sequence[Score] = ()


def judged(models: Sequence[Written], source: writing.Source, primary: str) -> list[dict[str, Any]]:
    """One row for each model and way of judging, the base first; `marked` says which way it is.

    A judge that wrote the texts itself is no fixed judge for them: `judge_wrote` says whose.
    """
    own = [one.label for one in models if any(OWN in score.flags for score in one.scores)]
    rows = []
    for way, scores_of in (("fixed judge", _fixed), ("self-judged", _own)):
        before = scores_of(models[0]) if models else ()
        for one in models:
            if not (scores := scores_of(one)):
                continue
            said = way if way == "self-judged" or one.label not in own else f"{way}, which wrote it"
            after = () if one is models[0] else scores
            changes = analysis.changes_of_writing(before, after, [primary]) if after else []
            facts = writing.overall(one.texts, writing.measured(one.texts, source))
            rows.append(
                {"model": one.label, "judge": scores[0].judge, "marked": said, "judge_wrote": own}
                | facts
                | {name: _mean(scores, name) for name in ("gain_bits_per_token", primary)}
                | {"changes": [row(one.label, change) for change in changes]}
            )
    return rows


def style(models: Sequence[Written], source: writing.Source) -> list[dict[str, Any]]:
    """Each measure of the writing before and after, paired by item and resampled by work."""
    if not models:
        return []
    works = {text.item or text.id or "": text.work for text in models[0].texts}
    before = writing.measured(models[0].texts, source)
    rows = []
    for one in models[1:]:
        after = writing.measured(one.texts, source)
        for measure in writing.MEASURES:
            rows.append(
                {"model": one.label, "measure": measure} | _paired(before, after, works, measure)
            )
    return rows


def _paired(
    before: Mapping[str, Mapping[str, float | None]],
    after: Mapping[str, Mapping[str, float | None]],
    works: Mapping[str, str | None],
    measure: str,
) -> dict[str, Any]:
    kept = [
        (works[key] or key, before[key][measure], after[key][measure])
        for key in sorted(before.keys() & after.keys())
        if before[key][measure] is not None and after[key][measure] is not None
    ]
    if not kept:
        why = "one sample an item" if measure == "distinct_k" else "no item has it on both sides"
        return dict.fromkeys(("base", "tuned", "change", "low", "high")) | {
            "items": 0,
            "works": 0,
            "reason": why,
        }
    labels, one, two = zip(*kept, strict=True)
    base, tuned = np.array(one, dtype=float), np.array(two, dtype=float)
    interval = stats.sign_flip_interval(tuned - base, labels, seed=_SEED)
    return {
        "items": interval.items,
        "works": interval.works,
        "base": float(base.mean()),
        "tuned": float(tuned.mean()),
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


def _fixed(one: Written) -> Sequence[Score]:
    return one.scores


def _own(one: Written) -> Sequence[Score]:
    return one.own_scores


def _mean(scores: Sequence[Score], name: str) -> float | None:
    values = [s.quantities[name] for s in scores if s.quantities[name] is not None]
    return sum(values) / len(values) if values else None
