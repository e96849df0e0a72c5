"""The recipe of the embedded model: it runs on any folder, resumes exactly, and has yardsticks."""

from __future__ import annotations

import csv
import json
import lzma
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY

RECIPE = REPOSITORY / "experiments" / "base"
SMALL = "--hidden 16 --layers 1 --heads 2 --kv-heads 1 --mlp 32 --vocab-size 300 --threads 1"
SHORT = "--tokens 24000 --batch-tokens 2048 --pauses 5 --seed 3"
CEILING = 1e9  # operations per second
WORDS = "the ferry came late and the clerk wrote ice in his book while rain fell on the quay"


@pytest.fixture
def recipe(monkeypatch):
    """The folder on the path, as it is for a script in it, and a ceiling that costs no time."""
    monkeypatch.syspath_prepend(str(RECIPE))
    import train

    monkeypatch.setattr(train, "matmul_flops", lambda *_: CEILING)


@pytest.fixture
def corpus(tmp_path) -> Path:
    """A few text files by genre; an author is a file here."""
    folder = tmp_path / "corpus"
    draw = np.random.default_rng(0)
    for number in range(120):
        genre = "fiction" if number % 3 else "factual"
        (folder / genre).mkdir(parents=True, exist_ok=True)
        text = " ".join(draw.choice(WORDS.split(), 300))
        (folder / genre / f"{number}.txt").write_text(text)
    return folder


def train(corpus: Path, folder: Path, options: str = f"{SMALL} {SHORT}") -> None:
    import train as recipe

    folder.mkdir(exist_ok=True)
    own = f"--corpus {corpus} --out {folder}/model --run-dir {folder}/run"
    own += f" --loss-csv {folder}/loss.csv --manifest {folder}/manifest.csv"
    recipe.main(f"{own} {options}".split())


def weights(folder: Path) -> dict:
    from safetensors.torch import load_file

    return load_file(folder / "model" / "model.safetensors")


def same_weights(one: Path, two: Path) -> bool:
    import torch

    a, b = weights(one), weights(two)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_that_was_cut_off_goes_on_to_the_same_weights(recipe, monkeypatch, corpus, tmp_path):
    import evaluate
    import train as module

    drawn: list[np.ndarray] = []
    with monkeypatch.context() as patch:
        draw = module.Sequences.next_row
        patch.setattr(module.Sequences, "next_row", lambda *a: drawn.append(draw(*a)) or drawn[-1])
        train(corpus, tmp_path / "whole")
    last = evaluate.last_drawn(tmp_path / "whole" / "run", prompts=2, seed=3)
    assert all(any(np.array_equal(row, seen) for seen in drawn) for row in last)
    with monkeypatch.context() as patch:
        real, calls = module.export, []

        def cut_off(*arguments):
            calls.append(1)
            if len(calls) == 4:
                raise KeyboardInterrupt
            real(*arguments)

        patch.setattr(module, "export", cut_off)
        with pytest.raises(KeyboardInterrupt):
            train(corpus, tmp_path / "cut")
    with pytest.raises(SystemExit, match=r"lr was 0\.003, is 0\.1"):
        train(corpus, tmp_path / "cut", f"{SMALL} {SHORT} --lr 0.1")
    train(corpus, tmp_path / "cut")
    assert same_weights(tmp_path / "whole", tmp_path / "cut")
    curve = list(csv.DictReader((tmp_path / "cut" / "loss.csv").open()))
    assert [row["tokens"] for row in curve] == sorted({row["tokens"] for row in curve}, key=int)
    assert float(curve[-1]["train"]) < float(curve[0]["train"])

    out = tmp_path / "evaluation.json"
    typed = f"--corpus {corpus} --model {tmp_path}/cut/model --run-dir {tmp_path}/cut/run"
    evaluate.main(f"{typed} --out {out} --prompts 2 --seed 3 --tokens-seen 5000".split())
    measured = json.loads(out.read_text())
    assert measured["last_run"]["tokens"] == int(curve[-1]["tokens"])
    for name in ("bits_per_byte", "ngram_of_all_text_bits_per_byte", "xz_9_bits_per_byte"):
        assert 0 < measured["fiction"][name] < 8, name
    few, all_text = "ngram_of_as_many_tokens_bits_per_byte", "ngram_of_all_text_bits_per_byte"
    assert measured["fiction"][all_text] < measured["fiction"][few]


def test_a_run_goes_on_from_a_model(recipe, corpus, tmp_path):
    """With rates of zero the second part returns the weights it began with, bit for bit."""
    train(corpus, tmp_path / "one")
    start = tmp_path / "one" / "model"
    standing = (
        f"--start {start} --tokens 6000 --batch-tokens 2048 --pauses 1 --lr 0 --embedding-lr 0"
    )
    train(corpus, tmp_path / "two", standing)
    assert same_weights(tmp_path / "one", tmp_path / "two")
    tokenizers = [(tmp_path / part / "model" / "tokenizer.json") for part in ("one", "two")]
    assert tokenizers[0].read_bytes() == tokenizers[1].read_bytes()
    train(corpus, tmp_path / "three", f"{standing} --lr 0.01")
    assert not same_weights(tmp_path / "one", tmp_path / "three")
    train(corpus, tmp_path / "other", f"{SMALL} {SHORT} --vocab-size 310 --tokens 2048 --pauses 1")
    with pytest.raises(SystemExit, match="another tokenizer"):
        train(corpus, tmp_path / "four", f"{standing} --data-dir {tmp_path}/other/run")


def test_the_schedule_fits_the_time_and_the_speed_is_printed(
    recipe, monkeypatch, corpus, tmp_path, capsys
):
    """On a clock that moves one second each time it is read, half a minute is thirty steps."""
    import train as module
    from transformers import AutoModelForCausalLM

    clock = iter(range(10**6))
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    train(corpus, tmp_path / "timed", f"{SMALL} --minutes 0.5 --batch-tokens 2048 --pauses 4")
    curve = list(csv.DictReader((tmp_path / "timed" / "loss.csv").open()))
    assert [int(row["step"]) for row in curve] == [8, 15, 23, 30]
    for row in curve:  # the rate of a step is that of the time before it
        gone = (int(row["step"]) - 1) / 30
        assert float(row["rate"]) == pytest.approx((1 - gone) / 0.98, abs=1e-4)
        assert row["length"] == ("512" if gone < 0.78 else "2048")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "timed" / "model")
    share = 2048 * module.training_flops_per_token(model, 512) / CEILING
    assert f"2048 tokens/s, {share:.0%} of" in capsys.readouterr().out.splitlines()[-1]


def test_the_rate_rises_and_falls(recipe):
    from optimiser import learning_rate_factor as rate

    assert [rate(x) for x in (0, 0.01, 0.02, 0.51, 1)] == pytest.approx([0, 0.5, 1, 0.5, 0])


def test_operations_per_token_agree_with_torchs_counter(recipe):
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from train import next_token_loss, training_flops_per_token
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=500,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=256,
        tie_word_embeddings=True,
        attn_implementation="eager",
    )
    model = Qwen2ForCausalLM(config)
    with FlopCounterMode(display=False) as counter:
        next_token_loss(model, torch.zeros(1, 513, dtype=torch.long)).backward()
    masked_half = 6 * config.num_hidden_layers * config.hidden_size * 512  # eager computes it too
    expected = training_flops_per_token(model, 512) + masked_half
    assert counter.get_total_flops() / 512 == pytest.approx(expected, rel=0.01)


def test_text_is_cleaned_and_no_author_is_on_both_sides(recipe, tmp_path):
    from corpus import Document, bucket_shares, clean, read_documents

    assert clean("\r\n\r\nCafe\u0301 \t\r\n\r\n\r\n\r\nat  night\r\n") == "Café\n\nat  night"

    def writer(side: str, *others: str) -> str:
        names = (" & ".join([*others, f"Author {n}"]) for n in range(200))
        return next(name for name in names if Document("", "", author=name).split == side)

    held, kept = writer("held-out"), writer("train")
    assert Document("", "", author=held.upper()).split == "held-out"
    rows = [
        {"id": "a", "author": kept, "text": "one", "genre": "fiction"},
        {"id": "a", "author": kept, "text": "again", "genre": "fiction"},
        {"id": "b", "author": held, "text": "two", "genre": "fiction"},
        {"id": "c", "author": "", "text": "not everywhere", "genre": "fiction"},
        {"id": "d", "author": kept, "text": " \n", "genre": "fiction"},
        {"id": "e", "author": kept, "text": "three" * 10, "genre": "factual"},
    ]
    with lzma.open(tmp_path / "part.jsonl.xz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "MANIFEST.csv").write_text("id,pd_scope\nc,US only (renewed)\n")
    documents = read_documents(tmp_path)
    assert [(d.id, d.text, d.split) for d in documents[:2]] == [
        ("a", "one", "train"),
        ("b", "two", "held-out"),
    ]
    assert [d.id for d in documents] == ["a", "b", "e"]
    assert bucket_shares(documents) == pytest.approx({"fiction": 0.7, "factual": 0.3})
    with lzma.open(tmp_path / "part.jsonl.xz", "at") as file:  # `held` now also writes for training
        file.write(json.dumps({"id": "f", "author": writer("train", held), "text": "four"}) + "\n")
    assert [d.id for d in read_documents(tmp_path)] == ["a", "e", "f"]


def test_sequences_are_packed_without_gaps_and_none_comes_twice_in_a_pass(recipe, tmp_path):
    from batches import Sequences, stream_path, write_streams
    from corpus import Document
    from tokenizer import train_tokenizer

    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(WORDS.split(), n)) for n in draw.integers(5, 90, 60)]
    documents = [Document(str(i), t, author=str(i), genre="fiction") for i, t in enumerate(texts)]
    tokenizer = train_tokenizer(texts, 300)
    sizes = write_streams(documents, tokenizer, 1, tmp_path)
    stream = np.load(stream_path(tmp_path, "fiction"))
    whole = tokenizer.decode(stream.tolist(), skip_special_tokens=False)
    assert whole.endswith("<|endoftext|>")
    assert Counter(whole.split("<|endoftext|>")[:-1]) == Counter(texts)

    order = Sequences(tmp_path, {"fiction": 1.0}, 16, "short", seed=1)
    rows = int(sizes["fiction"] * 0.7) // 16
    drawn = np.stack([order.next_row("fiction") for _ in range(rows)])
    plain = stream[: rows * 16].reshape(rows, 16)
    assert Counter(map(tuple, drawn.tolist())) == Counter(map(tuple, plain.tolist()))
    assert (drawn != plain).any()
    again = Sequences(tmp_path, {"fiction": 1.0}, 16, "short", seed=1)
    assert again.next_tokens(rows * 16, rows=1).tolist() == drawn.ravel().tolist()


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


def test_longest_runs_agree_with_looking_everywhere(recipe):
    from overlap import longest_runs

    draw = np.random.default_rng(2)
    text, corpus = draw.integers(0, 4, 60), draw.integers(0, 4, 200)
    inside = {tuple(corpus[i : i + n].tolist()) for n in range(3, 10) for i in range(201 - n)}

    def longest(i: int) -> int:
        lengths = (n for n in range(9, 2, -1) if i + n <= 60)
        return next((n for n in lengths if tuple(text[i : i + n].tolist()) in inside), 0)

    runs = longest_runs(text, corpus, least=3, most=9)
    assert runs.tolist() == [longest(i) for i in range(60)]
    assert runs.max() > 3


def test_bits_per_byte_of_a_model_that_knows_nothing(recipe, tiny_model):
    """Every token costs log2 of the vocabulary, whatever the windows."""
    import torch
    from evaluate import bits_per_byte, excerpt_losses, load

    model, tokenizer, _ = load(tiny_model)
    text = f"{WORDS}\n" * 3
    ids = torch.tensor(tokenizer(text).input_ids)
    windowed = excerpt_losses(model, ids, length=24, stride=12)
    assert len(windowed) == len(ids)
    whole = excerpt_losses(model, ids, length=1000, stride=1000)
    assert torch.allclose(windowed[:23], whole[:23], atol=1e-4)
    torch.nn.init.zeros_(model.lm_head.weight)
    scores = bits_per_byte(model, tokenizer, [text], length=24, stride=12)
    expected = len(ids) * math.log2(model.config.vocab_size) / len(text.encode())
    assert scores["bits_per_byte"] == pytest.approx(expected)


def test_the_scaling_study_gives_every_reader_the_same_tokens(
    recipe, monkeypatch, corpus, tmp_path
):
    import scaling

    monkeypatch.setattr(scaling, "SIZES", ((1, 2), (2, 2)))
    monkeypatch.setattr(scaling, "RECIPE", f"{scaling.RECIPE} --vocab-size 300")
    out = tmp_path / "scaling.csv"
    typed = f"--corpus {corpus} --run-dir {tmp_path}/runs --out {out} --tokens 5000 --threads 1"
    scaling.main(typed.split())
    small, large, few, all_text, xz = csv.DictReader(out.open())
    assert int(small["parameters"]) < int(large["parameters"])
    assert small["training_tokens"] == large["training_tokens"] == few["training_tokens"]
    assert int(few["training_tokens"]) < int(all_text["training_tokens"])
    assert float(all_text["fiction_bpb"]) < float(few["fiction_bpb"])
    assert all(0 < float(row["factual_bpb"]) < 8 for row in (small, large, few, all_text, xz))
