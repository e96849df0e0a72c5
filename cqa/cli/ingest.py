"""`cqa ingest`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cqa.cli import options, wiring
from cqa.cli.app import command
from cqa.errors import UsageRefused


@command("cqa ingest")
def ingest(
    context: typer.Context,
    sources: Annotated[
        list[Path] | None,
        typer.Argument(help="Batch folders or JSON-lines files (default: what ships with cqa)."),
    ] = None,
    audit: Annotated[
        bool,
        typer.Option(
            "--audit", help="Only ask which share of the files' sentences is craft, intent ..."
        ),
    ] = False,
    experiment: options.ExperimentFile = None,
    as_json: options.Json = False,
) -> None:
    """Validate annotations and benchmark items into one hashed data set, split by work."""
    from cqa import ingest as stage
    from cqa import show

    if audit:
        if experiment or not sources:
            raise UsageRefused(
                "--audit asks for files", next_step="cqa ingest --audit my-data.jsonl"
            )
        _audit(sources, as_json)
        return
    if experiment:
        wiring.refuse_beside_experiment(context)
        run = wiring.study(experiment).ingested
    else:
        run = stage.run(sources or wiring.shipped_sources())
    show.run(run, as_json)


def _audit(files: list[Path], as_json: bool) -> None:
    from cqa import audit, show

    report = audit.run(files, audit.shipped_material())
    if as_json:
        show.as_json_object(report)
    else:
        print(audit.markdown(report))  # noqa: T201
