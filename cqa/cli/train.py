"""`cqa train`"""

from __future__ import annotations

from typing import Annotated

import typer

from cqa import PROCESS_STARTED
from cqa.cli import options, training, wiring
from cqa.cli.app import command
from cqa.errors import EXIT_CUT_SHORT, CqaError, UsageRefused


@command("cqa train --budget 2gpu-hours")
def train(
    context: typer.Context,
    data: training.Data = None,
    budget: training.Budget = None,
    price: training.Price = None,
    power: training.Power = None,
    keep: training.Keep = None,
    model: options.Model = "embedded",
    full: training.Full = False,
    qlora: training.Qlora = False,
    epochs: training.Epochs = None,
    learning_rate: training.LearningRate = None,
    batch_size: training.BatchSize = None,
    lora_rank: training.LoraRank = None,
    shuffled: training.Shuffled = False,
    forms: training.Forms = None,
    material: training.Material = None,
    checkpoint: training.Checkpoint = None,
    seed: options.Seed = 0,
    devices: training.Devices = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what the training would take; spend nothing.")
    ] = False,
    experiment: options.ExperimentFile = None,
    arm: Annotated[
        str | None, typer.Option(help="With --experiment: only this arm (default: all).")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Fine-tune on the annotations within a budget, with a checkpoint per epoch and a bill."""
    from cqa import ingest, runs, show
    from cqa import train as stage
    from cqa.progress import progress, say
    from cqa.training import devices as several

    if experiment:
        wiring.refuse_beside_experiment(context, "arm")
        study = wiring.study(experiment)
        show.runs([study.do(step) for step in _trainings(study, arm)], as_json)
        return
    if arm is not None:
        raise UsageRefused("--arm without --experiment", next_step="name the experiment file too")
    asked = training.asked(context.params)
    first = several.rank() == 0
    if first:
        say(training.said_of(asked.budget, asked.rates, devices))
        say(training.settings_of(asked.config))
    base, ingested = training.model(model), training.ingested(data)
    if dry_run:
        show.plan(
            stage.plan(
                asked.config,
                base,
                ingest.load(ingested),
                seed=seed,
                budget=asked.budget,
                rates=asked.rates,
                devices=devices,
            ),
            as_json,
        )
        return
    label = f"{'shuffled' if shuffled else asked.config.material}-s{seed}"
    what = stage.spec(asked.config, base, ingested, seed=seed, budget=asked.budget, label=label)
    alone = devices > 1 and not several.launched() and not runs.find(what)
    if alone and several.launch(devices) and not runs.find(what):
        raise CqaError(
            f"{devices} processes: one of them failed",
            next_step="its own message stands above; the same command goes on",
        )
    dataset = ingest.load(ingested)
    if not first:
        stage.assist(what, asked.config, base, dataset, fit=wiring.fit, started=PROCESS_STARTED)
        return
    with progress(f"train {label}") as tell:
        run = stage.run(
            what,
            asked.config,
            base,
            dataset,
            fit=wiring.fit,
            tell=tell,
            started=PROCESS_STARTED,
            rates=asked.rates,
        )
    show.run(run, as_json)
    show.hint(f"cqa score --benchmark --adapter {run.id}", as_json)
    if run.record["status"] == "cut short" and not several.launched():
        raise typer.Exit(EXIT_CUT_SHORT)


def _trainings(study, name: str | None):
    trainings = [step for step in study.steps if step.kind == "train"]
    chosen = [step for step in trainings if name in (None, step.arm)]
    if not chosen:
        names = ", ".join(arm.name for arm in study.experiment.arms)
        raise UsageRefused(f"--arm {name!r}: no such arm", next_step=f"one of: {names}")
    return chosen
