"""`cqa generate`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cqa.cli import options, wiring
from cqa.cli.app import command
from cqa.errors import UsageRefused


@command("cqa generate --out outputs.jsonl")
def generate(
    context: typer.Context,
    items: Annotated[
        Path | None, typer.Argument(help="Benchmark items to write for (default: shipped).")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="JSON-lines file for the texts.")] = Path(
        "outputs.jsonl"
    ),
    model: options.Model = "embedded",
    adapter: options.Adapter = None,
    samples: Annotated[int, typer.Option(min=1, help="Texts per item and model.")] = 1,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of a text.")] = 64,
    temperature: Annotated[float, typer.Option(help="Sampling temperature.")] = 1.0,
    min_p: Annotated[
        float,
        typer.Option(help="Drop tokens less likely than this fraction of the likeliest (min-p)."),
    ] = 0.1,
    dtype: options.Dtype = "float32",
    seed: options.Seed = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file of --out.")
    ] = False,
    experiment: options.ExperimentFile = None,
    as_json: options.Json = False,
) -> None:
    """Write texts with the base model and the adapter, for the same briefs with the same seeds.

    Without --adapter the newest adapter of the model is used, or the base model alone if there is
    none.
    """
    from cqa import generate as stage
    from cqa import model_ref, show
    from cqa.config import GenerateConfig
    from cqa.files import read_rows
    from cqa.paths import BENCHMARK_ITEMS, shipped
    from cqa.progress import progress, say
    from cqa.types import Item

    stage.refuse_foreign(out, overwrite=overwrite)
    if experiment:
        wiring.refuse_beside_experiment(context, "out", "overwrite")
        study = wiring.study(experiment)
        made = [study.do(step) for step in study.steps if step.kind == "generate"]
    else:
        given = {
            "samples": samples,
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "min_p": min_p,
            "dtype": dtype,
        }
        config = wiring.settings(GenerateConfig, given)
        rows = read_rows(items or shipped(BENCHMARK_ITEMS), Item)
        base = model_ref.find(model)
        writers = [model_ref.Tuned("base", model_ref.Subject(base))]
        if found := wiring.tuned(adapter or "latest", base):
            writers.append(found)
        elif adapter:
            raise UsageRefused(f"no finished training of {base.name}", next_step="cqa train")
        else:
            say("no adapter yet: writing with the base model alone (`cqa train` makes one)")
        made = []
        for writer in writers:
            subject = writer.subject
            what = stage.spec(
                config,
                subject.model,
                subject.adapter_sha256,
                rows,
                seed=seed,
                label=writer.label,
                parents=writer.parents,
            )
            with progress(f"generate {writer.label}") as tell:
                made.append(
                    stage.run(
                        what,
                        config,
                        rows,
                        load=lambda s=subject: wiring.load(s.model, s.adapter, config.dtype),
                        tell=tell,
                    )
                )
    written = stage.deliver(made, out)
    show.texts(made, out, written, as_json)
    show.hint(f"cqa score {out}", as_json)
