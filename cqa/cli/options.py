"""Options that mean the same thing in every command, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Model = Annotated[
    str, typer.Option("--model", help="embedded, a local folder, or a Hub id org/name@revision.")
]
Judges = Annotated[
    list[str] | None,
    typer.Option(
        "--judge", help="The model that scores: embedded, a folder, a Hub id. May be repeated."
    ),
]
Adapter = Annotated[
    str | None,
    typer.Option("--adapter", help="A PEFT adapter folder, a train run, or `latest` (the newest)."),
]
AS_JOBS = "as jobs, on Slurm or on this machine (needs the cluster extra)"
MINUTES_OF_A_JOB = (
    "With --on: time limit of one job (default 240); a job that reaches it saves its work and is "
    "requeued."
)
Sbatch = Annotated[
    list[str] | None,
    typer.Option(
        "--sbatch",
        help="With --on slurm: an option for sbatch, e.g. partition=gpu. May be repeated.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of the run.")]
ExperimentFile = Annotated[
    Path | None, typer.Option("--experiment", help="Take all settings from this experiment file.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Dtype = Annotated[
    Literal["float32", "bfloat16", "float64", "nf4"],
    typer.Option(
        "--dtype", help="Number format of the weights; nf4: 4 bits, computed in bfloat16."
    ),
]
