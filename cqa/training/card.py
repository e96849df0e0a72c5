"""The model card of an adapter or model: data, recipe, bill, side effects, and results once known.

The header follows the Hub's model cards (`base_model`, `library_name`, `model-index`); the tables
are the same facts as in run.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from cqa.reporting.markdown_table import escaped, one_line, table


@dataclass(frozen=True)
class Result:
    """One measured change against the base model, with its interval."""

    group: str
    quantity: str
    base: float
    tuned: float
    change: float
    low: float | None
    high: float | None
    level: float
    items: int
    works: int


def card(
    record: Mapping[str, Any],
    results: Sequence[Result] = (),
    verdict: str | None = None,
    *,
    merged: str | None = None,
) -> str:
    """README.md of the folder of a training with this record.

    Without results it says how to get them. `merged` says of a merged model how it was checked.
    """
    library = "peft" if record["config"]["method"] == "lora" and not merged else "transformers"
    data = record["data"]
    base = one_line(record["config"]["model"])
    rows = record["headline"].get("rows")
    of = "annotations" if rows is None else f"{rows} annotations"
    header = {
        "base_model": base,
        "library_name": library,
        "tags": ["trl", "sft", "creative-writing", "cqa"],
        "datasets": [record["parents"][0]],
    }
    if results:
        header["model-index"] = [_index(record, results)]
    parts = [
        f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---",
        f"# {record['id']}",
        f"{escaped(base)} fine-tuned on {escaped(of)} (data set "
        f"{escaped(record['parents'][0])}; licence of the annotations: "
        f"{escaped(', '.join(data['licences']))}).\n"
        f"Source of the annotations: {escaped('; '.join(data['sources']))}.",
        _results(record, results, verdict),
        "## Recipe",
        _table(("setting", "value"), _settings(record)),
        "## What it cost",
        _table(("spent", ""), list(record["spent"].items())),
    ]
    if effects := record.get("side_effects"):
        parts += ["## Side effects", _side_effects(effects)]
    if merged:
        parts += ["## Merged", merged]
    parts += ["## How to load it", _usage(record, library)]
    return "\n\n".join(parts) + "\n"


def _results(record: Mapping[str, Any], results: Sequence[Result], verdict: str | None) -> str:
    if not results:
        return (
            "Whether this made the model better at writing is not said here: score it and read "
            "the report\n"
            f"(`cqa score --benchmark --adapter {record['id']}`, `cqa report`, `cqa export`)."
        )
    rows = [
        (r.group, r.quantity, _number(r.base), _number(r.tuned), _change(r), r.items, r.works)
        for r in results
    ]
    heads = ("items", "quantity", "base", "tuned", "change (95 % interval)", "n", "works")
    return "\n\n".join([*([escaped(verdict)] if verdict else []), _table(heads, rows)])


def _index(record: Mapping[str, Any], results: Sequence[Result]) -> dict[str, Any]:
    """One entry of `model-index`; the interval stands beside each value."""
    return {
        "name": record["id"],
        "results": [
            {
                "task": {"type": "text-generation"},
                "dataset": {
                    "name": f"cqa benchmark, {one_line(group)} items",
                    "type": f"cqa-{one_line(group)}",
                },
                "metrics": [
                    {
                        "type": f"change_of_{r.quantity}",
                        "name": f"{r.quantity}, tuned minus base",
                        "value": r.change,
                        "confidence_level": r.level,
                        "confidence_interval": [r.low, r.high],
                    }
                    for r in results
                    if r.group == group
                ],
            }
            for group in dict.fromkeys(r.group for r in results)
        ],
    }


def _settings(record: Mapping[str, Any]) -> list[tuple[str, Any]]:
    came = record.get("settings_from") or {}
    rows = [
        (name, f"{_plain(value)} ({came[name]})" if name in came else _plain(value))
        for name, value in record["config"].items()
    ]
    chosen = record.get("checkpoint") or {}
    if chosen.get("epoch"):
        rows.append(("epoch that the rule chose", chosen["epoch"]))
    return [*rows, ("seed", record["seed"]), ("base model, sha256", record["inputs"]["model"])]


def _side_effects(effects: Mapping[str, Any]) -> str:
    rows = [
        (
            genre,
            f"{found['before']:.4f}",
            f"{found['after']:.4f}",
            f"{found['change']:+.4f} ({found['change_low']:+.4f} to {found['change_high']:+.4f})",
        )
        for genre, found in effects.items()
        if isinstance(found, Mapping)
    ]
    said = "Bits per byte on neutral texts that the training was not about; more is worse."
    heads = ("texts", "before", "after", "change (95 % interval)")
    return f"{said}\n\n{_table(heads, rows)}"


def _usage(record: Mapping[str, Any], library: str) -> str:
    base, dtype = record["config"]["model"], record["config"]["dtype"]
    torch_dtype = "bfloat16" if dtype == "nf4" else dtype
    name, _, revision = str(base).partition("@")
    asked = f", revision={revision!r}" if revision else ""
    if library == "peft":
        lines = [
            "from peft import PeftModel",
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "",
            f"base = AutoModelForCausalLM.from_pretrained({name!r}{asked}, dtype={torch_dtype!r})",
            "model = PeftModel.from_pretrained(base, 'THIS FOLDER')",
        ]
    else:
        lines = [
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "",
            f"model = AutoModelForCausalLM.from_pretrained('THIS FOLDER', dtype={torch_dtype!r})",
        ]
    lines.append("tokenizer = AutoTokenizer.from_pretrained('THIS FOLDER')")
    return "\n".join(["```python", *lines, "```"])


def _change(r: Result) -> str:
    if r.low is None or r.high is None:
        return f"{r.change:+.4f}"
    return f"{r.change:+.4f} ({r.low:+.4f} to {r.high:+.4f})"


def _number(value: float) -> str:
    return f"{value:.4f}"


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    return "\n".join(table(heads, rows, plain=True))
