"""Text against foil, one group against the other, and what the brief shares with them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from cqa import stats
from cqa.leaks import normal_words
from cqa.overlap import longest_shared_run
from cqa.quality.words import FUNCTION_WORDS, joined
from cqa.stats.interval import bca
from cqa.stats.works import no_spread, too_few
from cqa.types import Annotation, Item

_RESAMPLES = 1999
_SEED = 20260525


@dataclass(frozen=True)
class Pair:
    """What is compared of one record: quantity -> value of the text, and of its foil.

    A value is NaN where there is none (a frequency without words).
    """

    work: str
    group: str | None
    text: Mapping[str, float]
    foil: Mapping[str, float]
    around: Mapping[str, float]
    """Of what stands around them: words of context and brief."""


def pairs_of(rows: Sequence[Annotation | Item]) -> list[Pair]:
    """One Pair for each row, in order; frequencies of words are those in all of these rows."""
    written = [
        {
            "text": normal_words(row.text if isinstance(row, Item) else row.passage),
            "foil": normal_words(row.foil),
            "context": normal_words(row.context),
            "brief": normal_words(joined(row.brief)),
        }
        for row in rows
    ]
    table = Counter(word for fields in written for words in fields.values() for word in words)
    return [_pair(row, fields, table) for row, fields in zip(rows, written, strict=True)]


def _pair(row: Annotation | Item, fields: Mapping[str, list[str]], table: Counter[str]) -> Pair:
    own = Counter(word for words in fields.values() for word in words)
    text = row.text if isinstance(row, Item) else row.passage

    def measured(written: str, words: list[str]) -> dict[str, float]:
        return {
            "characters": len(written.strip()),
            "words": len(words),
            **_frequency(words, own, table),
            "jaccard_with_brief": _content_jaccard(words, fields["brief"]),
            "run_shared_with_brief": longest_shared_run(" ".join(words), " ".join(fields["brief"])),
        }

    return Pair(
        row.work,
        row.group if isinstance(row, Item) else None,
        measured(text, fields["text"]),
        measured(row.foil, fields["foil"]),
        {f"words of {name}": len(fields[name]) for name in ("context", "brief")},
    )


def _frequency(words: Sequence[str], own: Counter[str], table: Counter[str]) -> dict[str, float]:
    """Mean log2 frequency of the words among all other records, and the share not found there.

        log2 (c(w) − c_own(w) + 1) / (N − N_own + V)        V: types of the whole set

    Leaving the own record out keeps a word from vouching for itself. The table is small: most
    content words are not found, and all of those look equally rare.
    """
    if not words:
        return {"log2_frequency": math.nan, "unseen_words": math.nan}
    everything = table.total() - own.total() + len(table)
    elsewhere = [table[word] - own[word] for word in words]
    return {
        "log2_frequency": sum(math.log2((n + 1) / everything) for n in elsewhere) / len(words),
        "unseen_words": sum(n == 0 for n in elsewhere) / len(words),
    }


def _content_jaccard(one: Iterable[str], other: Iterable[str]) -> float:
    """Shared ÷ all different content words; 0 where neither has any."""
    first, second = (set(words) - FUNCTION_WORDS for words in (one, other))
    return len(first & second) / len(first | second) if first | second else 0.0


def overlap_with_brief(ids: Sequence[str], pairs: Sequence[Pair], name: str) -> dict[str, Any]:
    """What the brief shares with the text, and with the foil: mean, and the highest with its id."""
    told = {}
    for side, values in ((name, [p.text for p in pairs]), ("foil", [p.foil for p in pairs])):
        told[side] = {}
        for quantity in ("jaccard_with_brief", "run_shared_with_brief"):
            column = [value[quantity] for value in values]
            highest = int(np.argmax(column))
            told[side][quantity] = {
                "mean": float(np.mean(column)),
                "most": column[highest],
                "id": ids[highest],
            }
    return told


def paired_balance(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Quantity -> text against foil.

    `higher` is the share of records in which the text has more than its foil (ties half): how often
    a rule that looks at nothing else would tell them apart. Interval: Wilson 1927, by works.
    """
    told = {}
    for quantity in pairs[0].text:
        of_text, of_foil = (
            np.array([getattr(pair, side)[quantity] for pair in pairs], dtype=float)
            for side in ("text", "foil")
        )
        known = np.isfinite(of_text) & np.isfinite(of_foil)
        works = [pair.work for pair, there in zip(pairs, known, strict=True) if there]
        one, other = of_text[known], of_foil[known]
        share = stats.by_work((np.sign(one - other) + 1) / 2, works)
        told[quantity] = {
            "one": _mean(one),
            "other": _mean(other),
            "difference": _standardised(
                stats.by_work(one, works), stats.by_work(other, works), paired=True
            ),
            "higher": _wilson(share.item_mean, len(share)),
            "records": int(known.sum()),
        }
    return told


def group_balance(ones: Sequence[Pair], others: Sequence[Pair]) -> dict[str, Any]:
    """Quantity -> the texts, contexts and briefs of one group against those of the other."""
    told = {}
    for quantity in (*ones[0].text, *ones[0].around):
        columns = []
        for group in (ones, others):
            values = [(pair.text | pair.around)[quantity] for pair in group]
            known = [(v, p.work) for v, p in zip(values, group, strict=True) if math.isfinite(v)]
            columns.append(stats.by_work([v for v, _ in known], [work for _, work in known]))
        one, other = columns
        told[quantity] = {
            "one": one.item_mean,
            "other": other.item_mean,
            "difference": _standardised(one, other, paired=False),
            "records": one.items + other.items,
        }
    return told


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _standardised(one: stats.Works, other: stats.Works, *, paired: bool) -> dict[str, Any]:
    """Difference of the means of works in units of their standard deviation, with its interval.

        d = (mean_1 − mean_2) / √((s_1² + s_2²) / 2)        s: between works, ddof 1

    The same for pairs (Cumming 2012, d_av), so that a difference of one character does not
    look large because it is always the same one. BCa bootstrap by work, pairs kept together.
    """
    reason = too_few(one) or too_few(other)
    if reason is None and no_spread(one) and no_spread(other):
        reason = "no spread between works"
    if reason:
        return {"estimate": None, "low": None, "high": None, "reason": reason}
    a, b = one.means, other.means

    def statistic(in_a: np.ndarray, in_b: np.ndarray | None = None, axis: int = -1) -> np.ndarray:
        x, y = a[in_a], b[in_a if in_b is None else in_b]
        variance = (x.var(axis=axis, ddof=1) + y.var(axis=axis, ddof=1)) / 2
        return (x.mean(axis=axis) - y.mean(axis=axis)) / np.sqrt(variance)

    every = [np.arange(len(values)) for values in ((a,) if paired else (a, b))]
    shared = sorted(set(one.labels) & set(other.labels))
    if shared and not paired:
        ends = None
        reason = f"works in both groups ({len(shared)}), such as {shared[0]!r}"
    else:
        sizes = [len(each) for each in every]
        ends = bca(sizes, statistic, level=0.95, resamples=_RESAMPLES, seed=_SEED)
        reason = None if ends else "the BCa correction is undefined for these data"
    low, high = ends or (None, None)
    return {"estimate": float(statistic(*every)), "low": low, "high": high, "reason": reason}


def _wilson(share: float | None, count: int) -> dict[str, Any]:
    """A share of `count` with its 95 % interval (Wilson 1927)."""
    if share is None:
        return {"estimate": None, "low": None, "high": None, "reason": "no records"}
    low, high = proportion_confint(share * count, count, alpha=0.05, method="wilson")
    return {"estimate": share, "low": float(low), "high": float(high), "reason": None}
