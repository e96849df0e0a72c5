"""`cqa export`: a training as a folder for others, its card with the results of its scoring."""

from __future__ import annotations

import csv
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cqa import model_ref, runs, table, untrusted, untrusted_adapter
from cqa.errors import DataRefused, UsageRefused
from cqa.files import write_text
from cqa.model_ref import Model
from cqa.paths import shown
from cqa.training import neutral
from cqa.training.card import Result, card

Merge = Callable[[Model, Path, Path, Sequence[str]], float]
"""(base, adapter, folder, texts) -> the largest difference of a logit; `cqa.training.merge`."""

QUANTITIES = (
    "specific_gain_bits_per_token",
    "gain_bits_per_token",
    "surprise_bits_per_token",
    "residual_bits_per_token",
)
_CHECKED = 20
_COPIED = re.compile(
    r"(adapter_)?(config\.json|model\.safetensors)|model-\d+-of-\d+\.safetensors"
    r"|model\.safetensors\.index\.json|generation_config\.json|cqa\.json"
    r"|(tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json"
    r"|chat_template\.jinja|merges\.txt|vocab\.txt"
    r"|(tokenizer|spiece|sentencepiece\.bpe)\.model"
)
"""Weights, configuration and tokenizer; what else lies in the folder of a training stays there."""


def run(
    trained: runs.Run, folder: Path, *, merge: Merge | None = None, root: Path | None = None
) -> dict:
    """Write the folder, whole or not at all; what stands in it, in short.

    A folder that is there must be empty; it is then filled, README.md last. With `merge` the
    adapter is merged into its base in fp32 and checked on 20 texts. The results in the card are
    those of the newest report that has a scoring of this training.
    """
    if trained.record["stage"] != "train" or not trained.done:
        raise UsageRefused(f"{trained.id}: not a finished training", next_step="cqa table")
    runs.refuse_unreadable(trained.record)
    folder = model_ref.at_home(str(folder)).resolve()
    _refuse_present(folder)
    found = _checked(trained)
    reported = report_of(trained, root)
    results = results_of(trained, reported) if reported else []
    verdict = reported.record["headline"]["sentence"] if reported and results else None
    folder.parent.mkdir(parents=True, exist_ok=True)
    said = None
    with tempfile.TemporaryDirectory(
        dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"
    ) as private:
        part = Path(private, "folder")  # a folder of its own: the one around it is closed to others
        part.mkdir()
        if merge is None:
            for file in found:
                shutil.copy2(file, part)
        else:
            said = _merged(trained, part, merge)
        write_text(part / "README.md", card(trained.record, results, verdict, merged=said))
        _put(part, folder)
    return {
        "folder": str(folder),
        "training": trained.id,
        "report": reported.id if reported and results else None,
        "results": len(results),
        "merged": said,
    }


def report_of(trained: runs.Run, root: Path | None = None) -> runs.Run | None:
    """The newest finished report that compares a scoring of this training with its base."""
    scorings = {run.id for run in _scorings(trained, root)}

    def compares(run: runs.Run) -> bool:
        rated = "judge" in (run.record.get("headline") or {})  # a report on human ratings
        return not rated and bool(scorings & set(run.record["parents"]))

    newest = table.latest("report", compares, root)
    if newest:
        runs.refuse_unreadable(newest.record)
    return newest


def results_of(trained: runs.Run, reported: runs.Run) -> list[Result]:
    """The changes that a report has for this training."""
    labels = {
        run.record["label"]
        for run in _scorings(trained, reported.path.parent)
        if run.id in reported.record["parents"]
    }
    try:
        with reported.file("results.csv").open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["model"] in labels]
        return [_result_of(row) for row in rows if row["quantity"] in QUANTITIES and row["change"]]
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise DataRefused(
            f"{reported.id}: results.csv is not as a report writes it", next_step=runs.AGAIN
        ) from error


def _result_of(row: Mapping[str, str]) -> Result:
    return Result(
        group=row["group"],
        quantity=row["quantity"],
        base=float(row["base"]),
        tuned=float(row["tuned"]),
        change=float(row["change"]),
        low=float(row["low"]) if row["low"] else None,
        high=float(row["high"]) if row["high"] else None,
        level=0.95,
        items=int(row["items"]),
        works=int(row["works"]),
    )


def _scorings(trained: runs.Run, root: Path | None) -> list[runs.Run]:
    return [
        run
        for run in table.finished("score", root, parents=trained.id)
        if trained.id in run.record["parents"]
    ]


def _result(trained: runs.Run) -> Path:
    kind = "adapter" if trained.record["config"]["method"] == "lora" else "model"
    return trained.file(kind)


def _refuse_present(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageRefused(f"{shown(folder)} is there already", next_step="name a new folder")


def _checked(trained: runs.Run) -> list[Path]:
    """The files for others. DataRefused unless they are weights and no link leads elsewhere."""
    folder = _result(trained)
    if folder.is_symlink() or not folder.is_dir():
        raise DataRefused(
            f"{trained.id}: {folder.name} is a link or no folder",
            next_step="delete the folder of this run and repeat its training",
        )
    found = [file for file in sorted(folder.iterdir()) if _COPIED.fullmatch(file.name)]
    for file in found:
        if file.is_symlink() or not file.is_file():
            raise DataRefused(
                f"{trained.id}: {folder.name}/{file.name} is a link or no file; only "
                "files of the training are given to others",
                next_step="put the file itself there",
            )
    check = untrusted_adapter.check if folder.name == "adapter" else untrusted.check_model
    check(folder)
    return found


def _put(part: Path, folder: Path) -> None:
    """What is whole in the place where it was asked for."""
    if not folder.exists():
        part.rename(folder)
        return
    _refuse_present(folder)  # a merge takes minutes
    for file in sorted(part.iterdir(), key=lambda file: file.name == "README.md"):
        os.rename(file, folder / file.name)


def _merged(trained: runs.Run, part: Path, merge: Merge) -> str:
    config = trained.record["config"]
    if config["method"] != "lora":
        raise UsageRefused("--merge of a model", next_step="only an adapter can be merged")
    if config["dtype"] == "nf4":
        raise DataRefused(
            "the adapter was trained and scored on a base in 4 bits; merged into the whole weights "
            "it would be another model",
            next_step="cqa export without --merge",
        )
    base = model_ref.find(_reference(trained))
    if base.sha256 != trained.record["inputs"]["model"]:
        raise DataRefused(
            f"model {base.name}: not the one that was trained on (its files changed)",
            next_step="put the base model back as it was",
        )
    largest = merge(base, _result(trained), part, _neutral())
    return (
        f"The adapter was merged into its base in fp32. On {_CHECKED} texts no logit differs from "
        f"the unmerged adapter's by more than {largest:.1g}."
    )


def _reference(trained: runs.Run) -> str:
    """What was written after --model: a folder's place is kept beside its name."""
    return trained.record.get("base_source") or trained.record["config"]["model"]


def _neutral() -> list[str]:
    each = _CHECKED // len(neutral.GENRES)
    return [text for genre in neutral.GENRES for text in neutral.passages(genre)[:each]]
