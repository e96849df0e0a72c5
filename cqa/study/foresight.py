"""`cqa plan FILE`: what an experiment will take and what it can find, before anything is spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cqa import train
from cqa.stats import planning
from cqa.study import pilot
from cqa.study.durations import Durations, said
from cqa.study.steps import Step
from cqa.texts import as_texts
from cqa.training import budget as budgets
from cqa.training.prepared import prepared

if TYPE_CHECKING:
    from cqa.study.study import Study
    from cqa.training.rates import Rates

_CHOSEN = {"kinds", "pairing", "rows", "epochs"}
"""Settings of a training that say how much is read, not what a token of it costs (forms and
materials differ in how many of their tokens are learned)."""


@dataclass(frozen=True)
class StepsLeft:
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
    work: tuple[StepsLeft, ...]
    items: int
    works: int
    seeds: int
    spread: planning.Spread
    kept: float
    """Share of the works that will have a change to look at."""
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
        many = "" if self.seeds == 1 else "s"
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
            (
                "literary items",
                f"{self.items} of {self.works} works, under {self.seeds} seed{many}",
            ),
            (
                "spread",
                f"{self.spread.work:.4f} bits per token between works; {self.kept:.0%} of them can "
                f"be compared ({self.spread_from})",
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
    found, margin = pilot.of(study), experiment.analysis.margin
    spread, usable = found.spread, max(2, round(found.kept * works))
    smallest = planning.detectable(spread, usable, seeds)
    se = spread.standard_error(usable, seeds)
    at_0, at_smallest = (
        planning.chance_of_inconclusive(effect, se, usable - 1, margin=margin)
        for effect in (0.0, smallest)
    )
    needed = planning.works_needed(spread, seeds, margin=margin)
    per_work = len(literary) / usable
    return Foresight(
        steps=len(study.steps),
        done=len(study.steps) - len(todo),
        work=tuple(work),
        items=len(literary),
        works=works,
        seeds=seeds,
        spread=spread,
        kept=found.kept,
        spread_from=found.source,
        smallest_effect=smallest,
        margin=margin,
        inconclusive_at_0=at_0,
        inconclusive_at_smallest=at_smallest,
        seconds_left=seconds,
        money=price.of(seconds).amount if price else None,
        currency=price.per_hour.currency if price else None,
        more_items=None if needed is None else max(0, round((needed - usable) * per_work)),
    )


def _work(study: Study, todo: Sequence[Step], rates: Rates) -> list[StepsLeft]:
    """What is to be done, kind by kind: as long as the like of it took here, else as timed now."""
    durations, found = Durations(study), []
    for kind in dict.fromkeys(step.kind for step in todo):
        steps = [step for step in todo if step.kind == kind]
        known = [durations.expected(step) for step in steps]
        if kind == "train":
            seconds, basis = _trained(study, steps, rates)
        elif None not in known:
            seconds, basis = sum(known), "as long as the like of it took on this disk"
        else:
            each, basis = _timed(study, kind)
            seconds = each * len(steps)
        found.append(StepsLeft(kind, len(steps), seconds, basis))
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


def _trained(study: Study, steps: Sequence[Step], rates: Rates) -> tuple[float, str]:
    """Seconds of these trainings, and what they rest on; the seeds of an arm cost the same.

    A step is timed once for the arms whose tokens cost the same, which takes as long as all else.
    """
    experiment, total, basis = study.experiment, 0.0, "no step is trained"
    pace: dict[str, float] = {}
    for arm, times in Counter(step.arm for step in steps).items():
        config = experiment.train_config(study.arm(arm))
        if config.method == "zero-step":
            continue
        alike = config.model_dump_json(exclude=_CHOSEN)
        if alike in pace and experiment.budget is None:
            rows = prepared(config, study.model, study.data, seed=0).learn
            seconds = pace[alike] * config.epochs * sum(len(row.ids) for row in rows)
        else:
            one = train.plan(
                config, study.model, study.data,
                budget=experiment.budget, rates=rates, root=study.root,
            )  # fmt: skip
            seconds, pace[alike] = one.device_seconds, one.device_seconds / one.tokens
            basis = one.time_basis if not total else basis
        total += times * seconds
    return total, basis
