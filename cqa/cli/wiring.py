"""What several commands need to wire: the heavy functions, a study, a tuned model by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from cqa.errors import DataRefused, UsageRefused

if TYPE_CHECKING:
    from cqa.model_ref import Model, Tuned
    from cqa.runs import Spec
    from cqa.study.schedule import Outcome
    from cqa.study.steps import Step
    from cqa.study.study import Study

Config = TypeVar("Config")


def load(model, adapter, dtype):
    """`cqa.lm.load`, imported when it is called."""
    from cqa import lm, parallel

    return lm.load(model, adapter=adapter, dtype=dtype, device=parallel.device())


def fit(job):
    """`cqa.training.sft.fit` or `zero_step.fit`, imported when it is called."""
    from cqa.training import sft, zero_step

    return (zero_step if job.config.method == "zero-step" else sft).fit(job)


def study(path: Path) -> Study:
    """The study of an experiment file; of a shipped one where there is none of that name here."""
    from cqa.config import read_experiment
    from cqa.paths import shipped
    from cqa.study.study import Study

    if not path.exists():
        with suppress(DataRefused):
            # Nothing is written beside it: the lock then lies below the runs directory.
            return Study(read_experiment(shipped(path.as_posix())), load, fit)
    return Study(read_experiment(path), load, fit, file=path)


def carry_out(
    study: Study,
    steps: Sequence[Step],
    again: Callable[[], Study],
    *,
    minutes: float | None = None,
    workers: int | None = None,
) -> Outcome:
    """Do these steps, in this process or in several (default: as many as help).

    `again` gives each process its own copy of the study; it has to be picklable.
    """
    from cqa.study import schedule

    _ = study.locked  # written before anything is scored
    todo = [step for step in steps if study.find(step) is None]
    if workers is None and len(todo) > 1:
        from cqa.study.workers import sensible

        folder = Path(study.model.source)
        workers = sensible(folder if folder.is_dir() else None)
    seconds = None if minutes is None else 60 * minutes
    if (workers or 1) == 1 or len(todo) < 2:
        study.announce = lambda step: None  # the schedule has its own line
        return schedule.carry_out(study, steps, schedule.Here(study), seconds=seconds)
    from cqa.study.workers import Processes

    with Processes(workers, again) as hands:
        return schedule.carry_out(study, steps, hands, seconds=seconds)


def carry_out_on(
    on: str,
    file: Path,
    study: Study,
    steps: Sequence[Step],
    sbatch: Sequence[str],
    asked: dict[str, Any],
) -> Outcome:
    """Do these steps of the study of `file` as jobs: of Slurm, or of this machine."""
    with _submitit(on):
        from cqa.cluster import carry, places
    from cqa.files import sha256_of_value
    from cqa.paths import runs_root

    refuse_unless_on(on, sbatch, nodes=on == "local" and asked["nodes"] > 1)
    lock = study.lock_path().resolve()  # of the same command the same, and of no other experiment
    name = f"{lock.name.removesuffix('.lock.json')}-{sha256_of_value(str(lock))[:8]}"
    folder = runs_root() / "cluster" / name
    request = places.Request(file, folder, sbatch=places.sbatch_options(sbatch), **asked)
    return carry.carry_out(study, steps, request, on)


def score_on(
    on: str,
    file: Path,
    what: Sequence[Spec],
    rows: int,
    words: Sequence[str],
    shards: int,
    sbatch: Sequence[str],
    asked: dict[str, Any],
) -> None:
    """Have these runs made by jobs; `words` are the options of a command that asks for them."""
    with _submitit(on):
        from cqa.cluster import places, shares
    from cqa.files import sha256_of_value
    from cqa.paths import runs_root

    name = f"score-{sha256_of_value([spec.id for spec in what])[:10]}"
    options = places.sbatch_options(sbatch)
    request = shares.Request(file, runs_root() / "cluster" / name, sbatch=options, **asked)
    shares.carry_out(shares.Scoring(what, rows, words), shards, request, on)


@contextmanager
def _submitit(on: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as missing:
        if missing.name != "submitit":
            raise
        raise UsageRefused(
            f"--on {on} needs submitit", next_step="pip install 'cqa[cluster]'"
        ) from None


def refuse_unless_on(on: str | None, sbatch: Sequence[str] | None, **typed: object) -> None:
    """Options that mean something on a cluster only would be ignored in silence elsewhere."""
    for name, given in {"sbatch": sbatch and on != "slurm", **typed}.items():
        if given:
            where = f"--on {on}" if on else "no --on"
            raise UsageRefused(
                f"--{name} with {where}", next_step=f"leave --{name} out, or say --on slurm"
            )


def shipped_sources() -> list[Path]:
    """The annotations and the benchmark that come with cqa."""
    from cqa.paths import BENCHMARK_ITEMS, FOUNDING_BATCH, shipped

    return [shipped(FOUNDING_BATCH), shipped(BENCHMARK_ITEMS)]


def tuned(reference: str, base: Model) -> Tuned | None:
    """What --adapter names: a folder, a train run, or the newest one of this base model."""
    from cqa import model_ref
    from cqa.runs import Run
    from cqa.table import latest, run_of

    def from_run(run: Run) -> Tuned:
        return model_ref.Tuned(run.record["label"], model_ref.subject(base, run.path), (run.id,))

    if reference == "latest":
        found = latest(
            "train",
            lambda run: run.record["inputs"].get("model") == base.sha256,
            model_sha256=base.sha256,
        )
        return from_run(found) if found else None
    folder = model_ref.at_home(reference)
    if folder.is_dir() and not (folder / "run.json").exists():
        # Labels part the rows of a file: an adapter called base must not pass for the base model.
        name = folder.resolve().name
        label = f"adapter-{name}" if name == "base" else name
        return model_ref.Tuned(label, model_ref.subject(base, folder))
    return from_run(run_of(reference))


def markers(judges: Sequence[str], adapter: str | None, label: str) -> list[Tuned]:
    """Who scores: each judge once, or the one judge with an adapter on it."""
    from cqa import model_ref

    bases = [model_ref.find(judge) for judge in judges]
    if len({base.sha256 for base in bases}) < len(bases):
        raise UsageRefused("the same judge twice", next_step="name each judge once")
    if adapter is None:
        return [model_ref.Tuned(label, model_ref.Subject(base)) for base in bases]
    if len(bases) > 1:
        raise UsageRefused(
            "--adapter beside several judges", next_step="give the judge of the adapter alone"
        )
    if found := tuned(adapter, bases[0]):
        return [found]
    raise UsageRefused(f"no finished training of {bases[0].name}", next_step="cqa train")


def settings(kind: type[Config], given: dict[str, Any]) -> Config:
    """A config from options; None stands for its default, a fault is one of usage."""
    from cqa.config import validated

    try:
        return validated(kind, {k: v for k, v in given.items() if v is not None}, "options")
    except DataRefused as refused:
        raise UsageRefused(refused.what, next_step="change the option") from None


def refuse_beside_experiment(context: typer.Context, *allowed: str) -> None:
    """An experiment file says everything: an option beside it would be ignored in silence."""
    free = {"experiment", "as_json", *allowed}
    typed = [
        one.opts[0] if one.opts[0].startswith("-") else one.name.upper()
        for one in context.command.params
        if one.name in context.params
        and one.name not in free
        and getattr(context.get_parameter_source(one.name), "name", "") == "COMMANDLINE"
    ]
    if typed:
        raise UsageRefused(
            f"{', '.join(typed)} beside an experiment file: the file says everything",
            next_step="leave one of them out, or change the file",
        )
