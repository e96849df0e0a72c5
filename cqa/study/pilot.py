"""The spread that a plan reckons with: that of a pilot on this disk, or of the accepted study."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cqa import runs, score
from cqa.pairing import by_item, pair
from cqa.stats import planning
from cqa.stats.works import by_work
from cqa.types import Score

if TYPE_CHECKING:
    from cqa.study.study import Study

_OF_AN_EPOCH = re.compile(r".+-s\d+-e\d+")
"""Labels of scorings before the last epoch: of a model that another label has whole."""
_TEXTS = "texts-"
"""Before the label of what was written, scored by the fixed judge."""


@dataclass(frozen=True)
class Pilot:
    """How much works differ in their change, and how many of them have one."""

    spread: planning.Spread
    kept: float
    """Share of the literary works; what a model leaves empty has no score."""
    source: str


ASSUMED = {
    "benchmark": Pilot(planning.Spread(0.033), 0.98, ""),
    "writing": Pilot(planning.Spread(0.049), 0.70, ""),
}
"""Of the accepted study on the embedded model, one seed: smallest detectable changes of 0.0099 over
91 of 93 works, and of 0.0173 in what it wrote, over 65. Another model or recipe has others."""


def of(study: Study) -> Pilot:
    """From earlier scorings of this model's trainings on these items; the main arm's first."""
    told = study.experiment.analysis
    before, tuned = _sides(study)
    literary = {
        i.work for i in study.data.items if i.group == "literary" and i.id not in told.exclude
    }
    if before is None or not tuned:
        return _assumed(told.on, "no pilot on this disk")
    arm = told.arm if told.arm in tuned else max(tuned, key=lambda name: len(tuned[name]))
    paired = pair(before, *tuned[arm], quantity=told.primary)
    if len(set(paired.works)) < 3 or not np.ptp(paired.by_seed):
        return _assumed(told.on, "the pilot on this disk shows no spread")
    by_seed = np.array([by_work(changes, paired.works).means for changes in paired.by_seed])
    source = f"pilot: {len(by_seed)} scorings of {arm} on this disk"
    return Pilot(planning.Spread.of(by_seed), by_seed.shape[1] / len(literary), source)


def _assumed(on: str, why: str) -> Pilot:
    found = ASSUMED[on]
    return Pilot(found.spread, found.kept, f"assumed: as in the accepted study; {why}")


def _sides(study: Study) -> tuple[list[Score] | None, dict[str, list[list[Score]]]]:
    """Literary scores of the base, and of each arm under its seeds: each the newest, no epoch."""
    writing = study.experiment.analysis.on == "writing"
    newest = {
        run.record["label"]: run
        for run in sorted(runs.all_runs(study.root), key=lambda run: run.record.get("ended") or "")
        if _is_alike(run, study, writing)
    }
    named = {
        label.removeprefix(_TEXTS): run
        for label, run in newest.items()
        if label.startswith(_TEXTS) == writing
    }
    bases = [
        run
        for label, run in named.items()
        if (label == "base" if writing else "adapter" not in run.record["inputs"])
    ]
    if not bases:
        return None, {}
    before = _literary(bases[-1], writing)
    tuned: dict[str, list[list[Score]]] = {}
    for label, run in named.items():
        if run in bases or _OF_AN_EPOCH.fullmatch(label):
            continue
        after = _literary(run, writing)
        if {s.id for s in after} == {s.id for s in before}:
            tuned.setdefault(label.rsplit("-s", 1)[0], []).append(after)
    return before, tuned


def _is_alike(run: runs.Run, study: Study, writing: bool) -> bool:
    record, config = run.record, study.experiment.score
    return (
        run.done
        and record["stage"] == "score"
        and record["inputs"].get("model") == (study.judge if writing else study.model).sha256
        and (writing or record["inputs"].get("data") == study.items_sha256)
        and record["config"].get("mismatched") == config.mismatched
        and record["config"].get("dtype") == config.dtype
    )


def _literary(run: runs.Run, writing: bool) -> Sequence[Score]:
    found = [s for s in score.load_scores(run) if s.group == "literary"]
    return [by_item(s) for s in found] if writing else found
