"""Speed and memory of the scorer beside what people use today: same model, same texts, one run.

    python experiments/bench/score.py                  # the embedded model, 8k vocabulary
    python experiments/bench/score.py --shape 150k     # random weights in the shape of Qwen2.5-0.5B
    OMP_NUM_THREADS=1 python experiments/bench/score.py --clock cpu   # on a machine with other work

Methods, interleaved round by round, the median of the rounds as tokens per second and as a ratio:

    cqa        this project: texts -> conditions -> traces -> quantities
    minicons   IncrementalLMScorer.conditional_score
    lm-eval    HFLM.loglikelihood
    naive      one sequence at a time, all logits, log-softmax, gather
    limit      the pure forward pass: body over as many tokens, in full rows of the mean length so
               that nothing is padded, head at as many positions as are scored; nothing else

Jobs: `plain` is the surprisal of each text after its context; `full` is every condition of METRIC
(subsets of the brief, filler, mismatched briefs, foil), which the peers get as (left, text) pairs.
The peers and the limit run at the fastest of the batch sizes that are tried on a part of the job
first. Memory is the peak above the loaded weights, each method in a process of its own, at equal
tokens per batch.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cqa import quiet

quiet.libraries()

import torch  # noqa: E402
from transformers import Qwen2Config, Qwen2ForCausalLM  # noqa: E402

from cqa import lm, model_ref  # noqa: E402
from cqa.conditions import Piece, plan, pool_of  # noqa: E402
from cqa.files import read_rows  # noqa: E402
from cqa.judge import Judge  # noqa: E402
from cqa.paths import BENCHMARK_ITEMS, shipped  # noqa: E402
from cqa.texts import as_texts  # noqa: E402
from cqa.types import Item, Text  # noqa: E402

BATCHES = (1, 4, 16)
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
PASSES = (512, 1024, 4096)
TOKENS_PER_BATCH = 2048
"""Of the memory comparison, for every method."""


@dataclass(frozen=True)
class Job:
    """The same work in the three shapes that the methods take."""

    name: str
    texts: list[Text]
    pool: list
    pairs: list[tuple[str, str]]
    pieces: list[Piece]

    @property
    def tokens(self) -> int:
        """Tokens of all sequences, left and target."""
        return sum(len(piece.left) + len(piece.target) for piece in self.pieces)


def model_of(shape: str) -> lm.LanguageModel:
    """The embedded model, or random weights in a larger shape with the embedded tokenizer."""
    embedded = lm.load(model_ref.find("embedded"), device="cpu")
    if shape == "8k":
        return embedded
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=151_936,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        max_position_embeddings=32_768,
        tie_word_embeddings=True,
    )
    model = Qwen2ForCausalLM(config).float().eval()
    return lm.LanguageModel(
        "random 0.5B", model, embedded.tokenizer, 32_768, "float32", "cpu", None, 1024
    )


def job_of(name: str, model: lm.LanguageModel, items: int) -> Job:
    """The first `items` benchmark items, literary and factual in turn."""
    rows = as_texts(read_rows(shipped(BENCHMARK_ITEMS), Item))
    pool = pool_of(rows)
    half = len(rows) // 2
    chosen = [row for pair in zip(rows[:half], rows[half:], strict=True) for row in pair][:items]
    if name == "plain":
        chosen = [row.model_copy(update={"brief": None, "foil": None}) for row in chosen]
    pairs, pieces = [], []
    decode = model.tokenizer.raw.decode
    for row in chosen:
        p = plan(row, row.id or "", pool, model.tokenizer, model.window)
        for own in p.conditions.values():
            for piece in own:
                pieces.append(piece)
                # The start token is the peers' own business; a text begins with its white space.
                pairs.append((decode(piece.left[1:]), decode(piece.target)))
    return Job(name, chosen, pool, pairs, pieces)


def cqa(model: lm.LanguageModel, job: Job, batch: int) -> float:
    """Sum of the surprisals in nats, to see that all methods did the same work."""
    judge = Judge("bench", "bench", model, job.pool)
    marked = judge.mark(job.texts, tokens_per_pass=batch)
    return -sum(float(t.logprob_nats.sum()) for one in marked for t in one.traces.values())


def minicons(model: lm.LanguageModel, job: Job, batch: int) -> float:
    from minicons import scorer

    raw = model.tokenizer.raw
    raw.bos_token = raw.eos_token  # without a BOS minicons fails
    peer = scorer.IncrementalLMScorer(model.model, "cpu", tokenizer=raw)
    total = 0.0
    for start in range(0, len(job.pairs), batch):
        part = job.pairs[start : start + batch]
        total -= sum(
            peer.conditional_score(
                [left for left, _ in part],
                [text.strip() for _, text in part],
                reduction=lambda x: x.sum(0).item(),
                bos_token=True,
            )
        )
    return total


def lm_eval(model: lm.LanguageModel, job: Job, batch: int) -> float:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    peer = HFLM(
        pretrained=model.model,
        tokenizer=model.tokenizer.raw,
        batch_size=batch,
        max_length=min(model.window, 4096),
        softmax_dtype="float32",
        device="cpu",
    )
    requests = [
        Instance("loglikelihood", {}, pair, i, ("bench", i, 1)) for i, pair in enumerate(job.pairs)
    ]
    return -sum(value for value, _ in peer.loglikelihood(requests, disable_tqdm=True))


@torch.inference_mode()
def naive(model: lm.LanguageModel, job: Job, batch: int) -> float:
    total = 0.0
    for piece in job.pieces:
        ids = torch.tensor([[*piece.left, *piece.target]])
        logp = torch.log_softmax(model.model(ids, use_cache=False).logits[0].float(), -1)
        at = torch.arange(len(piece.left) - 1, ids.shape[1] - 1)
        total -= float(logp[at, ids[0, at + 1]].sum())
    return total


@torch.inference_mode()
def limit(model: lm.LanguageModel, job: Job, batch: int) -> float:
    distinct = list(dict.fromkeys(job.pieces))
    ids = torch.tensor([t for p in distinct for t in (*p.left, *p.target)[:-1]])
    width = len(ids) // len(distinct)
    rows = ids[: len(ids) // width * width].view(-1, width)
    scored = sum(len(p.target) for p in distinct)
    for part in rows.split(max(1, batch // width)):
        states = model._body(part).flatten(0, 1)
        share = round(scored * len(part) / len(rows))
        for chunk in states[:share].split(512):
            for _ in model._head(chunk, 512):
                pass
    return float("nan")


METHODS: dict[str, tuple[Callable[[lm.LanguageModel, Job, int], float], bool]] = {
    "cqa": (cqa, False),
    "minicons": (minicons, True),
    "lm-eval": (lm_eval, True),
    "naive": (naive, False),
    "limit": (limit, False),
}
"""name -> (method, whether `batch` counts rows; else tokens)"""


def fastest_batch(model: lm.LanguageModel, job: Job, name: str, clock: Callable[[], float]) -> int:
    """The batch size of a peer or of the limit, tried on a part of the job."""
    method, rows = METHODS[name]
    if name in ("cqa", "naive"):
        return model.tokens_per_pass
    few = 48 if model.tokenizer.raw.vocab_size == model.model.config.vocab_size else 8
    part = Job(job.name, job.texts, job.pool, job.pairs[:few], job.pieces[:few])
    seconds = {}
    for batch in BATCHES if rows else PASSES:
        begun = clock()
        method(model, part, batch)
        seconds[batch] = clock() - begun
    return min(seconds, key=seconds.get)


def speed(shape: str, job_name: str, items: int, rounds: int, clock: Callable[[], float]) -> dict:
    """Median seconds of each method over interleaved rounds; the first round is not counted."""
    model = model_of(shape)
    job = job_of(job_name, model, items)
    batches = {name: fastest_batch(model, job, name, clock) for name in METHODS}
    seconds: dict[str, list[float]] = {name: [] for name in METHODS}
    sums = {}
    for turn in range(rounds + 1):
        for name, (method, _) in METHODS.items():
            begun = clock()
            sums[name] = method(model, job, batches[name])
            if turn:
                seconds[name].append(clock() - begun)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "shape": shape,
        "job": job_name,
        "texts": len(job.texts),
        "sequences": len(job.pieces),
        "tokens": job.tokens,
        "rounds": rounds,
        "batches": batches,
        "nats": sums,
        "seconds": median,
        "spread": {name: [min(v), max(v)] for name, v in seconds.items()},
    }


def memory_of(shape: str, job_name: str, items: int, name: str) -> None:
    """Print the peak above the loaded weights of one method, in MB; for a process of its own."""
    model = model_of(shape)
    job = job_of(job_name, model, items)
    method, rows = METHODS[name]
    longest = max(len(p.left) + len(p.target) for p in job.pieces)
    batch = max(1, TOKENS_PER_BATCH // longest) if rows else TOKENS_PER_BATCH
    one = Job(job.name, job.texts[:1], job.pool, job.pairs[:1], job.pieces[:1])
    method(model, one, batch)  # imports and buffers that stay
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, the peak
    method(model, job, batch)
    print(json.dumps({"peak_mb": (_status("VmHWM") - before) / 1024}))  # noqa: T201


def _status(name: str) -> int:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if name in x)
    return int(line.split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=["8k", "150k"], default="8k")
    parser.add_argument("--items", type=int, help="benchmark items (default 72 at 8k, 2 at 150k)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: with one thread")
    parser.add_argument("--jobs", nargs="+", choices=["plain", "full"], default=["plain", "full"])
    parser.add_argument("--memory", choices=METHODS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    items = asked.items or (72 if asked.shape == "8k" else 2)
    if asked.memory:
        memory_of(asked.shape, asked.jobs[0], items, asked.memory)
        return
    for job in asked.jobs:
        found = speed(asked.shape, job, items, asked.rounds, CLOCKS[asked.clock])
        _show(found, _memories(asked.shape, job, items))


def _memories(shape: str, job: str, items: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--shape", shape, "--jobs", job, "--items", str(items)]
    peaks = {}
    for name in METHODS:
        done = subprocess.run(
            [*command, "--memory", name], capture_output=True, text=True, check=True
        )
        peaks[name] = json.loads(done.stdout.splitlines()[-1])["peak_mb"]
    return peaks


def _show(found: dict, peaks: dict[str, float]) -> None:
    own = found["seconds"]["cqa"]
    print(  # noqa: T201
        f"\n{found['job']} job, {found['shape']} vocabulary: {found['texts']} texts, "
        f"{found['sequences']} sequences, {found['tokens']:,} tokens, median of "
        f"{found['rounds']} rounds, {torch.get_num_threads()} threads, fp32\n\n"
        "| method | batch | seconds (min-max) | tokens/s | cqa is faster by | "
        "peak above weights, MB | sum, nats |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    for name, seconds in found["seconds"].items():
        low, high = found["spread"][name]
        print(  # noqa: T201
            f"| {name} | {found['batches'][name]} | {seconds:.2f} ({low:.2f}-{high:.2f}) | "
            f"{found['tokens'] / seconds:,.0f} | {seconds / own:.2f} | {peaks[name]:.0f} | "
            f"{found['nats'][name]:.3f} |"
        )


if __name__ == "__main__":
    main()
