"""`cqa plan`"""

from __future__ import annotations

from pathlib import Path

import typer

from cqa.cli import options, training, wiring
from cqa.cli.app import command


@command("cqa plan --budget 5usd --price 2.5usd/gpu-hour")
def plan(
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
    as_json: options.Json = False,
) -> None:
    """What a training would take: steps, memory, time, energy, money. Nothing is spent.

    For an experiment file also what it can find: the smallest effect, the chance of an
    inconclusive result, and how many more items would avoid it.
    """
    from cqa import ingest, show
    from cqa import train as stage
    from cqa.progress import say

    asked = training.asked(context.params)
    if data is not None and data.endswith(".toml"):
        from cqa.study.foresight import foresee

        wiring.refuse_beside_experiment(context, "data", "price", "power")
        show.foresight(foresee(wiring.study(Path(data)), asked.rates), as_json)
        return
    say(training.said_of(asked.budget, asked.rates, devices))
    say(training.settings_of(asked.config))
    found = stage.plan(
        asked.config,
        training.model(model),
        ingest.load(training.ingested(data)),
        seed=seed,
        budget=asked.budget,
        rates=asked.rates,
        devices=devices,
    )
    show.plan(found, as_json)
