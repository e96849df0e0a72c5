"""A data set and settings -> the rows that are trained on, as ids; none is cut, none dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cqa import selection
from cqa.config import TrainConfig
from cqa.errors import DataRefused
from cqa.examples import Example, Tokens, examples, tokens
from cqa.ingest import DataSet
from cqa.model_ref import Model
from cqa.types import Annotation

if TYPE_CHECKING:
    from cqa.lm import HubTokenizer


@dataclass(frozen=True)
class Prepared:
    """The rows of a training as ids, and a sight of the first of them."""

    tokenizer: HubTokenizer
    learn: list[Tokens]
    dev: list[Tokens]
    sight: str


def prepared(config: TrainConfig, model: Model, data: DataSet, *, seed: int) -> Prepared:
    """The rows that these settings train on and are watched on; none is cut and none dropped."""
    from cqa.lm import load_tokenizer

    tokenizer = load_tokenizer(model)
    rows = {
        side: examples(
            _selected(data.annotations_of(side), config if side != "dev" else None),
            config.forms,
            dialogues={dialogue.id: dialogue for dialogue in data.dialogues},
            # The development side stays true: it shows what the placebo taught.
            material="annotations" if side == "dev" else config.material,
            pairing="true" if side == "dev" else config.pairing,
            seed=seed,
        )
        for side in (["train", "dev"] if config.split == "train" else ["all"])
    }
    made = {
        side: [tokens(example, tokenizer, tokenizer.raw.eos_token_id) for example in kept]
        for side, kept in rows.items()
    }
    learn, dev = made.get("train", made.get("all", [])), made.get("dev", [])
    if not learn:
        raise DataRefused(
            "the data set holds no annotations to train on",
            next_step="cqa ingest a folder with dialogues.jsonl and annotations.jsonl",
        )
    first = rows["train" if "train" in rows else "all"]
    sight = "\n".join(shown(example) for example in first[: len(config.forms)])
    return Prepared(tokenizer, learn, dev, sight)


def _selected(annotations: list[Annotation], config: TrainConfig | None) -> list[Annotation]:
    """What a configuration takes of the annotations; the development side has them whole."""
    if config and config.rows is not None:
        annotations = selection.first(annotations, config.rows)
    return selection.of_kinds(annotations, config.kinds) if config and config.kinds else annotations


def shown(example: Example) -> str:
    """An example as the model reads it, the part to be learned between ⟦ and ⟧."""
    return (
        f"--- {example.id}, {example.form}\n"
        f"{example.preface}{''.join(example.given)}⟦{example.learned}<end of text>⟧\n"
    )
