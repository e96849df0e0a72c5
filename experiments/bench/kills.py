"""Twenty trainings killed with SIGKILL at random moments, then continued: are the weights the same?

    OMP_NUM_THREADS=1 python experiments/bench/kills.py [--kills 20] [--seed 0]

Each is a fork of this process, so nothing but the training is killed and nothing is imported twice.
The model is a random Qwen2 of two layers with the embedded tokenizer, the rows are the shipped
ones; LoRA and full fine-tuning take turns. The moments are drawn over the whole length of a run.
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

import torch

from cqa import quiet

quiet.libraries()
torch.set_num_threads(1)

from transformers import Qwen2Config, Qwen2ForCausalLM  # noqa: E402

from cqa import ingest  # noqa: E402
from cqa.cli import app, wiring  # noqa: E402
from cqa.files import read_json, sha256_of  # noqa: E402
from cqa.paths import EMBEDDED_MODEL  # noqa: E402
from cqa.training import sft  # noqa: E402, F401  imported once, before the forks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        model = small_model(place / "model")
        os.environ["CQA_RUNS"] = str(place / "shared")
        ingest.run(wiring.shipped_sources())
        whole = {method: uninterrupted(place, model, method) for method in ("lora", "full")}
        print("| | method | killed after s | checkpoints then | steps again | same weights |")  # noqa: T201
        print("| --: | --- | --: | --: | --: | --- |")  # noqa: T201
        same = 0
        for number in range(asked.kills):
            method = ("lora", "full")[number % 2]
            weights, seconds = whole[method]
            told, equal = killed(place, model, method, rng.uniform(0, seconds), weights)
            same += equal
            print(f"| {number + 1} | {method} | {told} | {'yes' if equal else 'NO'} |", flush=True)  # noqa: T201
        print(f"{same} of {asked.kills} have the weights of the uninterrupted run (sha256)")  # noqa: T201
    sys.exit(same != asked.kills)


def small_model(folder: Path) -> Path:
    """A model that takes a tenth of a second a step."""
    known = Qwen2Config.from_pretrained(EMBEDDED_MODEL)
    shape = Qwen2Config(
        vocab_size=known.vocab_size,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=known.max_position_embeddings,
        tie_word_embeddings=True,
        eos_token_id=known.eos_token_id,
        pad_token_id=known.pad_token_id,
        bos_token_id=known.bos_token_id,
    )
    torch.manual_seed(0)
    Qwen2ForCausalLM(shape).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(EMBEDDED_MODEL / name, folder)
    return folder


def uninterrupted(place: Path, model: Path, method: str) -> tuple[str, float]:
    """(sha256 of the weights, seconds) of a training that nothing disturbs."""
    began = time.monotonic()
    os.waitpid(begin(place / f"whole-{method}", model, method), 0)
    return weights_of(place / f"whole-{method}")[0], time.monotonic() - began


def killed(place: Path, model: Path, method: str, after: float, whole: str) -> tuple[str, bool]:
    """Kill a training after so many seconds, repeat its command, compare."""
    root = Path(tempfile.mkdtemp(dir=place))
    process = begin(root, model, method)
    time.sleep(after)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    found = len(list(root.glob("train-*/checkpoints/checkpoint-*")))
    os.waitpid(begin(root, model, method), 0)
    weights, spent = weights_of(root)
    shutil.rmtree(root)
    return f"{after:.2f} | {found} | {spent['steps_repeated']}", weights == whole


def begin(root: Path, model: Path, method: str) -> int:
    """A training in a process of its own; its number."""
    process = os.fork()
    if process:
        return process
    shared = Path(os.environ["CQA_RUNS"])
    if not root.exists() or not any(root.glob("ingest-*")):
        shutil.copytree(shared, root, dirs_exist_ok=True)
    os.environ["CQA_RUNS"] = str(root)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
        words = ["train", "--model", str(model), "--epochs", "3", "--forms", "generation"]
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
