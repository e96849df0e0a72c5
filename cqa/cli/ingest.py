"""`cqa ingest`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cqa.cli import options, wiring
from cqa.cli.app import command


@command("cqa ingest")
def ingest(
    context: typer.Context,
    sources: Annotated[
        list[Path] | None,
        typer.Argument(help="Batch folders or JSON-lines files (default: what ships with cqa)."),
    ] = None,
    experiment: options.ExperimentFile = None,
    as_json: options.Json = False,
) -> None:
    """Validate annotations and benchmark items into one hashed data set, split by work."""
    from cqa import ingest as stage
    from cqa import show

    if experiment:
        wiring.refuse_beside_experiment(context)
        run = wiring.study(experiment).ingested
    else:
        run = stage.run(sources or wiring.shipped_sources())
    show.run(run, as_json)
