"""Tiny real models, small data and a command line to drive; nothing needs the network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cqa import paths, quiet, score

quiet.libraries()

REPOSITORY = Path(__file__).parent.parent
NEUTRAL_TEXTS = paths.NEUTRAL_TEXTS
whole_reference = score.reference


@pytest.fixture(autouse=True, scope="session")
def few_neutral_passages(tmp_path_factory):
    """Trainings of tiny models, whose tokens are short, read three neutral passages and not all."""
    folder = tmp_path_factory.mktemp("neutral")
    for file in paths.shipped(NEUTRAL_TEXTS).glob("*.txt"):
        few = file.read_text("utf-8").split("\n\n")[:3]
        (folder / file.name).write_text("\n\n".join(few), "utf-8")
    paths.NEUTRAL_TEXTS = str(folder)
    yield
    paths.NEUTRAL_TEXTS = NEUTRAL_TEXTS


@pytest.fixture(autouse=True, scope="session")
def few_reference_texts():
    """Every scoring reads the texts at whose medians the quadrants meet: here four and not all."""
    few = whole_reference()[:4]
    score.reference = lambda: few
    yield
    score.reference = whole_reference


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """A random Qwen2 of two layers with a byte-level BPE tokenizer, saved as a local folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("tiny-model")
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|pad|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([item["text"] + item["context"] for item in items()], trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|endoftext|>", pad_token="<|pad|>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=bpe.get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=0.2,  # far from uniform, so that a fault in a sum would show
        eos_token_id=0,
        pad_token_id=1,
        bos_token_id=None,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """An empty working directory with its own runs directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CQA_RUNS", str(tmp_path / "runs"))
    return tmp_path


@pytest.fixture
def cqa(workplace) -> Callable:
    """Type a command: `cqa("ingest", "--json")` gives exit code, stdout and stderr."""
    from typer.testing import CliRunner

    from cqa.cli import app

    def type_command(*words: str):
        result = CliRunner().invoke(app, list(words), catch_exceptions=False)
        return result

    return type_command


@pytest.fixture
def batch(workplace) -> Path:
    """A small batch of annotations of six works with their dialogues."""
    folder = workplace / "batch"
    rows = [annotation(number) for number in range(6)]
    write_rows(folder / "annotations.jsonl", rows)
    write_rows(folder / "dialogues.jsonl", [dialogue(number) for number in range(6)])
    return folder


@pytest.fixture
def benchmark(workplace) -> Path:
    """Twelve items of twelve works, half of them literary."""
    return write_rows(workplace / "items.jsonl", items())


def write_rows(path: Path, rows: list[dict]) -> Path:
    """Rows as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def read_rows(path: Path) -> list[dict]:
    """JSON lines as rows."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


_NOUNS = ["kettle", "ferry", "ladder", "violin", "pigeon", "winter", "barber", "orchard"]
_VERBS = ["waited", "creaked", "fell", "sang", "burned", "stopped", "moved", "slept"]


def items() -> list[dict]:
    """Twelve small but complete items."""
    rows = []
    for number in range(12):
        noun, verb = _NOUNS[number % 8], _VERBS[(number * 3) % 8]
        rows.append(
            {
                "id": f"item-{number:02d}",
                "group": "literary" if number < 6 else "factual",
                "work": f"Work {number}",
                "author": "original",
                "context": f"The {noun} had been there since morning, and nobody looked at it.",
                "brief": {
                    "intent": f"Let the {noun} be noticed for once, number {number}.",
                    "audience": f"Has heard of it {number + 1} times.",
                    "reality": "It is heavy, and the floor is old.",
                },
                "text": f" Then the {noun} {verb}, and all of them turned round.",
                "foil": f" Then the {noun} was very sad, and they were sad too.",
                "source": "written for a test",
                "licence": "CC0-1.0",
                "redistribution": True,
            }
        )
    return rows


def annotation(number: int) -> dict:
    """A small but complete annotation; its dialogue is `dialogue(number)`."""
    noun, verb = _NOUNS[number % 8], _VERBS[(number * 5) % 8]
    return {
        "id": f"ann-{number}",
        "dialogue": f"dlg-{number}",
        "work": f"Novel {number}",
        "author": "original",
        "genre": "test",
        "context": f"Nobody had asked for a {noun}. It came on a Tuesday.",
        "brief": {
            "intent": f"Make the arrival funny, way {number}.",
            "audience": "Expects a parcel.",
            "reality": "The stairs are narrow.",
        },
        "passage": f" The {noun} {verb} on every step.",
        "foil": f" The {noun} arrived and it was funny.",
        "reasoning": [
            {"kind": "reality", "claim": f"Stairs make a {noun} loud.", "turns": ["C1"]},
            {"kind": "audience", "claim": "They wait for a parcel.", "turns": ["B1", "C2"]},
        ],
        "load_bearing": [1],
        "decision": "Let it be heard first.",
        "rejected": [{"choice": "a letter", "reason": "silent"}],
        "exit": {"by": "B", "reason": "no new premise"},
        "rights": {
            "contributor": "tests",
            "source": "written for a test",
            "licence": "CC0-1.0",
            "redistribution": True,
        },
    }


def dialogue(number: int) -> dict:
    """The dialogue of `annotation(number)`."""
    return {
        "id": f"dlg-{number}",
        "work": f"Novel {number}",
        "language": "en",
        "turns": [
            {"turn": "C1", "text": "You hear it first. The stairs, no, the steps."},
            {"turn": "B1", "text": "And if there were a lift?", "probe": "counterfactual_open"},
            {"turn": "C2", "text": "Then it is only a parcel."},
        ],
        "exit": {"by": "B", "reason": "no new premise"},
    }


def experiment(folder: Path, model: Path, **changes: str) -> Path:
    """A small experiment file over `batch` and `items.jsonl` of the working directory."""
    text = f"""
name = "small"
question = "Does the whole road hold?"
model = {json.dumps(str(model))}
judge = {json.dumps(str(model))}
annotations = "batch"
items = "items.jsonl"
seeds = [0]

[[arms]]
name = "annotations"

[[arms]]
name = "shuffled"
pairing = "shuffled"

[train]
epochs = {changes.get("epochs", "2")}
learning_rate = 1e-2
batch_size = 4

[generate]
max_new_tokens = 8

[analysis]
arm = "annotations"
margin = 0.05
"""
    path = folder / "small.toml"
    path.write_text(text + changes.get("more", ""), "utf-8")
    return path
