"""`cqa train`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cqa import PROCESS_STARTED
from cqa.cli import options, wiring
from cqa.cli.app import command
from cqa.errors import EXIT_CUT_SHORT, UsageRefused


@command("cqa train --budget 2gpu-hours")
def train(
    context: typer.Context,
    data: Annotated[
        str | None, typer.Argument(help="A batch folder or an ingest run (default: shipped).")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="A ceiling: 2gpu-hours, 90s, 30min, 300ktokens, 5epochs; commas join several."
        ),
    ] = None,
    model: options.Model = "embedded",
    full: Annotated[bool, typer.Option("--full", help="All weights instead of a LoRA.")] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Rows per step.")] = None,
    lora_rank: Annotated[int | None, typer.Option(min=1, help="Rank of the adapter.")] = None,
    shuffled: Annotated[
        bool, typer.Option("--shuffled", help="The placebo: passages meet briefs of other works.")
    ] = False,
    forms: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: generation, appreciation, rewrite, reasoning, dialogue."
        ),
    ] = None,
    material: Annotated[
        Literal["annotations", "continuation", "generic"] | None,
        typer.Option(help="What is trained on: the annotations, or a placebo as long as they."),
    ] = None,
    seed: options.Seed = 0,
    experiment: options.ExperimentFile = None,
    arm: Annotated[
        str | None, typer.Option(help="With --experiment: only this arm (default: all).")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Fine-tune on the annotations within a budget; a checkpoint per epoch, the bill at the end."""
    from cqa import ingest, model_ref, show
    from cqa import train as stage
    from cqa.config import TrainConfig
    from cqa.progress import progress, say
    from cqa.training import budget as budgets

    if experiment:
        wiring.refuse_beside_experiment(context, "arm")
        study = wiring.study(experiment)
        show.runs([study.do(step) for step in _trainings(study, arm)], as_json)
        return
    if arm is not None:
        raise UsageRefused("--arm without --experiment", next_step="name the experiment file too")
    limits = budgets.parse(budget) if budget is not None else budgets.Budget()
    say(f"budget: {limits.understood()}{_devices(limits)}")
    asked = {
        "method": "full" if full else None,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "micro_batch_size": 1 if batch_size and batch_size % 4 else None,
        "lora_rank": lora_rank,
        "pairing": "shuffled" if shuffled else None,
        "forms": forms.replace(" ", "").split(",") if forms else None,
        "material": material,
    }
    config = wiring.settings(TrainConfig, asked)
    base, ingested = model_ref.find(model), _ingested(data)
    label = f"{'shuffled' if shuffled else config.material}-s{seed}"
    what = stage.spec(config, base, ingested, seed=seed, budget=budget, label=label)
    with progress(f"train {label}") as tell:
        run = stage.run(
            what,
            config,
            base,
            ingest.load(ingested),
            fit=wiring.fit,
            tell=tell,
            started=PROCESS_STARTED,
        )
    show.run(run, as_json)
    show.hint(f"cqa score --benchmark --adapter {run.id}", as_json)
    if run.record["status"] == "cut short":
        raise typer.Exit(EXIT_CUT_SHORT)


def _ingested(data: str | None):
    """The data set: an ingest run by name, or a folder ingested now."""
    from cqa import ingest, study

    if data is None:
        return ingest.run(wiring.shipped_sources())
    if Path(data).exists() and not (Path(data) / "run.json").exists():
        return ingest.run([Path(data)])
    run = study.run_of(data)
    if run.record["stage"] != "ingest" or not run.done:
        raise UsageRefused(f"{data}: not a finished ingest run", next_step="cqa ingest FOLDER")
    return run


def _trainings(study, name: str | None):
    trainings = [step for step in study.steps if step.kind == "train"]
    chosen = [step for step in trainings if name in (None, step.arm)]
    if not chosen:
        names = ", ".join(arm.name for arm in study.experiment.arms)
        raise UsageRefused(f"--arm {name!r}: no such arm", next_step=f"one of: {names}")
    return chosen


def _devices(limits) -> str:
    if limits.device_seconds is None:
        return ""
    import torch

    if torch.cuda.is_available():
        return " of the first GPU"
    return "; there is no GPU here, so this machine counts as one device"
