"""The scorings of one command: the same texts by each judge, whole or a share of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cqa import conditions, parallel, paths, runs, score
from cqa.conditions import PoolBrief
from cqa.config import ScoreConfig
from cqa.errors import DataRefused
from cqa.files import read_rows, sha256_of_rows
from cqa.model_ref import Model, Tuned
from cqa.parallel import Share
from cqa.probes import Treatment, probed, treatments
from cqa.progress import Tell, progress, say
from cqa.texts import TextFile, as_texts
from cqa.types import Item, Text

if TYPE_CHECKING:
    from cqa.lm import LanguageModel

Load = Callable[[Model, Path | None, str], "LanguageModel"]
"""(model, adapter, dtype) -> the model on its device."""


@dataclass(frozen=True)
class Given:
    """Texts to be scored; a scoring by a judge without an adapter is called `label`."""

    texts: Collection[Text]
    sha256: str
    label: str


def given(file: Path | None, *, probes: bool = False) -> Given:
    """The texts of a file, or the benchmark's own; with `probes` the texts made from them to fool
    the measure. DataRefused where the file cannot be used or no text has a brief to probe."""
    if file is None:
        items = _benchmark()
        found = Given(as_texts(items), sha256_of_rows(items), "base")
    else:
        if not file.exists():
            hint = "cqa generate writes it" if file.name == "outputs.jsonl" else "check the path"
            raise DataRefused(f"{file}: no such file", next_step=hint)
        rows = TextFile(file)
        found = Given(rows, rows.sha256, file.stem)
    if not probes:
        return found
    made = probed(list(found.texts))
    if not made:
        raise DataRefused("no row has a brief to probe", next_step="cqa score --probes")
    return Given(made, sha256_of_rows(made), f"probes-{found.label}")


def pool(file: Path | None) -> list[PoolBrief]:
    """The briefs that mismatched ones are drawn from: of a file, or of the benchmark."""
    return conditions.pool_of(read_rows(file, Text) if file else as_texts(_benchmark()))


@dataclass(frozen=True)
class Scorings:
    """The same texts by several judges under one config: a run for each."""

    given: Given
    config: ScoreConfig
    pool: Sequence[PoolBrief]
    judges: Sequence[Tuned]
    load: Load

    @functools.cached_property
    def specs(self) -> list[runs.Spec]:
        """What decides the scores of each judge."""
        return [
            score.spec(
                self.config,
                judge.subject.model,
                judge.subject.adapter_sha256,
                data=self.given.sha256,
                pool=self.pool,
                label=judge.label,
                parents=judge.parents,
            )
            for judge in self.judges
        ]

    @property
    def are_done(self) -> bool:
        """Whether every run is finished."""
        return all(runs.find(what) for what in self.specs)

    def carry_out(self, share: Share | None = None, processes: int = 1) -> list[runs.Run] | None:
        """The finished runs, scored here where they are not there yet; None where only a share is.

        `share` is what one machine of several does of every run. A process that `parallel.launch`
        began does its share of the one run that it was begun for.
        """
        each = list(zip(self.judges, self.specs, strict=True))
        if share:
            for judge, what in each:
                if runs.find(what) is None:
                    with progress(f"score {judge.label}, share {share.written}") as tell:
                        self._share(judge, what, share, tell)
            say(f"share {share.written} is done; the same command without --shard joins the shares")
            return None
        if own := parallel.share():
            task = parallel.task([what.id for what in self.specs])
            for judge, what in each:
                if what.id == task:
                    self._share(judge, what, own, lambda *_: None)
            return None
        return [self._whole(judge, what, processes) for judge, what in each]

    def _share(self, judge: Tuned, what: runs.Spec, share: Share, tell: Tell) -> None:
        score.score_share(
            what,
            self.config,
            self.given.texts,
            self.pool,
            share,
            load=self._loading(judge),
            tell=tell,
        )

    def _whole(self, judge: Tuned, what: runs.Spec, processes: int) -> runs.Run:
        helpers = functools.partial(parallel.launch, processes, what.id) if processes > 1 else None
        with progress(f"score {judge.label}") as tell:
            return score.run(
                what,
                self.config,
                self.given.texts,
                self.pool,
                load=self._loading(judge),
                tell=tell,
                help_scoring=helpers,
            )

    def _loading(self, judge: Tuned) -> Callable[[], LanguageModel]:
        subject = judge.subject
        return functools.partial(self.load, subject.model, subject.adapter, self.config.dtype)


def treated(scored: Sequence[runs.Run]) -> list[list[Treatment]]:
    """What became of the probes in each scoring of them, by the primary quantity."""
    return [treatments(score.load_scores(run), score.PRIMARY) for run in scored]


def _benchmark() -> list[Item]:
    return read_rows(paths.shipped(paths.BENCHMARK_ITEMS), Item)
