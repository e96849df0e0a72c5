"""What a study of 10 arms x 5 seeds and ten million texts take with 7B and 70B models: reckoned.

Command: cqa score --benchmark; python experiments/bench/scale.py RUN    (RUN is that scoring)

Nothing here was run on a GPU. Rows, tokens, bytes and seconds of a row are measured on this machine
with the shipped data and the embedded tokenizer; sizes and FLOPs are those of `cqa plan`; what the
GPUs do with them is ASSUMED below. Writes the tables of experiments/CLUSTER.md.
"""

from __future__ import annotations

import heapq
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cqa import blocks, columns, conditions, ingest, model_ref, paths, score, train
from cqa.cli import wiring
from cqa.config import GenerateConfig, TrainConfig
from cqa.runs import Run
from cqa.scores import iter_scores
from cqa.texts import TextFile, as_texts
from cqa.training import estimate, size

PAGE = Path(__file__).parent.parent / "CLUSTER.md"
ARMS, SEEDS, TEXTS, DEVICES = 10, 5, 10_000_000, (1, 8, 64)
SHARES = estimate._UNPROBED
"""Of the peak: what `cqa plan` takes where it cannot time a step (low, middle, high)."""


@dataclass(frozen=True)
class Gpu:
    """ASSUMED: data sheets for peak and memory; the price is a round number, not an offer."""

    name: str
    bf16_flop_per_second: float
    memory_bytes: float
    memory_bytes_per_second: float
    usd_per_hour: float
    watts: float


H100 = Gpu("H100 80 GB", 989e12, 80e9, 3.35e12, 2.5, 700)
ASSUMED = {
    "GPU": "H100 80 GB: 989 TFLOP/s in bf16 without sparsity, 3.35 TB/s, 700 W, 2.50 USD an hour",
    "share of the peak": f"{SHARES[0]:.0%} to {SHARES[2]:.0%}, {SHARES[1]:.0%} in the middle",
    "generation": "bound by memory: each token of a batch of 16 reads the weights once, at half "
    "the bandwidth",
    "start": "30 s for a process and its imports",
    "loading": "2 GB/s from the shared disk for each job, however many load at once",
    "metadata": "1 ms to open a small file on a shared disk",
}
STARTING, DISK, OPENING = 30.0, 2e9, 1e-3
SHAPES = {
    "7B": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
           "num_attention_heads": 28, "num_key_value_heads": 4},
    "70B": {"hidden_size": 8192, "intermediate_size": 29568, "num_hidden_layers": 80,
            "num_attention_heads": 64, "num_key_value_heads": 8},
}  # fmt: skip
"""Of Qwen2.5-7B and 72B, as their config.json has them; vocabulary 152,064, head not tied."""


@dataclass(frozen=True)
class Measured:
    """What the shipped data are on this machine."""

    learn: list[int]
    """Tokens of each training row."""
    dev: int
    scored_tokens: float
    """Of all conditions of a text, nothing shared."""
    text_tokens: float
    items: int
    score_bytes: float
    """Of scores.jsonl, traces.parquet and scores.parquet, a text."""
    reading: float
    """Seconds to read and check a row."""
    joining: float
    """Seconds of a text in the command that joins: summary and table."""


def measured(scored: Run) -> Measured:
    """By the code that trains and scores."""
    embedded = model_ref.find("embedded")
    data = ingest.load(ingest.run(wiring.shipped_sources()))
    rows = train.prepared(TrainConfig(), embedded, data, seed=0)
    texts = as_texts(data.items)
    pool = conditions.pool_of(texts)
    plans = [conditions.plan(t, t.id, pool, rows.tokenizer, 10**9) for t in texts]
    tokens = [
        len(piece.left) + len(piece.target)
        for plan in plans
        for pieces in plan.conditions.values()
        for piece in pieces
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "texts.jsonl"
        file.write_text("".join(t.model_dump_json() + "\n" for t in texts))
        began = time.process_time()
        count = sum(1 for _ in TextFile(file))
        reading = (time.process_time() - began) / count
        began = time.process_time()
        score.summarise(iter_scores(scored.file("scores.jsonl")))
        columns.write([scored], Path(folder) / "scores.parquet")
        joining = (time.process_time() - began) / len(texts)
    written = ("scores.jsonl", "traces.parquet", "scores.parquet")
    return Measured(
        learn=[len(row.ids) for row in rows.learn],
        dev=sum(len(row.ids) for row in rows.dev),
        scored_tokens=sum(tokens) / len(texts),
        text_tokens=sum(len(plan.token_ids) for plan in plans) / len(texts),
        items=len(texts),
        score_bytes=sum(scored.file(name).stat().st_size for name in written) / len(texts),
        reading=reading,
        joining=joining,
    )


def sized(shape: dict, dtype: str) -> size.Size:
    """By `cqa plan`'s own reckoning, from a configuration without weights."""
    with tempfile.TemporaryDirectory() as folder:
        config = {"model_type": "qwen2", "vocab_size": 152064, "tie_word_embeddings": False}
        (Path(folder) / "config.json").write_text(json.dumps(config | shape))
        model = model_ref.Model("shape", folder, None, "")
        return size.of(model, TrainConfig(dtype=dtype))


def makespan(chains: Sequence[Sequence[float]], devices: int) -> float:
    """Seconds until all chains are over: each goes to the device that is free first, in order."""
    free = [0.0] * min(devices, len(chains))
    for chain in chains:
        heapq.heappush(free, heapq.heappop(free) + sum(chain))
    return max(free)


def step_seconds(of: size.Size, seen: Measured, share: float, gpu: Gpu) -> dict[str, float]:
    """Seconds of each kind of step on one GPU."""
    config, speed = TrainConfig(), gpu.bf16_flop_per_second * share
    weights = 2.0 * of.parameters
    start = STARTING + weights / DISK
    learned = config.epochs * (sum(seen.learn) + seen.dev * estimate._EVALUATED)
    forward = seen.items * seen.scored_tokens * 2.0 * of.multiplied / speed
    tokens = seen.items * GenerateConfig().max_new_tokens
    writing = tokens / 16 * weights / (0.5 * gpu.memory_bytes_per_second)
    return {
        "train": start + estimate._BESIDE * learned * of.flops_per_token / speed,
        "score": start + forward,
        "generate": start + writing,
        "score-texts": start + forward,
        "score-own": start + forward,
    }


def study_table(seen: Measured, gpu: Gpu) -> list[str]:
    """10 arms x 5 seeds, trained, scored, writing, on so many GPUs."""
    heads = [f"hours on {n}" for n in DEVICES]
    lines = [
        f"| model | GPU-hours (low to high) | USD | kWh | {' | '.join(heads)} | of it waiting |",
        "| --- " * (5 + len(DEVICES)) + "|",
    ]
    for name, shape in SHAPES.items():
        of, total, spans, idle = sized(shape, "bfloat16"), [], [], 0.0
        for share in SHARES:
            step = step_seconds(of, seen, share, gpu)
            base = [step["score"], step["generate"], step["score-texts"]]
            arm = [step["train"], *base, step["score-own"]]
            chains = [base] + [arm] * (ARMS * SEEDS)
            total.append(sum(map(sum, chains)) / 3600)
            if share == SHARES[1]:
                spans = [makespan(chains, n) / 3600 for n in DEVICES]
                start = STARTING + 2.0 * of.parameters / DISK
                idle = start * sum(map(len, chains)) / 3600 / total[-1]
        cells = [f"{total[1]:.1f} ({total[2]:.1f} to {total[0]:.1f})"]
        cells += [f"{total[1] * gpu.usd_per_hour:,.0f}", f"{total[1] * gpu.watts / 1000:,.0f}"]
        cells += [f"{span:.1f}" for span in spans] + [f"{idle:.0%}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def memory_table(seen: Measured, gpu: Gpu) -> list[str]:
    """Bytes of one training, where each GPU holds the whole model."""
    lines = [
        "| model | weights in | parameters | trained | rows at once | training, GB | scoring, GB | "
        f"{gpu.name} |",
        "| --- " * 8 + "|",
    ]
    for name, shape in SHAPES.items():
        for dtype, width in (("bfloat16", 2.0), ("nf4", 0.56)):
            of, room = sized(shape, dtype), gpu.memory_bytes
            # size.py counts a byte for a weight in 4 bits; here what bitsandbytes documents
            state = of.state_bytes - (of.parameters - of.trained) * (of.itemsize - width)
            scoring = 1.1 * of.parameters * width
            for micro in (TrainConfig().micro_batch_size, 1):
                training = state + of.activation_bytes(micro * max(seen.learn))
                fits = "trains and scores" if training < room else "scores only"
                lines.append(
                    f"| {name} | {dtype} | {of.parameters / 1e9:.1f}e9 | {of.trained / 1e6:.0f}e6 "
                    f"| {micro} | {training / 1e9:.0f} | {scoring / 1e9:.0f} "
                    f"| {fits if scoring < room else 'does not fit'} |"
                )
    return lines


def texts_table(seen: Measured, gpu: Gpu) -> list[str]:
    """Ten million texts as shares of an array."""
    lines = [
        "| model | GPU-hours (low to high) | USD | hours on 8 | on 64 | on 512 | of it reading |",
        "| --- " * 7 + "|",
    ]
    reading = 2 * TEXTS * seen.reading  # once to check the file, once for the blocks
    for name, shape in SHAPES.items():
        of = sized(shape, "bfloat16")
        seconds = [
            TEXTS * seen.scored_tokens * 2.0 * of.multiplied / (gpu.bf16_flop_per_second * share)
            for share in SHARES
        ]
        spans = [reading + seconds[1] / n for n in (8, 64, 512)]
        low, middle, high = (s / 3600 for s in reversed(seconds))
        lines.append(
            f"| {name} | {middle:,.0f} ({low:,.0f} to {high:,.0f}) | "
            f"{middle * gpu.usd_per_hour:,.0f} | "
            + " | ".join(f"{span / 3600:,.1f}" for span in spans)
            + f" | {reading / spans[2]:.0%} on 512 |"
        )
    files = 2 * -(-TEXTS // blocks.ROWS)
    lines += [
        "",
        f"Beside that, whatever the model: {TEXTS * seen.score_bytes / 1e9:,.0f} GB of results, "
        f"and as much again until they are joined; {files:,} files of blocks in one folder, "
        f"{files * OPENING / 3600:.1f} h to open them; {TEXTS * seen.joining / 3600:.1f} h of one "
        f"core to join them; every share reads the whole file, {reading / 3600:.1f} h of one core.",
    ]
    return lines


def main(run: str) -> None:
    """Measure, reckon, write the page."""
    from cqa.table import run_of

    seen = measured(run_of(run))
    facts = [
        f"- {len(seen.learn)} training rows of {sum(seen.learn) / len(seen.learn):.0f} tokens in "
        f"the mean and {max(seen.learn)} at most; the development side has {seen.dev:,} tokens",
        f"- {seen.items} items of {seen.text_tokens:.0f} tokens, scored under conditions of "
        f"{seen.scored_tokens:,.0f} tokens together (nothing shared)",
        f"- {seen.score_bytes / 1000:.1f} kB of results a text",
        f"- {1e6 * seen.reading:.0f} µs of one core to read and check a row, "
        f"{1e6 * seen.joining:.0f} µs to summarise and tabulate a scored one",
    ]
    blocks = {
        "measured": facts,
        "assumed": [f"- {name}: {what}" for name, what in ASSUMED.items()],
        "study": study_table(seen, H100),
        "memory": memory_table(seen, H100),
        "texts": texts_table(seen, H100),
    }
    text = PAGE.read_text("utf-8")
    for name, lines in blocks.items():
        body = "\n".join(lines)
        pattern = rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)"
        text = re.sub(pattern, lambda m, body=body: m[1] + body + m[2], text, flags=re.S)
    PAGE.write_text(text, "utf-8")
    sys.stdout.write(f"wrote {paths.shown(PAGE)}\n")


if __name__ == "__main__":
    main(sys.argv[1])
