"""`cqa report`"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from cqa.cli import options, wiring
from cqa.cli.app import command
from cqa.errors import EXIT_GATE, UsageRefused


@command("cqa report")
def report(
    context: typer.Context,
    base: Annotated[
        str | None, typer.Argument(help="Score run of the base model (default: the newest).")
    ] = None,
    tuned: Annotated[
        str | None, typer.Argument(help="Score run of the tuned model (default: the newest).")
    ] = None,
    margin: Annotated[
        float, typer.Option(help="Smallest change that matters, in bits per token.", min=1e-6)
    ] = 0.01,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Copy the HTML report here (with --list: the table as CSV)."),
    ] = None,
    ratings: Annotated[
        Path | None,
        typer.Option(
            help="CSV of human ratings (id, rater, criterion, value) to correlate with the metric."
        ),
    ] = None,
    gate: Annotated[
        bool,
        typer.Option(
            "--gate",
            help="Exit code from the verdict: 0 improved, 10 no worse, 11 inconclusive, 12 worse.",
        ),
    ] = False,
    listed: Annotated[
        bool,
        typer.Option("--list", help="List the models of all reports, and the best at each price."),
    ] = False,
    where: Annotated[
        list[str] | None,
        typer.Option(help="With --list: only rows such as verdict=improved, model~shuf, change>0."),
    ] = None,
    experiment: options.ExperimentFile = None,
    as_json: options.Json = False,
) -> None:
    """Base against tuned, paired by item: one sentence, the effects, their intervals, the cost.

    Two names compare any two scorings of the same items. With --list nothing is compared: the
    models of all existing reports are listed, one a line.
    """
    from cqa import show

    if listed or where:
        from cqa import table
        from cqa.reporting import listing

        if base or tuned or experiment or ratings or gate:
            raise UsageRefused(
                "--list shows all reports and makes none", next_step="filter them with --where"
            )
        found = listing.where(table.models_of_reports(), where or [])
        show.reports(found, listing.best(found), out, as_json)
        return
    from cqa import report as stage

    if not math.isfinite(margin):
        raise UsageRefused(
            f"--margin {margin}: not a finite number",
            next_step="give it in bits per token, such as --margin 0.01",
        )
    if ratings:
        show.validity(_rated(base, ratings), as_json)
        return
    if experiment:
        wiring.refuse_beside_experiment(context, "out", "gate")
        run = stage.of_study(wiring.study(experiment))
    else:
        run = stage.of_runs(base, tuned, margin=margin)
    show.report(run, out, as_json)
    if gate:
        raise typer.Exit(EXIT_GATE[run.record["headline"]["verdict"]])


def _rated(reference: str | None, ratings: Path):
    """The agreement of a scoring (default: the newest) with ratings of its texts."""
    from cqa import validity
    from cqa.table import latest, run_of

    scored = run_of(reference) if reference else latest("score", lambda run: True)
    if scored is None or scored.record["stage"] != "score" or not scored.done:
        raise UsageRefused(
            "no finished scoring of rated texts", next_step="cqa score outputs.jsonl"
        )
    return validity.run(scored, ratings)
