"""`cqa plan FILE`: what an experiment will take and what it can find, before anything is spent."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cqa import runs, score, train
from cqa.analysis import pair
from cqa.durations import Durations, said
from cqa.stats import planning
from cqa.stats.works import by_work

if TYPE_CHECKING:
    from cqa.study import Study
    from cqa.training.estimate import Estimate
    from cqa.training.rates import Rates

ASSUMED_SD = 0.026
"""Bits per token between works: the spread of the accepted study on the embedded model (91 works,
smallest detectable change 0.0076). Another model or recipe has another one."""


@dataclass(frozen=True)
class Foresight:
    """The plan of an experiment. Changes are in bits per token, times in seconds."""

    steps: int
    done: int
    seconds_left: float | None
    """In one process; None where some step is of a kind that has not been run here yet."""
    unknown: tuple[str, ...]
    """Kinds of steps whose time is not known."""
    items: int
    works: int
    seeds: int
    spread: planning.Spread
    spread_from: str
    smallest_effect: float
    """Found four times in five."""
    margin: float
    inconclusive_at_0: float
    """The chance of an inconclusive end if nothing changes."""
    inconclusive_at_smallest: float
    """If the change is `smallest_effect`."""
    trainings: int
    """Still to be done, those without a step left out."""
    device_seconds: float
    """Of these trainings, as `cqa plan` reckons for one of each arm."""
    money: float | None
    currency: str | None
    more_items: int | None
    """Items that would bring `inconclusive_at_0` down to a fifth, as many to a work as now; 0 where
    it is there already, None where no number would."""

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    def told(self) -> list[tuple[str, str]]:
        """In words: (name, what is known)."""
        time = (
            f"about {said(self.seconds_left)} left, in one process"
            if self.seconds_left is not None
            else f"time not known: no {', '.join(self.unknown)} of this model has been run here yet"
        )
        if self.more_items is None:
            more = "no number of items would mend it: more seeds, or a wider margin"
        elif self.more_items == 0:
            more = "no more items are needed for that"
        else:
            more = f"{self.more_items} more literary items would bring it down to 20 %"
        money = (
            f", {self.money:.2f} {self.currency}"
            if self.money is not None
            else "; no --price was given, so no money"
        )
        trainings = f"{self.trainings} to be done, {said(self.device_seconds)} of one device{money}"
        return [
            ("trainings", trainings),
            ("steps", f"{self.steps}, of which {self.done} are done; {time}"),
            ("literary items", f"{self.items} of {self.works} works, under {self.seeds} seeds"),
            (
                "spread",
                f"{self.spread.work:.4f} bits per token between works ({self.spread_from})",
            ),
            ("smallest effect", f"{self.smallest_effect:.4f} bits per token, found 4 times in 5"),
            (
                "inconclusive end",
                f"{self.inconclusive_at_0:.0%} if nothing changes (margin {self.margin:g}); "
                f"{self.inconclusive_at_smallest:.0%} at the smallest effect",
            ),
            ("", more),
        ]


def foresee(study: Study, rates: Rates) -> Foresight:
    """Look ahead. Nothing is trained, scored or locked."""
    estimates = _estimates(study, rates)
    experiment, excluded = study.experiment, study.experiment.analysis.exclude
    literary = [i for i in study.data.items if i.group == "literary" and i.id not in excluded]
    works, seeds = len({item.work for item in literary}), len(experiment.seeds)
    todo = [step for step in study.steps if study.find(step) is None]
    durations = Durations(study)
    unknown = sorted({step.kind for step in todo if durations.expected(step) is None})
    spread, source = _pilot(study)
    margin = experiment.analysis.margin
    smallest = planning.detectable(spread, works, seeds)
    se = spread.standard_error(works, seeds)
    at_0, at_smallest = (
        planning.chance_of_inconclusive(effect, se, works - 1, margin=margin)
        for effect in (0.0, smallest)
    )
    needed = planning.works_needed(spread, seeds, margin=margin)
    per_work = len(literary) / works
    return Foresight(
        steps=len(study.steps),
        done=len(study.steps) - len(todo),
        seconds_left=durations.left(todo, 1),
        unknown=tuple(unknown),
        items=len(literary),
        works=works,
        seeds=seeds,
        trainings=len(estimates),
        device_seconds=sum(one.device_seconds for one in estimates),
        money=None if None in (m := [one.money for one in estimates]) or not m else sum(m),
        currency=estimates[0].currency if estimates else None,
        spread=spread,
        spread_from=source,
        smallest_effect=smallest,
        margin=margin,
        inconclusive_at_0=at_0,
        inconclusive_at_smallest=at_smallest,
        more_items=None if needed is None else max(0, round((needed - works) * per_work)),
    )


def _estimates(study: Study, rates: Rates) -> list[Estimate]:
    """One for each training still to be done; the seeds of an arm cost the same."""
    todo = Counter(
        step.arm for step in study.steps if step.kind == "train" and study.find(step) is None
    )
    found = []
    for arm, times in todo.items():
        config = study.experiment.train_config(study.arm(arm))
        if config.method != "zero-step":
            one = train.plan(
                config, study.model, study.data,
                budget=study.experiment.budget, rates=rates, root=study.root,
            )  # fmt: skip
            found += [one] * times
    return found


def _pilot(study: Study) -> tuple[planning.Spread, str]:
    """The spread of earlier trainings of this model on these items, or what is assumed."""
    primary = study.experiment.analysis.primary
    scored = [
        run
        for run in runs.all_runs(study.root)
        if run.done
        and run.record["stage"] == "score"
        and run.record["inputs"].get("data") == study.items_sha256
        and run.record["inputs"].get("model") == study.model.sha256
    ]
    base = [run for run in scored if "adapter" not in run.record["inputs"]]
    tuned: dict[str, list[runs.Run]] = {}
    for run in scored:
        if "adapter" in run.record["inputs"]:
            tuned.setdefault(run.record["label"].rsplit("-s", 1)[0], []).append(run)
    if not base or not tuned:
        return planning.Spread(
            ASSUMED_SD
        ), "assumed: as in the accepted study; no pilot on this disk"
    counts = Counter({arm: len(found) for arm, found in tuned.items()})
    arm = study.experiment.analysis.arm
    arm = arm if arm in tuned else counts.most_common(1)[0][0]
    sides = [
        [s for s in score.load_scores(run) if s.group == "literary"]
        for run in (base[-1], *tuned[arm])
    ]
    paired = pair(*sides, quantity=primary)
    by_seed = np.array([by_work(changes, paired.works).means for changes in paired.by_seed])
    if by_seed.shape[1] < 3 or not by_seed.std():
        return planning.Spread(ASSUMED_SD), "assumed: the pilot on this disk shows no spread"
    return planning.Spread.of(by_seed), f"pilot: {len(by_seed)} scorings of {arm} on this disk"
