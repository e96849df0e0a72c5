"""Scores and ratings of the same texts -> rank correlations with their intervals and ceiling."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cqa import stats
from cqa.types import Score
from cqa.validity.ratings import Rating

QUANTITIES = (
    "surprise_bits_per_token",
    "residual_bits_per_token",
    "gain_bits_per_token",
    "gain_share",
    "specific_gain_bits_per_token",
    "novel_specific_gain_bits_per_token",
    "entropy_gain_bits_per_token",
    "synergy_bits_per_token",
    "nce_bits",
    "contrast_bits_per_token",
)
_SEED = 0


@dataclass(frozen=True)
class Agreement:
    """One quantity beside one criterion.

    `rho` is Spearman's with the mean rating of each text; `partial` holds constant length and word
    frequency; `reliability` says how well anything could do.
    """

    quantity: str
    criterion: str
    rho: stats.Interval
    partial: stats.Interval
    reliability: stats.Reliability


def agreements(
    scores: Sequence[Score], ratings: Sequence[Rating], tokens: Mapping[str, Sequence[int]]
) -> list[Agreement]:
    """Every quantity that was scored beside every criterion, in the order of both.

    `tokens` are the token ids of each text: covariates are their number and their mean log
    frequency in all the other texts. Works are the clusters; a text without one is a work of its
    own. What nobody scored is left out.
    """
    given: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for rating in ratings:
        given[rating.criterion][rating.id].append(rating.value)
    nuisance = covariates(tokens)
    found = []
    for criterion, by_id in given.items():
        rated = [score for score in scores if score.id in by_id and score.id in nuisance]
        if not rated:
            continue
        trust = stats.reliability([by_id[score.id] for score in rated])
        for quantity in QUANTITIES:
            own = [score for score in rated if score.quantities.get(quantity) is not None]
            if not own:
                continue
            x = [score.quantities[quantity] for score in own]
            y = [float(np.mean(by_id[score.id])) for score in own]
            work = [score.work or score.id for score in own]
            beside = [nuisance[score.id] for score in own]
            rho = stats.rank_correlation(x, y, work, seed=_SEED)
            partial = stats.rank_correlation(x, y, work, covariates=beside, seed=_SEED)
            found.append(Agreement(quantity, criterion, rho, partial, trust))
    return found


def covariates(tokens: Mapping[str, Sequence[int]]) -> dict[str, tuple[float, float]]:
    """id -> (tokens, mean log2 frequency of its tokens in the other texts; 1 added to each count).

    Surprisal is largely a matter of frequency; what is left of a correlation beside it counts.
    """
    counted = {key: Counter(ids) for key, ids in tokens.items() if len(ids)}
    everywhere: Counter[int] = Counter()
    for own in counted.values():
        everywhere.update(own)
    total = sum(everywhere.values()) + len(everywhere)
    made = {}
    for key, own in counted.items():
        length = sum(own.values())
        logs = (n * math.log2((everywhere[t] - n + 1) / (total - length)) for t, n in own.items())
        made[key] = (float(length), sum(logs) / length)
    return made
