"""`cqa train`: a data set and a budget -> an adapter (or a whole model) with its bill."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from cqa import runs
from cqa.config import TrainConfig
from cqa.errors import UsageRefused
from cqa.files import sha256_of, write_text
from cqa.ingest import DataSet
from cqa.model_ref import Model, subject
from cqa.progress import Tell
from cqa.training import budget as budgets
from cqa.training import checkpoint, epochs
from cqa.training import devices as several
from cqa.training.budget import Budget
from cqa.training.card import card
from cqa.training.job import Job, Outcome
from cqa.training.ledger import Ledger
from cqa.training.pace import Pace
from cqa.training.prepared import Prepared, prepared
from cqa.training.rates import Rates

if TYPE_CHECKING:
    from cqa.training.estimate import Estimate
    from cqa.training.size import Size

_WRITTEN_BYTES_PER_SECOND = 2e8
"""At least, where checkpoints go; slower disks cost a step that would have fitted."""


def spec(
    config: TrainConfig, model: Model, data: runs.Run, *, seed: int, budget: str | None, label: str
) -> runs.Spec:
    """What decides the result of this training."""
    return runs.Spec(
        stage="train",
        label=label,
        config={"model": model.name} | config.model_dump(mode="json"),
        inputs={"model": model.sha256, "data": data.record["inputs"]["data"]},
        parents=[data.id],
        code=runs.code_hash(
            "render.py",
            "examples.py",
            "materials.py",
            "selection.py",
            "problems.py",
            "engine.py",
            "lm.py",
            "training/zero_step.py",
            "train.py",
            "training/budget.py",
            "training/checkpoint.py",
            "training/devices.py",
            "training/head.py",
            "training/keeper.py",
            "training/neutral.py",
            "training/order.py",
            "training/pace.py",
            "training/prepared.py",
            "training/rows.py",
            "training/sft.py",
            "training/side_effects.py",
            "training/size.py",
            "training/stop.py",
            "device_faults.py",
            libraries=("torch", "transformers", "trl", "peft", "accelerate"),
        ),
        seed=seed,
        budget=budget,
    )


def run(
    what: runs.Spec,
    config: TrainConfig,
    model: Model,
    data: DataSet,
    *,
    fit: Callable[[Job], Outcome],
    tell: Tell,
    root: Path | None = None,
    started: float | None = None,
    rates: Rates | None = None,
    set_by: str = "flag",
) -> runs.Run:
    """Train, or say that it was done. A budget that cut the work short leaves a usable result.

    A budget of wall time counts from `started`, a reading of time.monotonic() (default: now).
    `set_by` is where the settings that are no defaults came from, a flag or a file. The
    estimate made before and the bill made after stand in the record, as `planned` and `spent`.
    """
    if done := runs.find(what, root):
        return done
    started = time.monotonic() if started is None else started
    rates = rates or Rates()
    limits = _limits(what, rates)
    from cqa.training import estimate, size
    from cqa.training.bill import bill

    with runs.execute(what, root) as trained:
        ready = prepared(config, model, data, seed=what.seed or 0)
        write_text(trained.file("example.txt"), ready.sight)
        by_development = config.checkpoint == "development"
        dev = checkpoint.development(data, ready.tokenizer) if by_development else None
        trained.tell(**_provenance(config, model, data, set_by))
        counted = size.of(model, config)
        probing = time.monotonic()
        if config.method != "zero-step":  # nothing is spent on no step
            devices = several.processes()
            estimate.refuse_hopeless(limits, counted, config, ready.learn, devices)
            planned = estimate.estimate(
                model,
                config,
                ready.learn,
                ready.dev,
                budget=limits,
                rates=rates,
                devices=devices,
                root=root,
                size=counted,
            )
            trained.tell(planned=planned.record())
        probed = time.monotonic() - probing
        job = _job(ready, config, model, what, limits, counted, trained.path, tell, started, probed)
        outcome = fit(job)
        ledger = Ledger.read(trained.file("attempts.json"))
        spent = bill(outcome, ledger, counted, limits, rates)
        _write_result(trained, config, data, outcome, limits, spent)
        _finish(trained, config, model, outcome, dev)
    return trained


def assist(
    what: runs.Spec,
    config: TrainConfig,
    model: Model,
    data: DataSet,
    *,
    fit: Callable[[Job], Outcome],
    root: Path | None = None,
    started: float | None = None,
) -> None:
    """Take part in a training whose first process keeps the record: same rows, same steps."""
    from cqa.training import size

    limits, counted = _limits(what, Rates()), size.of(model, config)
    ready = prepared(config, model, data, seed=what.seed or 0)
    folder = runs.directory(what, root)
    began = time.monotonic() if started is None else started
    fit(_job(ready, config, model, what, limits, counted, folder, lambda *_: None, began))


def plan(
    config: TrainConfig,
    model: Model,
    data: DataSet,
    *,
    seed: int = 0,
    budget: str | None = None,
    rates: Rates | None = None,
    devices: int = 1,
    root: Path | None = None,
) -> Estimate:
    """What a training would take, without beginning one. Refuses what `run` would refuse."""
    from cqa.training import estimate, size

    rates = rates or Rates()
    limits = refuse_uncounted(budgets.parse(budget, rates) if budget else Budget(), devices)
    ready, counted = prepared(config, model, data, seed=seed), size.of(model, config)
    estimate.refuse_hopeless(limits, counted, config, ready.learn, devices)
    return estimate.estimate(
        model,
        config,
        ready.learn,
        ready.dev,
        budget=limits,
        rates=rates,
        devices=devices,
        root=root,
        size=counted,
    )


def refuse_uncounted(limits: Budget, devices: int) -> Budget:
    """The budget, unless it has a ceiling of energy that nothing here can measure."""
    if limits.energy_wh is None or limits.power is not None:
        return limits
    from cqa.training import energy

    meter, why = energy.meter(energy.gpu_uuids(devices))
    if meter is None:
        raise UsageRefused(
            f"the budget ({limits.energy_wh:g} Wh) cannot be kept: {why}",
            next_step="say what one device draws, for an estimate: --power 300W",
        )
    return limits


def _limits(what: runs.Spec, rates: Rates) -> Budget:
    read = budgets.parse(what.budget, rates) if what.budget is not None else Budget()
    return refuse_uncounted(read, several.processes())


def _job(
    ready: Prepared,
    config: TrainConfig,
    model: Model,
    what: runs.Spec,
    limits: Budget,
    size: Size,
    folder: Path,
    tell: Tell,
    started: float,
    probed: float = 0.0,
) -> Job:
    from cqa.training.order import step_tokens

    lengths, seed = [len(row.ids) for row in ready.learn], what.seed or 0
    at_once = several.rows_at_once(config.micro_batch_size, config.batch_size)
    ledger = Ledger(folder / "attempts.json")
    pace = Pace(
        budget=limits.for_training(flops_per_token=size.flops_per_token),
        step_tokens=list(step_tokens(lengths, config.batch_size, seed, config.epochs, at_once)),
        steps_per_epoch=-(-len(lengths) // config.batch_size),
        devices=several.processes(),
        wall_before=ledger.wall_before + time.monotonic() - started - probed,
        device_before=ledger.device_before,
        energy_before=ledger.energy_before,
        saving_seconds=1.0 + 2 * 12 * size.trained / _WRITTEN_BYTES_PER_SECOND,
        dev_tokens=sum(len(row.ids) for row in ready.dev),
    )
    return Job(
        model=model,
        tokenizer=ready.tokenizer,
        train=ready.learn,
        dev=ready.dev,
        config=config,
        seed=seed,
        pace=pace,
        folder=folder,
        tell=tell,
        probed_seconds=probed,
    )


def _write_result(
    trained: runs.Run,
    config: TrainConfig,
    data: DataSet,
    outcome: Outcome,
    limits: Budget,
    spent: dict,
) -> None:
    kind = "model" if config.method == "full" else "adapter"
    result = trained.file(kind)
    shutil.rmtree(result, ignore_errors=True)
    trained.file("result").rename(result)
    facts = asdict(outcome)
    headline = {
        name: facts[name]
        for name in ("steps", "asked_steps", "first_loss", "last_loss", "dev_loss_by_epoch")
    } | {
        "trained_parameters": outcome.trained_parameters,
        "rows": config.rows or len(data.annotations_of(config.split)),
    }
    if outcome.cut_short:
        trained.tell(
            status="cut short",
            reason=f"the budget ({limits.understood()}) ended it after {outcome.steps} steps, "
            f"{outcome.epochs:.2f} of {config.epochs} epochs",
        )
    trained.tell(spent=spent, headline=headline)


def _finish(
    trained: runs.Run,
    config: TrainConfig,
    model: Model,
    outcome: Outcome,
    dev: checkpoint.Development | None,
) -> None:
    """Epoch folders, the epoch that the rule chose, side effects, the card."""
    from cqa.training import side_effects

    kind = "model" if config.method == "full" else "adapter"
    result = trained.file(kind)
    kept = epochs.keep(trained.path, outcome.asked_steps // config.epochs, beside=result)
    chosen = checkpoint.choose(config.checkpoint, kept, model, dev, config.dtype)
    if chosen["epoch"] is not None:
        epochs.copy_over(kept[chosen["epoch"]], result)
    effects = side_effects.measure(model, subject(model, trained.path), config.dtype)
    trained.tell(checkpoint=chosen, side_effects=effects)
    write_text(result / "README.md", card(trained.record))
    weights = next(result.glob("*.safetensors"))
    trained.tell(outputs={f"{kind}/{weights.name}": sha256_of(weights)})


def _provenance(config: TrainConfig, model: Model, data: DataSet, set_by: str) -> dict:
    """Where the settings, the base model and the data came from."""
    told = {
        "settings_from": config.origins(set_by),
        "data": {
            "licences": sorted({a.rights.licence for a in data.annotations}),
            "sources": sorted({a.rights.source for a in data.annotations}),
        },
    }
    local = model.revision is None and model.name != "embedded"
    return told | ({"base_source": model.source} if local else {})
