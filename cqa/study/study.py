"""An experiment file as steps that pull what they depend on; what is done is found, not made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cqa import generate, ingest, model_ref, runs, score, train
from cqa.conditions import PoolBrief, pool_of
from cqa.config import ArmConfig, Experiment
from cqa.errors import CqaError, DataRefused
from cqa.files import sha256_of_rows
from cqa.paths import shipped
from cqa.progress import Tell, progress, say
from cqa.study import lock
from cqa.study.cases import Case
from cqa.study.steps import BASE, Step, curve_epochs, steps_of
from cqa.texts import TextFile, as_texts

if TYPE_CHECKING:
    from cqa.lm import LanguageModel
    from cqa.training.sft import Job, Outcome

Load = Callable[[model_ref.Model, Path | None, str], "LanguageModel"]
"""(model, adapter folder, dtype) -> the model, ready."""


@dataclass
class Study:
    """An experiment under way."""

    experiment: Experiment
    load: Load
    fit: Callable[[Job], Outcome]
    root: Path | None = None
    file: Path | None = None
    """The experiment file; the lock lies beside it."""
    announce: Callable[[Step], None] | None = field(default=lambda step: say(_line(step)))
    """Called before a step that is not done; None for a study that says nothing at all."""
    made: list[runs.Run] = field(default_factory=list)
    """Every run this study has used, in the order of their use."""
    _done: dict[Step, runs.Run] = field(default_factory=dict)

    @cached_property
    def steps(self) -> list[Step]:
        """Every step, each after what it needs."""
        return steps_of(self.experiment)

    @cached_property
    def model(self) -> model_ref.Model:
        return model_ref.find(self.experiment.model)

    @cached_property
    def judge(self) -> model_ref.Model:
        return model_ref.find(self.experiment.judge)

    @cached_property
    def ingested(self) -> runs.Run:
        """The annotations and the benchmark as one data set."""
        sources = [located(self.experiment.annotations), located(self.experiment.items)]
        run = ingest.run(sources, self.root)
        self._used(run)
        return run

    @cached_property
    def data(self) -> ingest.DataSet:
        return ingest.load(self.ingested)

    @cached_property
    def pool(self) -> list[PoolBrief]:
        """Mismatched briefs come from the benchmark itself."""
        return pool_of(as_texts(self.data.items))

    def arm(self, name: str) -> ArmConfig:
        """The arm of this name."""
        return next(arm for arm in self.experiment.arms if arm.name == name)

    def to_lock(self) -> lock.Fields:
        """All that is fixed before the first score."""
        return lock.fields(self.experiment, self.model, self.judge, self.data)

    def lock_path(self) -> Path:
        """Where the lock of this experiment lies."""
        return lock.path_of(self.experiment.name, self.file, self.root)

    @cached_property
    def locked(self) -> dict[str, Any]:
        """The lock, written now if there is none."""
        return lock.write(self.lock_path(), self.to_lock())

    def standing(self, scored: Sequence[runs.Run]) -> lock.Standing:
        """Whether a report on these scorings of tuned models is confirmatory."""
        return lock.standing(self.locked, self.to_lock(), scored)

    @cached_property
    def items_sha256(self) -> str:
        return sha256_of_rows(self.data.items)

    def find(self, step: Step) -> runs.Run | None:
        """The finished run of a step, or None where it or what it needs is not done."""
        if step not in self._done:
            if any(self.find(need) is None for need in step.needs):
                return None
            if run := runs.find(self.spec(step), self.root):
                self._done[step] = self._used(run)
        return self._done.get(step)

    def spec(self, step: Step) -> runs.Spec:
        """What decides the result of a step; what it needs is done."""
        experiment = self.experiment
        if step.kind == "train":
            config = experiment.train_config(self.arm(step.arm))
            return train.spec(
                config, self.model, self.ingested,
                seed=step.seed, budget=experiment.budget, label=step.label,
            )  # fmt: skip
        if step.kind in ("score-texts", "score-own"):
            written, subject = self._done[step.needs[-1]], self._subject(step)
            fixed = step.kind == "score-texts"
            read = [written] if fixed else [self._done[need] for need in step.needs]
            return score.spec(
                self._text_score_config, subject.model, subject.adapter_sha256,
                data=written.record["outputs"]["texts.jsonl"], pool=self.pool,
                label=f"{'texts' if fixed else 'own'}-{step.label}",
                parents=[run.id for run in read],
            )  # fmt: skip
        subject = self._subject(step)
        parents = [self.ingested.id, *(self._done[need].id for need in step.needs)]
        if step.kind == "generate":
            return generate.spec(
                experiment.generate, subject.model, subject.adapter_sha256, self.data.items,
                seed=experiment.seeds[0], label=step.label, parents=parents,
            )  # fmt: skip
        return score.spec(
            experiment.score, subject.model, subject.adapter_sha256,
            data=self.items_sha256, pool=self.pool,
            label=step.label, parents=parents,
        )  # fmt: skip

    def is_elsewhere(self, step: Step) -> bool:
        """Whether a process is at work on a step; what it needs is done."""
        return runs.is_held(runs.directory(self.spec(step), self.root))

    def do(self, step: Step) -> runs.Run:
        """The finished run of a step, made now or found; what it needs is made first."""
        for need in step.needs:
            self.do(need)
        if run := self.find(step):
            return run
        if step.kind != "train":
            _ = self.locked  # written before anything is scored
        what = self.spec(step)
        with self._told(step) as tell:
            self._done[step] = self._used(self._make(step, what, tell))
        return self._done[step]

    def cases(self) -> list[Case]:
        """What there is to compare: arms over their seeds, then single epochs; the main arm first.

        Seeds and arms whose runs are not done are left out.
        """
        arms = sorted(self.experiment.arms, key=lambda a: a.name != self.experiment.analysis.arm)
        found = [self._case(arm, None) for arm in arms]
        found += [
            self._case(arm, epoch)
            for arm in arms
            for epoch in curve_epochs(self.experiment, arm)
            if self.experiment.analysis.on == "benchmark"
        ]
        return [case for case in found if case]

    def _case(self, arm: ArmConfig, epoch: int | None) -> Case | None:
        writes = arm.write and epoch is None

        def of(kind: str, seed: int | None = None, name: str = arm.name) -> runs.Run | None:
            return self.find(Step(kind, name, seed, epoch if name != BASE else None))

        on_writing = self.experiment.analysis.on == "writing"
        scored = "score-texts" if on_writing else "score"
        seeds = [seed for seed in self.experiment.seeds if of(scored, seed)]
        if not seeds or not (base := of(scored, name=BASE)):
            return None
        with_texts = [s for s in seeds if writes and of("score-texts", s)]
        base_own = "score-own" if Step("score-own", BASE) in self.steps else "score-texts"
        config = self.experiment.train_config(arm)
        several = len(self.experiment.seeds) > 1
        named = Step("score", arm.name, None if several else seeds[0], epoch).label
        return Case(
            label=named,
            arm=arm.name,
            seeds=tuple(seeds),
            epoch=epoch,
            rows=config.rows,
            base_scores=base,
            tuned_scores=tuple(of(scored, seed) for seed in seeds),
            trained=tuple(self.find(Step("train", arm.name, seed)) for seed in seeds),
            base_texts=of("generate", name=BASE) if with_texts else None,
            base_text_scores=of("score-texts", name=BASE) if with_texts else None,
            tuned_texts=tuple(of("generate", seed) for seed in with_texts),
            tuned_text_scores=tuple(of("score-texts", seed) for seed in with_texts),
            base_own_scores=of(base_own, name=BASE) if with_texts else None,
            tuned_own_scores=tuple(of("score-own", seed) for seed in with_texts),
            on=self.experiment.analysis.on,
        )

    def _make(self, step: Step, what: runs.Spec, tell: Tell) -> runs.Run:
        experiment = self.experiment
        if step.kind == "train":
            config = experiment.train_config(self.arm(step.arm))
            return train.run(
                what, config, self.model, self.data,
                fit=self.fit, tell=tell, root=self.root, set_by="file",
            )  # fmt: skip
        if step.kind in ("score-texts", "score-own"):
            config = self._text_score_config
            texts = TextFile(self._done[step.needs[-1]].file("texts.jsonl"))
            load = self._loader(self._subject(step), config.dtype)
            return score.run(what, config, texts, self.pool, load=load, tell=tell, root=self.root)
        if step.kind == "generate":
            load = self._loader(self._subject(step), experiment.generate.dtype)
            return generate.run(
                what, experiment.generate, self.data.items, load=load, tell=tell, root=self.root
            )
        load = self._loader(self._subject(step), experiment.score.dtype)
        texts = as_texts(self.data.items)
        return score.run(
            what, experiment.score, texts, self.pool, load=load, tell=tell, root=self.root
        )

    @property
    def _text_score_config(self):
        return self.experiment.score.model_copy(update={"noise_floor": False})

    def _loader(self, subject: model_ref.Subject, dtype: str) -> Callable[[], LanguageModel]:
        return lambda: self.load(subject.model, subject.adapter, dtype)

    def _subject(self, step: Step) -> model_ref.Subject:
        """The model that a step scores or writes with."""
        if step.kind == "score-texts":
            return model_ref.Subject(self.judge)
        if step.arm == BASE:
            return model_ref.Subject(self.model)
        trained = self._done[Step("train", step.arm, step.seed)]
        if step.epoch is None:
            return model_ref.subject(self.model, trained.path)
        folder = trained.file(f"epoch-{step.epoch}")
        if not folder.is_dir():
            raise CqaError(
                f"{trained.id}: it kept no result of epoch {step.epoch} (it trained "
                f"{trained.record['spent']['epochs']:g})",
                next_step="give a larger budget, or fewer epochs",
            )
        return model_ref.subject(self.model, folder)

    @contextmanager
    def _told(self, step: Step) -> Iterator[Tell]:
        if self.announce is None:
            yield lambda done, total, note: None
            return
        self.announce(step)
        with progress(f"{step.kind} {step.label}") as tell:
            yield tell

    def _used(self, run: runs.Run) -> runs.Run:
        if run.id not in {known.id for known in self.made}:
            self.made.append(run)
        return run


def _line(step: Step) -> str:
    return f"{step.kind:11} {step.label}"


def located(path: str) -> Path:
    """A path as written in an experiment file: below the working directory, else shipped."""
    if Path(path).exists():
        return Path(path)
    try:
        return shipped(path)
    except DataRefused:
        raise DataRefused(
            f"{path}: no such file or folder, here or among what ships with cqa",
            next_step="check what the experiment file says under annotations and items",
        ) from None
