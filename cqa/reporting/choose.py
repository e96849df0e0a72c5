"""Which two scorings are compared, and whether they can be."""

from __future__ import annotations

from typing import Any

from cqa.errors import DataRefused, UsageRefused
from cqa.runs import Run


def pair(base: str | None, tuned: str | None) -> tuple[Run, Run]:
    """Finished scorings of the same texts, before and after; without names, the newest pair.

    UsageRefused where there is none, DataRefused where two differ in more than the adapter.
    """
    from cqa.table import latest, run_of

    def tuned_and_no_own_text(run: Run) -> bool:
        return is_tuned(run) and not any(
            one.startswith("generate-") for one in run.record["parents"]
        )

    after = run_of(tuned) if tuned is not None else latest("score", tuned_and_no_own_text)
    if after is None:
        raise UsageRefused(
            "no tuned model has been scored yet",
            next_step="cqa score --benchmark --adapter latest",
        )

    cells = {"code_sha256": after.record["code"]}
    if "data" in after.record["inputs"]:
        cells["data_sha256"] = after.record["inputs"]["data"]

    def decides(run: Run) -> dict[str, Any]:
        """All that has to be the same on both sides."""
        found = run.record["inputs"] | run.record["config"] | {"code": run.record["code"]}
        free = {"adapter", "noise_floor"}
        if "adapter" not in after.record["inputs"]:  # all weights were trained
            free |= {"model", "judge"}
        return {name: value for name, value in found.items() if name not in free}

    def same_but_for_adapter(run: Run) -> bool:
        return not is_tuned(run) and decides(run) == decides(after)

    before = run_of(base) if base is not None else latest("score", same_but_for_adapter, **cells)
    if before is None:
        raise UsageRefused(
            "the base model has not been scored on the same texts yet",
            next_step="cqa score --benchmark",
        )
    for run in (before, after):
        if not _is_scoring(run):
            raise UsageRefused(
                f"{run.id}: not a finished scoring", next_step="see `cqa table` for the scorings"
            )
    one, two = decides(before), decides(after)
    if one["data"] != two["data"]:
        raise DataRefused(
            f"{before.id} and {after.id} cannot be compared: they scored different items (hashes "
            f"{one['data'][:12]} and {two['data'][:12]})",
            next_step="score both models on the same file",
        )
    if differing := sorted(k for k in one.keys() | two.keys() if one.get(k) != two.get(k)):
        raise DataRefused(
            f"{before.id} and {after.id} cannot be compared: they differ in {', '.join(differing)}",
            next_step="score both models on the same file with the same settings",
        )
    return before, after


def _is_scoring(run: Run) -> bool:
    """Finished, with the headline of a scoring; a record may come from anybody."""
    headline = run.record.get("headline") or {}
    whole = run.done and "data" in run.record["inputs"] and "groups" in headline
    return run.record["stage"] == "score" and whole


def is_tuned(run: Run) -> bool:
    """Whether the judge of a scoring was a tuned model."""
    trained = any(parent.startswith("train-") for parent in run.record["parents"])
    return trained or "adapter" in run.record["inputs"]
