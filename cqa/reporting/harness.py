"""Scores in the shape of lm-evaluation-harness's results JSON, for the tools that read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cqa import stats
from cqa.analysis import GROUPS
from cqa.reporting.items import SHOWN, Side


def results(side: Side, record: Mapping[str, Any]) -> dict[str, Any]:
    """One model's means by group, each with its standard error by work.

    `record` is that of the scoring run. Groups are tasks (`cqa_literary`), metrics carry the filter
    `none`. A mean that cannot be taken is left out.
    """
    tasks: dict[str, dict[str, Any]] = {}
    samples: dict[str, dict[str, int]] = {}
    for group in GROUPS:
        scores = [s for s, *_ in side.by_id.values() if (s.group or "literary") == group]
        if not scores:
            continue
        task: dict[str, Any] = {"alias": f"cqa_{group}"}
        for name in SHOWN:
            known = [(s.work or s.id, side.mean(s.id, name)) for s in scores]
            known = [(work, value) for work, value in known if value is not None]
            if not known:
                continue
            works = stats.by_work([value for _, value in known], [work for work, _ in known])
            task[f"{name},none"] = works.item_mean
            error = stats.standard_error(works) if len(works) > 1 else "N/A"
            task[f"{name}_stderr,none"] = error
            samples[f"cqa_{group}"] = {"original": len(scores), "effective": len(known)}
        tasks[f"cqa_{group}"] = task
    return {
        "results": tasks,
        "group_subtasks": {name: [] for name in tasks},
        "configs": {name: {"task": name, "num_fewshot": 0} for name in tasks},
        "versions": {name: record["config"].get("template", 1) for name in tasks},
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {name: {SHOWN[0]: True} for name in tasks},
        "n-samples": samples,
        "config": {
            "model": "cqa",
            "model_args": {"judge": record["config"].get("judge"), "label": side.label},
        },
        "model_name": side.label,
        "date": record["started"],
        "runs": list(side.runs),
    }
