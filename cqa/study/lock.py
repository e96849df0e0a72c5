"""What is fixed before the first score, with its hash and time; and what differs from it later.

The lock is a JSON file beside the experiment file (below the runs directory where that place cannot
be written), meant to be committed: then the time in it does not rest on this program alone. It
is written by `cqa lock`, or by the first `cqa run` before it scores anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cqa import runs
from cqa.config import Experiment
from cqa.errors import DataRefused
from cqa.files import read_json, sha256_of_rows, sha256_of_value, write_json
from cqa.paths import runs_root, shown

if TYPE_CHECKING:
    from cqa.ingest import DataSet
    from cqa.model_ref import Model

Fields = dict[str, Any]

TESTS = {
    "decides": "the 95 % interval of the mean change: inverted sign-flip test by whole work, seeds "
    "averaged; from 5 seeds on BCa bootstrap with seeds crossed with works",
    "verdict": "improved: lower end above the noise floor; worse: upper end below its negative; no "
    "worse: lower end above the negative margin; else inconclusive. On the benchmark improved and "
    "no worse also need the change of log2 p(text | its brief) above 0",
    "control": "unmoved where the 90 % interval on factual items lies within the margin",
    "selective": "literary - factual: 95 % BCa interval by work above 0",
    "beside": "Wilcoxon on work means, d_z with Hedges' correction, rank-biserial, BCa by work",
    "secondary": "every other quantity, group, arm, epoch and data size: step-down max-T and Holm",
    "dropped": "an item whose quantity is null before or after; counted",
}
"""The part of the analysis that no experiment file can change."""


@dataclass(frozen=True)
class Deviation:
    """A field that is not what was locked; None stands for a field that is not there."""

    field: str
    locked: Any
    now: Any


@dataclass(frozen=True)
class Standing:
    """What a report may call itself, and why."""

    reasons: tuple[str, ...]
    """Why it is exploratory; without any it is confirmatory."""
    when: str
    """When it was locked, with the hash, in words."""
    sha256: str
    written: str
    deviations: tuple[Deviation, ...]

    @property
    def confirmatory(self) -> bool:
        """Whether all was fixed before the first score of a tuned model."""
        return not self.reasons

    @property
    def said(self) -> str:
        """The standing in words."""
        if self.confirmatory:
            return f"confirmatory: fixed before the first score ({self.when})"
        return f"exploratory: {'; '.join(self.reasons)} ({self.when})"

    def record(self) -> Fields:
        """As JSON has it."""
        return {
            "confirmatory": self.confirmatory,
            "said": self.said,
            "sha256": self.sha256,
            "written": self.written,
            "deviations": [asdict(one) for one in self.deviations],
        }


def fields(experiment: Experiment, model: Model, judge: Model, data: DataSet) -> Fields:
    """All that decides the answer: analysis, items, data, models, arms and settings."""
    told = experiment.analysis
    return {
        "experiment": experiment.name,
        "primary": {
            "quantity": told.primary,
            "group": "literary",
            "of": told.on,
            "arm": told.arm,
        },
        "sidedness": told.sidedness,
        "margin": told.margin,
        "checkpoint": told.checkpoint,
        "exclude": dict(told.exclude),
        "tests": TESTS,
        "seeds": list(experiment.seeds),
        "budget": experiment.budget,
        "arms": {
            arm.name: experiment.train_config(arm).model_dump(mode="json")
            | {"curve": arm.curve, "write": arm.write}
            for arm in experiment.arms
        },
        "score": experiment.score.model_dump(mode="json"),
        "generate": experiment.generate.model_dump(mode="json"),
        "model": {"name": model.name, "sha256": model.sha256},
        "judge": {"name": judge.name, "sha256": judge.sha256},
        "annotations": {
            "number": len(data.annotations),
            "sha256": sha256_of_rows([*data.annotations, *data.dialogues]),
        },
        "items": {item.id: sha256_of_rows([item])[:16] for item in data.items},
    }


def path_of(name: str, file: Path | None, root: Path | None) -> Path:
    """Beside the experiment file; below the runs directory where that place is read-only."""
    if file is not None:
        beside = file.with_suffix(".lock.json")
        if beside.exists() or os.access(file.parent, os.W_OK):
            return beside
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name)  # a name may have slashes and dots
    return (root or runs_root()) / "locks" / f"{plain}.lock.json"


def write(path: Path, now: Fields, *, again: bool = False) -> dict[str, Any]:
    """The lock at this path, written if there is none.

    `again` replaces one that differs; the earlier ones are kept in it. Without, a lock that differs
    is left as it is.
    """
    earlier = _held(path) if path.exists() else None
    if earlier is not None and not (again and _differing(earlier["locked"], now)):
        return earlier
    made = {
        "schema": 1,
        "written": runs.now(),
        "sha256": sha256_of_value(now),
        "locked": now,
        "earlier": [] if earlier is None else [*earlier["earlier"], _kept(earlier, now)],
    }
    try:
        write_json(path, made, new=earlier is None)
    except FileExistsError:  # another process was a moment earlier
        return write(path, now, again=again)
    return made


def _held(path: Path) -> dict[str, Any]:
    held = read_json(path)
    kinds = {"written": str, "sha256": str, "locked": dict, "earlier": list}
    if not isinstance(held, dict) or any(
        not isinstance(held.get(name), kind) for name, kind in kinds.items()
    ):
        raise DataRefused(
            f"{shown(path)}: no lock ({', '.join(kinds)} expected)",
            next_step="take back the file as it was committed, or delete it and lock again",
        )
    return held


def refuse_changed(path: Path, held: Mapping[str, Any], now: Fields) -> None:
    """DataRefused where a lock says something else than the experiment does now."""
    if found := _differing(held["locked"], now):
        told = "\n".join(f"  {d.field}: locked {d.locked!r}, now {d.now!r}" for d in found[:20])
        raise DataRefused(
            f"{shown(path)} was locked on {held['written']} and differs:\n{told}",
            next_step="go back to what was locked, or say --again to lock what there is now",
        )


def standing(held: Mapping[str, Any], now: Fields, scored: Sequence[runs.Run]) -> Standing:
    """Whether a report is confirmatory: nothing differs, and no tuned model was scored before.

    `scored` are the scorings of tuned models that the report rests on. What the base model scores
    says nothing about a change, so its scorings may be older.
    """
    deviations = tuple(_differing(held["locked"], now))
    older = [run for run in scored if run.record["started"] < held["written"]]
    because = []
    if sha256_of_value(held["locked"]) != held["sha256"]:
        because.append("the lock does not have the hash that it states")
    if deviations:
        because.append(f"{len(deviations)} fields differ from what was locked")
    if older:
        because.append(f"{len(older)} of {len(scored)} scorings are older than the lock")
    when = f"locked {held['written'][:19]} UTC, sha256 {held['sha256'][:12]}"
    if held["earlier"]:
        when += f", {len(held['earlier'])} earlier locks"
    return Standing(tuple(because), when, held["sha256"], held["written"], deviations)


def _differing(locked: Mapping[str, Any], now: Mapping[str, Any]) -> list[Deviation]:
    """Field by field, named by dotted paths."""
    before, after = dict(_flat(locked)), dict(_flat(now))
    names = [*before, *(name for name in after if name not in before)]
    return [
        Deviation(name, before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    ]


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and (value or not path):
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}" if path else str(name))
    else:
        yield path, list(value) if isinstance(value, tuple) else value


def _kept(earlier: Mapping[str, Any], now: Fields) -> dict[str, Any]:
    """Of a lock that is replaced: its hash, its time, and what became different."""
    return {
        "written": earlier["written"],
        "sha256": earlier["sha256"],
        "changed": [vars(one) for one in _differing(earlier["locked"], now)],
    }
