"""How far bf16 weights move each quantity from its fp32 value, on the benchmark's items.

    python experiments/bench/bf16.py [--model embedded]

Prints, for every quantity, the mean and the largest absolute difference over the items, and the
mean of the quantity itself in fp32. Units are in the names; those without one are in bits.
"""

from __future__ import annotations

import argparse

from cqa import quiet

quiet.libraries()

import numpy as np  # noqa: E402

from cqa import lm, model_ref  # noqa: E402
from cqa.conditions import pool_of  # noqa: E402
from cqa.files import read_rows  # noqa: E402
from cqa.judge import Judge  # noqa: E402
from cqa.measures import ALL  # noqa: E402
from cqa.paths import BENCHMARK_ITEMS, shipped  # noqa: E402
from cqa.texts import as_texts  # noqa: E402
from cqa.types import Item  # noqa: E402

SHOWN = [n for n in ALL if n.endswith("_bits_per_token")] + ["gain_share", "nce_bits"]


def values(model: str, dtype: str) -> np.ndarray:
    """Shape (items, quantities); nan where a quantity is null."""
    texts = as_texts(read_rows(shipped(BENCHMARK_ITEMS), Item))
    judge = Judge(model, model, lm.load(model_ref.find(model), dtype=dtype), pool_of(texts))
    scores = [marked.score.quantities for marked in judge.mark(texts)]
    return np.array([[s[n] for n in SHOWN] for s in scores], dtype=float)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="embedded", help="embedded, a folder or a Hub id")
    model = parser.parse_args().model
    exact, rough = values(model, "float32"), values(model, "bfloat16")
    moved = np.abs(rough - exact)
    print(f"{model}, {len(exact)} items: |bf16 - fp32|\n")  # noqa: T201
    print("| quantity | mean in fp32 | mean moved | most moved |\n| --- | --- | --- | --- |")  # noqa: T201
    for i, name in enumerate(SHOWN):
        print(  # noqa: T201
            f"| {name} | {np.nanmean(exact[:, i]):.4f} | {np.nanmean(moved[:, i]):.5f} "
            f"| {np.nanmax(moved[:, i]):.4f} |"
        )


if __name__ == "__main__":
    main()
