"""Every epoch's adapter as a plain folder of its own: `epoch-1/`, `epoch-2/` ..."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

_NAME = re.compile(r"epoch-(\d+)$")
_NOT_OF_THE_MODEL = re.compile(
    r"(optimizer|scheduler|rng_state|trainer_state|training_args|scaler).*"
)


def keep(run: Path, steps_per_epoch: int, beside: Path) -> dict[int, Path]:
    """Give each whole epoch's checkpoint of a run its folder; epoch -> folder.

    A folder holds what PEFT or transformers load, nothing of the optimiser, and what `beside`, the
    folder of the result, has more than the checkpoint. The files are links to
    those of the checkpoint where the disk can, so that they take no room.
    """
    for checkpoint in sorted((run / "checkpoints").glob("checkpoint-*")):
        steps = json.loads((checkpoint / "trainer_state.json").read_text("utf-8"))["global_step"]
        if steps % steps_per_epoch:
            continue
        folder = run / f"epoch-{steps // steps_per_epoch}"
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        for file in checkpoint.iterdir():
            if file.is_file() and not _NOT_OF_THE_MODEL.match(file.name):
                _link(file, part / file.name)
        for file in beside.iterdir():
            if not (part / file.name).exists() and not _NOT_OF_THE_MODEL.match(file.name):
                _link(file, part / file.name)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    return kept(run)


def kept(run: Path) -> dict[int, Path]:
    """Epoch -> folder, in order."""
    found = {int(m[1]): path for path in run.iterdir() if (m := _NAME.match(path.name))}
    return dict(sorted(found.items()))


def copy_over(source: Path, target: Path) -> None:
    """The weights and configuration of one folder in the place of another's."""
    for file in source.iterdir():
        if file.suffix == ".safetensors" or file.name in ("adapter_config.json", "config.json"):
            (target / file.name).unlink(missing_ok=True)
            _link(file, target / file.name)


def _link(file: Path, to: Path) -> None:
    try:
        os.link(file, to)
    except OSError:
        shutil.copy2(file, to)
