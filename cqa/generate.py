"""`cqa generate`: for each brief, texts from a model, with the same seeds for every model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cqa import render, runs
from cqa.config import GenerateConfig
from cqa.errors import DataRefused
from cqa.files import (
    json_line,
    read_rows,
    sha256_of,
    sha256_of_rows,
    sha256_of_value,
    write_rows,
)
from cqa.model_ref import Model
from cqa.paths import runs_root, shown
from cqa.progress import Tell
from cqa.types import Item, Text

if TYPE_CHECKING:
    from cqa.lm import LanguageModel
    from cqa.sampling import Prompt


def spec(
    config: GenerateConfig,
    model: Model,
    adapter: str | None,
    items: Sequence[Item],
    *,
    seed: int,
    label: str,
    parents: Sequence[str] = (),
) -> runs.Spec:
    """What decides these texts. `adapter` is the adapter's hash."""
    inputs = {"model": model.sha256, "data": sha256_of_rows(items)}
    return runs.Spec(
        stage="generate",
        label=label,
        config={"model": model.name} | config.model_dump(mode="json"),
        inputs=inputs | ({"adapter": adapter} if adapter else {}),
        parents=list(parents),
        code=runs.code_hash(
            "render.py",
            "device_faults.py",
            "engine.py",
            "lm.py",
            "sampling.py",
            "generate.py",
            libraries=("torch", "transformers", "peft"),
        ),
        seed=seed,
    )


def run(
    what: runs.Spec,
    config: GenerateConfig,
    items: Sequence[Item],
    *,
    load: Callable[[], LanguageModel],
    tell: Tell,
    root: Path | None = None,
) -> runs.Run:
    """Write `texts.jsonl`, one row per item and sample; goes on where an earlier attempt ended."""
    if done := runs.find(what, root):
        return done
    from cqa.sampling import Prompt, seed_of, write

    seed = what.seed or 0
    todo = [(item, sample) for item in items for sample in range(config.samples)]
    with runs.execute(what, root) as made:
        part = made.file("texts.jsonl.part")
        finished = _finished(part)
        lm = load()
        with part.open("a", encoding="utf-8") as out:
            for start in range(len(finished), len(todo), config.batch_size):
                batch = todo[start : start + config.batch_size]
                prompts = [
                    Prompt(
                        (
                            lm.tokenizer.start_id,
                            *lm.tokenizer.encode(render.preface(item.brief)),
                            *lm.tokenizer.encode(render.join(item.context, "")[0]),
                        ),
                        seed_of(seed, item.id, sample),
                    )
                    for item, sample in batch
                ]
                for (item, _), prompt in zip(batch, prompts, strict=True):
                    _refuse_long(item, prompt, config.max_new_tokens, lm.window)
                texts = write(
                    lm,
                    prompts,
                    max_new_tokens=config.max_new_tokens,
                    temperature=config.temperature,
                    min_p=config.min_p,
                )
                for (item, sample), prompt, written in zip(batch, prompts, texts, strict=True):
                    row = Text(
                        id=f"{item.id}/{what.label[:80]}/{sample}",
                        text=written.text,
                        context=item.context,
                        brief=item.brief,
                        group=item.group,
                        work=item.work,
                        source=what.label,
                        item=item.id,
                        sample=sample,
                        model=_identity(what),
                        continues=True,
                        redistribution=item.redistribution,
                        meta={
                            "seed": prompt.seed,
                            "tokens": written.tokens,
                            "ended": written.ended,
                            "run": what.id,
                        },
                    )
                    out.write(json_line(row))
                out.flush()
                tell(start + len(batch), len(todo), "")
        rows = _finished(part)
        write_rows(made.file("texts.jsonl"), rows)
        part.unlink()
        made.tell(
            headline={
                "texts": len(rows),
                "empty": sum(not row.text.strip() for row in rows),
                "ended_by_itself": sum(bool(row.meta["ended"]) for row in rows),
            },
            outputs={"texts.jsonl": sha256_of(made.file("texts.jsonl"))},
        )
    return made


def _refuse_long(item: Item, prompt: Prompt, new: int, window: int) -> None:
    if len(prompt.ids) + new > window:
        raise DataRefused(
            f"{item.id}: its brief and context of {len(prompt.ids)} tokens and {new} new ones do "
            f"not fit the model's window of {window}",
            next_step="lower --max-new-tokens, or shorten the item",
        )


def _identity(what: runs.Spec) -> str:
    """Hash of the model and adapter that wrote a text, so that a judge can tell its own."""
    return sha256_of_value([what.inputs["model"], what.inputs.get("adapter")])


def _finished(part: Path) -> list[Text]:
    """The whole rows of an interrupted attempt; a last line that was cut off is taken away."""
    if not part.exists():
        return []
    content = part.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        part.write_bytes(whole)
    return read_rows(part, Text) if whole else []


def deliver(made: Sequence[runs.Run], out: Path) -> int:
    """Put the texts of these runs into one file; returns its rows."""
    rows = [row for run in made for row in read_rows(run.file("texts.jsonl"), Text)]
    write_rows(out, rows)
    return len(rows)


def refuse_foreign(out: Path, *, overwrite: bool, root: Path | None = None) -> None:
    """Refuse to replace a file that could not be had again from the run directories.

    Asked before anything is generated. A file whose every row still stands in its run is replaced.
    """
    if out.exists() and not overwrite and not _can_be_had_again(out, root or runs_root()):
        raise DataRefused(
            f"{shown(out)}: there is a file of this name that `cqa generate` did not write",
            next_step="choose another --out, or say --overwrite",
        )


def _can_be_had_again(out: Path, root: Path) -> bool:
    try:
        rows = read_rows(out, Text)
    except DataRefused:
        return False
    kept: dict[str, set[str]] = {}
    for row in rows:
        name = str(row.meta.get("run", ""))
        if name not in kept:
            texts = root / Path(name).name / "texts.jsonl"
            kept[name] = (
                {json_line(known) for known in read_rows(texts, Text)} if texts.is_file() else set()
            )
        if json_line(row) not in kept[name]:
            return False
    return True
