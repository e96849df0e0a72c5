"""Language models whose probabilities are known on paper, and tokenizers to go with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace

import torch
from torch import nn

from cqa.lm import LanguageModel


class WordTokenizer:
    """Every word (with the white space before it) is a token; ids are given out as words come."""

    start_id = 0

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}

    def encode(self, text: str) -> list[int]:
        return [self.ids.setdefault(w.strip(), len(self.ids) + 1) for w in self._words(text)]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in re.finditer(r"\s*\S+", text)]

    def _words(self, text: str) -> list[str]:
        return re.findall(r"\s*\S+", text)


class RuleModel(nn.Module):
    """A causal model given by a rule: ids so far -> probability of every id."""

    def __init__(
        self,
        rule: Callable[[tuple[int, ...]], Sequence[float]],
        window: int = 4096,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        self.rule = rule
        self.config = SimpleNamespace(max_position_embeddings=window)
        self.dtype_holder = nn.Parameter(torch.zeros(1, dtype=dtype), requires_grad=False)

    def get_output_embeddings(self):
        return None

    def forward(self, input_ids, use_cache=False):
        logits = torch.stack(
            [
                torch.stack(
                    [
                        torch.log(torch.tensor(self.rule(tuple(row[: t + 1])), dtype=torch.float64))
                        for t in range(len(row))
                    ]
                )
                for row in input_ids.tolist()
            ]
        )
        return SimpleNamespace(logits=logits.to(self.dtype_holder.dtype))


def closed_form_lm(
    rule, tokenizer, window: int = 4096, dtype: torch.dtype = torch.float64
) -> LanguageModel:
    """A rule behind the real engine."""
    return LanguageModel(
        name="closed form",
        model=RuleModel(rule, window, dtype),
        tokenizer=tokenizer,
        window=window,
        dtype=str(dtype).removeprefix("torch."),
        device="cpu",
    )


def table_rule(table: Mapping[tuple[int, ...], Sequence[float]], vocabulary: int):
    """A rule that looks the prefix up; a prefix that is not there is uniform (it is padding)."""
    uniform = [1.0 / vocabulary] * vocabulary
    return lambda prefix: table.get(prefix, uniform)
