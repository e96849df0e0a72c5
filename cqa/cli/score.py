"""`cqa score`"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Literal

import typer

from cqa.cli import options, wiring
from cqa.cli.app import command
from cqa.errors import DataRefused, UsageRefused


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
        typer.Option(
            help="Run the shares as jobs, on Slurm or on this machine (needs the cluster "
            "extra); a last job joins them."
        ),
    ] = None,
    shards: Annotated[
        int, typer.Option(min=1, max=100_000, help="With --on: number of shares, one job each.")
    ] = 1,
    minutes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --on: time limit of one job (default 240); a job that reaches it is "
            "requeued and resumes.",
        ),
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
    from cqa import columns, parallel, runs, show
    from cqa import score as stage
    from cqa.conditions import pool_of
    from cqa.config import ScoreConfig
    from cqa.files import read_rows, sha256_of_rows
    from cqa.paths import BENCHMARK_ITEMS, shipped
    from cqa.probes import probed, treatments
    from cqa.progress import progress, say
    from cqa.texts import TextFile, as_texts
    from cqa.types import Item, Text

    if experiment:
        wiring.refuse_beside_experiment(context)
        study = wiring.study(experiment)
        scorings = [step for step in study.steps if step.kind.startswith("score")]
        show.scores([study.do(step) for step in scorings], as_json)
        return
    if file is None and not (benchmark or probes):
        raise UsageRefused(
            "nothing to score", next_step="cqa score outputs.jsonl, or cqa score --benchmark"
        )
    if file is not None and benchmark:
        raise UsageRefused("a file and --benchmark at once", next_step="leave one of them out")
    if out:
        columns.check(out)
    piece = parallel.shard(shard) if shard else None
    if piece and (out or processes > 1):
        raise UsageRefused(
            "--shard beside --out or --processes: a share is no result",
            next_step="leave them to the command without --shard, which joins the shares",
        )
    if on and (piece or processes > 1):
        raise UsageRefused(
            f"--on {on} beside --shard or --processes", next_step="say --shards for the jobs"
        )
    jobs = {"shards": shards > 1, "minutes": minutes, "workers": workers}
    wiring.refuse_unless_on(on, sbatch, **({} if on else jobs))
    given = {"mismatched": mismatched, "dtype": dtype, "noise_floor": noise_floor}
    config = wiring.settings(ScoreConfig, given)
    items = read_rows(shipped(BENCHMARK_ITEMS), Item)
    if file is None:
        texts, data, label = as_texts(items), sha256_of_rows(items), "base"
    else:
        _refuse_absent(file)
        texts = TextFile(file)
        data, label = texts.sha256, file.stem
    if probes:
        texts = probed(list(texts))
        if not texts:
            raise DataRefused("no row has a brief to probe", next_step="cqa score --probes")
        data, label = sha256_of_rows(texts), f"probes-{label}"
    briefs = pool_of(read_rows(pool, Text) if pool else as_texts(items))
    markers = wiring.markers(judge or ["embedded"], adapter, label)
    asked = [
        stage.spec(
            config,
            marker.subject.model,
            marker.subject.adapter_sha256,
            data=data,
            pool=briefs,
            label=marker.label,
            parents=marker.parents,
        )
        for marker in markers
    ]
    if on and not all(runs.find(what) for what in asked):
        if adapter == "latest":
            (adapter,) = markers[0].parents  # a job may begin when there is a later one
        words = _words(file, benchmark, probes, noise_floor, judge, adapter, pool)
        words = ["--mismatched", str(mismatched), "--dtype", dtype, *words]
        wants = {"minutes": minutes, "at_once": workers}
        source = file or shipped(BENCHMARK_ITEMS)
        wiring.score_on(on, source, asked, len(texts), words, shards, sbatch or [], wants)
    scored = []
    for marker, what in zip(markers, asked, strict=True):
        subject = marker.subject
        load = functools.partial(wiring.load, subject.model, subject.adapter, config.dtype)
        if piece and runs.find(what):
            continue
        if piece:
            with progress(f"score {marker.label}, share {shard}") as tell:
                stage.score_share(what, config, texts, briefs, piece, load=load, tell=tell)
            continue
        if share := parallel.share():
            if parallel.task() == what.id:
                stage.score_share(
                    what, config, texts, briefs, share, load=load, tell=lambda *_: None
                )
            continue
        helpers = functools.partial(parallel.launch, processes, what.id) if processes > 1 else None
        with progress(f"score {marker.label}") as tell:
            scored.append(
                stage.run(what, config, texts, briefs, load=load, tell=tell, help_scoring=helpers)
            )
    if piece:
        say(f"share {shard} is done; the same command without --shard joins the shares")
    if piece or parallel.share():
        return
    if out:
        columns.write(scored, out)
    fooled = [treatments(stage.load_scores(run), stage.PRIMARY) for run in scored if probes]
    show.scores(scored, as_json, fooled)


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


def _refuse_absent(file: Path) -> None:
    if not file.exists():
        hint = "cqa generate writes it" if file.name == "outputs.jsonl" else "check the path"
        raise DataRefused(f"{file}: no such file", next_step=hint)
