"""What a training did to prose that it was not about: bits per byte before and after."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.stats import norm

from cqa.conditions import Piece
from cqa.lm import LanguageModel, load
from cqa.model_ref import Model, Subject
from cqa.training import neutral

_NORMAL_975 = float(norm.ppf(0.975))


def measure(base: Model, tuned: Subject, dtype: str) -> dict[str, Any]:
    """Bits per byte of the shipped neutral texts under the base and the tuned model.

    For each genre: `before`, `after`, `change`, and the 95 % interval of the change over passages;
    beside them the seconds that the measurement took.
    """
    began = time.monotonic()
    found: dict[str, Any] = {}
    after = load(tuned.model, adapter=tuned.adapter, dtype=dtype)
    for genre in neutral.GENRES:
        texts = neutral.passages(genre)
        sizes = np.array([len(text.encode()) for text in texts], dtype=float)
        one, two = _bits_of_base(base, dtype, texts), np.array(bits(after, texts))
        found[genre] = changed(one, two, sizes)
    return {"unit": "bits per byte", **found, "seconds": round(time.monotonic() - began, 2)}


def bits(lm: LanguageModel, texts: Sequence[str]) -> list[float]:
    """Surprisal of each text in bits, each on a page of its own, in pieces where it is too long."""
    start, room = lm.tokenizer.start_id, lm.window - 1
    pieces, owner = [], []
    for number, text in enumerate(texts):
        ids = lm.tokenizer.encode(text)
        for begin in range(0, len(ids), room):
            pieces.append(Piece((start,), tuple(ids[begin : begin + room])))
            owner.append(number)
    sums = [0.0] * len(texts)
    for number, trace in zip(owner, lm.traces(pieces), strict=True):
        sums[number] -= float(trace.logprob_nats.sum()) / math.log(2)
    return sums


def changed(before: np.ndarray, after: np.ndarray, sizes: np.ndarray) -> dict[str, Any]:
    """Bits and bytes of each passage -> the rates and the change with its 95 % interval.

    The rate is a ratio of sums; its variance over passages is that of the linearised ratio
    (Cochran 1977, Sampling Techniques, 6.3), without a correction for the finite population.
    """
    n, delta, total = len(sizes), after - before, sizes.sum()
    change = float(delta.sum() / total)
    spread = delta - change * sizes
    half = _NORMAL_975 * math.sqrt(n / (n - 1) * float(spread @ spread)) / float(total)
    return {
        "before": float(before.sum() / total),
        "after": float(after.sum() / total),
        "change": change,
        "change_low": change - half,
        "change_high": change + half,
        "passages": n,
        "bytes": int(total),
    }


@lru_cache(maxsize=8)
def _bits_of_base(base: Model, dtype: str, texts: tuple[str, ...]) -> np.ndarray:
    """Of a study with several trainings the base is measured once."""
    return np.array(bits(load(base, dtype=dtype), texts))
