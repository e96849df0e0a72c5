"""A judge: a language model with a pool of mismatched briefs. Texts -> traces -> Scores."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cqa import overlap
from cqa.conditions import FOIL_NONE, NONE, Plan, PoolBrief, plan
from cqa.measures import Evidence, Size, Thresholds, Trace, quantities, surprisal
from cqa.texts import row_id
from cqa.types import Score, Text

if TYPE_CHECKING:
    from cqa.lm import LanguageModel

_NOISE_SHARE, _NOISE_LEAST = 4, 24


@dataclass(frozen=True)
class Marked:
    """One text with everything that was found out about it."""

    text: Text
    plan: Plan
    traces: dict[str, Trace]
    score: Score


@dataclass(frozen=True)
class Judge:
    """Who marks. `identity` is a hash of model and adapter, the same that writers carry."""

    name: str
    identity: str
    lm: LanguageModel
    pool: Sequence[PoolBrief]
    mismatched: int = 3
    thresholds: Thresholds | None = None

    def mark(
        self,
        texts: Sequence[Text],
        *,
        tokens_per_pass: int | None = None,
        by_length: bool = True,
        share: bool | None = None,
    ) -> list[Marked]:
        """Score texts; all their conditions go through the model together."""
        plans = [
            plan(text, row_id(text), self.pool, self.lm.tokenizer, self.lm.window, self.mismatched)
            for text in texts
        ]
        traces = traces_of(
            self.lm, plans, tokens_per_pass=tokens_per_pass, by_length=by_length, share=share
        )
        return [
            Marked(text, p, found, self._score(text, p, found))
            for text, p, found in zip(texts, plans, traces, strict=True)
        ]

    def with_thresholds(self, reference: Sequence[Text]) -> Judge:
        """This judge with the quadrants' borders at the medians of a reference set."""
        plans = [
            plan(text, row_id(text), (), self.lm.tokenizer, self.lm.window, self.mismatched)
            for text in reference
        ]
        plans = [p for p in plans if p.full]
        wanted = [
            replace(p, conditions={n: p.conditions[n] for n in (NONE, p.full)}) for p in plans
        ]
        found = traces_of(self.lm, wanted)
        per_token = [
            (
                float(surprisal(traces[NONE]).mean()),
                float(surprisal(traces[p.full]).mean()),
            )
            for p, traces in zip(plans, found, strict=True)
        ]
        surprise, residual = zip(*per_token, strict=True)
        return replace(self, thresholds=Thresholds.of(surprise, residual))

    def noise_floor(
        self, texts: Iterable[Text], count: int, names: Sequence[str]
    ) -> dict[str, Any]:
        """What batch size and order do to the numbers: a fixed quarter of the texts, twice more.

        Once in the usual passes, once in passes of half the size, in reverse order, with nothing
        shared and with sequences of unlike length padded together. For each of the named quantities
        the largest absolute difference over the texts, in the quantity's unit.
        """
        chosen = heapq.nsmallest(
            max(_NOISE_LEAST, count // _NOISE_SHARE),
            texts,
            key=lambda text: hashlib.sha256(row_id(text).encode()).hexdigest(),
        )
        usual = self.mark(chosen)
        half = self.lm.tokens_per_pass // 2
        other = self.mark(chosen[::-1], tokens_per_pass=half, by_length=False, share=False)[::-1]
        largest: dict[str, float] = {}
        for one, two in zip(usual, other, strict=True):
            for name in names:
                a, b = one.score.quantities[name], two.score.quantities[name]
                if a is not None and b is not None:
                    largest[name] = max(largest.get(name, 0.0), abs(a - b))
        return {"texts": len(chosen), "largest_difference": largest}

    def _score(self, text: Text, p: Plan, traces: dict[str, Trace]) -> Score:
        values, reasons = quantities(evidence(text, p, traces))
        surprise, residual = (values[f"{n}_bits_per_token"] for n in ("surprise", "residual"))
        quadrant = None
        if self.thresholds and surprise is not None and residual is not None:
            quadrant = self.thresholds.quadrant(surprise, residual)
        return Score(
            id=row_id(text),
            judge=self.name,
            group=text.group,
            work=text.work,
            source=text.source,
            item=text.item,
            sample=text.sample,
            quantities=values,
            reasons=reasons,
            tokens=len(p.token_ids),
            characters=len(p.text),
            utf8_bytes=len(p.text.encode("utf-8")),
            pieces=p.pieces,
            quadrant=quadrant,
            flags=tuple(self._flags(text, p)),
        )

    def _flags(self, text: Text, p: Plan) -> Iterable[str]:
        parts = [getattr(text.brief, part) for part in text.brief.parts] if text.brief else []
        if any(overlap.copies(p.text, part) for part in parts):
            yield "copies the brief"
        if text.model is not None and text.model == self.identity:
            yield "the judge marks its own text"
        if p.joint_differs:
            yield "tokenised in one go, the page would have other ids"
        if p.context_cut:
            yield "context cut to fit the window"
        if p.pieces > 1:
            yield "longer than the window, scored in pieces"


def traces_of(
    lm: LanguageModel,
    plans: Sequence[Plan],
    *,
    tokens_per_pass: int | None = None,
    by_length: bool = True,
    share: bool | None = None,
) -> list[dict[str, Trace]]:
    """For each plan, condition -> trace."""
    names = [(i, name) for i, p in enumerate(plans) for name in p.conditions]
    pieces = [piece for i, name in names for piece in plans[i].conditions[name]]
    done = iter(
        lm.traces(pieces, tokens_per_pass=tokens_per_pass, by_length=by_length, share=share)
    )
    traces: list[dict[str, Trace]] = [{} for _ in plans]
    for i, name in names:
        own = [next(done) for _ in plans[i].conditions[name]]
        traces[i][name] = Trace(
            np.concatenate([trace.logprob_nats for trace in own]),
            np.concatenate([trace.entropy_nats for trace in own]),
        )
    return traces


def evidence(text: Text, p: Plan, traces: dict[str, Trace]) -> Evidence:
    """What the measures need to know of one text."""
    brief = " ".join(getattr(text.brief, part) for part in text.brief.parts) if text.brief else ""
    foil_size = None
    if p.foil is not None and FOIL_NONE in traces:
        foil_size = Size.of(p.foil, len(traces[FOIL_NONE].logprob_nats))
    return Evidence(
        traces=traces,
        full=p.full,
        mismatched=p.mismatched,
        reasons=p.reasons,
        size=Size.of(p.text, len(p.token_ids)),
        foil_size=foil_size,
        parts=text.brief.parts if text.brief else (),
        novel=np.array(overlap.novel_tokens(p.text, p.spans, brief), dtype=bool),
    )
