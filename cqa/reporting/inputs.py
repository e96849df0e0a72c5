"""What a report reads of the runs that it compares: scores, texts, tokens, probes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from cqa import parquet, runs, score
from cqa.conditions import FILLER
from cqa.files import read_rows, sha256_of, sha256_of_rows
from cqa.paths import BENCHMARK_ITEMS, shipped
from cqa.probes import treatments
from cqa.reporting import heat, items
from cqa.reporting.choose import is_tuned
from cqa.reporting.generated import Written
from cqa.reporting.items import Side, Tokens
from cqa.runs import Run
from cqa.score import PRIMARY
from cqa.study.cases import Case
from cqa.texts import as_texts, row_id
from cqa.types import Annotation, Item, Score, Text

_PROBES = "probes-"


def scores_of(run: Run, excluded: Collection[str]) -> list[Score]:
    """The scores of a run but for the items that are left out."""
    return [s for s in score.load_scores(run) if (s.item or s.id) not in excluded]


def written_by(models: Sequence[Case], excluded: Collection[str]) -> list[Written]:
    """The texts of the base and of every tuned model that wrote, with their scores."""
    first = next((one for one in models if one.base_texts and one.base_text_scores), None)
    if first is None:
        return []
    subjects = [
        ("base", "base", first.base_texts, first.base_text_scores, first.base_own_scores)
    ] + [
        (texts.record["label"], one.arm, texts, scores, own)
        for one in models
        for texts, scores, own in zip(
            one.tuned_texts, one.tuned_text_scores, one.tuned_own_scores, strict=True
        )
    ]
    return [
        Written(
            label,
            [one for one in read_rows(texts.file("texts.jsonl"), Text) if one.item not in excluded],
            scores_of(scores, excluded),
            scores_of(own, excluded) if own else (),
            arm,
            tuple(run.id for run in (texts, scores, own) if run),
        )
        for label, arm, texts, scores, own in subjects
    ]


def sides_of(
    models: Sequence[Case], excluded: Collection[str]
) -> tuple[list[Side], list[Mapping[str, Mapping[str, Tokens]]]]:
    """The benchmark as base and tuned models see it; token by token for the first of them."""
    subjects = [("base", (models[0].base_scores,))] + [(m.label, m.tuned_scores) for m in models]
    sides = [
        Side(label, tuple(run.id for run in made), tuple(scores_of(run, excluded) for run in made))
        for label, made in subjects
    ]
    return sides, [items.tokens(_traces(made[0])) for _, made in subjects[: heat.MODELS]]


def probing(base: Run) -> list[str]:
    """The newest scoring of texts made to fool the measure, by the same base model."""
    from cqa.table import latest

    model = base.record["inputs"].get("model")
    cells = {"label": _PROBES} if model is None else {"label": _PROBES, "model_sha256": model}

    def same(run: Run) -> bool:
        probes = run.record["label"].startswith(_PROBES)
        return probes and run.record["inputs"].get("model") == model and not is_tuned(run)

    found = latest("score", same, base.path.parent, **cells)
    return [found.id] if found else []


def probes_of(parents: Sequence[str], root: Path) -> list[dict[str, Any]]:
    """How the primary quantity treats them."""
    return [
        asdict(row)
        for parent in parents
        if (run := runs.read(root / parent)) and run.record["label"].startswith(_PROBES)
        for row in treatments(score.load_scores(run), PRIMARY)
    ]


def _traces(run: Run) -> list[dict[str, Any]]:
    """The tokens of a scoring without the brief, with each part of it and with all."""
    path = run.file("traces.parquet")
    if not path.is_file():
        return []
    columns = ["id", "condition", "parts", "start", "logprob_nats"]
    condition = pc.field("condition")
    kept = ~(pc.starts_with(condition, "mismatch") | (condition == FILLER))
    with parquet.opened(path, f"delete {run.id} and score again") as traces:
        if not set(columns) <= set(traces.schema_arrow.names):  # scored before tokens had places
            return []
        return traces.read(columns).filter(kept).to_pylist()


def texts_of(scored: Run) -> dict[str, Text]:
    """The texts of a scoring, where they are at hand: the shipped items, or what was generated."""
    shipped_items = read_rows(shipped(BENCHMARK_ITEMS), Item)
    if scored.record["inputs"]["data"] == sha256_of_rows(shipped_items):
        found = as_texts(shipped_items)
    else:
        found = [
            text
            for parent in scored.record["parents"]
            if (path := scored.path.parent / parent / "texts.jsonl").is_file()
            if sha256_of(path) == scored.record["inputs"]["data"]
            for text in read_rows(path, Text)
        ]
    return {row_id(text): text for text in found}


def words_of(annotation: Annotation) -> list[str]:
    """Everything of an annotation that a model may have learned by heart."""
    claims = [step.claim for step in annotation.reasoning]
    return [annotation.context, annotation.passage, annotation.decision, *claims]
