"""Measure the saved base model: bits per byte, context use, memorisation, samples, load time.

python experiments/base/evaluate.py --corpus FOLDER --model cqa/base --run-dir runs/base

The weights are read as they are saved (rounded to bf16) and computed with in fp32.
"""

# ruff: noqa: T201 - a script reports by printing

import argparse
import json
import lzma
import math
import re
import time
from pathlib import Path

import numpy as np
import torch
from batches import Sequences, stream_path
from corpus import Document, read_documents
from ngram import KneserNey
from overlap import longest_runs
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils import logging

HERE = Path(__file__).parent
CONTEXT = 2048
STRIDE = 1024  # every scored token but an excerpt's first has at least this much context
BUCKETS = ((1, 512), (512, 1024), (1024, 2048))
EXCERPT_CHARS = 400_000  # of each genre, in equal parts for each held-out author
PROMPT, CONTINUATION = 32, 64  # tokens, for the memorisation check
SHARED_RUN = 32  # held-out tokens inside a run this long that training text also has are counted

SAMPLE_PROMPTS = (
    "The old man opened the door and",
    "It was the last night of the year, and",
    '"I never said that," said Mary.',
    "My dear sister,\n\n",
    "Once upon a time there was a hare who",
    "The captain looked at the sky.",
    "The river rises in the mountains and",
    "The cause of the war was",
    "What are the symptoms of asthma?\n\n",
    "The capital of the country is",
)


def load(folder: Path) -> tuple[PreTrainedModel, AutoTokenizer, float]:
    """Model in fp32, tokenizer, and the seconds both took after the imports."""
    start = time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model, tokenizer, time.perf_counter() - start


def excerpts(documents: list[Document], genre: str) -> list[str]:
    """One excerpt for each held-out author, from the middle of the longest document."""
    longest: dict[str, Document] = {}
    for d in sorted(documents, key=lambda d: len(d.text)):
        if d.genre == genre and d.split == "held-out":
            longest[d.author] = d
    size = EXCERPT_CHARS // max(1, sum(len(d.text) > 50_000 for d in longest.values()))
    texts = [d.text for _, d in sorted(longest.items())]
    return [text[max(0, len(text) - size) // 2 :][:size] for text in texts]


@torch.no_grad()
def token_losses(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """Nats for each token of one window but the first."""
    logits = model(ids[None]).logits[0, :-1]
    return F.cross_entropy(logits, ids[1:], reduction="none")


def excerpt_losses(model: PreTrainedModel, ids: torch.Tensor, length: int, stride: int):
    """Nats for every token of an excerpt, which begins after an end-of-document token."""
    ids = torch.cat([torch.tensor([model.config.eos_token_id]), ids])
    losses, done = [], 0
    for start in range(0, len(ids) - 1, stride):
        window = token_losses(model, ids[start : start + length])
        losses.append(window[done - start :])
        done = start + len(window)
        if done >= len(ids) - 1:
            break
    return torch.cat(losses)


def bits_per_byte(
    model: PreTrainedModel, tokenizer, texts: list[str], length: int = CONTEXT, stride: int = STRIDE
) -> dict:
    """Compression by the model and by xz -9 of the same bytes, one document's excerpt at a time."""
    data = "".join(texts).encode()
    nats, tokens = 0.0, 0
    for text in texts:
        losses = excerpt_losses(model, encode(tokenizer, text), length, stride)
        nats, tokens = nats + losses.sum().item(), tokens + len(losses)
    return {
        "excerpts": len(texts),
        "bytes": len(data),
        "tokens": tokens,
        "bits_per_byte": nats / math.log(2) / len(data),
        "xz_9_bits_per_byte": 8 * len(lzma.compress(data, preset=9)) / len(data),
    }


def ngram_bits_per_byte(ngram: KneserNey, tokenizer, texts: list[str]) -> float:
    """What the yardstick needs for the same bytes; each excerpt begins after an end token."""
    end = tokenizer.eos_token_id
    rows = [np.append(end, encode(tokenizer, text).numpy()) for text in texts]
    bits = -sum(np.log2(ngram.probabilities(row)[1:]).sum() for row in rows)
    return float(bits) / len("".join(texts).encode())


def curly_quotes_cost(model: PreTrainedModel, tokenizer, texts: list[str]) -> dict:
    """Bits per character of the same words with straight and with curly quotation marks."""
    starts = [text[:12_000] for text in texts]
    curled = [re.sub(r'(^|[\s(—])"', r"\1“", t, flags=re.M) for t in starts]
    curled = [t.replace('"', "”").replace("'", "’").replace("...", "…") for t in curled]
    characters = sum(map(len, starts))
    bits = {}
    for name, versions in (("straight", starts), ("curly", curled)):
        rows = [encode(tokenizer, t) for t in versions]
        nats = sum(excerpt_losses(model, row, CONTEXT, STRIDE).sum().item() for row in rows)
        bits[f"{name}_bits_per_character"] = nats / math.log(2) / characters
    return bits


def loss_by_position(model: PreTrainedModel, tokenizer, texts: list[str]) -> dict:
    """Nats per token by position in whole windows, and what the far context adds.

    Positions hold different tokens, so the honest test of a long context is the last line: the
    same tokens (the second half of each window) with all the context before them in the window,
    and with only the last 256 to 511 tokens of it.
    """
    whole, near = [], []
    for text in texts:
        ids = encode(tokenizer, text)
        for window in ids.split(CONTEXT):
            if len(window) < CONTEXT:
                continue
            whole.append(token_losses(model, window))
            for end in range(CONTEXT // 2 + 256, CONTEXT + 1, 256):
                near.append(token_losses(model, window[end - 512 : end])[-256:])
    if not whole:
        return {"windows": 0}
    losses = torch.stack(whole)
    means = {f"{a}-{b}": losses[:, a - 1 : b - 1].mean().item() for a, b in BUCKETS}
    far = losses[:, CONTEXT // 2 - 1 :]
    return {
        "windows": len(whole),
        "nats_by_position": means,
        "second_half_full_context": far.mean().item(),
        "second_half_short_context": torch.cat(near).mean().item(),
    }


def encode(tokenizer, text: str) -> torch.Tensor:
    return torch.tensor(tokenizer.backend_tokenizer.encode(text).ids)


def as_many_tokens(run_dir: Path, count: int, seed: int) -> np.ndarray:
    """`count` training tokens in the shares of the mixture, none twice while the text lasts."""
    shares = json.loads((run_dir / "data.json").read_text())["shares"]
    return Sequences(run_dir, shares, 512, "short", seed).next_tokens(count, rows=8)


def training_tokens(run_dir: Path) -> np.ndarray:
    data = json.loads((run_dir / "data.json").read_text())
    streams = [np.load(stream_path(run_dir, bucket)) for bucket in data["shares"]]
    return np.concatenate(streams)


def last_drawn(run_dir: Path, prompts: int, seed: int) -> np.ndarray:
    """The long sequences that training drew last, from each stream as many as its share."""
    shares = json.loads((run_dir / "data.json").read_text())["shares"]
    order = Sequences(run_dir, shares, CONTEXT, "long", seed)
    taken = torch.load(run_dir / "checkpoint.pt", weights_only=True)["taken"]["long"]
    rows = []
    for bucket, count in taken.items():
        back = round(prompts * count / sum(taken.values()))
        order.taken[bucket] = count - back
        rows += [order.next_row(bucket) for _ in range(back)]
    return np.stack(rows).astype(np.int64)


def memorisation(model: PreTrainedModel, tokenizer, rows: np.ndarray, training: np.ndarray) -> dict:
    """Greedy continuations of training text: how much of them is anywhere in the training text."""
    made, truth = [], rows[:, PROMPT : PROMPT + CONTINUATION]
    for part in torch.from_numpy(rows[:, :PROMPT]).split(50):
        made.append(greedy(model, part)[:, PROMPT:].numpy())
    continuations = np.concatenate(made)
    separator = np.full((len(rows), 1), tokenizer.pad_token_id)
    text = np.hstack([continuations, separator]).ravel()
    runs = longest_runs(text, training, least=4, most=CONTINUATION)
    best = runs.reshape(len(rows), -1).max(axis=1)
    same_start = (np.cumprod(continuations == truth, axis=1)).sum(axis=1)
    at = int(runs.argmax())
    return {
        "prompts": len(rows),
        "prompt_tokens": PROMPT,
        "continuation_tokens": CONTINUATION,
        "longest_run_tokens": int(best.max()),
        "longest_run_text": tokenizer.decode(text[at : at + runs[at]]),
        "median_run_tokens": float(np.median(best)),
        "runs_of_20_tokens_or_more": int((best >= 20).sum()),
        "longest_match_with_the_true_continuation": int(same_start.max()),
    }


def greedy(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """Greedy decoding that goes on after an end token, so that all rows keep one length."""
    with torch.no_grad():
        cache = None
        step = ids
        for _ in range(CONTINUATION):
            out = model(step, past_key_values=cache, use_cache=True)
            cache, step = out.past_key_values, out.logits[:, -1:].argmax(-1)
            ids = torch.cat([ids, step], dim=1)
    return ids


def shared_with_training(tokenizer, texts: list[str], training: np.ndarray) -> float:
    """Part of the held-out tokens that lie in a run of SHARED_RUN tokens found in training text."""
    tokens = [np.append(encode(tokenizer, t).numpy(), tokenizer.pad_token_id) for t in texts]
    starts = longest_runs(np.concatenate(tokens), training, SHARED_RUN, SHARED_RUN) > 0
    inside = np.convolve(starts, np.ones(SHARED_RUN))[: len(starts)] > 0
    return float(inside.mean())


def samples(model: PreTrainedModel, tokenizer) -> list[dict]:
    """One continuation of each prompt at temperature 0.8 and top-p 0.95, none left out."""
    made = []
    for seed, prompt in enumerate(SAMPLE_PROMPTS, start=1):
        torch.manual_seed(seed)
        ids = encode(tokenizer, prompt)[None]
        out = model.generate(
            ids, do_sample=True, temperature=0.8, top_p=0.95, top_k=0, max_new_tokens=80
        )
        text = tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
        made.append({"seed": seed, "prompt": prompt, "continuation": text})
    return made


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True, help="the folder trained on")
    parser.add_argument("--model", type=Path, default=Path("cqa/base"))
    parser.add_argument("--run-dir", type=Path, default=Path("runs/base"))
    parser.add_argument("--out", type=Path, default=HERE / "evaluation.json")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="the seed of the training run")
    parser.add_argument("--tokens-seen", type=int, help="by the model in all; default: in this run")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args(words)
    torch.set_num_threads(args.threads)
    logging.set_verbosity_error()
    logging.disable_progress_bar()

    model, tokenizer, seconds = load(args.model)
    results: dict = {"parameters": model.num_parameters(), "load_seconds": round(seconds, 2)}
    run = torch.load(args.run_dir / "checkpoint.pt", weights_only=True)["state"]
    results["last_run"] = run
    training = training_tokens(args.run_dir)
    seen = as_many_tokens(args.run_dir, args.tokens_seen or run["tokens"], args.seed)
    yardsticks = {
        "ngram_of_all_text": KneserNey(training.astype(np.int64), model.config.vocab_size),
        "ngram_of_as_many_tokens": KneserNey(seen, model.config.vocab_size),
    }
    results["ngram_training_tokens"] = {"all_text": len(training), "as_many": len(seen)}
    documents = read_documents(args.corpus)
    for genre in sorted({d.genre for d in documents if d.split == "held-out"}):
        texts = excerpts(documents, genre)
        start = time.perf_counter()
        scores = bits_per_byte(model, tokenizer, texts)
        scores["scored_tokens_per_second"] = scores["tokens"] / (time.perf_counter() - start)
        for name, ngram in yardsticks.items():
            scores[f"{name}_bits_per_byte"] = ngram_bits_per_byte(ngram, tokenizer, texts)
        scores["shared_with_training"] = shared_with_training(tokenizer, texts, training)
        results[genre] = scores | loss_by_position(model, tokenizer, texts)
        results[genre] |= curly_quotes_cost(model, tokenizer, texts)
        print(genre, json.dumps(results[genre], indent=2), flush=True)
    rows = last_drawn(args.run_dir, args.prompts, args.seed)
    results["memorisation"] = memorisation(model, tokenizer, rows, training)
    print(json.dumps(results["memorisation"], indent=2), flush=True)
    results["samples"] = samples(model, tokenizer)
    args.out.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    for sample in results["samples"]:
        print(f"--- seed {sample['seed']}\n{sample['prompt']}[…]{sample['continuation']}")


if __name__ == "__main__":
    main()
