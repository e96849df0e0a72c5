"""Twenty trainings killed with SIGKILL at random moments, then continued: are the weights the same?

    OMP_NUM_THREADS=1 python experiments/bench/kills.py [--kills 20] [--seed 0]

Each is a fork of this process, so nothing but the training is killed and nothing is imported twice.
The model is the embedded one, the rows are some of the shipped ones; LoRA and full fine-tuning take
turns. The moments are drawn over the whole length of a run, its end with side effects and card too,
on the clock of its own processor time, so that what the machine does beside it does not shift them.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import psutil
import torch

from cqa import paths, quiet

quiet.libraries()
torch.set_num_threads(1)

from cqa.cli import app  # noqa: E402
from cqa.files import read_json, sha256_of  # noqa: E402
from cqa.paths import FOUNDING_BATCH, shipped  # noqa: E402
from cqa.training import sft, side_effects  # noqa: E402, F401  imported once, before the forks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        rows = few_rows(place)
        whole = {method: uninterrupted(place, rows, method) for method in ("lora", "full")}
        print("| | method | killed at cpu s | checkpoints | steps again | same weights |")  # noqa: T201
        print("| --: | --- | --: | --: | --: | --- |")  # noqa: T201
        same = 0
        for number in range(asked.kills):
            method = ("lora", "full")[number % 2]
            weights, seconds = whole[method]
            told, equal = killed(place, rows, method, rng.uniform(0, seconds), weights)
            same += equal
            print(f"| {number + 1} | {method} | {told} | {'yes' if equal else 'NO'} |", flush=True)  # noqa: T201
        print(f"{same} of {asked.kills} have the weights of the uninterrupted run (sha256)")  # noqa: T201
    sys.exit(same != asked.kills)


def few_rows(folder: Path) -> Path:
    """The first four shipped annotations with their dialogues; one of them is the development side.

    Also, from here on, four neutral passages instead of all for the side effects.
    """
    source, (neutral, few) = shipped(FOUNDING_BATCH), (folder / "neutral", folder / "batch")
    few.mkdir()
    for name in ("annotations.jsonl", "dialogues.jsonl"):
        lines = (source / name).read_text("utf-8").splitlines(keepends=True)
        (few / name).write_text("".join(lines[:4]), "utf-8")
    shutil.copy(source / "batch.toml", few)
    neutral.mkdir()
    for file in shipped(paths.NEUTRAL_TEXTS).glob("*.txt"):
        passages = file.read_text("utf-8").split("\n\n")[:4]
        (neutral / file.name).write_text("\n\n".join(passages), "utf-8")
    paths.NEUTRAL_TEXTS = str(neutral)
    return few


def uninterrupted(place: Path, rows: Path, method: str) -> tuple[str, float]:
    """(sha256 of the weights, processor seconds) of a training that nothing disturbs."""
    _, _, used = os.wait4(begin(place / f"whole-{method}", rows, method), 0)
    return weights_of(place / f"whole-{method}")[0], used.ru_utime + used.ru_stime


def killed(place: Path, rows: Path, method: str, after: float, whole: str) -> tuple[str, bool]:
    """Kill a training that has had so many processor seconds, repeat its command, compare."""
    root = Path(tempfile.mkdtemp(dir=place))
    process = begin(root, rows, method)
    running = psutil.Process(process)
    while running.status() != psutil.STATUS_ZOMBIE and sum(running.cpu_times()[:2]) < after:
        time.sleep(0.005)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    found = len(list(root.glob("train-*/checkpoints/checkpoint-*")))
    ended = any(root.glob("train-*/run.json"))
    os.waitpid(begin(root, rows, method), 0)
    weights, spent = weights_of(root)
    shutil.rmtree(root)
    return (
        f"{after:.2f} | {found}{', ended' if ended else ''} | {spent['steps_repeated']}",
        weights == whole,
    )


def begin(root: Path, rows: Path, method: str) -> int:
    """A training in a process of its own; its number."""
    process = os.fork()
    if process:
        return process
    os.environ["CQA_RUNS"] = str(root)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
        words = ["train", str(rows), "--epochs", "2", "--batch-size", "1", "--forms", "generation"]
        app([*words, *(["--full"] if method == "full" else [])], standalone_mode=False)
    os._exit(0)


def weights_of(root: Path) -> tuple[str, dict]:
    """sha256 of the trained weights, and the bill."""
    (folder,) = root.glob("train-*")
    record = read_json(folder / "run.json")
    if record["status"] != "done":
        raise SystemExit(f"{folder.name}: {record['status']}: {record['reason']}")
    (weights,) = [*folder.glob("adapter/*.safetensors"), *folder.glob("model/*.safetensors")]
    return sha256_of(weights), record["spent"]


if __name__ == "__main__":
    main()
