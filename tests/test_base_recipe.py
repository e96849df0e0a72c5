"""The recipe of the embedded model: it runs on any folder, resumes exactly, and has a yardstick."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY

RECIPE = REPOSITORY / "experiments" / "base"
SMALL = "--hidden 16 --layers 1 --heads 2 --kv-heads 1 --mlp 32 --vocab-size 300 --threads 1"
SHORT = "--tokens 24000 --batch-tokens 2048 --seed 3"


@pytest.fixture
def recipe(monkeypatch):
    """The folder on the path, as it is for a script in it."""
    monkeypatch.syspath_prepend(str(RECIPE))


@pytest.fixture
def corpus(tmp_path) -> Path:
    """A few text files by genre; an author is a file here."""
    folder = tmp_path / "corpus"
    words = "the ferry came late and the clerk wrote ice in his book while rain fell on the quay"
    draw = np.random.default_rng(0)
    for number in range(120):
        genre = "fiction" if number % 3 else "factual"
        (folder / genre).mkdir(parents=True, exist_ok=True)
        text = " ".join(draw.choice(words.split(), 300))
        (folder / genre / f"{number}.txt").write_text(text)
    return folder


def train(monkeypatch, corpus: Path, folder: Path) -> None:
    import train as recipe

    own = f"--corpus {corpus} --out {folder}/model --run-dir {folder}/run"
    own += f" --loss-csv {folder}/loss.csv --manifest {folder}/manifest.csv"
    monkeypatch.setattr(sys, "argv", ["train.py", *f"{own} {SMALL} {SHORT}".split()])
    recipe.main()


def test_a_run_that_was_cut_off_goes_on_to_the_same_weights(recipe, monkeypatch, corpus, tmp_path):
    import torch
    import train as module
    from safetensors.torch import load_file

    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    train(monkeypatch, corpus, tmp_path / "whole")
    with monkeypatch.context() as patch:
        real, calls = module.export, []

        def cut_off(*arguments):
            calls.append(1)
            if len(calls) == 4:
                raise KeyboardInterrupt
            real(*arguments)

        patch.setattr(module, "export", cut_off)
        with pytest.raises(KeyboardInterrupt):
            train(patch, corpus, tmp_path / "cut")
    train(monkeypatch, corpus, tmp_path / "cut")
    one, two = (
        load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "cut")
    )
    assert one.keys() == two.keys()
    for name in one:
        assert torch.equal(one[name], two[name]), name
    out = tmp_path / "evaluation.json"
    typed = f"--corpus {corpus} --model {tmp_path}/cut/model --run-dir {tmp_path}/cut/run"
    typed += f" --out {out} --prompts 2"
    evaluate = [sys.executable, str(RECIPE / "evaluate.py"), *typed.split()]
    subprocess.run(evaluate, check=True, capture_output=True)
    measured = json.loads(out.read_text())
    for name in ("bits_per_byte", "ngram_bits_per_byte", "xz_9_bits_per_byte"):
        assert 0 < measured["fiction"][name] < 8, name


def test_the_yardstick_is_kneser_ney(recipe):
    """Against the formula written with dictionaries, and as a distribution."""
    from ngram import KneserNey

    vocabulary = 5
    tokens = np.random.default_rng(1).integers(0, vocabulary, 400) % 4  # one token never occurs
    model = KneserNey(tokens, vocabulary)
    text = tuple(tokens.tolist())
    grams = {n: [text[i : i + n] for i in range(len(text) - n + 1)] for n in range(1, 6)}
    counts = {5: Counter(grams[5])}
    for n in (4, 3, 2, 1):
        counts[n] = Counter(gram[1:] for gram in set(grams[n + 1]))

    def discount(n: int) -> float:
        of = Counter(counts[n].values())
        return of[1] / (of[1] + 2 * of[2]) if of[1] else 0.0

    def p(token: int, context: tuple[int, ...]) -> float:
        n = len(context) + 1
        lower = p(token, context[1:]) if context else 1 / vocabulary
        followers = {gram: c for gram, c in counts[n].items() if gram[:-1] == context}
        if not followers:
            return lower
        own = max(followers.get((*context, token), 0) - discount(n), 0)
        return (own + discount(n) * len(followers) * lower) / sum(followers.values())

    for context in ((0, 1, 2, 3), (3, 3, 3, 3), (4, 0, 1, 1), tuple(text[7:11])):
        row = [model.probabilities(np.array([*context, t]))[-1] for t in range(vocabulary)]
        assert row == pytest.approx([p(t, context) for t in range(vocabulary)], abs=1e-12)
        assert sum(row) == pytest.approx(1)
