"""How long a step will take: as long as the like of it took in earlier runs on this disk."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING

from pydantic import ValidationError

from cqa import runs
from cqa.config import TrainConfig
from cqa.files import sha256_of_value
from cqa.study.steps import Step

if TYPE_CHECKING:
    from cqa.study.study import Study


class Durations:
    """Seconds of finished runs, by what makes them alike, from the closest likeness to a looser."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._seconds: dict[Hashable, list[float]] = defaultdict(list)
        for run in runs.all_runs(study.root):
            if run.done:
                self.learn(run)

    def learn(self, run: runs.Run) -> None:
        """Take a finished run into account."""
        record = run.record
        seconds = sum(attempt.get("seconds") or 0.0 for attempt in record["attempts"])
        model, config = record["inputs"].get("model"), record["config"]
        if record["stage"] == "train":
            told = {name: value for name, value in config.items() if name != "model"}
            try:
                passes = self._passes(TrainConfig.model_validate(told))
            except ValidationError:  # trained by another version, which had other settings
                return
            self._seconds["train", model, sha256_of_value(config)].append(seconds)
            self._seconds["train", model].append(seconds / passes)
        elif texts := (record.get("headline") or {}).get("texts"):  # scored or written
            of_texts = any(parent.startswith("generate-") for parent in record["parents"])
            kind = "score-texts" if of_texts else record["stage"]
            each = seconds / texts
            data = "" if of_texts else record["inputs"].get("data")
            self._seconds[kind, model, data].append(each)
            self._seconds[kind, model].append(each)

    def expected(self, step: Step) -> float | None:
        """Seconds that a step will take, or None where nothing like it has been run."""
        study = self._study
        if step.kind == "train":
            config = study.experiment.train_config(study.arm(step.arm))
            told = {"model": study.model.name} | config.model_dump(mode="json")
            alike = self._seconds.get(("train", study.model.sha256, sha256_of_value(told)))
            if alike:
                return statistics.median(alike)
            per_pass = self._seconds.get(("train", study.model.sha256))
            return statistics.median(per_pass) * self._passes(config) if per_pass else None
        model = study.judge if step.kind == "score-texts" else study.model
        kind = "score-texts" if step.kind == "score-own" else step.kind
        data = "" if kind == "score-texts" else study.items_sha256
        alike = self._seconds.get((kind, model.sha256, data)) or self._seconds.get(
            (kind, model.sha256)
        )
        texts = len(study.data.items)
        if step.kind != "score":
            texts *= study.experiment.generate.samples
        return statistics.median(alike) * texts if alike else None

    def left(self, steps: Iterable[Step], workers: int) -> float | None:
        """Seconds until all these steps are done; None where one of them is not known."""
        expected = [self.expected(step) for step in steps]
        known = [seconds for seconds in expected if seconds is not None]
        return sum(known) / workers if len(known) == len(expected) else None

    def _passes(self, config: TrainConfig) -> float:
        """What the time of a training is proportional to: examples that pass through the model."""
        if config.method == "zero-step":
            return 0.01
        rows = config.rows or len(self._study.data.annotations)
        return rows * len(config.forms) * config.epochs


def said(seconds: float) -> str:
    """A duration in words: `40 s`, `12 min`, `2 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
