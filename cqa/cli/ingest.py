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
            "--audit",
            help="Only estimate which share of the sentences is about craft, intent, audience, "
            "reality or none.",
        ),
    ] = False,
    drop: Annotated[
        bool,
        typer.Option(
            "--drop", help="Leave out refused records; the run keeps them in dropped.jsonl."
        ),
    ] = False,
    speakers: Annotated[
        str | None,
        typer.Option(
            "--speakers",
            help='Who is B and who is C in transcripts and exports: "B=Anna,C=Dr. Wu".',
        ),
    ] = None,
    experiment: options.ExperimentFile = None,
    as_json: options.Json = False,
) -> None:
    """Validate annotations and benchmark items into one hashed data set, split by work."""
    from cqa import ingest as stage
    from cqa import show
    from cqa.sources import speakers_of

    if audit:
        if experiment or drop or speakers or not sources:
            raise UsageRefused(
                "--audit asks for files and goes with no other option but --json",
                next_step="cqa ingest --audit my-data.jsonl",
            )
        _audit(sources, as_json)
        return
    if experiment:
        wiring.refuse_beside_experiment(context)
        run = wiring.study(experiment).ingested
    else:
        names = speakers_of(speakers) if speakers is not None else None
        given = sources or wiring.shipped_sources()
        run = stage.run(given, speakers=names, drop=drop)
    show.ingested(run, as_json)


def _audit(files: list[Path], as_json: bool) -> None:
    from cqa import audit, show

    report = audit.run(files, audit.shipped_basis())
    if as_json:
        show.as_json_object(report)
    else:
        show.print_line(audit.markdown(report))
