"""Traces -> quantities, in the order of the formulas. Pure functions over plain arrays.

A trace holds, for each token of one text under one condition, the log-probability of the token and
the entropy of the distribution it was drawn from, both in nats as the model gives them. Everything
reported is in bits; `bits` is the one place of conversion. A total carries the plain name of its
quantity (`gain`, in bits); `gain_bits_per_token`, `_per_character` and `_per_byte` are the same sum
over the text's own tokens, characters and UTF-8 bytes, unless its definition says otherwise.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cqa.conditions import FILLER, FOIL_FULL, FOIL_NONE, NONE, subset_name
from cqa.types import PARTS, Quadrant

Array = np.ndarray


@dataclass(frozen=True)
class Trace:
    """One text under one condition. Both arrays have shape (tokens,), in nats."""

    logprob_nats: Array
    entropy_nats: Array


@dataclass(frozen=True)
class Size:
    """How long a text is, in the three units it can be divided by."""

    tokens: int
    characters: int
    utf8_bytes: int

    @classmethod
    def of(cls, text: str, tokens: int) -> Size:
        """The size of a text whose tokens have been counted."""
        return cls(tokens, len(text), len(text.encode("utf-8")))

    def items(self) -> list[tuple[str, int]]:
        """(suffix of the quantity's name, divisor)."""
        return [
            ("_bits_per_token", self.tokens),
            ("_bits_per_character", self.characters),
            ("_bits_per_byte", self.utf8_bytes),
        ]


Measure = Callable[..., float]
MEASURES: dict[str, Measure] = {}
"""Quantities that are one function, by its name."""


def measure(of: Measure) -> Measure:
    """Enter a function as a quantity, which then stands in every score and table.

    Its parameters say what it needs: `without` and `given`, the trace without the brief and with
    it; `mismatched`, the traces with other briefs; `foil_without`, `foil_given`; `size`. A text
    that lacks one of them has null, with the reason. Its docstring is its definition: formula,
    unit, source.
    """
    MEASURES[of.__name__] = of
    return of


def bits(nats: Array | float) -> Array | float:
    """Nats -> bits."""
    return nats / math.log(2.0)


def surprisal(trace: Trace) -> Array:
    """−log2 p of each token, shape (tokens,)."""
    return -bits(trace.logprob_nats)


def gain(without: Trace, given: Trace) -> float:
    """surprise − residual = Σ_t log2 p(x_t|y,c,x_<t) − log2 p(x_t|c,x_<t), in bits.

    The pointwise mutual information of the text and the brief, given the context.
    """
    return float(np.sum(surprisal(without) - surprisal(given)))


def entropy_gain(without: Trace, given: Trace) -> float:
    """Σ_t (h0_t − hY_t), in bits: the narrowing of the whole distribution along the text."""
    return float(np.sum(bits(without.entropy_nats) - bits(given.entropy_nats)))


def specific_gain(given: Trace, mismatched: Sequence[Trace]) -> float:
    """mean_k residual(y'_k) − residual(y), in bits: what this brief gives over other briefs."""
    residuals = [float(np.sum(surprisal(other))) for other in mismatched]
    return float(np.mean(residuals)) - float(np.sum(surprisal(given)))


def shapley(value: Mapping[frozenset[str], float], players: Sequence[str]) -> dict[str, float]:
    """Shapley values of a game: each player's marginal value, averaged over all orders.

    `value` has an entry for every subset of the players; the values sum to
    value(all) − value(none). (Shapley 1953; for three players, six orders.)
    """
    share = dict.fromkeys(players, 0.0)
    orders = list(itertools.permutations(players))
    for order in orders:
        here: frozenset[str] = frozenset()
        for player in order:
            share[player] += value[here | {player}] - value[here]
            here |= {player}
    return {player: total / len(orders) for player, total in share.items()}


def synergy(value: Mapping[frozenset[str], float], players: Sequence[str], filler: float) -> float:
    """gain(full) − Σ gain(single) + (m − 1)·filler_gain, in bits.

    Convergence of the parts beyond their sum; each single part brings a preface of its own, and
    (m − 1) of those are taken back.
    """
    singles = sum(value[frozenset([player])] for player in players)
    return value[frozenset(players)] - singles + (len(players) - 1) * filler


@measure
def nce_bits(given: Trace, mismatched: Sequence[Trace]) -> float:
    """log2(K+1) + log2 softmax_y over the K+1 briefs of log p(x|y_j,c); at most log2(K+1).

    A contrast score for one text. Only its mean over independently drawn briefs is a lower bound on
    I((x,c);y) (van den Oord et al. 2018, arXiv 1807.03748).
    """
    loglik = np.array([float(np.sum(t.logprob_nats)) for t in (given, *mismatched)])
    log_softmax = loglik[0] - np.logaddexp.reduce(loglik)
    return math.log2(len(loglik)) + float(bits(log_softmax))


@measure
def match_rank(given: Trace, mismatched: Sequence[Trace]) -> float:
    """Rank of the true brief among K+1 by log p(x|y_j,c): 1 is best, ties get the mean rank."""
    own = float(np.sum(given.logprob_nats))
    others = [float(np.sum(other.logprob_nats)) for other in mismatched]
    better = sum(other > own for other in others)
    tied = sum(other == own for other in others)
    return 1.0 + better + tied / 2


@dataclass(frozen=True)
class Thresholds:
    """Where a reference set parts low from high, in bits per token: its medians."""

    surprise: float
    residual: float

    @classmethod
    def of(cls, surprise: Sequence[float], residual: Sequence[float]) -> Thresholds:
        """The medians of a reference set, one value a text."""
        return cls(float(np.median(surprise)), float(np.median(residual)))

    def quadrant(self, surprise: float, residual: float) -> Quadrant:
        """Cliché lowers both terms and noise raises both; calibrated surprise parts them."""
        if surprise > self.surprise:
            return "noise" if residual > self.residual else "calibrated surprise"
        return "contradiction" if residual > self.residual else "cliché"


@dataclass(frozen=True)
class Evidence:
    """Everything that is known of one text by one judge, before it is made into numbers."""

    traces: Mapping[str, Trace]
    full: str | None
    mismatched: tuple[str, ...]
    reasons: Mapping[str, str]
    size: Size
    foil_size: Size | None
    parts: tuple[str, ...]
    novel: Array | None
    """Shape (tokens,), bool: the token's word does not occur in the brief."""


def quantities(seen: Evidence) -> tuple[dict[str, float | None], dict[str, str]]:
    """All quantities of one text, and the reason of each that is null."""
    found: dict[str, float] = {}
    why: dict[str, str] = {}
    if not seen.traces:
        return dict.fromkeys(ALL), dict.fromkeys(ALL, seen.reasons["text"])

    none = seen.traces[NONE]
    _with_sizes(found, "surprise", float(np.sum(surprisal(none))), seen.size)
    if seen.full is not None:
        _brief_terms(found, why, seen, none, seen.traces[seen.full])
    else:
        why |= dict.fromkeys(_NEEDS_BRIEF, seen.reasons["brief"])
    if seen.full is None or not seen.mismatched:
        why |= dict.fromkeys(_NEEDS_MISMATCH, seen.reasons["mismatch"])
    if seen.full is None or FOIL_FULL not in seen.traces:
        reason = seen.reasons.get("foil") or seen.reasons["brief"]
        why |= dict.fromkeys(_NEEDS_FOIL, reason)
    has = _at_hand(seen)
    for name, of in MEASURES.items():
        needs = inspect.signature(of).parameters
        missing = [need for need in needs if need not in has]
        if missing:
            why[name] = seen.reasons.get(_REASON[missing[-1]]) or seen.reasons["brief"]
        else:
            found[name] = of(**{need: has[need] for need in needs})
    return {name: found.get(name) for name in ALL}, why


_REASON = {"given": "brief", "mismatched": "mismatch", "foil_without": "foil", "foil_given": "foil"}


def _at_hand(seen: Evidence) -> dict[str, Trace | Sequence[Trace] | Size]:
    """What a measure can ask for and this text has."""
    has: dict[str, Trace | Sequence[Trace] | Size] = {
        "without": seen.traces[NONE],
        "size": seen.size,
    }
    if seen.full is None:
        return has
    has["given"] = seen.traces[seen.full]
    if seen.mismatched:
        has["mismatched"] = [seen.traces[name] for name in seen.mismatched]
    if FOIL_FULL in seen.traces:
        has |= {"foil_without": seen.traces[FOIL_NONE], "foil_given": seen.traces[FOIL_FULL]}
    return has


def _brief_terms(
    found: dict[str, float], why: dict[str, str], seen: Evidence, none: Trace, full: Trace
) -> None:
    size, parts = seen.size, seen.parts
    total = gain(none, full)
    _with_sizes(found, "residual", float(np.sum(surprisal(full))), size)
    _with_sizes(found, "gain", total, size)
    _with_sizes(found, "entropy_gain", entropy_gain(none, full), size)
    if found["surprise"] > 0:
        found["gain_share"] = total / found["surprise"]
    else:
        why["gain_share"] = "the text has no surprise to account for"

    value = {
        frozenset(subset): gain(none, seen.traces[subset_name(subset)])
        for count in range(len(parts) + 1)
        for subset in itertools.combinations(parts, count)
    }
    filler = gain(none, seen.traces[FILLER]) if parts else None
    if filler is not None:
        _with_sizes(found, "filler_gain", filler, size)
        _with_sizes(found, "synergy", synergy(value, parts, filler), size)
    else:
        why |= dict.fromkeys(_sized("filler_gain", "synergy"), "the brief is empty")
    phi = shapley(value, parts)
    for part in PARTS:
        names = _sized(f"phi_{part}", f"phi_{part}_over_filler")
        if part in phi and filler is not None:
            _with_sizes(found, f"phi_{part}", phi[part], size)
            _with_sizes(found, f"phi_{part}_over_filler", phi[part] - filler / len(parts), size)
        elif not parts:  # an empty brief accounts for nothing, exactly
            _with_sizes(found, f"phi_{part}", 0.0, size)
            why |= dict.fromkeys(_sized(f"phi_{part}_over_filler"), "the brief is empty")
        else:
            why |= dict.fromkeys(names, f"the brief has no {part}")

    others = [seen.traces[name] for name in seen.mismatched]
    if others:
        _with_sizes(found, "specific_gain", specific_gain(full, others), size)
    if FOIL_FULL in seen.traces and seen.foil_size is not None:
        foil = gain(seen.traces[FOIL_NONE], seen.traces[FOIL_FULL])
        found["contrast"] = total - foil
        for (suffix, own), (_, other) in zip(size.items(), seen.foil_size.items(), strict=True):
            found["contrast" + suffix] = total / own - foil / other
    _novel_terms(found, why, seen, none, full, others)


def _novel_terms(
    found: dict[str, float],
    why: dict[str, str],
    seen: Evidence,
    none: Trace,
    full: Trace,
    others: Sequence[Trace],
) -> None:
    assert seen.novel is not None
    count = int(seen.novel.sum())
    if count == 0:
        why |= dict.fromkeys(_NOVEL, "every word of the text occurs in the brief")
        return
    kept = {
        name: Trace(trace.logprob_nats[seen.novel], trace.entropy_nats[seen.novel])
        for name, trace in (("none", none), ("full", full))
    }
    found["novel_gain"] = gain(kept["none"], kept["full"])
    found["novel_gain_bits_per_token"] = found["novel_gain"] / count
    if others:
        masked = [Trace(t.logprob_nats[seen.novel], t.entropy_nats[seen.novel]) for t in others]
        found["novel_specific_gain"] = specific_gain(kept["full"], masked)
        found["novel_specific_gain_bits_per_token"] = found["novel_specific_gain"] / count


def _with_sizes(found: dict[str, float], name: str, total: float, size: Size) -> None:
    found[name] = total
    for suffix, divisor in size.items():
        found[name + suffix] = total / divisor


def _sized(*names: str) -> list[str]:
    suffixes = ["", *(suffix for suffix, _ in Size(1, 1, 1).items())]
    return [name + suffix for name in names for suffix in suffixes]


_PHI = [name for part in PARTS for name in (f"phi_{part}", f"phi_{part}_over_filler")]
# Per novel token only: characters and bytes of a token are not always whole.
_NOVEL_GAIN = ["novel_gain", "novel_gain_bits_per_token"]
_NOVEL_SPECIFIC = ["novel_specific_gain", "novel_specific_gain_bits_per_token"]
_NOVEL = [*_NOVEL_GAIN, *_NOVEL_SPECIFIC]
_NEEDS_MISMATCH = [*_sized("specific_gain"), *_NOVEL_SPECIFIC]
_NEEDS_FOIL = _sized("contrast")
_NEEDS_BRIEF = [
    *_sized("residual", "gain"),
    "gain_share",
    *_sized("filler_gain", "entropy_gain", "synergy", *_PHI),
    *_NOVEL_GAIN,
]
ALL = [*_sized("surprise"), *_NEEDS_BRIEF, *_NEEDS_MISMATCH, *_NEEDS_FOIL, *MEASURES]
"""The name of every quantity, in the order in which they are shown."""

DERIVED = {
    "surprise": "Σ_t −log2 p(x_t|c,x_<t), in bits: the text without the brief.",
    "residual": "Σ_t −log2 p(x_t|y,c,x_<t), in bits: what is left of the surprise with the brief.",
    "gain_share": "gain / surprise, without unit; null where there is no surprise.",
    "filler_gain": "The gain from a preface that says nothing about the text, in bits.",
    "novel_gain": "The gain of those tokens whose word does not occur in the brief, in bits; "
    "per token: over these novel tokens.",
    "novel_specific_gain": "The specific gain of the same tokens, in bits; per token: over these "
    "novel tokens.",
    "contrast": "The gain of the text minus the gain of its foil from the same brief, in bits; per "
    "token, character and byte: the text's gain over its own length minus the foil's gain over "
    "its own.",
} | {
    name: definition
    for part in PARTS
    for name, definition in (
        (f"phi_{part}", f"The Shapley value of the brief's {part} in the gain, in bits."),
        (f"phi_{part}_over_filler", f"phi_{part} minus an equal share of filler_gain, in bits."),
    )
}
"""What has no function of its own -> its definition."""
