"""`cqa score`: texts and a fixed judge -> the quantities of each text, and the traces behind."""

from __future__ import annotations

import math
import shutil
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cqa import blocks, columns, render, runs
from cqa.conditions import PoolBrief
from cqa.config import ScoreConfig
from cqa.files import read_rows, sha256_of, sha256_of_value
from cqa.judge import Judge
from cqa.model_ref import Model
from cqa.parallel import Share
from cqa.paths import BENCHMARK_ITEMS, shipped
from cqa.progress import Tell
from cqa.scores import iter_scores, judge_name
from cqa.texts import as_texts
from cqa.types import Item, Score, Text

if TYPE_CHECKING:
    from cqa.lm import LanguageModel

PRIMARY = "specific_gain_bits_per_token"

SHOWN = (
    "surprise_bits_per_token",
    "residual_bits_per_token",
    "gain_bits_per_token",
    "gain_share",
    "specific_gain_bits_per_token",
    "contrast_bits_per_token",
    "gain_bits_per_byte",
)
"""The quantities of the summary; measures.ALL names every one."""

_CODE = (
    "render.py",
    "conditions.py",
    "overlap.py",
    "measures.py",
    "surprisal.py",
    "packing.py",
    "device_faults.py",
    "engine.py",
    "lm.py",
    "texts.py",
    "judge.py",
    "scores.py",
    "blocks.py",
    "score.py",
)


def spec(
    config: ScoreConfig,
    judge: Model,
    adapter: str | None,
    *,
    data: str,
    pool: Sequence[PoolBrief],
    label: str,
    parents: Sequence[str] = (),
) -> runs.Spec:
    """What decides these scores. `adapter` and `data` are hashes."""
    inputs = {"model": judge.sha256, "data": data, "pool": pool_hash(pool)}
    return runs.Spec(
        stage="score",
        label=label,
        config={"judge": judge.name, "template": render.TEMPLATE_VERSION}
        | config.model_dump(mode="json"),
        inputs=inputs | ({"adapter": adapter} if adapter else {}),
        parents=list(parents),
        code=runs.code_hash(*_CODE, libraries=("torch", "transformers", "peft")),
    )


def run(
    what: runs.Spec,
    config: ScoreConfig,
    texts: Collection[Text],
    pool: Sequence[PoolBrief],
    *,
    load: Callable[[], LanguageModel],
    tell: Tell,
    root: Path | None = None,
    help_scoring: Callable[[], None] | None = None,
) -> runs.Run:
    """Score every text, block by block; a block whose files are there is not scored again.

    `help_scoring` may have other processes write blocks first (see `score_share`).
    """
    if done := runs.find(what, root):
        return done
    with runs.execute(what, root) as scored:
        if help_scoring:
            help_scoring()
        judge = _judge(what, config, pool, load())
        lm = judge.lm
        # What helpers or an interrupted attempt have written already.
        found = _score_blocks(scored.path, judge, texts, Share(), tell)
        floor = judge.noise_floor(texts, len(texts), SHOWN) if config.noise_floor else None
        joined = scored.file("scores.jsonl"), scored.file("traces.parquet")
        blocks.join(scored.path, len(texts), *joined)
        columns.write([scored], scored.file("scores.parquet"))
        scored.tell(
            headline={
                "texts": len(texts),
                "device": lm.device,
                "dtype": lm.dtype,
                "window": lm.window,
                "blocks_found": found,
                "thresholds": vars(judge.thresholds),
                "noise_floor": floor,
                "groups": summarise(iter_scores(scored.file("scores.jsonl"))),
            },
            outputs={"scores.jsonl": sha256_of(scored.file("scores.jsonl"))},
        )
        shutil.rmtree(scored.file("blocks"))
    return scored


def score_share(
    what: runs.Spec,
    config: ScoreConfig,
    texts: Collection[Text],
    pool: Sequence[PoolBrief],
    share: Share,
    *,
    load: Callable[[], LanguageModel],
    tell: Tell,
    root: Path | None = None,
) -> None:
    """Write the blocks of one share into a run that another process has begun and will end."""
    judge = _judge(what, config, pool, load())
    _score_blocks(runs.directory(what, root), judge, texts, share, tell)


def _judge(
    what: runs.Spec, config: ScoreConfig, pool: Sequence[PoolBrief], lm: LanguageModel
) -> Judge:
    name = judge_name(vars(what))
    identity = sha256_of_value([what.inputs["model"], what.inputs.get("adapter")])
    return Judge(name, identity, lm, pool, config.mismatched).with_thresholds(reference())


def _score_blocks(
    folder: Path, judge: Judge, texts: Collection[Text], share: Share, tell: Tell
) -> int:
    """The number of blocks that were there already.

    All texts are read, those of other shares too: a `TextFile` that has changed tells at its end.
    """
    found = 0
    for number, block in enumerate(blocks.of(texts)):
        if not share.has(number):
            continue
        scores = blocks.file(folder, number)
        if blocks.is_done(scores, block):
            found += 1
            continue
        blocks.write(scores, judge.mark(block))
        tell(number * blocks.ROWS + len(block), len(texts), "")
    return found


def reference() -> list[Text]:
    """The texts at whose medians the quadrants meet: the literary items of the benchmark."""
    items = read_rows(shipped(BENCHMARK_ITEMS), Item)
    return as_texts(item for item in items if item.group == "literary")


def load_scores(run: runs.Run) -> list[Score]:
    """The scores of a finished run."""
    return read_rows(run.file("scores.jsonl"), Score, unique=None)


def pool_hash(pool: Sequence[PoolBrief]) -> str:
    """Hash of the briefs that mismatched ones are drawn from."""
    return sha256_of_value(
        [[entry.id, entry.work, entry.group, entry.brief.model_dump()] for entry in pool]
    )


def summarise(scores: Iterable[Score]) -> list[dict[str, Any]]:
    """Means of the shown quantities by source and group, nulls left out and counted."""
    texts: dict[tuple[str, str], int] = defaultdict(int)
    flags: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    means: dict[tuple[str, str], dict[str, _Mean]] = defaultdict(lambda: defaultdict(_Mean))
    for score in scores:
        key = score.source or "texts", score.group or "no group"
        texts[key] += 1
        for flag in score.flags:
            flags[key][flag] += 1
        for name in SHOWN:
            if (value := score.quantities[name]) is not None:
                means[key][name].add(value)
    rows = []
    for key in sorted(texts):
        source, group = key
        row: dict[str, Any] = {"source": source, "group": group, "texts": texts[key]}
        for name in SHOWN:
            row[name] = means[key][name].value
            row[f"{name}_scored"] = means[key][name].count
        rows.append(row | {"flags": dict(flags[key])})
    return rows


class _Mean:
    """Of numbers that come one by one, in the memory of a few thousand."""

    def __init__(self) -> None:
        self.count = 0
        self._parts: list[float] = []

    def add(self, value: float) -> None:
        self.count += 1
        self._parts.append(value)
        if len(self._parts) == 4096:
            self._parts = [math.fsum(self._parts)]

    @property
    def value(self) -> float | None:
        """None of no numbers."""
        return math.fsum(self._parts) / self.count if self.count else None
