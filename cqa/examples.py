"""Annotations -> Examples: what the model reads, and what of it is to be learned."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from cqa import render
from cqa.conditions import Tokenizer
from cqa.config import Form, Material, Pairing
from cqa.errors import DataRefused
from cqa.materials import MATERIALS
from cqa.types import Annotation, Dialogue

ALL_FORMS: tuple[Form, ...] = get_args(Form)


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
    dialogues: Mapping[str, Dialogue] | None = None,
    material: Material = "annotations",
    pairing: Pairing = "true",
    seed: int = 0,
) -> list[Example]:
    """All examples of these annotations in these forms, in the order of the annotations.

    | form | read | learned |
    | --- | --- | --- |
    | generation | brief, context | passage |
    | appreciation | brief, context, passage | reasoning, what was rejected, decision |
    | rewrite | brief, context, passage | the same judgement as running prose |
    | reasoning | brief, context | reasoning, then the passage |
    | dialogue | brief, context, passage | the dialogue that the judgement was taken from |

    With shuffled pairing each passage meets the brief, reasoning and dialogue of a record of
    another work, so that everything is as in the true data but the match. The other materials are
    placebos of as many examples, see materials.py.
    """
    judges = annotations if pairing == "true" else shuffled(annotations, seed)
    made = []
    for record, judge in zip(annotations, judges, strict=True):
        for form in ALL_FORMS:
            if form in forms:
                made.append(_example(form, record, judge, dialogues or {}))
    if material == "annotations":
        return made
    of = {record.id: record for record in annotations}
    return [MATERIALS[material](example, of[example.id], seed) for example in made]


def _example(
    form: Form, record: Annotation, judge: Annotation, dialogues: Mapping[str, Dialogue]
) -> Example:
    preface = render.preface(judge.brief)
    context, passage = render.join(record.context, record.passage)
    if form == "generation":
        return Example(record.id, form, preface, (context,), passage)
    if form == "reasoning":
        learned = f"{judgement(judge)}\n\n{passage.lstrip()}"
        return Example(record.id, form, preface, (context, render.JUDGEMENT_CUE), learned)
    if form == "dialogue":
        learned = transcript(dialogues[judge.dialogue])
        return Example(record.id, form, preface, (context, passage, render.DIALOGUE_CUE), learned)
    learned = judgement(judge) if form == "appreciation" else commentary(judge)
    return Example(record.id, form, preface, (context, passage, render.JUDGEMENT_CUE), learned)


def judgement(annotation: Annotation) -> str:
    """The reasoning and decision as the model learns to write them."""
    steps = [f"{step.kind.capitalize()}: {step.claim.strip()}" for step in annotation.reasoning]
    rejected = [f"Not: {r.choice.strip()} ({r.reason.strip()})" for r in annotation.rejected]
    return "\n".join([*steps, *rejected, f"Decision: {annotation.decision.strip()}"])


def commentary(annotation: Annotation) -> str:
    """The same content as running prose, without labels: what keeps a form from being learned."""
    steps = [_sentence(step.claim) for step in annotation.reasoning]
    rejected = [
        _sentence(f"One could think of {_lowered(r.choice)}, but {_lowered(r.reason)}")
        for r in annotation.rejected
    ]
    return " ".join([*steps, *rejected, _sentence(f"So the choice is this: {annotation.decision}")])


def transcript(dialogue: Dialogue) -> str:
    """The turns, one a line, with who speaks."""
    return "\n".join(f"{turn.turn[0]}: {' '.join(turn.text.split())}" for turn in dialogue.turns)


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", "'", '"')) else f"{text}."


def _lowered(text: str) -> str:
    """The first letter small, unless the first word is a name or an I."""
    text = text.strip().rstrip(".")
    first = text.split(maxsplit=1)[0]
    common = {"A", "An", "The", "It", "He", "She", "They", "This", "That", "No", "In", "To"}
    return text[:1].lower() + text[1:] if first in common else text


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
