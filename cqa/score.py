"""`cqa score`: texts and a fixed judge -> the quantities of each text, and the traces behind."""

from __future__ import annotations

import itertools
import math
import shutil
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from cqa import columns, render, runs
from cqa.conditions import FOIL_NONE, NONE, Plan, PoolBrief
from cqa.config import ScoreConfig
from cqa.files import read_rows, sha256_of, sha256_of_value, whole, write_rows
from cqa.judge import Judge, Marked
from cqa.model_ref import Model
from cqa.parallel import Share
from cqa.paths import BENCHMARK_ITEMS, shipped
from cqa.progress import Tell
from cqa.scores import iter_scores, judge_name
from cqa.texts import as_texts
from cqa.types import PARTS, Item, Score, Text

if TYPE_CHECKING:
    from cqa.lm import LanguageModel

PRIMARY = "specific_gain_bits_per_token"
BLOCK = 32
"""Rows scored and written together: what an interruption can lose."""

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
        # What helpers or an interrupted attempt have written already.
        found = len(list(scored.file("blocks").glob("[0-9]*.jsonl")))
        judge = _judge(what, config, pool, load())
        lm = judge.lm
        _score_blocks(scored.path, judge, texts, Share(), tell)
        floor = judge.noise_floor(texts, len(texts), SHOWN) if config.noise_floor else None
        blocks = scored.file("blocks")
        _join(sorted(blocks.glob("[0-9]*.jsonl")), scored.file("scores.jsonl"))
        _join_traces(sorted(blocks.glob("[0-9]*.parquet")), scored.file("traces.parquet"))
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
        shutil.rmtree(blocks)
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
) -> None:
    for number, block in enumerate(_blocks(texts)):
        scores = folder / "blocks" / f"{number:06d}.jsonl"
        if scores.exists() or not share.has(number):
            continue
        marked = judge.mark(block)
        _write_traces(scores.with_suffix(".parquet"), marked)
        write_rows(scores, (one.score for one in marked))
        tell(number * BLOCK + len(block), len(texts), "")


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


def _blocks(texts: Iterable[Text]) -> Iterator[list[Text]]:
    iterator = iter(texts)
    while block := list(itertools.islice(iterator, BLOCK)):
        yield block


def _join(parts: Sequence[Path], target: Path) -> None:
    with whole(target, mode="wb") as out:
        for part in parts:
            with part.open("rb") as block:
                shutil.copyfileobj(block, out)


def _join_traces(parts: Sequence[Path], target: Path) -> None:
    """One file, in row groups of whole blocks: the writer remembers each of them to the end."""
    with whole(target, mode="wb") as out, pq.ParquetWriter(out, _TRACE_SCHEMA) as writer:
        group: list[pa.Table] = []
        for part in parts:
            group.append(pq.read_table(part, schema=_TRACE_SCHEMA))
            if sum(table.nbytes for table in group) >= _ROW_GROUP_BYTES:
                writer.write_table(pa.concat_tables(group))
                group = []
        if group:
            writer.write_table(pa.concat_tables(group))


_ROW_GROUP_BYTES = 16_000_000
_TRACE_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("condition", pa.string()),
        ("parts", pa.list_(pa.string())),
        ("token_id", pa.list_(pa.int32())),
        ("start", pa.list_(pa.int32())),
        ("logprob_nats", pa.list_(pa.float64())),
        ("entropy_nats", pa.list_(pa.float64())),
    ]
)


def _starts(plan: Plan) -> dict[str, list[int]]:
    return {
        name: [start for start, _ in spans]
        for name, spans in ((NONE, plan.spans), (FOIL_NONE, plan.foil_spans))
    }


def _write_traces(path: Path, marked: Sequence[Marked]) -> None:
    """One row per text and condition; from them every number can be had without the model.

    `start` tells where in the text (and in its foil) each token begins; it is the same under every
    condition and stands in the first.
    """
    rows = [
        {
            "id": one.score.id,
            "condition": name,
            "parts": [part for part in PARTS if part in name.split("+")],
            "token_id": [t for piece in one.plan.conditions[name] for t in piece.target],
            "start": starts.get(name),
            "logprob_nats": trace.logprob_nats,
            "entropy_nats": trace.entropy_nats,
        }
        for one in marked
        for starts in [_starts(one.plan)]
        for name, trace in one.traces.items()
    ]
    with whole(path, mode="wb") as out:
        pq.write_table(pa.Table.from_pylist(rows, schema=_TRACE_SCHEMA), out)
