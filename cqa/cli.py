"""The commands. The only place that wires, and the only door to the heavy modules.

Every command body imports what it needs; nothing at the top of this file may import torch.
"""

from __future__ import annotations

import functools
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cqa import __version__, quiet
from cqa.errors import EXIT_CUT_SHORT, EXIT_FAILURE, CqaError, UsageRefused

app = typer.Typer(
    name="cqa",
    help="Did fine-tuning on about 100 expert annotations make a small model better at creative "
    "writing, by how much, how sure, and for what cost?",
    epilog="Example: cqa run experiments/reproduce.toml",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ModelOption = Annotated[
    str, typer.Option("--model", help="embedded, a local folder, or a Hub id org/name@revision.")
]
JudgeOption = Annotated[
    str, typer.Option("--judge", help="The model that scores: embedded, a folder, or a Hub id.")
]
AdapterOption = Annotated[
    str | None,
    typer.Option("--adapter", help="A PEFT adapter folder, a train run, or `latest`."),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of the run.")]
ExperimentOption = Annotated[
    Path | None, typer.Option("--experiment", help="Take everything from this experiment file.")
]
ArmOption = Annotated[
    str | None, typer.Option("--arm", help="With --experiment: only this arm (default: all).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
BudgetOption = Annotated[
    str | None,
    typer.Option("--budget", help="A ceiling: 2gpu-hours, 90s, 30min, 300ktokens, 5epochs; commas join."),
]
DtypeOption = Annotated[str, typer.Option("--dtype", help="float32, bfloat16 or float64.")]


def main() -> None:
    """Entry point of the `cqa` command."""
    quiet.libraries()
    signal.signal(signal.SIGTERM, _terminated)
    app()


def tells_errors(command: Callable) -> Callable:
    """A CqaError becomes its message and exit code; anything else is a defect and crashes whole."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except CqaError as error:
            if kwargs.get("as_json"):
                told = {"error": error.what, "next": error.next_step, "exit": error.exit_code}
                typer.echo(json.dumps(told, ensure_ascii=False))
            Console(stderr=True, highlight=False, soft_wrap=True).print(
                f"cqa: {error}", markup=False, style="red" if sys.stderr.isatty() else None
            )
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("cqa: stopped; the same command goes on from what is done", err=True)
            raise typer.Exit(130) from None

    return wrapped


@app.command(epilog="Example: cqa ingest")
@tells_errors
def ingest(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(help="Batch folders or JSON-lines files (default: what ships with cqa)."),
    ] = None,
    experiment: ExperimentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Validate annotations and benchmark items into one hashed data set, split by work."""
    from cqa import ingest as stage
    from cqa import show

    if experiment:
        _no_both("sources", sources)
        run = _study(experiment).ingested
    else:
        run = stage.run(sources or _shipped_sources())
    show.run(run, as_json)


@app.command(epilog="Example: cqa train --budget 2gpu-hours")
@tells_errors
def train(
    data: Annotated[
        str | None, typer.Argument(help="A batch folder or an ingest run (default: shipped).")
    ] = None,
    budget: BudgetOption = None,
    model: ModelOption = "embedded",
    full: Annotated[bool, typer.Option("--full", help="All weights instead of a LoRA.")] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Rows per step.")] = None,
    lora_rank: Annotated[int | None, typer.Option(min=1, help="Rank of the adapter.")] = None,
    shuffled: Annotated[
        bool, typer.Option("--shuffled", help="The placebo: passages meet briefs of other works.")
    ] = False,
    seed: SeedOption = 0,
    experiment: ExperimentOption = None,
    arm: ArmOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fine-tune on the annotations within a budget; a checkpoint per epoch, the bill at the end."""
    from cqa import budget as budgets
    from cqa import ingest as ingest_stage
    from cqa import model_ref, show, study
    from cqa import train as stage
    from cqa.config import TrainConfig, validated
    from cqa.progress import progress, say

    if experiment:
        _no_both("data", data)
        under_way = _study(experiment)
        for tuned in _arms(under_way, arm):
            _show_training(under_way.trained(tuned), as_json)
        return
    limits = budgets.parse(budget) if budget else budgets.Budget()
    say(f"budget: {limits.understood()}{_one_device(limits)}")
    asked = {
        "method": "full" if full else None,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "micro_batch_size": min(batch_size, 4) if batch_size and batch_size % 4 else None,
        "lora_rank": lora_rank,
        "pairing": "shuffled" if shuffled else None,
    }
    config = validated(
        TrainConfig, {key: value for key, value in asked.items() if value is not None}, "options"
    )
    found = model_ref.find(model)
    if data and not Path(data).exists():
        ingested = study.run_of(data)
    elif data and (Path(data) / "run.json").exists():
        ingested = study.run_of(data)
    else:
        ingested = ingest_stage.run([Path(data)] if data else _shipped_sources())
    label = f"{'shuffled' if shuffled else 'annotations'}-s{seed}"
    what = stage.spec(config, found, ingested, seed=seed, budget=budget, label=label)
    with progress(f"train {label}") as tell:
        run = stage.run(
            what, config, found, ingest_stage.load(ingested), fit=_fit(), tell=tell
        )
    _show_training(run, as_json)
    if run.record["status"] == "cut short":
        raise typer.Exit(EXIT_CUT_SHORT)
    show.hint(f"cqa score --benchmark --adapter {run.id}", as_json)


@app.command(epilog="Example: cqa generate --out outputs.jsonl")
@tells_errors
def generate(
    items: Annotated[
        Path | None, typer.Argument(help="Benchmark items to write for (default: shipped).")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Where the texts go.")] = Path("outputs.jsonl"),
    model: ModelOption = "embedded",
    adapter: AdapterOption = None,
    samples: Annotated[int, typer.Option(min=1, help="Texts per item and model.")] = 1,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest text.")] = 64,
    temperature: Annotated[float, typer.Option(help="Of the softmax.")] = 1.0,
    min_p: Annotated[float, typer.Option(help="Least share of the likeliest token.")] = 0.1,
    dtype: DtypeOption = "float32",
    seed: SeedOption = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out.")] = False,
    experiment: ExperimentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write texts with the base model and the adapter, for the same briefs with the same seeds.

    Without --adapter the newest adapter of the same model is taken, or the base model alone if
    there is none.
    """
    from cqa import generate as stage
    from cqa import model_ref, show, study
    from cqa.config import GenerateConfig, validated
    from cqa.files import read_rows
    from cqa.paths import BENCHMARK_ITEMS, shipped
    from cqa.progress import progress, say
    from cqa.types import Item

    if experiment:
        _no_both("items", items)
        under_way = _study(experiment)
        made = [under_way.texts(tuned) for tuned in [None, *under_way.tuned]]
    else:
        given = {
            "samples": samples,
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "min_p": min_p,
            "dtype": dtype,
        }
        config = validated(GenerateConfig, given, "options")
        rows = read_rows(items or shipped(BENCHMARK_ITEMS), Item)
        base = model_ref.find(model)
        tuned = _adapter(adapter, base, default_to_latest=True)
        subjects = [("base", model_ref.Subject(base), [])]
        if tuned is None:
            say("no adapter yet: writing with the base model alone (`cqa train` makes one)")
        else:
            parents = [tuned.id] if isinstance(tuned, study.runs.Run) else []
            path = tuned.path if isinstance(tuned, study.runs.Run) else tuned
            label = tuned.record["label"] if isinstance(tuned, study.runs.Run) else path.name
            subjects.append((label, model_ref.subject(base, path), parents))
        made = []
        for label, subject, parents in subjects:
            what = stage.spec(
                config, subject.model, subject.adapter_sha256, rows,
                seed=seed, label=label, parents=parents,
            )
            with progress(f"generate {label}") as tell:
                made.append(
                    stage.run(
                        what, config, rows,
                        load=lambda s=subject: _load(s.model, s.adapter, config.dtype), tell=tell,
                    )
                )
    written = stage.deliver(made, out, overwrite=overwrite)
    show.texts(made, out, written, as_json)
    show.hint(f"cqa score {out}", as_json)


@app.command(epilog="Example: cqa score outputs.jsonl")
@tells_errors
def score(
    file: Annotated[
        Path | None, typer.Argument(help="JSON lines with `text` and, if any, context and brief.")
    ] = None,
    benchmark: Annotated[
        bool, typer.Option("--benchmark", help="Score the benchmark's own texts and foils.")
    ] = False,
    judge: JudgeOption = "embedded",
    adapter: AdapterOption = None,
    pool: Annotated[
        Path | None, typer.Option("--pool", help="Where mismatched briefs come from (a file).")
    ] = None,
    mismatched: Annotated[int, typer.Option(min=1, max=15, help="Mismatched briefs a text.")] = 3,
    noise_floor: Annotated[
        bool, typer.Option("--noise-floor", help="Score a quarter again, otherwise batched.")
    ] = False,
    dtype: DtypeOption = "float32",
    out: Annotated[Path | None, typer.Option("--out", help="Copy the scores here.")] = None,
    experiment: ExperimentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score texts with a fixed judge: surprise, residual, gain, specific gain and all the others.

    Everything is in bits; what a row does not carry is null, with the reason.
    """
    from cqa import generate as texts_of
    from cqa import model_ref, show
    from cqa import score as stage
    from cqa.conditions import pool_of
    from cqa.config import ScoreConfig, validated
    from cqa.files import read_rows, sha256_of, write_rows
    from cqa.paths import BENCHMARK_ITEMS, shipped
    from cqa.progress import progress
    from cqa.types import Item, Text

    if experiment:
        _no_both("file", file)
        under_way = _study(experiment)
        for tuned in [None, *under_way.tuned]:
            show.scores(under_way.benchmark_scores(tuned), as_json)
            show.scores(under_way.text_scores(tuned), as_json)
        return
    if benchmark == (file is not None):
        raise UsageRefused(
            "nothing to score" if file is None else "a file and --benchmark at once",
            next_step="cqa score outputs.jsonl, or cqa score --benchmark",
        )
    given = {"mismatched": mismatched, "dtype": dtype, "noise_floor": noise_floor}
    config = validated(ScoreConfig, given, "options")
    if benchmark:
        items = read_rows(shipped(BENCHMARK_ITEMS), Item)
        texts, data, label = stage.as_texts(items), texts_of.items_hash(items), "base"
    else:
        _must_exist(file)
        texts, data, label = stage.read_texts(file), sha256_of(file), file.stem
    briefs = pool_of(
        read_rows(pool, Text) if pool
        else stage.as_texts(read_rows(shipped(BENCHMARK_ITEMS), Item))
    )
    found = model_ref.find(judge)
    tuned = _adapter(adapter, found, default_to_latest=False)
    parents = [tuned.id] if hasattr(tuned, "record") else []
    if tuned is not None:
        label = tuned.record["label"] if parents else tuned.name
    subject = model_ref.subject(found, tuned.path if parents else tuned)
    what = stage.spec(
        config, subject.model, subject.adapter_sha256,
        data=data, pool=briefs, label=label, parents=parents,
    )
    with progress(f"score {label}") as tell:
        run = stage.run(
            what, config, lambda: texts, len(texts), briefs,
            load=lambda: _load(subject.model, subject.adapter, config.dtype), tell=tell,
        )
    if out:
        write_rows(out, stage.load_scores(run))
    show.scores(run, as_json)


@app.command(epilog="Example: cqa report")
@tells_errors
def report(
    base: Annotated[
        str | None, typer.Argument(help="Score run of the base model (default: the newest).")
    ] = None,
    tuned: Annotated[
        str | None, typer.Argument(help="Score run of the tuned model (default: the newest).")
    ] = None,
    margin: Annotated[
        float, typer.Option(help="Bits per token that do not matter.", min=0.0)
    ] = 0.05,
    out: Annotated[Path | None, typer.Option("--out", help="Copy the HTML report here.")] = None,
    experiment: ExperimentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Base against tuned, paired by item: one sentence, the effects, their intervals, the cost."""
    from cqa import report as stage
    from cqa import show

    if experiment:
        _no_both("base", base)
        run = stage.of_study(_study(experiment))
    else:
        run = stage.of_runs(base, tuned, margin=margin)
    show.report(run, out, as_json)


@app.command(epilog="Example: cqa run experiments/reproduce.toml")
@tells_errors
def run(
    file: Annotated[Path, typer.Argument(help="An experiment file.")],
    accept: Annotated[
        bool,
        typer.Option("--accept", help="Write RESULTS.md, results.csv and [expected] beside it."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run an experiment file, all its stages and arms; what is done is skipped."""
    from cqa import accept as acceptance
    from cqa import report as stage
    from cqa import show
    from cqa.progress import say

    under_way = _study(file)
    reported = stage.of_study(under_way)
    fresh = [made for made in under_way.made if made.fresh]
    if not fresh:
        say(f"nothing to do: all {len(under_way.made)} stages of {file} are done")
    show.report(reported, None, as_json)
    if accept:
        for path in acceptance.accept(file, under_way.experiment, reported):
            say(f"wrote {path}")
        return
    differing = acceptance.compare(under_way.experiment, reported)
    show.expected(under_way.experiment, differing, as_json)
    if differing:
        raise typer.Exit(EXIT_FAILURE)


@app.command(epilog="Example: cqa table --csv results.csv")
@tells_errors
def table(
    csv: Annotated[Path | None, typer.Option("--csv", help="Export every column here.")] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Throw the index away and read every run again.")
    ] = False,
    last: Annotated[int, typer.Option(min=1, help="Show so many of the newest runs.")] = 30,
    as_json: JsonOption = False,
) -> None:
    """The results table: every run of every command, the failed ones with their reason."""
    from cqa import show
    from cqa import table as index

    if rebuild:
        index.refresh(rebuild=True)
    if csv:
        from cqa.progress import say

        say(f"wrote {index.export_csv(csv)} runs to {csv}")
    show.table(index.read(), last, as_json)


@app.command(epilog="Example: cqa doctor")
@tells_errors
def doctor(as_json: JsonOption = False) -> None:
    """Check the stack, the device, the caches, write access and the embedded model."""
    from cqa import doctor as checks
    from cqa import show

    found = checks.examine()
    show.doctor(found, as_json)
    if any(check.ok is False for check in found):
        raise typer.Exit(EXIT_FAILURE)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"cqa {__version__}")
        raise typer.Exit()


def _study(path: Path):
    from cqa.config import read_experiment
    from cqa.study import Study

    return Study(read_experiment(path), _load, _fit())


def _load(model, adapter, dtype):
    from cqa import lm

    return lm.load(model, adapter=adapter, dtype=dtype)


def _fit():
    def fit(job):
        from cqa import sft

        return sft.fit(job)

    return fit


def _shipped_sources() -> list[Path]:
    from cqa.paths import BENCHMARK_ITEMS, FOUNDING_BATCH, shipped

    return [shipped(FOUNDING_BATCH), shipped(BENCHMARK_ITEMS)]


def _arms(under_way, name: str | None):
    chosen = [tuned for tuned in under_way.tuned if name in (None, tuned.arm.name)]
    if not chosen:
        names = ", ".join(arm.name for arm in under_way.experiment.arms)
        raise UsageRefused(f"--arm {name!r}: no such arm", next_step=f"one of: {names}")
    return chosen


def _adapter(reference: str | None, base, *, default_to_latest: bool):
    """A train run, a folder, or None."""
    from cqa import study

    if reference is None and not default_to_latest:
        return None
    if reference in (None, "latest"):
        found = study.latest("train", lambda run: run.record["inputs"]["model"] == base.sha256)
        if found is None and reference == "latest":
            raise UsageRefused(
                f"--adapter latest: no finished training of {base.name}", next_step="cqa train"
            )
        return found
    if Path(reference).is_dir() and not (Path(reference) / "run.json").exists():
        return Path(reference)
    return study.run_of(reference)


def _one_device(limits) -> str:
    if limits.device_seconds is None:
        return ""
    import torch

    if torch.cuda.is_available():
        return f" over {torch.cuda.device_count()} GPU"
    return "; there is no GPU here, so this machine counts as one device"


def _show_training(run, as_json: bool) -> None:
    from cqa import show

    show.run(run, as_json)


def _must_exist(file: Path) -> None:
    from cqa.errors import DataRefused

    if not file.exists():
        hint = "cqa generate writes it" if file.name == "outputs.jsonl" else "check the path"
        raise DataRefused(f"{file}: no such file", next_step=hint)


def _no_both(name: str, value: object) -> None:
    if value:
        raise UsageRefused(f"{name} and --experiment at once", next_step="leave one of them out")


def _terminated(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
