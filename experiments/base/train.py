"""Train the embedded base model from a folder of text, in stated minutes or on stated tokens.

python experiments/base/train.py --corpus FOLDER --minutes 55 --out cqa/base
python experiments/base/train.py --corpus FOLDER --tokens 30e6 --out cqa/base
python experiments/base/train.py --corpus FOLDER --minutes 45 --start cqa/base --out cqa/base
"""

# ruff: noqa: T201 - a script reports by printing

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np
import torch
from batches import Sequences, write_streams
from corpus import bucket_shares, read_documents, write_manifest
from optimiser import make_optimisers, set_progress
from tokenizer import END, PAD, save_tokenizer, train_tokenizer
from tokenizers import Tokenizer
from torch.nn import functional as F
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.utils import logging

from cqa.heap import keep_freed_memory

HERE = Path(__file__).parent
TOKENIZER_CHARS = 40_000_000  # of training text; more moves no merge that matters
HELD_OUT_TOKENS = 32_768  # of each genre at most, for the curve; evaluate.py uses far more
PLACES = ("corpus", "data_dir", "run_dir", "snapshot_dir", "out", "loss_csv", "manifest")
LOGITS_AT_ONCE = 1024  # positions; all of a batch's logits at once would not fit the CPU's cache


def parse_arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True, help="folder of text (see README)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=55.0, help="training time, evaluation out")
    length.add_argument("--tokens", type=float, help="instead of minutes; bit for bit repeatable")
    parser.add_argument("--start", type=Path, help="go on from this model (see README)")
    parser.add_argument("--out", type=Path, default=Path("cqa/base"))
    parser.add_argument("--run-dir", type=Path, default=Path("runs/base"), help="for checkpoints")
    parser.add_argument("--data-dir", type=Path, help="for token streams; default RUN_DIR")
    parser.add_argument("--snapshot-dir", type=Path, help="early models; default RUN_DIR/export")
    parser.add_argument("--loss-csv", type=Path, default=HERE / "loss.csv")
    parser.add_argument("--manifest", type=Path, default=HERE / "manifest.csv")
    parser.add_argument("--vocab-size", type=int, default=8192)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--kv-heads", type=int, default=2)
    parser.add_argument("--mlp", type=int, default=512)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--embedding-lr", type=float, default=3e-3)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--long-from", type=float, default=0.78, help="part at length 512")
    parser.add_argument("--pauses", type=int, default=20, help="measurements and checkpoints")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default=None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(words)
    args.data_dir = args.data_dir or args.run_dir
    args.precision = args.precision or ("bf16" if torch.cuda.is_available() else "fp32")
    return args


def settings(args: argparse.Namespace) -> dict[str, str]:
    """What a run must have in common with its checkpoint."""
    free = (*PLACES, "threads", "pauses")
    return {name: str(value) for name, value in vars(args).items() if name not in free}


def same_run(saved: dict[str, str], given: dict[str, str], folder: Path) -> None:
    differing = [f"{k} was {saved.get(k)}, is {v}" for k, v in given.items() if saved.get(k) != v]
    if differing:
        raise SystemExit(
            f"error: {folder} holds a run with other settings ({'; '.join(differing)}); give "
            "another --run-dir, or delete that one"
        )


def prepare(args: argparse.Namespace) -> tuple[Tokenizer, dict[str, float], dict]:
    """Tokenizer, token streams and bucket shares: made once for a folder, then read back."""
    record = args.data_dir / "data.json"
    if not record.exists():
        args.data_dir.mkdir(parents=True, exist_ok=True)
        documents = read_documents(args.corpus)
        train = [d for d in documents if d.split == "train"]
        shares = bucket_shares(train)
        if args.start:
            tokenizer = Tokenizer.from_file(str(args.start / "tokenizer.json"))
        else:
            tokenizer = train_tokenizer(sample_texts(train, args.seed), args.vocab_size)
        save_tokenizer(tokenizer, args.data_dir / "tokenizer", max_length=2048)
        sizes = write_streams(train, tokenizer, args.seed, args.data_dir)
        held_out = [d for d in documents if d.split == "held-out"]
        curve = {g: held_out_tokens(held_out, g, tokenizer) for g in ("fiction", "factual")}
        write_manifest(documents, args.manifest)
        data = {"shares": shares, "stream_tokens": sizes, "curve": curve}
        record.write_text(json.dumps(data))
    data = json.loads(record.read_text())
    tokenizer = Tokenizer.from_file(str(args.data_dir / "tokenizer" / "tokenizer.json"))
    if args.start and tokenizer.get_vocab() != start_vocabulary(args.start):
        raise SystemExit(
            f"error: the token streams in {args.data_dir} were made with another tokenizer than "
            f"that of {args.start}; give another --data-dir, or delete that one"
        )
    return tokenizer, data["shares"], data["curve"]


def start_vocabulary(folder: Path) -> dict[str, int]:
    return Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()


def sample_texts(documents: list, seed: int) -> list[str]:
    """Whole documents in random order, long ones cut, up to TOKENIZER_CHARS."""
    texts, chars = [], 0
    for i in np.random.default_rng(seed).permutation(len(documents)):
        if chars > TOKENIZER_CHARS:
            break
        texts.append(documents[i].text[:200_000])
        chars += len(texts[-1])
    return texts


def held_out_tokens(documents: list, genre: str, tokenizer: Tokenizer) -> dict:
    """A fixed sample for the curve: the same number of tokens from the middle of each document."""
    chosen = [d for d in documents if d.genre == genre and len(d.text) > 20_000]
    tokens, size = [], 0
    for d in chosen:
        middle = len(d.text) // 2
        ids = tokenizer.encode(d.text[middle : middle + 8000]).ids
        ids = ids[: HELD_OUT_TOKENS // len(chosen)]
        tokens += ids
        size += len(tokenizer.decode(ids).encode())
    return {"tokens": tokens, "bytes": size}


def make_model(args: argparse.Namespace, tokenizer: Tokenizer) -> Qwen2ForCausalLM:
    """A new model, or that of `--start` in fp32 (the optimisers begin afresh)."""
    if args.start:
        return Qwen2ForCausalLM.from_pretrained(args.start, dtype=torch.float32).train()
    config = Qwen2Config(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=args.hidden,
        num_hidden_layers=args.layers,
        num_attention_heads=args.heads,
        num_key_value_heads=args.kv_heads,
        intermediate_size=args.mlp,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(END),
        pad_token_id=tokenizer.token_to_id(PAD),
    )
    torch.manual_seed(args.seed)
    model = Qwen2ForCausalLM(config)
    for layer in model.model.layers:  # each layer starts as the identity and earns its effect
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
        torch.nn.init.zeros_(layer.mlp.down_proj.weight)
    return model


def next_token_loss(model: Qwen2ForCausalLM, ids: torch.Tensor) -> torch.Tensor:
    """Mean loss over all positions but the last, with the logits made a slice at a time."""
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state.flatten(0, 1)
    targets = ids[:, 1:].flatten()
    pieces = zip(hidden.split(LOGITS_AT_ONCE), targets.split(LOGITS_AT_ONCE), strict=True)
    losses = [F.cross_entropy(model.lm_head(h).float(), t, reduction="sum") for h, t in pieces]
    return torch.stack(losses).sum() / len(targets)


@torch.no_grad()
def bits_per_byte(model: Qwen2ForCausalLM, sample: dict, length: int, device: str) -> float:
    tokens = torch.tensor(sample["tokens"])
    rows = tokens[: len(tokens) // length * length].view(-1, length)
    if not len(rows):
        return float("nan")
    losses = [next_token_loss(model, part.to(device)).item() for part in rows.split(4)]
    nats = float(np.mean(losses)) * len(tokens)
    return nats / np.log(2) / sample["bytes"]


def export(model: Qwen2ForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Write a loadable model with bf16 weights, leaving the weights in memory as they are."""
    half = Qwen2ForCausalLM(model.config).to(torch.bfloat16)
    half.load_state_dict(model.state_dict())
    half.generation_config.do_sample = True
    half.save_pretrained(folder)
    save_tokenizer(tokenizer, folder, max_length=model.config.max_position_embeddings)


def training_flops_per_token(model: Qwen2ForCausalLM, length: int) -> float:
    """6 for each weight that multiplies (the shared embedding once), 12 d n / 2 for attention."""
    config = model.config
    return 6 * model.num_parameters() + 6 * config.num_hidden_layers * config.hidden_size * length


def matmul_flops(device: str, dtype: torch.dtype, size: int = 2048, repeats: int = 10) -> float:
    """Operations per second of a square matrix product, the fastest of several."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in "ab")
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        (a @ b)[0, 0].item()  # waits for a GPU
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def main(words: list[str] | None = None) -> None:
    args = parse_arguments(words)
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    logging.disable_progress_bar()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer, shares, curve = prepare(args)
    model = make_model(args, tokenizer).to(device)
    dtype = torch.bfloat16 if args.precision == "bf16" else torch.float32
    optimisers = make_optimisers(model, args.lr, args.embedding_lr, dtype)
    phases = {
        "short": Sequences(args.data_dir, shares, 512, "short", args.seed),
        "long": Sequences(args.data_dir, shares, 2048, "long", args.seed),
    }
    state = {"step": 0, "tokens": 0, "seconds": 0.0}
    checkpoint = args.run_dir / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        same_run(saved["settings"], settings(args), args.run_dir)
        model.load_state_dict(saved["model"])
        for optimiser, values in zip(optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(values)
        for name, taken in saved["taken"].items():
            phases[name].taken.update(taken)
        state = saved["state"]
        print(f"resumed at step {state['step']}, {state['seconds'] / 60:.1f} minutes in")
    else:
        args.run_dir.mkdir(parents=True, exist_ok=True)
        args.loss_csv.write_text("minutes,step,tokens,length,rate,train,fiction_bpb,factual_bpb\n")
    millions = model.num_parameters() / 1e6
    print(f"{millions:.2f} M parameters on {device} in {args.precision}", flush=True)

    def pause(train_loss: float, length: int, rate: float) -> None:
        """Measure, write the curve, the checkpoint and a loadable snapshot (time not counted)."""
        measured = [bits_per_byte(model, curve[g], length, device) for g in curve]
        minutes = state["seconds"] / 60
        row = [f"{minutes:.2f}", state["step"], state["tokens"], length, f"{rate:.4f}"]
        row += [f"{x:.4f}" for x in (train_loss, *measured)]
        with open(args.loss_csv, "a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(row)
        speed = state["tokens"] / max(state["seconds"], 1e-9)
        print(*row, f"{speed:.0f} tokens/s", flush=True)
        torch.save(
            {
                "model": model.state_dict(),
                "optimisers": [o.state_dict() for o in optimisers],
                "taken": {name: phase.taken for name, phase in phases.items()},
                "state": state,
                "settings": settings(args),
            },
            checkpoint.with_suffix(".new"),
        )
        checkpoint.with_suffix(".new").replace(checkpoint)
        export(model, tokenizer, args.snapshot_dir or args.run_dir / "export")

    def part_done() -> float:
        if args.tokens:
            return state["tokens"] / args.tokens
        return state["seconds"] / (60 * args.minutes)

    next_pause = (int(part_done() * args.pauses) + 1) / args.pauses
    losses: list[float] = []
    while (progress := part_done()) < 1:
        start = time.perf_counter()
        phase = phases["short" if progress < args.long_from else "long"]
        rate = set_progress(optimisers, progress)
        ids = torch.from_numpy(phase.next_batch(args.batch_tokens // phase.length)).to(device)
        with torch.autocast(device, torch.bfloat16, enabled=args.precision == "bf16"):
            loss = next_token_loss(model, ids)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
        model.zero_grad()
        losses.append(loss.item())
        state["step"] += 1
        state["tokens"] += ids.numel()
        state["seconds"] += time.perf_counter() - start
        if part_done() >= next_pause:
            next_pause += 1 / args.pauses
            pause(float(np.mean(losses[-200:])), phase.length, rate)
    export(model, tokenizer, args.out)
    print(f"wrote {args.out}")
    speed = state["tokens"] / state["seconds"]
    share = speed * training_flops_per_token(model, 512) / matmul_flops(device, dtype)
    print(f"{speed:.0f} tokens/s, {share:.0%} of what a large matrix product reaches here")


if __name__ == "__main__":
    main()
