"""Scores of a base and of a tuned model -> effects, intervals and the verdict.

Pure: no files, no clock. The order is that of a report: pair the items, look at the primary
quantity, at its brackets, at the control, then at everything else with its correction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cqa import stats
from cqa.errors import DataRefused
from cqa.pairing import Paired, by_item, pair
from cqa.types import Score

GROUPS = ("literary", "factual")
QUANTITIES = (
    "specific_gain_bits_per_token",
    "gain_bits_per_token",
    "surprise_bits_per_token",
    "residual_bits_per_token",
    "entropy_gain_bits_per_token",
    "contrast_bits_per_token",
    "novel_specific_gain_bits_per_token",
    "filler_gain_bits_per_token",
    "phi_intent_bits_per_token",
    "phi_audience_bits_per_token",
    "phi_reality_bits_per_token",
    "gain_share",
    "nce_bits",
    "match_rank",
)
_SEED = 20260525
"""Of the resampling; fixed, so that the same scores give the same report."""


@dataclass(frozen=True)
class Change:
    """How one quantity changed on one group of items."""

    quantity: str
    group: str
    base_mean: float | None
    tuned_mean: float | None
    interval: stats.Interval
    """Inverted sign-flip test by work, the test that decides; BCa is too short with few works. From
    5 seeds on seeds are crossed with works; with fewer it speaks of these very seeds."""
    bca: stats.Interval
    sign_flip: stats.SignificanceTest
    wilcoxon: stats.SignificanceTest
    dz: stats.Interval
    rank_biserial: stats.Interval
    detectable: stats.Power
    dropped: int
    seed_means: tuple[float, ...]
    """The change under each seed."""
    between_seed_sd: float | None
    """Of the seed means; None for one seed."""
    crossed: bool
    """Whether the interval speaks of new seeds too."""
    adjusted_p: float | None = None
    """Studentised max-T over everything that was looked at besides the one primary."""
    holm_p: float | None = None
    """Holm over the same tests, which is valid under any dependence."""


@dataclass(frozen=True)
class Comparison:
    """One tuned model against its base."""

    label: str
    changes: tuple[Change, ...]
    verdict: stats.Verdict
    brackets: Mapping[str, stats.Interval]
    """Of the primary on literary items: what became likelier, the text with its own brief
    (`own brief`) and with mismatched ones (`mismatched briefs`), in bits per token."""
    difference: stats.DifferenceOfDifferences | None
    difference_detectable: stats.Power | None
    selective: stats.Claim | None
    control: stats.Claim | None
    tost_p: float | None
    """Of the t version of what `control` decides by its interval."""
    primary: str
    on: Literal["benchmark", "writing"]
    paired: Mapping[tuple[str, str], Paired]
    """(quantity, group) -> the items behind the change."""

    def change(self, quantity: str, group: str) -> Change | None:
        """The change of a quantity on a group, if it was scored."""
        found = [c for c in self.changes if (c.quantity, c.group) == (quantity, group)]
        return found[0] if found else None


def compare(
    label: str,
    base: Sequence[Score],
    *tuned: Sequence[Score],
    primary: str,
    margin: float,
    noise_floor: float | None,
    on: Literal["benchmark", "writing"] = "benchmark",
) -> Comparison:
    """Everything about one tuned model, or one arm with a set of scores for each of its seeds.

    A text without a work is a work of its own; one without a `group` counts as literary. What
    models wrote is paired by item and sample, and has no brackets: they are other texts before and
    after.
    """
    if on == "writing":
        base, *tuned = ([by_item(score) for score in scores] for scores in (base, *tuned))
    groups = {
        group: [
            [score for score in scores if (score.group or "literary") == group]
            for scores in (base, *tuned)
        ]
        for group in GROUPS
    }
    paired = {
        (quantity, group): pair(*groups[group], quantity=quantity)
        for group in GROUPS
        for quantity in QUANTITIES
    }
    paired = {key: value for key, value in paired.items() if value.ids}
    changes = [_change(quantity, group, p) for (quantity, group), p in paired.items()]
    if (primary, "literary") not in paired:
        raise DataRefused(
            f"{label}: {primary} is null for every literary text, so there is nothing to compare",
            next_step="see the reasons in scores.jsonl (a brief missing, or the pool too small)",
        )
    literary = paired[primary, "literary"]
    brackets = _brackets(paired, primary) if on == "benchmark" else {}
    difference = detectable = selective = control = tost_p = None
    if (factual := paired.get((primary, "factual"))) is not None:
        sides = (literary.by_seed, literary.works, factual.by_seed, factual.works)
        difference = stats.difference_of_differences(*sides, seed=_SEED)
        detectable = stats.smallest_detectable_difference(*sides)
        selective = stats.selective(difference.interval)
        within = deciding_interval(factual.by_seed, factual.works, level=0.9)
        control = stats.control_unmoved(within, margin)
        tost_p = stats.tost(factual.delta, factual.works, margin)
    main = next(c for c in changes if (c.quantity, c.group) == (primary, "literary"))
    return Comparison(
        label=label,
        changes=tuple(changes),
        verdict=stats.verdict(main.interval, noise_floor, margin, brackets.get("own brief")),
        brackets=brackets,
        difference=difference,
        difference_detectable=detectable,
        selective=selective,
        control=control,
        tost_p=tost_p,
        primary=primary,
        on=on,
        paired=paired,
    )


def corrected(compared: Sequence[Comparison]) -> list[Comparison]:
    """Correct together everything that was looked at: models, epochs, sizes, quantities, groups.

    Only the primary quantity of the first model on literary items stands alone.
    """
    alone = (0, compared[0].primary, "literary")
    columns = {
        (number, quantity, group): (paired.delta, paired.works)
        for number, comparison in enumerate(compared)
        for (quantity, group), paired in comparison.paired.items()
        if (number, quantity, group) != alone
    }
    max_t = stats.max_t({"|".join(map(str, k)): v for k, v in columns.items()}, seed=_SEED).p
    holm = stats.holm(
        {
            key: change.sign_flip.p
            for number, comparison in enumerate(compared)
            for change in comparison.changes
            if (key := f"{number}|{change.quantity}|{change.group}") in max_t
        }
    ).p
    return [
        replace(
            comparison,
            changes=tuple(
                replace(c, adjusted_p=max_t.get(key), holm_p=holm.get(key))
                for c in comparison.changes
                for key in [f"{number}|{c.quantity}|{c.group}"]
            ),
        )
        for number, comparison in enumerate(compared)
    ]


def against(one: Comparison, other: Comparison) -> list[Change]:
    """What one tuned model has over another (a placebo, say) in the primary quantity."""
    changes = []
    for group in GROUPS:
        mine, theirs = (c.paired.get((c.primary, group)) for c in (one, other))
        if mine and theirs and (common := set(mine.ids) & set(theirs.ids)):
            mine, theirs = mine.only(common), theirs.only(common)
            same_seeds = len(mine.tuned) == len(theirs.tuned)
            before = theirs.tuned if same_seeds else theirs.tuned.mean(axis=0, keepdims=True)
            both = replace(mine, base=before)
            changes.append(_change(one.primary, group, both))
    return changes


def changes_of_writing(
    base: Sequence[Score], *tuned: Sequence[Score], quantities: Sequence[str] = QUANTITIES
) -> list[Change]:
    """How a judge's view of the generated texts changed, paired by item and sample.

    `tuned` has one set of scores for each seed.
    """
    sides = [[by_item(score) for score in scores] for scores in (base, *tuned)]
    changes = []
    for group in GROUPS:
        before, *after = (
            [score for score in side if (score.group or "literary") == group] for side in sides
        )
        for quantity in quantities:
            if before and (paired := pair(before, *after, quantity=quantity)).ids:
                changes.append(_change(quantity, group, paired))
    return changes


def _change(quantity: str, group: str, p: Paired) -> Change:
    means = p.by_seed.mean(axis=1)
    return Change(
        quantity=quantity,
        group=group,
        base_mean=float(p.base.mean()),
        tuned_mean=float(p.tuned.mean()),
        interval=deciding_interval(p.by_seed, p.works),
        bca=stats.bootstrap_interval(p.delta, p.works, seed=_SEED),
        sign_flip=stats.sign_flip_test(p.delta, p.works, seed=_SEED),
        wilcoxon=stats.wilcoxon_on_work_means(p.delta, p.works),
        dz=stats.cohens_dz(p.delta, p.works),
        rank_biserial=stats.rank_biserial(p.delta, p.works, seed=_SEED),
        detectable=stats.smallest_detectable(p.by_seed, p.works),
        dropped=p.dropped,
        seed_means=tuple(means.tolist()),
        between_seed_sd=float(means.std(ddof=1)) if len(means) > 1 else None,
        crossed=len(means) >= stats.SEEDS_FOR_CROSSING,
    )


def deciding_interval(
    by_seed: np.ndarray, works: Sequence[str], level: float = 0.95
) -> stats.Interval:
    """The interval that decides, of changes of shape (seeds, items)."""
    if len(by_seed) >= stats.SEEDS_FOR_CROSSING:
        return stats.over_seeds(by_seed, works, seed=_SEED, level=level).interval
    return stats.sign_flip_interval(by_seed.mean(axis=0), works, seed=_SEED, level=level)


def _brackets(paired: Mapping[tuple[str, str], Paired], primary: str) -> dict[str, stats.Interval]:
    """Δ specific_gain = Δlog2 p(x|y,c) − mean_k Δlog2 p(x|y'_k,c), per token, item by item."""
    gain = paired[primary, "literary"]
    residual = paired["residual_bits_per_token", "literary"]
    by_id = dict(zip(residual.ids, -residual.by_seed.T, strict=True))
    own = np.array([by_id[key] for key in gain.ids]).T
    return {
        "own brief": deciding_interval(own, gain.works),
        "mismatched briefs": deciding_interval(own - gain.by_seed, gain.works),
    }
