"""A small scaling study: three sizes on the same tokens in the same order, and two yardsticks.

python experiments/base/scaling.py --corpus FOLDER --tokens 600000

All sizes train by one recipe (sequences of 512 tokens, one rate, one seed) and are read as saved
(bf16) and computed with in fp32. Each number is bits per byte of the held-out excerpts that
`evaluate.py` uses, in windows of 512 tokens that move by 256. The n-gram is trained on the very
tokens that the models saw, and on all of the training text.
"""

# ruff: noqa: T201 - a script reports by printing

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import train
from batches import Sequences
from corpus import read_documents
from evaluate import bits_per_byte, excerpts, load, ngram_bits_per_byte, training_tokens
from ngram import KneserNey

HERE = Path(__file__).parent
SIZES = ((2, 2), (4, 4), (4, 6))  # layers and heads; the second is the shipped size
LENGTH = 512
RECIPE = "--long-from 1 --pauses 2"
COLUMNS = ("reader", "parameters", "training_tokens", "fiction_bpb", "factual_bpb")


def shape(layers: int, heads: int) -> str:
    """The options of one size: 64 wide for each head, half as many heads for keys and values."""
    width = f"--hidden {64 * heads} --mlp {128 * heads}"
    return f"--layers {layers} --heads {heads} --kv-heads {heads // 2} {width}"


def train_one(args: argparse.Namespace, layers: int, heads: int) -> Path:
    """Train one size, or go on with it, and return the folder of the saved model."""
    run = args.run_dir / f"{layers}-layers-{64 * heads}-wide"
    run.mkdir(parents=True, exist_ok=True)
    places = ["--corpus", args.corpus, "--data-dir", args.data_dir, "--run-dir", run]
    places += ["--out", run / "model", "--loss-csv", run / "loss.csv"]
    places += ["--manifest", run / "manifest.csv"]
    recipe = f"{RECIPE} --tokens {args.tokens} --batch-tokens {args.batch_tokens}"
    recipe += f" --seed {args.seed} --threads {args.threads} {shape(layers, heads)}"
    train.main([*map(str, places), *recipe.split()])
    return run / "model"


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True, help="folder of text (see README)")
    parser.add_argument("--tokens", type=int, default=600_000, help="for each size")
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--run-dir", type=Path, default=Path("runs/scaling"))
    parser.add_argument("--data-dir", type=Path, help="for token streams; default RUN_DIR")
    parser.add_argument("--out", type=Path, default=HERE / "scaling.csv")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args(words)
    args.data_dir = args.data_dir or args.run_dir
    folders = [train_one(args, *size) for size in SIZES]

    documents = read_documents(args.corpus)
    texts = {genre: excerpts(documents, genre) for genre in ("fiction", "factual")}
    shares = json.loads((args.data_dir / "data.json").read_text())["shares"]
    order = Sequences(args.data_dir, shares, LENGTH, "short", args.seed)
    drawn = order.next_tokens(args.tokens, args.batch_tokens // LENGTH)
    rows: list[list] = []
    for folder in folders:
        model, tokenizer, _ = load(folder)
        scores = {
            g: bits_per_byte(model, tokenizer, t, LENGTH, LENGTH // 2) for g, t in texts.items()
        }
        bits = [scores[genre]["bits_per_byte"] for genre in texts]
        rows.append(["Qwen2", model.num_parameters(), len(drawn), *bits])
        print(*rows[-1], flush=True)
    for tokens in (drawn, training_tokens(args.data_dir).astype(np.int64)):
        ngram = KneserNey(tokens, model.config.vocab_size)
        bits = [ngram_bits_per_byte(ngram, tokenizer, t) for t in texts.values()]
        rows.append(["Kneser-Ney 5-gram", None, len(tokens), *bits])
        print(*rows[-1], flush=True)
    rows.append(["xz -9", None, 0, *(scores[genre]["xz_9_bits_per_byte"] for genre in texts)])
    with open(args.out, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([*row[:3], *(f"{bits:.4f}" for bits in row[3:])] for row in rows)


if __name__ == "__main__":
    main()
