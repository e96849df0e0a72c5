"""A working directory in which commands are typed, each in a fork of this process."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cqa import quiet

quiet.libraries()

import torch  # noqa: E402

torch.set_num_threads(1)
torch.set_num_interop_threads(1)

from transformers import Qwen2Config, Qwen2ForCausalLM  # noqa: E402

from cqa import leftovers, paths, runs, score, table, texts  # noqa: E402
from cqa.cli import app  # noqa: E402
from cqa.cli.app import _terminated  # noqa: E402
from cqa.files import read_json, read_rows, sha256_of, write_rows  # noqa: E402
from cqa.training import sft, side_effects  # noqa: E402, F401  imported once, before the forks
from cqa.types import Annotation, Dialogue, Item  # noqa: E402

EXPERIMENT = """
name = "small"
question = "Does it survive?"
model = "model"
judge = "model"
annotations = "batch"
items = "items.jsonl"
seeds = [0]

[[arms]]
name = "annotations"

[train]
epochs = 2
learning_rate = 1e-2
batch_size = 4
forms = ["generation"]

[generate]
max_new_tokens = 4

[score]
noise_floor = false

[analysis]
arm = "annotations"
margin = 0.05
"""


@dataclass
class Ended:
    """How a command ended: its exit code or minus its signal, and what it said."""

    code: int
    said: str

    @property
    def crashed(self) -> bool:
        """Whether a reader saw a traceback."""
        return "Traceback (most recent call last)" in self.said


def furnish(place: Path) -> None:
    """Six annotations, eight items, texts in three blocks, a small model, an experiment file."""
    place.mkdir(parents=True)
    founding = paths.shipped(paths.FOUNDING_BATCH)
    annotations = read_rows(founding / "annotations.jsonl", Annotation)[:6]
    wanted = {one.dialogue for one in annotations}
    dialogues = read_rows(founding / "dialogues.jsonl", Dialogue)
    items = read_rows(paths.shipped(paths.BENCHMARK_ITEMS), Item)
    few = [one for one in items if one.group == "literary"][:6]
    few += [one for one in items if one.group == "factual"][:2]
    write_rows(place / "batch" / "annotations.jsonl", annotations)
    write_rows(place / "batch" / "dialogues.jsonl", [d for d in dialogues if d.id in wanted])
    write_rows(place / "items.jsonl", few)
    of_items = texts.as_texts(few)
    write_rows(place / "texts.jsonl", of_items)
    plain = [
        one.model_copy(update={"id": f"{one.id}-{n}", "foil": None, "context": "", "brief": None})
        for n in range(8)
        for one in of_items
    ]
    write_rows(place / "many.jsonl", [*of_items[:1], *plain])  # three blocks
    small_model(place / "model")
    (place / "small.toml").write_text(EXPERIMENT, "utf-8")


def small_model(folder: Path) -> None:
    """A random Qwen2 of two layers with the embedded tokenizer."""
    shape = Qwen2Config.from_pretrained(paths.EMBEDDED_MODEL)
    for name, value in _SMALL.items():
        setattr(shape, name, value)
    shape.layer_types = shape.layer_types[: shape.num_hidden_layers]
    torch.manual_seed(0)
    Qwen2ForCausalLM(shape).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(paths.EMBEDDED_MODEL / name, folder)


_SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
          "num_attention_heads": 2, "num_key_value_heads": 1}  # fmt: skip


def few_words(folder: Path) -> None:
    """Let side effects be measured on two neutral passages of a kind, borders on two texts."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in paths.shipped(paths.NEUTRAL_TEXTS).glob("*.txt"):
        (folder / file.name).write_text(
            "\n\n".join(file.read_text("utf-8").split("\n\n")[:2]), "utf-8"
        )
    paths.NEUTRAL_TEXTS = str(folder)
    two = score.reference()[:2]
    score.reference = lambda: two


def _as_its_workers(words: Sequence[str]) -> None:
    """Other processes of a command know nothing of the few words; then it takes all as well."""
    if tuple(words[-2:]) in {("--workers", "2"), ("--shards", "2")}:
        paths.NEUTRAL_TEXTS, score.reference = _ALL_WORDS


_ALL_WORDS = paths.NEUTRAL_TEXTS, score.reference


def begin(place: Path, words: Sequence[str], before: Callable[[], None] | None = None) -> int:
    """A command in a process of its own; its number. `before` is called in it."""
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    code = 70
    try:
        os.setsid()
        os.chdir(place)
        os.environ["CQA_RUNS"] = "runs"
        said = os.open(place.with_suffix(".said"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        signal.signal(signal.SIGTERM, _terminated)
        _as_its_workers(words)
        if before:
            before()
        app(list(words))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - the interpreter would do the same
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)


def end(place: Path, process: int) -> Ended:
    """Wait for a command."""
    _, status = os.waitpid(process, 0)
    code = os.waitstatus_to_exitcode(status)
    return Ended(code, place.with_suffix(".said").read_text("utf-8", "replace"))


def typed(place: Path, words: Sequence[str], before: Callable[[], None] | None = None) -> Ended:
    """Type a command and wait for it."""
    return end(place, begin(place, words, before))


def finished(place: Path) -> dict[str, str]:
    """Every result of every finished run, and every file beside them, by its hash.

    AssertionError where a run that calls itself done is not whole. What tells of time (records,
    bills, reports about them) is left out.
    """
    found = {}
    for run in runs.all_runs(place / "runs"):
        if not run.done:
            continue
        told = leftovers.damage(run.path, run.record)
        assert not told, f"{run.id} says that it is done, but {told}"
        for name in sorted(leftovers.sizes(run.path)):
            if _lasts(run.record["stage"], name):
                found[f"{run.record['stage']} {run.record['label']}/{name}"] = sha256_of(
                    run.path / name
                )
    for path in sorted(place.rglob("*")):
        inside = path.relative_to(place)
        partial = any(name.endswith(".part") for name in inside.parts)
        if path.is_file() and inside.parts[0] != "runs" and not partial:
            found[str(inside)] = _content(path)
    return found


def _lasts(stage: str, name: str) -> bool:
    if stage == "train":
        return name.endswith(".safetensors")
    if stage == "report":
        return name == "items.csv"
    return not name.startswith(".")


def _content(path: Path) -> str:
    if path.name.endswith(".lock.json"):
        return read_json(path)["sha256"]
    if path.name == "page.html":
        return str(path.stat().st_size > 100_000 and path.read_text("utf-8").endswith("</html>\n"))
    if path.name == "table.csv":
        with path.open(encoding="utf-8", newline="") as file:
            return str([(row["id"], row["status"]) for row in csv.DictReader(file)])
    if path.name == "README.md":
        return "a card"
    return sha256_of(path)


def listed(place: Path) -> list[dict]:
    """The results table."""
    return table.newest(-1, root=place / "runs")[0]


def rebuilds(place: Path) -> bool:
    """Whether the table is the same when its index is made again from the directories."""
    before = listed(place)
    table.rebuild(place / "runs")
    return before == listed(place)
