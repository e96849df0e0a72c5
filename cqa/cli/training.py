"""The options that `cqa train` and `cqa plan` have in common, and what they ask for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cqa.cli import wiring
from cqa.errors import UsageRefused

if TYPE_CHECKING:
    from cqa.config import TrainConfig
    from cqa.model_ref import Model
    from cqa.runs import Run
    from cqa.training.rates import Rates

Data = Annotated[
    str | None, typer.Argument(help="A batch folder or an ingest run (default: shipped).")
]
Budget = Annotated[
    str | None,
    typer.Option(
        help="A ceiling: 2gpu-hours, 90s, 300ktokens, 5epochs, 1e17flops, 500Wh, 5usd; commas "
        "join several."
    ),
]
Price = Annotated[
    str | None,
    typer.Option(help="Price of a device: 2.5usd/gpu-hour.", envvar="CQA_PRICE"),
]
Power = Annotated[
    str | None,
    typer.Option(help="Power of a device where it cannot be measured: 300W.", envvar="CQA_POWER"),
]
Keep = Annotated[
    float | None,
    typer.Option(help="Share of the budget kept for scoring and generation (default 0.1)."),
]
Full = Annotated[bool, typer.Option("--full", help="Train all weights instead of a LoRA.")]
Qlora = Annotated[
    bool,
    typer.Option(
        "--qlora", help="A LoRA on a base in 4 bits; needs the qlora extra and a CUDA GPU."
    ),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(
        help="Which epoch is the result: 'last epoch' (default), 'epoch 3', or 'development': the "
        "one with the largest specific gain on the works held back."
    ),
]
Epochs = Annotated[int | None, typer.Option(min=1, help="Passes over the data.")]
LearningRate = Annotated[float | None, typer.Option(help="Peak learning rate.")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Training rows per optimiser step.")]
LoraRank = Annotated[int | None, typer.Option(min=1, help="Rank of the adapter.")]
Shuffled = Annotated[
    bool,
    typer.Option(
        "--shuffled", help="The placebo: each passage is paired with the brief of another work."
    ),
]
Forms = Annotated[
    str | None,
    typer.Option(
        help="Training forms, comma-separated: generation, appreciation, rewrite, reasoning, "
        "dialogue."
    ),
]
Material = Annotated[
    str | None,
    typer.Option(
        help="What is trained on: annotations (default), or a placebo of the same length: "
        "continuation, generic."
    ),
]
Devices = Annotated[
    int, typer.Option(min=1, max=1024, help="GPUs (or CPU processes) that train together.")
]


@dataclass(frozen=True)
class Asked:
    """A training as it was asked for on the command line."""

    config: TrainConfig
    budget: str | None
    """With the terms that decide what it allows."""
    rates: Rates


def asked(options: dict) -> Asked:
    """The settings behind the options of `cqa train`, as `context.params` has them."""
    from cqa import quantisation
    from cqa.config import TrainConfig
    from cqa.training import budget as budgets

    batch_size, forms = options["batch_size"], options["forms"]
    if options["qlora"]:
        quantisation.four_bits()  # refuses where it cannot be
    given = {
        "method": "full" if options["full"] else None,
        "epochs": options["epochs"],
        "learning_rate": options["learning_rate"],
        "batch_size": batch_size,
        "micro_batch_size": 1 if batch_size and batch_size % 4 else None,
        "lora_rank": options["lora_rank"],
        "pairing": "shuffled" if options["shuffled"] else None,
        "forms": forms.replace(" ", "").split(",") if forms else None,
        "material": options["material"],
        "dtype": "nf4" if options["qlora"] else None,
        "checkpoint": options["checkpoint"],
    }
    known = _rates(options)
    if options["keep"] is not None and options["budget"] is None:
        raise UsageRefused("--keep without --budget", next_step="say what it is a share of")
    budget = budgets.written(options["budget"], known, options["keep"])
    return Asked(wiring.settings(TrainConfig, given), budget, known)


def model(name: str) -> Model:
    """The base model."""
    from cqa import model_ref

    return model_ref.find(name)


def ingested(data: str | None) -> Run:
    """The data set: an ingest run by name, or a folder ingested now."""
    from cqa import ingest, table

    if data is None:
        return ingest.run(wiring.shipped_sources())
    if Path(data).exists() and not (Path(data) / "run.json").exists():
        return ingest.run([Path(data)])
    run = table.run_of(data)
    if run.record["stage"] != "ingest" or not run.done:
        raise UsageRefused(f"{data}: not a finished ingest run", next_step="cqa ingest FOLDER")
    return run


def said_of(budget: str | None, rates: Rates, devices: int) -> str:
    """The budget as it was understood, and what a device is here."""
    from cqa.training import budget as budgets

    limits = budgets.parse(budget, rates) if budget is not None else budgets.Budget()
    said = f"budget: {limits.understood()}"
    if limits.device_seconds is None and limits.money is None and limits.energy_wh is None:
        return said
    import torch

    if torch.cuda.is_available():
        return f"{said}; {devices} GPUs" if devices > 1 else f"{said} of the first GPU"
    if devices > 1:
        return f"{said}; there is no GPU here, so each of {devices} processes counts as a device"
    return f"{said}; there is no GPU here, so this machine counts as one device"


def settings_of(config: TrainConfig) -> str:
    """Every setting with its value, first those of the flags."""
    said: dict[str, list[str]] = {"flag": [], "default": []}
    for name, origin in config.origins("flag").items():
        value = getattr(config, name)
        plain = "+".join(value) if isinstance(value, tuple) else value
        said[origin].append(f"{name} {plain}")
    return "; ".join(f"{origin}s: {', '.join(all_)}" for origin, all_ in said.items() if all_)


def _rates(options: dict) -> Rates:
    from cqa.training import rates

    price, power = options["price"], options["power"]
    return rates.Rates(
        rates.price(price, "--price or CQA_PRICE") if price else None,
        rates.power(power, "--power or CQA_POWER") if power else None,
    )
