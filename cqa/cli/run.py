"""`cqa run`"""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Annotated, Literal

import typer

from cqa.cli import options, wiring
from cqa.cli.app import command
from cqa.errors import EXIT_CUT_SHORT, EXIT_FAILURE, UsageRefused


@command("cqa run experiments/reproduce.toml")
def run(
    file: Annotated[Path, typer.Argument(help="An experiment file.")],
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only ARM or ARM/STAGE (* for any), and what they need. May be repeated."
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Start nothing that would not finish in time; repeat to go on. "
            + options.MINUTES_OF_A_JOB,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=256,
            help="Most steps at once (default: 2 on a CPU with enough memory, else 1); with "
            "--on: most jobs at once.",
        ),
    ] = None,
    on: Annotated[
        Literal["slurm", "local", "sky"] | None,
        typer.Option(
            help=f"Run arms and seeds {options.AS_JOBS}; sky prints a SkyPilot task file."
        ),
    ] = None,
    nodes: Annotated[int, typer.Option(min=1, max=1024, help="With --on: nodes per training.")] = 1,
    devices: Annotated[
        int,
        typer.Option(
            min=1, max=1024, help="With --on: GPUs (or CPU processes) per node of a training."
        ),
    ] = 1,
    sbatch: options.Sbatch = None,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept",
            help="Write results/NAME.md and .csv beside the file, and renew its expected numbers.",
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Run all stages and arms of an experiment file; what is done is skipped.

    An arm that fails does not stop the others: the report says what is missing and why.
    """
    from cqa import report as stage
    from cqa import show
    from cqa.progress import say
    from cqa.study import accept as acceptance
    from cqa.study import schedule

    if minutes is not None and not math.isfinite(minutes):
        raise UsageRefused(
            f"--minutes {minutes}: not a finite number",
            next_step="give a time such as --minutes 55, or leave it out",
        )
    study = wiring.study(file)
    steps = schedule.chosen(study.steps, only or [])
    if on == "sky":
        wiring.refuse_unless_on(on, sbatch, nodes=nodes > 1)
        from cqa.cluster import sky

        typer.echo(sky.task(file, study.experiment.name, steps, devices), nl=False)
        return
    if on:
        asked = {"nodes": nodes, "devices": devices, "minutes": minutes, "at_once": workers}
        outcome = wiring.carry_out_on(on, file, study, steps, sbatch or [], asked)
    else:
        wiring.refuse_unless_on(on, sbatch, nodes=nodes > 1, devices=devices > 1)
        again = functools.partial(wiring.study, file)
        outcome = wiring.carry_out(study, steps, again, minutes=minutes, workers=workers)
    if only or outcome.left:
        show.outcome(outcome, as_json)
        if outcome.failed or outcome.left:
            raise typer.Exit(EXIT_FAILURE if outcome.failed else EXIT_CUT_SHORT)
        return
    reported = stage.of_study(study, outcome.missing)
    if not outcome.fresh and not outcome.failed and not reported.fresh:
        say(f"nothing to do: all {len(study.made)} stages of {file} are done")
    show.report(reported, None, as_json)
    if outcome.failed:
        show.failures(outcome, as_json)
        raise typer.Exit(EXIT_FAILURE)
    if accept:
        for path in acceptance.accept(file, study.experiment, reported):
            say(f"wrote {path}")
        return
    differing = acceptance.compare(study.experiment, reported)
    show.expected(study.experiment, differing, as_json)
    if differing:
        raise typer.Exit(EXIT_FAILURE)
