"""How long scoring and writing would take with a model that has not been used here yet."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from cqa import conditions, lm, render
from cqa.config import ScoreConfig, TrainConfig
from cqa.model_ref import Model
from cqa.training import probe, size
from cqa.types import Text

if TYPE_CHECKING:
    from cqa.study.study import Study

_SHAPE = (8, 128)
"""Rows and tokens of the pass that is timed."""
_SAMPLE = 16
"""Items whose tokens are counted; the others are taken to be like them."""
_REACHED = 0.35
"""Share of the matrix-product peak that a model is taken to reach where no pass is timed."""
_WINDOW = 1 << 20
"""Texts longer than the model's window are cut, which adds little; here none is."""
_COPY_BYTES = 64_000_000
_NOISE_SHARE = 0.25
"""Of the texts, that are scored twice more for the noise floor."""


@dataclass(frozen=True)
class Speed:
    """Seconds of a model on this machine."""

    token: float
    """Of a token in a full pass."""
    step: float
    """Of one more token for each row of a batch that is being written."""
    basis: str


@functools.cache
def measured(model: Model, dtype: str, rows: int) -> Speed:
    """Time a pass over a few tokens and some steps of `rows` rows, on random weights.

    A model too large for that is reckoned from matrix products (a pass) and from a copy in memory
    (a step reads every weight once).
    """
    where = probe.device()
    known = "bfloat16" if dtype == "bfloat16" else "float32"
    config = TrainConfig(method="full", dtype=known)
    counted = size.of(model, config)
    if counted.parameters > probe.MOST_PARAMETERS[where]:
        peak = probe.matmul_flop_per_second(known)
        token = 2.0 * counted.multiplied / (peak * _REACHED)
        step = max(rows * token, counted.parameters * counted.itemsize / _bytes_per_second(where))
        return Speed(token, step, f"matrix products timed now, {_REACHED:.0%} of their speed")
    with torch.random.fork_rng(), torch.inference_mode():
        made = size.empty(model, config, where).eval()
        ids = torch.randint(0, counted.vocabulary, _SHAPE, device=where)
        token = _median(lambda: made(ids), where) / ids.numel()
        begun = ids[:1].expand(rows, -1)
        past = made(begun, use_cache=True).past_key_values
        step = _median(lambda: made(begun[:, :1], past_key_values=past, use_cache=True), where)
    return Speed(token, step, "a pass and some steps timed now, on random weights")


def seconds_to_score(
    study: Study, texts: Sequence[Text], model: Model, config: ScoreConfig, speed: Speed
) -> float:
    """Of every condition of these texts, and of the noise floor where it is asked for."""
    tokenizer = lm.load_tokenizer(model)
    few = texts[:: max(1, len(texts) // _SAMPLE)]
    plans = [
        conditions.plan(text, text.id or "", study.pool, tokenizer, _WINDOW, config.mismatched)
        for text in few
    ]
    tokens = sum(
        len(piece.left) + len(piece.target)
        for plan in plans
        for pieces in plan.conditions.values()
        for piece in pieces
    )
    again = 1 + 2 * _NOISE_SHARE * config.noise_floor
    return tokens / len(few) * len(texts) * again * speed.token


def seconds_to_write(study: Study, texts: Sequence[Text], speed: Speed) -> float:
    """Of as many samples of every item as the experiment asks for, at their full length."""
    config, tokenizer = study.experiment.generate, lm.load_tokenizer(study.model)
    few = texts[:: max(1, len(texts) // _SAMPLE)]
    read = sum(len(tokenizer.encode(render.preface(t.brief) + t.context)) for t in few if t.brief)
    samples = len(texts) * config.samples
    batches = -(-samples // config.batch_size)
    return read / len(few) * samples * speed.token + batches * config.max_new_tokens * speed.step


def _median(work: Callable[[], object], where: str, times: int = 3) -> float:
    work()  # the first one warms up
    found = []
    for _ in range(times):
        probe.wait_for(where)
        began = time.perf_counter()
        work()
        probe.wait_for(where)
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def _bytes_per_second(where: str) -> float:
    one = torch.empty(_COPY_BYTES, dtype=torch.uint8, device=where)
    return 2 * _COPY_BYTES / _median(one.clone, where)
