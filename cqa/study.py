"""An experiment file as stages that pull what they depend on; what is done is skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cqa import generate, ingest, model_ref, runs, score, train
from cqa.conditions import PoolBrief, pool_of
from cqa.config import ArmConfig, Experiment
from cqa.errors import CqaError
from cqa.files import read_json, sha256_of_rows, sha256_of_value, write_json
from cqa.paths import shipped
from cqa.progress import Tell, progress, say
from cqa.texts import TextFile, as_texts

if TYPE_CHECKING:
    from cqa.lm import LanguageModel
    from cqa.training.sft import Job, Outcome

Load = Callable[[model_ref.Model, Path | None, str], "LanguageModel"]
"""(model, adapter folder, dtype) -> the model, ready."""


@dataclass(frozen=True)
class Tuned:
    """One arm with one seed."""

    arm: ArmConfig
    seed: int

    @property
    def label(self) -> str:
        return f"{self.arm.name}-s{self.seed}"


@dataclass
class Study:
    """An experiment under way. Every method gives a finished run, made now or found."""

    experiment: Experiment
    load: Load
    fit: Callable[[Job], Outcome]
    root: Path | None = None
    made: list[runs.Run] = field(default_factory=list)
    """Every run this study has used, in the order of their use."""

    @property
    def tuned(self) -> list[Tuned]:
        """All arms with all seeds."""
        return [Tuned(arm, seed) for arm in self.experiment.arms for seed in self.experiment.seeds]

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

    def kind(self) -> str:
        """Whether the analysis can be called fixed beforehand; noted when first asked for.

        The first run of an experiment writes down the hash of its file, [expected] left out. A
        file that was changed afterwards is exploratory, whatever it says.
        """
        fixed = self.experiment.model_dump(mode="json", exclude={"expected"})
        locks = (self.root or runs.runs_root()) / "locks.json"
        known = read_json(locks) if locks.exists() else {}
        mine = {"sha256": sha256_of_value(fixed), "first_run": runs.now()}
        first = known.setdefault(self.experiment.name, mine)
        if first is mine:
            write_json(locks, known)
        if first["sha256"] == mine["sha256"]:
            return (
                f"confirmatory: fixed in the experiment file at its first run {first['first_run']}"
            )
        return (
            f"exploratory: the experiment file was changed after its first run {first['first_run']}"
        )

    def trained(self, tuned: Tuned) -> runs.Run:
        """The training of one arm with one seed."""
        config = self.experiment.train_config(tuned.arm)
        what = train.spec(
            config,
            self.model,
            self.ingested,
            seed=tuned.seed,
            budget=self.experiment.budget,
            label=tuned.label,
        )
        with self._stage(what) as tell:
            return self._used(
                train.run(
                    what,
                    config,
                    self.model,
                    self.data,
                    fit=self.fit,
                    tell=tell,
                    root=self.root,
                    set_by="file",
                )
            )

    def benchmark_scores(self, tuned: Tuned | None) -> runs.Run:
        """The benchmark, scored by the base model or by a tuned one."""
        config = self.experiment.score
        subject, adapter, adapter_hash, parents = self._subject(tuned, self.model)
        what = score.spec(
            config,
            subject,
            adapter_hash,
            data=sha256_of_rows(self.data.items),
            pool=self.pool,
            label=tuned.label if tuned else "base",
            parents=[self.ingested.id, *parents],
        )
        texts = as_texts(self.data.items)
        with self._stage(what) as tell:
            return self._used(
                score.run(
                    what,
                    config,
                    texts,
                    self.pool,
                    load=lambda: self.load(subject, adapter, config.dtype),
                    tell=tell,
                    root=self.root,
                )
            )

    def texts(self, tuned: Tuned | None) -> runs.Run:
        """Texts for the briefs of the benchmark; the same seeds for base and tuned."""
        config = self.experiment.generate
        subject, adapter, adapter_hash, parents = self._subject(tuned, self.model)
        what = generate.spec(
            config,
            subject,
            adapter_hash,
            self.data.items,
            seed=self.experiment.seeds[0],
            label=tuned.label if tuned else "base",
            parents=[self.ingested.id, *parents],
        )
        with self._stage(what) as tell:
            return self._used(
                generate.run(
                    what,
                    config,
                    self.data.items,
                    load=lambda: self.load(subject, adapter, config.dtype),
                    tell=tell,
                    root=self.root,
                )
            )

    def text_scores(self, tuned: Tuned | None) -> runs.Run:
        """The texts of one model, scored by the fixed judge."""
        written = self.texts(tuned)
        config = self.experiment.score.model_copy(update={"noise_floor": False})
        what = score.spec(
            config,
            self.judge,
            None,
            data=written.record["outputs"]["texts.jsonl"],
            pool=self.pool,
            label=f"texts-{tuned.label if tuned else 'base'}",
            parents=[written.id],
        )
        texts = TextFile(written.file("texts.jsonl"))
        with self._stage(what) as tell:
            return self._used(
                score.run(
                    what,
                    config,
                    texts,
                    self.pool,
                    load=lambda: self.load(self.judge, None, config.dtype),
                    tell=tell,
                    root=self.root,
                )
            )

    def _subject(
        self, tuned: Tuned | None, base: model_ref.Model
    ) -> tuple[model_ref.Model, Path | None, str | None, list[str]]:
        if tuned is None:
            return base, None, None, []
        trained = self.trained(tuned)
        subject = model_ref.subject(base, trained.path)
        return subject.model, subject.adapter, subject.adapter_sha256, [trained.id]

    @contextmanager
    def _stage(self, what: runs.Spec) -> Iterator[Tell]:
        if runs.find(what, self.root):
            yield lambda done, total, note: None
            return
        say(f"{what.stage:9} {what.label}")
        with progress(f"{what.stage} {what.label}") as tell:
            yield tell

    def _used(self, run: runs.Run) -> runs.Run:
        if run.id not in {known.id for known in self.made}:
            self.made.append(run)
        return run


def located(path: str) -> Path:
    """A path as written in an experiment file: below the working directory, else shipped."""
    return Path(path) if Path(path).exists() else shipped(path)


def latest(
    stage: str, where: Callable[[runs.Run], bool], root: Path | None = None
) -> runs.Run | None:
    """The newest finished run of a stage for which `where` holds."""
    found = [
        run
        for run in runs.all_runs(root)
        if run.done and run.record["stage"] == stage and where(run)
    ]
    return max(found, key=lambda run: run.record["ended"], default=None)


def run_of(reference: str, root: Path | None = None) -> runs.Run:
    """A run by its id, its directory, or an unmistakable beginning of its id."""
    if (Path(reference) / "run.json").is_file():
        found = runs.read(Path(reference))
        assert found is not None
        return found
    matches = [run for run in runs.all_runs(root) if run.id.startswith(reference)]
    if len(matches) == 1:
        return matches[0]
    what = f"{len(matches)} runs begin with it" if matches else "no such run"
    raise CqaError(f"run {reference!r}: {what}", next_step="see `cqa table` for the ids")
