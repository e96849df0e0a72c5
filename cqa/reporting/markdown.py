"""The report as Markdown: the sentence, the effects, the writing, the bill."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from cqa.reporting.markdown_table import escaped, table

_EFFECTS = (
    "model",
    "group",
    "items (works)",
    "base",
    "tuned",
    "change [95 % interval]",
    "p",
    "adjusted p",
    "d_z",
    "smallest detectable",
)
_WRITING = (
    "texts of",
    "marked by",
    "texts",
    "empty",
    "ended",
    "distinct-2",
    "compression",
    "lock-in",
    "longest copy (words)",
    "judge: gain",
    "judge: specific gain",
)
_PROBES = ("probe", "texts", "specific gain", "of its texts", "beats its text", "flagged as copy")
_BILL = (
    "run",
    "seconds",
    "device seconds",
    "tokens",
    "epochs",
    "peak memory, MB",
    "energy, Wh",
    "money",
)
_STYLE = ("texts of", "measure", "items (works)", "base", "tuned", "change [95 % interval]")


def page(results: Mapping[str, Any]) -> str:
    """The whole report; `results` is what stands in report.json."""
    first = results["models"][0]
    written = "\n".join(
        [
            f"**{escaped(results['sentence'])}**",
            "",
            f"{escaped(results['question'])} ({escaped(results['kind'])})",
            "",
            *_deviations(results["lock"]),
            *_table(_EFFECTS, (_effect(row) for m in results["models"] for row in m["primary"])),
            "",
            f"Unit: {results['analysis']['primary']}. Interval: {first['primary'][0]['interval']}; "
            f"p: sign flips by whole work{_of_seeds(first)}. The first line is the primary and "
            "stands alone; all others were adjusted together (step-down max-T; with Holm's in "
            "results.csv).",
            "",
            *_grounds(results),
            "",
            *_table(_WRITING, map(_written, results["writing"])),
            "",
            *map(_change_of_writing, results["writing_changes"]),
            "",
            *_table(_PROBES, map(_probe, results["probes"])),
            "",
            *_table(_STYLE, map(_style, results["style"])),
            "",
            *(f"- not estimable: {_missing(row)}" for row in results["not_estimable"]),
            "",
            *_table(_BILL, map(_bill, results["bill"])),
            "",
            "A dash where nothing of the kind was measured; run.json of the run says why.",
            "",
        ]
    )
    return re.sub(r"\n{3,}", "\n\n", written)  # what is not there leaves no hole


def _deviations(lock: Mapping[str, Any] | None) -> list[str]:
    found = lock["deviations"] if lock else []
    lines = [
        f"- {escaped(d['field'])} was locked as {escaped(d['locked'])} and is now "
        f"{escaped(d['now'])}"
        for d in found
    ]
    return [*lines, ""] if lines else []


def _of_seeds(model: Mapping[str, Any]) -> str:
    several = len(model["primary"][0]["seed_means"])
    return f", of the mean over these {several} seeds" if several > 1 else ""


def _missing(row: Mapping[str, Any]) -> str:
    items = f" ({row['items']} items)" if row["items"] else ""
    return f"{escaped(row['what'])}: {escaped(row['why'])}{items}"


def noise(value: float | None) -> str:
    """A noise floor in words."""
    return "noise floor not measured" if value is None else f"noise floor ±{value:.1e}"


def number(value: float | None, digits: int = 4, *, sign: bool = False) -> str:
    """A number with so many decimals; a dash where there is none."""
    if value is None or value != value:  # NaN: a hole in a data frame
        return "–"
    return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"


def p_value(value: float | None) -> str:
    """A p value with three decimals, never 0."""
    return "<0.001" if value is not None and value < 0.001 else number(value, 3)


def p_said(value: float | None) -> str:
    """`p = 0.041`, `p < 0.001`, `no p`."""
    if value is None:
        return "no p"
    return "p < 0.001" if value < 0.001 else f"p = {p_value(value)}"


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    rows = list(rows)
    return table(headings, rows, plain=True) if rows else []


def _effect(row: Mapping[str, Any]) -> list[str]:
    return [
        row["model"],
        row["group"],
        f"{row['items']} ({row['works']})",
        number(row["base"]),
        number(row["tuned"]),
        _change(row),
        p_value(row["p"]),
        p_value(row["p_adjusted"]),
        number(row["d_z"], 2, sign=True),
        number(row["detectable"]),
    ]


def _change(row: Mapping[str, Any]) -> str:
    change, low, high = (number(row[name], sign=True) for name in ("change", "low", "high"))
    return f"{change} [{low}, {high}]"


def _grounds(results: Mapping[str, Any]) -> list[str]:
    lines = []
    for model in results["models"]:
        lines.append(
            f"- {escaped(model['model'])}: {model['verdict']}; {model['difference_said']}."
        )
        for name, said in model["brackets_said"].items():
            lines.append(f"  - change of log2 p of the literary texts, {name}: {said}")
        lines += [f"  - {model['control_said']}"] if model["control_said"] else []
        lines.append(f"  - {noise(model['noise_floor'])}")
    for row in results["against"]:
        lines.append(
            f"- {escaped(row['model'])}, {row['group']}: {_change(row)}, {_with_holm(row)}"
        )
    return lines


def _with_holm(row: Mapping[str, Any]) -> str:
    return f"{p_said(row['p'])} (Holm {p_value(row['p_holm'])})"


def _written(row: Mapping[str, Any]) -> list[str]:
    counts = [str(row[name]) for name in ("texts", "empty", "ended_by_itself")]
    return [
        row["model"],
        row["marked"],
        *counts,
        number(row["distinct_2"], 3),
        number(row["compression_ratio"], 2),
        str(row["lock_in"]),
        str(row["longest_copy_words"]),
        number(row["gain_bits_per_token"], sign=True),
        number(row["specific_gain_bits_per_token"], sign=True),
    ]


def _probe(row: Mapping[str, Any]) -> list[str]:
    means = (number(row[name], sign=True) for name in ("mean", "mean_of_texts"))
    return [row["probe"], str(row["texts"]), *means, *(str(row[n]) for n in _OF_PROBE)]


_OF_PROBE = ("beats_its_text", "flagged_as_copy")


def _style(row: Mapping[str, Any]) -> list[str]:
    change, low, high = (number(row[name], 3, sign=True) for name in ("change", "low", "high"))
    return [
        row["model"],
        row["measure"],
        f"{row['items']} ({row['works']})",
        number(row["base"], 3),
        number(row["tuned"], 3),
        f"{change} [{low}, {high}]" if row["low"] is not None else row["reason"],
    ]


def _change_of_writing(row: Mapping[str, Any]) -> str:
    return (
        f"- texts of {escaped(row['model'])}, {escaped(row['group'])}, {escaped(row['marked'])}: "
        f"specific gain changed by "
        f"{_change(row)}, {_with_holm(row)}"
    )


def _bill(row: Mapping[str, Any]) -> list[str]:
    memory = row["peak_memory_bytes"]
    return [
        row["run"],
        number(row["seconds"], 1),
        number(row["device_seconds"], 1),
        "–" if row["tokens"] is None else f"{row['tokens']:,}",
        number(row["epochs"], 1),
        number(None if memory is None else memory / 1e6, 0),
        number(row["energy_wh"], 2),
        "–" if row["money"] is None else f"{row['money']:.2f} {row['currency']}",
    ]
