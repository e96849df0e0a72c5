"""Which epoch is the result: a rule that is stated before, and what it chose.

`last epoch` and `epoch N` look at nothing. `development` takes the epoch with the largest mean
specific gain on the passages of the development side, the quantity that the study is about, and not
the one with the least loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cqa.conditions import Plan, PoolBrief, Tokenizer, plan, pool_of
from cqa.errors import DataRefused
from cqa.ingest import DataSet
from cqa.measures import specific_gain
from cqa.model_ref import Model, subject
from cqa.types import Annotation, Text

_NO_LIMIT = 10**9


@dataclass(frozen=True)
class Development:
    """The passages on which epochs are compared, and the briefs that stand in as mismatched."""

    texts: tuple[Text, ...]
    pool: tuple[PoolBrief, ...]

    def plans(self, tokenizer: Tokenizer, window: int) -> list[Plan]:
        """Those that can be scored."""
        made = [plan(t, t.id or "", self.pool, tokenizer, window) for t in self.texts]
        return [p for p in made if p.full and p.mismatched]


def development(data: DataSet, tokenizer: Tokenizer) -> Development:
    """The development side; DataRefused before the training where it could choose nothing."""
    dev = data.annotations_of("dev")
    found = Development(
        tuple(_text(one) for one in dev), tuple(pool_of([_text(one) for one in data.annotations]))
    )
    if not found.plans(tokenizer, _NO_LIMIT):
        raise DataRefused(
            f"no epoch can be chosen on the development side: of its {len(dev)} annotations none "
            "has a brief with three others of other works and the same parts beside it",
            next_step="--checkpoint 'last epoch', or more annotations",
        )
    return found


def choose(
    rule: str,
    epochs: Mapping[int, Path],
    base: Model,
    dev: Development | None,
    dtype: str,
) -> dict[str, Any]:
    """What the rule chose among the epochs that are there, with what it looked at.

    `epoch` is None where the result is the last step, in the middle of an epoch.
    """
    found: dict[str, Any] = {"rule": rule, "stated": "before the training"}
    if rule == "development" and dev is not None and epochs:
        gains = {one: mean_specific_gain(base, path, dev, dtype) for one, path in epochs.items()}
        best = max(gains, key=lambda epoch: gains[epoch])
        return found | {"epoch": best, "dev_specific_gain_bits_per_token_by_epoch": gains}
    asked = int(rule.split()[1]) if rule.startswith("epoch ") else None
    if asked in epochs:
        return found | {"epoch": asked}
    if rule != "last epoch":
        found["reason"] = "the budget ended before that epoch: the last step is the result"
    return found | {"epoch": None}


def mean_specific_gain(base: Model, folder: Path, dev: Development, dtype: str) -> float:
    """Mean over the development passages, in bits per token."""
    from cqa.judge import traces_of
    from cqa.lm import load

    tuned = subject(base, folder)
    lm = load(tuned.model, adapter=tuned.adapter, dtype=dtype)
    plans = [
        replace(p, conditions={name: p.conditions[name] for name in (p.full, *p.mismatched)})
        for p in dev.plans(lm.tokenizer, lm.window)
    ]
    gains = [
        specific_gain(traces[p.full], [traces[name] for name in p.mismatched]) / len(p.token_ids)
        for p, traces in zip(plans, traces_of(lm, plans), strict=True)
    ]
    return float(np.mean(gains))


def _text(one: Annotation) -> Text:
    return Text(id=one.id, text=one.passage, context=one.context, brief=one.brief, work=one.work)
