"""Annotations -> Examples: what the model reads, and what of it is to be learned."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from cqa import render
from cqa.conditions import Tokenizer
from cqa.config import Form, Pairing
from cqa.errors import DataRefused
from cqa.types import Annotation


@dataclass(frozen=True)
class Example:
    """One training text in the parts that are tokenised one by one. Only `learned` has a loss."""

    id: str
    form: Form
    preface: str
    given: tuple[str, ...]
    """Parts that are read and tokenised one by one, as the scorer does."""
    learned: str


@dataclass(frozen=True)
class Tokens:
    """An example as ids: (start, preface, given, learned, end of text); `learned` of them count."""

    ids: tuple[int, ...]
    learned: int


def examples(
    annotations: Sequence[Annotation],
    forms: Sequence[Form],
    *,
    pairing: Pairing = "true",
    seed: int = 0,
) -> list[Example]:
    """All examples of these annotations in these forms, in the order of the annotations.

    generation: brief + context -> passage. appreciation: brief + context + passage -> reasoning
    and decision. With shuffled pairing each passage meets the brief and the reasoning of a record
    of another work, so that everything is as in the true data but the match.
    """
    judges = annotations if pairing == "true" else shuffled(annotations, seed)
    made = []
    for record, judge in zip(annotations, judges, strict=True):
        preface = render.preface(judge.brief)
        context, passage = render.join(record.context, record.passage)
        if "generation" in forms:
            made.append(Example(record.id, "generation", preface, (context,), passage))
        if "appreciation" in forms:
            given = (context, passage, render.JUDGEMENT_CUE)
            made.append(Example(record.id, "appreciation", preface, given, judgement(judge)))
    return made


def judgement(annotation: Annotation) -> str:
    """The reasoning and decision as the model learns to write them."""
    steps = [f"{step.kind.capitalize()}: {step.claim.strip()}" for step in annotation.reasoning]
    rejected = [f"Not: {r.choice.strip()} ({r.reason.strip()})" for r in annotation.rejected]
    return "\n".join([*steps, *rejected, f"Decision: {annotation.decision.strip()}"])


def shuffled(annotations: Sequence[Annotation], seed: int) -> list[Annotation]:
    """The annotations in an order in which none stands where one of its own work stood."""
    order = list(range(len(annotations)))
    rng = random.Random(f"shuffled:{seed}")
    for _ in range(1000):
        rng.shuffle(order)
        pairs = zip(annotations, (annotations[i] for i in order), strict=True)
        if all(one.work != other.work for one, other in pairs):
            return [annotations[i] for i in order]
    raise DataRefused(
        "the annotations cannot be shuffled so that none keeps a brief of its own work",
        next_step="the placebo needs several works, none of them with half of all records",
    )


def tokens(example: Example, tokenizer: Tokenizer, end_id: int) -> Tokens:
    """The example as the scorer would see it: same parts, same start token; then end of text."""
    given = [tokenizer.start_id]
    for part in (example.preface, *example.given):
        given += tokenizer.encode(part)
    learned = [*tokenizer.encode(example.learned), end_id]
    return Tokens((*given, *learned), len(learned))
