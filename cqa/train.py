"""`cqa train`: a data set and a budget -> an adapter (or a whole model) with its bill."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from cqa import runs, selection
from cqa.config import TrainConfig
from cqa.errors import DataRefused
from cqa.examples import Example, Tokens, examples, tokens
from cqa.files import sha256_of, write_text
from cqa.ingest import DataSet
from cqa.model_ref import Model
from cqa.progress import Tell
from cqa.training import budget as budgets
from cqa.training.pace import Pace
from cqa.types import Annotation

if TYPE_CHECKING:
    from cqa.training.sft import Job, Outcome


def spec(
    config: TrainConfig, model: Model, data: runs.Run, *, seed: int, budget: str | None, label: str
) -> runs.Spec:
    """What decides the result of this training."""
    return runs.Spec(
        stage="train",
        label=label,
        config={"model": model.name} | config.model_dump(mode="json"),
        inputs={"model": model.sha256, "data": data.record["inputs"]["data"]},
        parents=[data.id],
        code=runs.code_hash(
            "render.py",
            "examples.py",
            "selection.py",
            "problems.py",
            "training/budget.py",
            "training/pace.py",
            "lm.py",
            "training/sft.py",
            "training/head.py",
            "training/order.py",
            "training/zero_step.py",
            "train.py",
            libraries=("torch", "transformers", "trl", "peft", "accelerate"),
        ),
        seed=seed,
        budget=budget,
    )


def run(
    what: runs.Spec,
    config: TrainConfig,
    model: Model,
    data: DataSet,
    *,
    fit: Callable[[Job], Outcome],
    tell: Tell,
    root: Path | None = None,
    started: float | None = None,
) -> runs.Run:
    """Train, or say that it was done. A budget that cut the work short leaves a usable result.

    A budget of wall time counts from `started`, a reading of time.monotonic() (default: now).
    """
    if done := runs.find(what, root):
        return done
    started = time.monotonic() if started is None else started
    from cqa.lm import load_tokenizer
    from cqa.training.sft import Job

    limits = budgets.parse(what.budget) if what.budget is not None else budgets.Budget()
    with runs.execute(what, root) as trained:
        tokenizer = load_tokenizer(model)
        rows = {
            side: examples(
                _selected(data.annotations_of(side), config if side != "dev" else None),
                config.forms,
                dialogues={dialogue.id: dialogue for dialogue in data.dialogues},
                # The development side stays true: it shows what the placebo taught.
                material="annotations" if side == "dev" else config.material,
                pairing="true" if side == "dev" else config.pairing,
                seed=what.seed or 0,
            )
            for side in (["train", "dev"] if config.split == "train" else ["all"])
        }
        made = {
            side: [tokens(example, tokenizer, tokenizer.raw.eos_token_id) for example in kept]
            for side, kept in rows.items()
        }
        learn, dev = made.get("train", made.get("all", [])), made.get("dev", [])
        if not learn:
            raise DataRefused(
                "the data set holds no annotations to train on",
                next_step="cqa ingest a folder with dialogues.jsonl and annotations.jsonl",
            )
        first = rows["train" if "train" in rows else "all"]
        write_text(
            trained.file("example.txt"), "\n".join(shown(e) for e in first[: len(config.forms)])
        )
        outcome = fit(
            Job(
                model=model,
                tokenizer=tokenizer,
                train=learn,
                dev=dev,
                config=config,
                seed=what.seed or 0,
                pace=_pace(config, learn, limits, trained, started),
                folder=trained.path,
                tell=tell,
            )
        )
        _write_result(trained, config, model, data, outcome, limits)
    return trained


def _selected(annotations: list[Annotation], config: TrainConfig | None) -> list[Annotation]:
    """What a configuration takes of the annotations; the development side has them whole."""
    if config and config.rows is not None:
        annotations = selection.first(annotations, config.rows)
    return selection.of_kinds(annotations, config.kinds) if config and config.kinds else annotations


def shown(example: Example) -> str:
    """An example as the model reads it, the part to be learned between ⟦ and ⟧."""
    return (
        f"--- {example.id}, {example.form}\n"
        f"{example.preface}{''.join(example.given)}⟦{example.learned}<end of text>⟧\n"
    )


def _pace(
    config: TrainConfig,
    learn: list[Tokens],
    limits: budgets.Budget,
    trained: runs.Run,
    started: float,
) -> Pace:
    steps_per_epoch = -(-len(learn) // config.batch_size)
    earlier = sum(attempt.get("seconds") or 0.0 for attempt in trained.record["attempts"][:-1])
    longest = sorted((len(row.ids) for row in learn), reverse=True)
    return Pace(
        budget=limits,
        total_steps=config.epochs * steps_per_epoch,
        steps_per_epoch=steps_per_epoch,
        largest_step_tokens=sum(longest[: config.batch_size]),
        wall_before=earlier + time.monotonic() - started,
        device_before=earlier,
    )


def _write_result(
    trained: runs.Run,
    config: TrainConfig,
    model: Model,
    data: DataSet,
    outcome: Outcome,
    limits: budgets.Budget,
) -> None:
    kind = "model" if config.method == "full" else "adapter"
    result = trained.file(kind)
    shutil.rmtree(result, ignore_errors=True)
    trained.file("result").rename(result)
    spent = {
        "device_seconds": round(outcome.seconds * outcome.devices, 2),
        "wall_seconds": round(outcome.seconds, 2),
        "tokens": outcome.tokens,
        "epochs": round(outcome.epochs, 3),
        "devices": outcome.devices,
        "device": outcome.device,
    }
    facts = asdict(outcome)
    headline = {
        name: facts[name]
        for name in ("steps", "asked_steps", "first_loss", "last_loss", "dev_loss_by_epoch")
    } | {
        "trained_parameters": outcome.trained_parameters,
        "rows": config.rows or len(data.annotations_of(config.split)),
    }
    if outcome.cut_short:
        trained.tell(
            status="cut short",
            reason=f"the budget ({limits.understood()}) ended it after {outcome.steps} steps, "
            f"{outcome.epochs:.2f} of {config.epochs} epochs",
        )
    trained.tell(spent=spent, headline=headline)
    write_text(result / "README.md", _card(trained, config, model, data, spent))
    weights = next(result.glob("*.safetensors"))
    trained.tell(outputs={f"{kind}/{weights.name}": sha256_of(weights)})


def _card(trained: runs.Run, config: TrainConfig, model: Model, data: DataSet, spent: dict) -> str:
    """The model card of an adapter or model, with its data, recipe and bill."""
    licences = sorted({a.rights.licence for a in data.annotations})
    sources = sorted({a.rights.source for a in data.annotations})
    library = "transformers" if config.method == "full" else "peft"
    settings = "\n".join(f"| {name} | {value} |" for name, value in config.model_dump().items())
    bill = "\n".join(f"| {name} | {value} |" for name, value in spent.items())
    return f"""---
base_model: {model.name}
library_name: {library}
tags: [trl, sft, creative-writing, cqa]
---
# {trained.id}

{model.name} fine-tuned on {trained.record["headline"]["rows"]} annotations
(data set {data.run_id}; licence of the annotations: {", ".join(licences)}).
Source of the annotations: {"; ".join(sources)}.

Whether this made the model better at writing is not said here: score it and read the report
(`cqa score --benchmark --adapter {trained.path.name}`, `cqa report`).

| setting | value |
| --- | --- |
{settings}
| seed | {trained.record["seed"]} |

| spent | |
| --- | --- |
{bill}
"""
