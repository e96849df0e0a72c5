"""Comparisons and what the runs recorded -> what stands in report.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cqa import analysis, stats
from cqa.analysis import Change, Comparison
from cqa.files import sha256_of_value
from cqa.reporting import sentence
from cqa.reporting.markdown import p_said
from cqa.runs import Run
from cqa.study.cases import Case
from cqa.types import Score

BILL = (
    "device_seconds",
    "tokens",
    "epochs",
    "steps",
    "peak_memory_bytes",
    "energy_wh",
    "money",
    "currency",
    "device_kind",
)
"""What the bill has of a training; its run.json has the rest, and why something is null."""


def of(
    config: Mapping[str, Any],
    compared: Sequence[Comparison],
    cases: Sequence[Case],
    base: Sequence[Score],
) -> dict[str, Any]:
    """Everything that the comparisons say; `config` is that of the report's run."""
    settings = config["analysis"]
    return {
        "sentence": sentence.of(compared[0], _cost(cases[0])),
        "question": config["question"],
        "kind": config["kind"],
        "lock": config.get("lock"),
        "missing": config.get("missing", {}),
        "analysis": {**settings, "sha256": sha256_of_value(dict(settings))},
        "models": [
            _model(c, one, settings.get("checkpoint"))
            for c, one in zip(compared, cases, strict=True)
        ],
        "against": together(
            row(f"{compared[0].label} against {other.label}", change)
            for other, one in zip(compared[1:], cases[1:], strict=True)
            if one.epoch is None
            for change in analysis.against(compared[0], other)
        ),
        "base_of_benchmark": cases[0].base_scores.record["headline"]["groups"],
        "not_estimable": _absent(config) + _not_estimable(compared, base),
        "bill": [_bill(run) for run in {r.id: r for one in cases for r in one.runs}.values()],
        "numbers": _numbers(compared, cases),
    }


def row(label: str, change: Change) -> dict[str, Any]:
    """One change of one quantity on one group, flat."""
    interval = change.interval
    return {
        "model": label,
        "quantity": change.quantity,
        "group": change.group,
        "items": interval.items,
        "works": interval.works,
        "dropped": change.dropped,
        "base": change.base_mean,
        "tuned": change.tuned_mean,
        "change": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "interval": interval.method,
        "reason": interval.reason,
        "bca_low": change.bca.low,
        "bca_high": change.bca.high,
        "p": change.sign_flip.p,
        "p_wilcoxon": change.wilcoxon.p,
        "p_adjusted": change.adjusted_p,
        "p_holm": change.holm_p,
        "seed_means": list(change.seed_means),
        "between_seed_sd": change.between_seed_sd,
        "crossed": change.crossed,
        "d_z": change.dz.estimate,
        "d_z_low": change.dz.low,
        "d_z_high": change.dz.high,
        "rank_biserial": change.rank_biserial.estimate,
        "detectable": change.detectable.effect,
    }


def together(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that max-T has no part in, their p adjusted together by Holm."""
    rows = list(rows)
    adjusted = stats.holm({str(place): row["p"] for place, row in enumerate(rows)}).p
    return [row | {"p_holm": adjusted[str(place)]} for place, row in enumerate(rows)]


def changes(compared: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Every change of every model."""
    return [row(c.label, change) for c in compared for change in c.changes]


def _model(comparison: Comparison, one: Case, checkpoint: str | None) -> dict[str, Any]:
    spent = [run.record["spent"] for run in one.trained]
    at_its_end = one.epoch is None and checkpoint == "last epoch" and spent
    return {
        "model": one.label,
        "arm": one.arm,
        "seeds": list(one.seeds),
        "epoch": one.epoch,
        "after_epochs": max(each["epochs"] for each in spent) if at_its_end else one.epoch,
        "rows": one.rows,
        "runs": {
            "base": one.base_scores.id,
            "tuned": [run.id for run in one.tuned_scores],
            "trained": [run.id for run in one.trained],
        },
        "device_seconds": sum(each["device_seconds"] for each in spent) if spent else None,
        "sentence": sentence.of(comparison, _cost(one)),
        "word": comparison.verdict.word,
        "verdict": comparison.verdict.word
        + (f" ({comparison.verdict.reason})" if comparison.verdict.reason else ""),
        "decay": comparison.verdict.decay,
        "noise_floor": one.noise_floor,
        "primary": [
            row(one.label, change)
            for group in analysis.GROUPS
            if (change := comparison.change(comparison.primary, group))
        ],
        "secondary": [
            row(one.label, change)
            for change in comparison.changes
            if (change.quantity, change.group) != (comparison.primary, "literary")
        ],
        "brackets_said": {
            name: sentence.said(interval) for name, interval in comparison.brackets.items()
        },
        "brackets": {name: asdict(value) for name, value in comparison.brackets.items()},
        "difference_said": _difference(comparison),
        "difference": asdict(comparison.difference) if comparison.difference else None,
        "difference_detectable": (
            comparison.difference_detectable.effect if comparison.difference_detectable else None
        ),
        "selective": comparison.selective.holds if comparison.selective else None,
        "control_said": _control(comparison),
        "control": asdict(comparison.control) if comparison.control else None,
        "control_unmoved": comparison.control.holds if comparison.control else None,
    }


def _difference(comparison: Comparison) -> str:
    found = comparison.difference
    if found is None:
        return "no factual group to compare with"
    seeds = "" if found.crossed else "these "
    over = (
        f", mean of {seeds}{len(found.seed_means)} seeds (SD between them "
        f"{found.between_seed_sd:.4f})"
        if found.between_seed_sd is not None
        else ""
    )
    least = comparison.difference_detectable
    detectable = f", smallest detectable {least.effect:.4f}" if least and least.effect else ""
    said = f"literary − factual {sentence.said(found.interval)}{over}, {p_said(found.test.p)}"
    return said + detectable


def _control(comparison: Comparison) -> str | None:
    found = comparison.control
    if found is None:
        return None
    within = "within" if found.holds else "not shown to be within"
    return (
        f"control {sentence.said(found.interval)}, {within} ±{found.margin:g} "
        f"(TOST {p_said(comparison.tost_p)})"
    )


def _absent(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Steps that were not done, and items that the analysis leaves out, each with its reason."""
    excluded = config["analysis"].get("exclude", {})
    return [
        {"what": what, "why": why, "items": None}
        for what, why in [
            *config.get("missing", {}).items(),
            *((item, f"excluded beforehand: {reason}") for item, reason in excluded.items()),
        ]
    ]


def _not_estimable(compared: Sequence[Comparison], base: Sequence[Score]) -> list[dict[str, Any]]:
    """What has no number, and why: nulls of the scores, then intervals that could not be had."""
    nulls = Counter(
        (quantity, score.group or "literary", score.reasons.get(quantity, "no reason recorded"))
        for score in base
        for quantity in analysis.QUANTITIES
        if score.quantities.get(quantity) is None
    )
    found: list[dict[str, Any]] = [
        {"what": f"{quantity}, {group}", "why": why, "items": count}
        for (quantity, group, why), count in nulls.items()
    ]
    without: dict[tuple[str, str], list[str]] = {}
    for comparison in compared:
        for change in comparison.changes:
            if reason := change.interval.reason:
                named = without.setdefault((comparison.label, reason), [])
                named.append(f"{change.quantity}, {change.group}")
    for (label, reason), names in without.items():
        many = f"intervals of {len(names)} changes" if len(names) > _MOST_NAMED else None
        found += [
            {"what": f"{what}, {label}", "why": reason, "items": None}
            for what in ([many] if many else [f"interval of {name}" for name in names])
        ]
    return found


_MOST_NAMED = 4


def _numbers(compared: Sequence[Comparison], cases: Sequence[Case]) -> dict[str, float | None]:
    """The numbers an experiment file can expect, by name."""
    numbers: dict[str, float | None] = {}
    primary = compared[0].primary
    for group in cases[0].base_scores.record["headline"]["groups"]:
        for name in ("surprise_bits_per_token", "gain_bits_per_token", primary):
            numbers[f"base.{group['group']}.{name}"] = group[name]
    for comparison in compared:
        for group in analysis.GROUPS:
            for quantity in (primary, "gain_bits_per_token", "residual_bits_per_token"):
                if change := comparison.change(quantity, group):
                    key = f"{comparison.label}.{group}.change_of_{quantity}"
                    numbers[key] = change.interval.estimate
    return numbers


def _bill(run: Run) -> dict[str, Any]:
    spent = run.record.get("spent") or {}
    seconds = sum(attempt.get("seconds") or 0.0 for attempt in run.record["attempts"])
    return {"run": run.id, "seconds": round(seconds, 2)} | {name: spent.get(name) for name in BILL}


def _cost(one: Case) -> str:
    if not one.trained:
        return "not known (the training was not run by cqa)"
    spent = [run.record["spent"] for run in one.trained]
    device = spent[0]["device"].replace("cpu", "CPU")  # "cpu, counted as one device"
    seconds, tokens = (sum(each[name] for each in spent) for name in ("device_seconds", "tokens"))
    currencies = {each.get("currency") for each in spent}
    money = ""
    if len(currencies) == 1 and None not in currencies:
        money = f", {sum(each['money'] for each in spent):.2f} {currencies.pop()}"
    return f"{seconds:.0f} device-seconds ({device}; {tokens:,} tokens){money}"
