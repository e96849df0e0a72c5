"""A training by cqa beside the same training in a bare TRL script: wall time, memory, first step.

python experiments/bench/train.py                       # the embedded model
python experiments/bench/train.py --shape 7b            # Qwen2.5-7B's shape, random weights, a GPU

Both train one model on the same rows with the same settings, each time in a process of its own and
in turn, and must begin at the same loss (tests/test_training_speed.py shows that they end at the
same weights under one schedule). What `cqa train` does afterwards (side effects, card) is no part
of it. Where other programs need the processor, the lines of processor time are those to look at.
"""

# ruff: noqa: T201 - a script reports by printing

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHAPES = {
    "0.5b": {
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "vocab_size": 151_936,
        "tie_word_embeddings": True,
    },
    "7b": {
        "hidden_size": 3584,
        "intermediate_size": 18_944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152_064,
        "tie_word_embeddings": False,
    },
}
"""As in the configurations of Qwen2.5."""
ROWS, EPOCHS, SETTINGS = 40, 2, {"batch_size": 8, "micro_batch_size": 4, "learning_rate": 2e-4}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, help="random weights of this shape of Qwen2.5")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print(json.dumps(SIDES[args.side](args.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), args)
        found = {side: [] for side in SIDES}
        for _ in range(args.repeats):
            for side in SIDES:
                found[side].append(timed(side, Path(folder)))
    report(found)


def prepare(folder: Path, args: argparse.Namespace) -> None:
    """Model, rows as ids and settings, the same for both sides."""
    from cqa import examples, ingest, lm, model_ref
    from cqa.cli import wiring
    from cqa.config import TrainConfig

    embedded = model_ref.find("embedded")
    tokenizer = lm.load_tokenizer(embedded)
    source = embedded.source
    if args.shape:
        source = str(folder / "model")
        write_random(Path(source), SHAPES[args.shape])
        tokenizer.raw.save_pretrained(source)
    os.environ["CQA_RUNS"] = str(folder / "runs")
    data = ingest.load(ingest.run(wiring.shipped_sources()))
    end = tokenizer.raw.eos_token_id
    made = examples.examples(data.annotations, TrainConfig().forms)[: args.rows]
    rows = [examples.tokens(one, tokenizer, end) for one in made]
    job = {
        "model": source,
        "epochs": args.epochs,
        "dtype": "bfloat16" if args.shape == "7b" else "float32",
        "rows": [[list(row.ids), row.learned] for row in rows],
    }
    (folder / "job.json").write_text(json.dumps(job))


def write_random(folder: Path, shape: dict) -> None:
    """Random weights in bf16: speed and memory do not ask what they say."""
    import torch
    from transformers import AutoModelForCausalLM, Qwen2Config

    config = Qwen2Config(**shape, max_position_embeddings=4096, eos_token_id=0, pad_token_id=1)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)


def timed(side: str, folder: Path) -> dict:
    """One training in its own process: seconds from its start, peak memory, losses."""
    started = time.time()
    command = [sys.executable, __file__, "--side", side, "--folder", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    whole = time.time() - started
    if status:
        raise SystemExit(f"{side}: ended with {status}")
    found = json.loads(said.splitlines()[-1])
    return found | {
        "whole_seconds": whole,
        "first_step_seconds": found["first_step_at"] - started,
        "memory_mb": found.get("gpu_memory_mb") or usage.ru_maxrss / 1024,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
    }


def by_cqa(folder: Path) -> dict:
    """Through `cqa.training.sft.fit`, without a budget."""
    from cqa import lm, model_ref
    from cqa.config import TrainConfig
    from cqa.examples import Tokens
    from cqa.training import sft
    from cqa.training.budget import Budget
    from cqa.training.order import step_tokens
    from cqa.training.pace import Pace

    job = json.loads((folder / "job.json").read_text())
    rows = [Tokens(tuple(ids), learned) for ids, learned in job["rows"]]
    config = TrainConfig(epochs=job["epochs"], dtype=job["dtype"], **SETTINGS)
    model = model_ref.find(job["model"])
    lengths = [len(row.ids) for row in rows]
    pace = Pace(
        Budget(),
        list(step_tokens(lengths, config.batch_size, 0, config.epochs)),
        steps_per_epoch=-(-len(rows) // config.batch_size),
    )
    times: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(dir=folder) as place:
        outcome = sft.fit(
            sft.Job(
                model=model,
                tokenizer=lm.load_tokenizer(model),
                train=rows,
                dev=[],
                config=config,
                seed=0,
                pace=pace,
                folder=Path(place),
                tell=lambda *_: times.append(clocks()),
            )
        )
    return said(times, outcome.first_loss, sum(map(len_of_ids, rows)) * config.epochs)


def len_of_ids(row) -> int:
    return len(row.ids)


def by_trl(folder: Path) -> dict:
    """A bare script: what the documentation of TRL and PEFT says, and no more."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    job = json.loads((folder / "job.json").read_text())
    cuda = torch.cuda.is_available()
    times: list[tuple[float, float]] = []

    class Clock(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs):
            if logs and "loss" in logs:
                times.append(clocks())

    steps = job["epochs"] * -(-len(job["rows"]) // SETTINGS["batch_size"])
    with tempfile.TemporaryDirectory(dir=folder) as place:
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(
                job["model"], dtype=getattr(torch, job["dtype"])
            ),
            args=SFTConfig(
                output_dir=place,
                max_steps=steps,
                learning_rate=SETTINGS["learning_rate"],
                warmup_steps=max(1, round(0.1 * steps)),
                per_device_train_batch_size=SETTINGS["micro_batch_size"],
                gradient_accumulation_steps=SETTINGS["batch_size"] // SETTINGS["micro_batch_size"],
                save_strategy="epoch",
                logging_steps=1,
                max_length=None,
                gradient_checkpointing=False,
                use_cpu=not cuda,
                bf16=False,
                report_to="none",
                disable_tqdm=True,
                seed=0,
                data_seed=0,
                dataset_kwargs={"skip_prepare_dataset": True},
            ),
            train_dataset=Dataset.from_list(
                [
                    {"input_ids": ids, "labels": [-100] * (len(ids) - n) + ids[-n:]}
                    for ids, n in job["rows"]
                ]
            ),
            processing_class=AutoTokenizer.from_pretrained(job["model"]),
            peft_config=LoraConfig(
                r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"
            ),
            callbacks=[Clock()],
        )
        trainer.train()
        trainer.save_model(f"{place}/result")
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return said(times, losses[0], sum(len(ids) for ids, _ in job["rows"]) * job["epochs"])


def clocks() -> tuple[float, float]:
    """The time, and what this process has had of the processor."""
    return time.time(), time.process_time()


def said(times: list[tuple[float, float]], loss: float, tokens: int) -> dict:
    """What one side tells of itself."""
    import torch

    (first, first_cpu), (last, last_cpu), steps = times[0], times[-1], len(times) - 1
    found = {
        "first_step_at": first,
        "first_step_cpu_seconds": first_cpu,
        "step_seconds": (last - first) / steps,
        "step_cpu_seconds": (last_cpu - first_cpu) / steps,
        "tokens_per_second": tokens * steps / len(times) / (last - first),
        "first_loss": loss,
    }
    if torch.cuda.is_available():
        found["gpu_memory_mb"] = torch.cuda.max_memory_reserved() / 2**20
    return found


SIDES = {"cqa": by_cqa, "trl": by_trl}


def report(found: dict[str, list[dict]]) -> None:
    """Medians of both sides, and cqa over bare TRL."""
    print(f"{'':24}{'cqa':>12}{'bare TRL':>12}{'ratio':>8}")
    for name in (
        "whole_seconds",
        "cpu_seconds",
        "first_step_seconds",
        "first_step_cpu_seconds",
        "step_seconds",
        "step_cpu_seconds",
        "tokens_per_second",
        "memory_mb",
    ):
        one, two = (statistics.median(run[name] for run in found[side]) for side in SIDES)
        print(f"{name.replace('_', ' '):24}{one:12.2f}{two:12.2f}{one / two:8.2f}")
    losses = {side: found[side][0]["first_loss"] for side in SIDES}
    print(f"first loss: cqa {losses['cqa']:.5f}, bare TRL {losses['trl']:.5f}")


if __name__ == "__main__":
    main()
