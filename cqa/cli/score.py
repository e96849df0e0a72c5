"""`cqa score`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cqa.cli import options, wiring
from cqa.cli.app import command
from cqa.errors import UsageRefused


@command("cqa score outputs.jsonl")
def score(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(help="JSON lines with `text` and, where known, `context` and `brief`."),
    ] = None,
    benchmark: Annotated[
        bool, typer.Option("--benchmark", help="Score the benchmark's own texts and foils.")
    ] = False,
    judge: options.Judges = None,
    adapter: options.Adapter = None,
    probes: Annotated[
        bool,
        typer.Option("--probes", help="Also score texts built to fool the metric."),
    ] = False,
    pool: Annotated[
        Path | None,
        typer.Option(
            help="JSON lines that supply the briefs of other works (default: the benchmark)."
        ),
    ] = None,
    mismatched: Annotated[
        int, typer.Option(min=1, max=15, help="Briefs of other works for each text.")
    ] = 3,
    processes: Annotated[
        int,
        typer.Option(
            min=1, max=256, help="Processes that share the work: one a GPU, or on the CPU."
        ),
    ] = 1,
    shard: Annotated[
        str | None,
        typer.Option(
            help="Score one share only, e.g. 3/100; the same command without --shard joins them."
        ),
    ] = None,
    on: Annotated[
        Literal["slurm", "local"] | None,
        typer.Option(help=f"Run the shares {options.AS_JOBS}; a last job joins them."),
    ] = None,
    shards: Annotated[
        int, typer.Option(min=1, max=100_000, help="With --on: number of shares, one job each.")
    ] = 1,
    minutes: Annotated[
        int | None,
        typer.Option(min=1, help=options.MINUTES_OF_A_JOB),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="With --on: most jobs at once.")
    ] = None,
    sbatch: options.Sbatch = None,
    noise_floor: Annotated[
        bool,
        typer.Option(
            "--noise-floor",
            help="Score a quarter of the texts again in other batches, to measure numerical noise.",
        ),
    ] = False,
    dtype: options.Dtype = "float32",
    out: Annotated[
        Path | None, typer.Option("--out", help="Scores of all judges as .jsonl, .csv or .parquet.")
    ] = None,
    experiment: options.ExperimentFile = None,
    as_json: options.Json = False,
) -> None:
    """Score texts with a fixed judge: surprise, residual, gain, specific gain and all the others.

    Everything is in bits. A quantity that a row cannot have is null, with the reason.
    """
    from cqa import columns, judging, parallel, show
    from cqa.config import ScoreConfig
    from cqa.paths import BENCHMARK_ITEMS, shipped

    if experiment:
        wiring.refuse_beside_experiment(context)
        study = wiring.study(experiment)
        scorings = [step for step in study.steps if step.kind.startswith("score")]
        show.scores([study.do(step) for step in scorings], as_json)
        return
    _refuse_unclear(file, benchmark, probes)
    if out:
        columns.check(out)
    share = parallel.shard(shard) if shard else None
    _refuse_divided_twice(on, share is not None, processes > 1, out)
    jobs = {"shards": shards > 1, "minutes": minutes, "workers": workers}
    wiring.refuse_unless_on(on, sbatch, **({} if on else jobs))
    settings = {"mismatched": mismatched, "dtype": dtype, "noise_floor": noise_floor}
    config = wiring.settings(ScoreConfig, settings)
    given, briefs = judging.given(file, probes=probes), judging.pool(pool)
    judges = wiring.markers(judge or ["embedded"], adapter, given.label)
    asked = judging.Scorings(given, config, briefs, judges, wiring.load)
    if on and not asked.are_done:
        if adapter == "latest":
            (adapter,) = judges[0].parents  # a job may begin when there is a later one
        words = _words(file, benchmark, probes, noise_floor, judge, adapter, pool)
        words = ["--mismatched", str(mismatched), "--dtype", dtype, *words]
        wants = {"minutes": minutes, "at_once": workers}
        source, rows = file or shipped(BENCHMARK_ITEMS), len(given.texts)
        wiring.score_on(on, source, asked.specs, rows, words, shards, sbatch or [], wants)
    scored = asked.carry_out(share, processes)
    if scored is None:
        return
    if out:
        columns.write(scored, out)
    show.scores(scored, as_json, judging.treated(scored) if probes else ())


def _refuse_unclear(file: Path | None, benchmark: bool, probes: bool) -> None:
    if file is None and not (benchmark or probes):
        raise UsageRefused(
            "nothing to score", next_step="cqa score outputs.jsonl, or cqa score --benchmark"
        )
    if file is not None and benchmark:
        raise UsageRefused("a file and --benchmark at once", next_step="leave one of them out")


def _refuse_divided_twice(on: str | None, share: bool, processes: bool, out: Path | None) -> None:
    if share and (out or processes):
        raise UsageRefused(
            "--shard beside --out or --processes: a share is no result",
            next_step="leave them to the command without --shard, which joins the shares",
        )
    if on and (share or processes):
        raise UsageRefused(
            f"--on {on} beside --shard or --processes", next_step="say --shards for the jobs"
        )


def _words(
    file: Path | None,
    benchmark: bool,
    probes: bool,
    noise_floor: bool,
    judge: list[str] | None,
    adapter: str | None,
    pool: Path | None,
) -> list[str]:
    """What asks for the same scores again."""
    flags = {"--benchmark": benchmark, "--probes": probes, "--noise-floor": noise_floor}
    named = {"--adapter": adapter, "--pool": pool}
    return [
        *(flag for flag, typed in flags.items() if typed),
        *(word for name in judge or [] for word in ("--judge", name)),
        *(word for option, value in named.items() if value for word in (option, str(value))),
        *(("--", str(file)) if file else ()),
    ]
