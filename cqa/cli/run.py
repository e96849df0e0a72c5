"""`cqa run`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cqa.cli import options, wiring
from cqa.cli.app import command
from cqa.errors import EXIT_FAILURE


@command("cqa run experiments/reproduce.toml")
def run(
    file: Annotated[Path, typer.Argument(help="An experiment file.")],
    accept: Annotated[
        bool,
        typer.Option("--accept", help="Write RESULTS.md, results.csv and [expected] beside it."),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Run an experiment file, all its stages and arms; what is done is skipped."""
    from cqa import accept as acceptance
    from cqa import report as stage
    from cqa import show
    from cqa.progress import say

    study = wiring.study(file)
    reported = stage.of_study(study)
    if not any(made.fresh for made in study.made):
        say(f"nothing to do: all {len(study.made)} stages of {file} are done")
    show.report(reported, None, as_json)
    if accept:
        for path in acceptance.accept(file, study.experiment, reported):
            say(f"wrote {path}")
        return
    differing = acceptance.compare(study.experiment, reported)
    show.expected(study.experiment, differing, as_json)
    if differing:
        raise typer.Exit(EXIT_FAILURE)
