"""`cqa plan FILE`: what an experiment will take and what it can find, before anything is spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cqa import runs, score, train
from cqa.pairing import pair
from cqa.stats import planning
from cqa.stats.works import by_work
from cqa.study.durations import Durations, said
from cqa.study.steps import Step
from cqa.texts import as_texts
from cqa.training import budget as budgets

if TYPE_CHECKING:
    from cqa.study.study import Study
    from cqa.training.estimate import Estimate
    from cqa.training.rates import Rates

ASSUMED_SD = 0.026
"""Bits per token between works: the spread of the accepted study on the embedded model (91 works,
smallest detectable change 0.0076). Another model or recipe has another one."""


@dataclass(frozen=True)
class Work:
    """The steps of one kind that are still to be done."""

    kind: str
    steps: int
    seconds: float
    """Of all of them, one after the other."""
    basis: str


@dataclass(frozen=True)
class Foresight:
    """The plan of an experiment. Changes are in bits per token, times in seconds."""

    steps: int
    done: int
    work: tuple[Work, ...]
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
    seconds_left: float
    """In one process, on one device."""
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
        if self.more_items is None:
            more = "no number of items would mend it: more seeds, or a wider margin"
        elif self.more_items == 0:
            more = "no more items are needed for that"
        else:
            more = f"{self.more_items} more literary items would bring it down to 20 %"
        money = (
            f"{self.money:.2f} {self.currency}"
            if self.money is not None
            else "not known: no --price was given"
        )
        return [
            *(
                (one.kind, f"{one.steps} to be done, about {said(one.seconds)} ({one.basis})")
                for one in self.work
            ),
            (
                "in all",
                f"{self.steps} steps, of which {self.done} are done; about "
                f"{said(self.seconds_left)} left, in one process",
            ),
            ("money", money),
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
    experiment, excluded = study.experiment, study.experiment.analysis.exclude
    literary = [i for i in study.data.items if i.group == "literary" and i.id not in excluded]
    works, seeds = len({item.work for item in literary}), len(experiment.seeds)
    todo = [step for step in study.steps if study.find(step) is None]
    work = _work(study, todo, rates)
    seconds = sum(one.seconds for one in work)
    stated = budgets.parse(experiment.budget, rates).price if experiment.budget else None
    price = stated or rates.price
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
        work=tuple(work),
        items=len(literary),
        works=works,
        seeds=seeds,
        spread=spread,
        spread_from=source,
        smallest_effect=smallest,
        margin=margin,
        inconclusive_at_0=at_0,
        inconclusive_at_smallest=at_smallest,
        seconds_left=seconds,
        money=price.of(seconds).amount if price else None,
        currency=price.per_hour.currency if price else None,
        more_items=None if needed is None else max(0, round((needed - works) * per_work)),
    )


def _work(study: Study, todo: Sequence[Step], rates: Rates) -> list[Work]:
    """What is to be done, kind by kind: as long as the like of it took here, else as timed now."""
    durations, found = Durations(study), []
    for kind in dict.fromkeys(step.kind for step in todo):
        steps = [step for step in todo if step.kind == kind]
        known = [durations.expected(step) for step in steps]
        if kind == "train":
            estimates = _estimates(study, steps, rates)
            basis = estimates[0].time_basis if estimates else "no step is trained"
            seconds = sum(one.device_seconds for one in estimates)
        elif None not in known:
            seconds, basis = sum(known), "as long as the like of it took on this disk"
        else:
            each, basis = _timed(study, kind)
            seconds = each * len(steps)
        found.append(Work(kind, len(steps), seconds, basis))
    return found


def _timed(study: Study, kind: str) -> tuple[float, str]:
    """Seconds of one step of this kind, and what they rest on."""
    from cqa.study import speed

    experiment, texts = study.experiment, as_texts(study.data.items)
    model = study.judge if kind == "score-texts" else study.model
    config = experiment.generate if kind == "generate" else experiment.score
    paced = speed.measured(model, config.dtype, experiment.generate.batch_size)
    if kind == "generate":
        return speed.seconds_to_write(study, texts, paced), paced.basis
    scoring = experiment.score
    if kind != "score":  # what was written has no foil, and no noise floor is taken of it
        texts = [text.model_copy(update={"foil": None}) for text in texts]
        texts *= experiment.generate.samples
        scoring = scoring.model_copy(update={"noise_floor": False})
    return speed.seconds_to_score(study, texts, model, scoring, paced), paced.basis


def _estimates(study: Study, steps: Sequence[Step], rates: Rates) -> list[Estimate]:
    """One for each of these trainings; the seeds of an arm cost the same."""
    found = []
    for arm, times in Counter(step.arm for step in steps).items():
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
