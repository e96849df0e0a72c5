"""`cqa score`: texts and a fixed judge -> the quantities of each text, and the traces behind."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cqa import overlap, render, runs
from cqa.conditions import FOIL_NONE, Plan, PoolBrief, plan
from cqa.config import ScoreConfig
from cqa.files import json_line, read_rows, sha256_of, sha256_of_value, whole, write_json
from cqa.measures import Evidence, Size, Trace, quantities
from cqa.model_ref import Model
from cqa.progress import Tell
from cqa.types import PARTS, Item, Score, Text

if TYPE_CHECKING:
    from cqa.lm import LanguageModel

BLOCK = 32
"""Rows scored and written together; what an interruption can lose."""

SHOWN = (
    "surprise_bits_per_token",
    "residual_bits_per_token",
    "gain_bits_per_token",
    "gain_share",
    "specific_gain_bits_per_token",
    "contrast_bits_per_token",
    "gain_bits_per_byte",
)
"""The quantities of the summary, of which ALL holds many more."""

_CODE = ("render.py", "conditions.py", "measures.py", "surprisal.py", "lm.py", "overlap.py")
_NOISE_SHARE, _NOISE_LEAST = 4, 24


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
        code=runs.code_hash(*_CODE, "score.py"),
    )


def run(
    what: runs.Spec,
    config: ScoreConfig,
    texts: Callable[[], Iterable[Text]],
    count: int,
    pool: Sequence[PoolBrief],
    *,
    load: Callable[[], LanguageModel],
    tell: Tell,
    root: Path | None = None,
) -> runs.Run:
    """Score every text. `texts()` gives them anew each time, so that none need be kept in memory.

    Finished rows are on disk block by block; an interrupted scoring goes on where it was.
    """
    if done := runs.find(what, root):
        return done
    with runs.execute(what, root) as scored:
        part = scored.file("scores.jsonl.part")
        blocks_done = _whole_blocks(part)
        lm = load()
        judge_identity = sha256_of_value([what.inputs["model"], what.inputs.get("adapter")])
        judge = what.config["judge"] + (f" + {what.label}" if "adapter" in what.inputs else "")
        for number, block in enumerate(_blocks(texts())):
            if number < blocks_done:
                continue
            plans = [
                plan(t, row_id(t), pool, lm.tokenizer, lm.window, config.mismatched) for t in block
            ]
            traces = _traces(lm, plans)
            scores = [
                _score(text, p, t, judge, judge_identity)
                for text, p, t in zip(block, plans, traces, strict=True)
            ]
            _write_traces(scored.file(f"traces/{number:06d}.parquet"), block, plans, traces)
            with part.open("a", encoding="utf-8") as out:
                out.writelines(json_line(score) for score in scores)
                out.flush()
                os.fsync(out.fileno())
            tell(min(count, (number + 1) * BLOCK), count, "")
        part.touch()
        floor = (
            noise_floor(list(texts()), pool, lm, config.mismatched) if config.noise_floor else None
        )
        os.replace(part, scored.file("scores.jsonl"))
        summary = summarise(read_rows(scored.file("scores.jsonl"), Score, unique=None))
        write_json(scored.file("summary.json"), {"groups": summary, "noise_floor": floor})
        scored.tell(
            headline={
                "texts": count,
                "device": lm.device,
                "dtype": lm.dtype,
                "window": lm.window,
                "noise_floor": floor,
                "groups": summary,
            },
            outputs={"scores.jsonl": sha256_of(scored.file("scores.jsonl"))},
        )
    return scored


def load_scores(run: runs.Run) -> list[Score]:
    """The scores of a finished run."""
    return read_rows(run.file("scores.jsonl"), Score, unique=None)


def as_texts(items: Iterable[Item]) -> list[Text]:
    """Benchmark items as texts to be scored."""
    return [
        Text(
            id=item.id,
            item=item.id,
            text=item.text,
            context=item.context,
            brief=item.brief,
            foil=item.foil,
            group=item.group,
            work=item.work,
            source="benchmark",
        )
        for item in items
    ]


def read_texts(path: Path) -> list[Text]:
    """The texts of a file, validated as a whole before the first is scored."""
    return read_rows(path, Text)


def row_id(text: Text) -> str:
    """The id of a row, or one made from its content where it has none."""
    if text.id is not None:
        return text.id
    brief = text.brief.model_dump() if text.brief else None
    return "text-" + sha256_of_value([text.context, text.text, brief])[:12]


def pool_hash(pool: Sequence[PoolBrief]) -> str:
    """Hash of the briefs that mismatched ones are drawn from."""
    return sha256_of_value(
        [[entry.id, entry.work, entry.group, entry.brief.model_dump()] for entry in pool]
    )


def noise_floor(
    texts: Sequence[Text], pool: Sequence[PoolBrief], lm: LanguageModel, k: int
) -> dict[str, Any]:
    """What batch size and order do to the numbers: a fixed quarter scored twice more.

    Once in the usual passes, once one sequence at a time and in reverse order. Per quantity the
    largest absolute difference over the texts, in the quantity's own unit.
    """
    by_hash = sorted(texts, key=lambda t: hashlib.sha256(row_id(t).encode()).hexdigest())
    chosen = by_hash[: max(_NOISE_LEAST, len(texts) // _NOISE_SHARE)]
    plans = [plan(t, row_id(t), pool, lm.tokenizer, lm.window, k) for t in chosen]
    usual = _traces(lm, plans)
    other = _traces(lm, plans[::-1], tokens_per_pass=1)[::-1]
    differences: dict[str, float] = {}
    for text, p, one, two in zip(chosen, plans, usual, other, strict=True):
        first, second = (quantities(evidence(text, p, t))[0] for t in (one, two))
        for name in SHOWN:
            a, b = first[name], second[name]
            if a is not None and b is not None:
                differences[name] = max(differences.get(name, 0.0), abs(a - b))
    return {"texts": len(chosen), "largest_difference": differences}


def evidence(text: Text, p: Plan, traces: dict[str, Trace]) -> Evidence:
    """What the measures need to know of one text."""
    brief = " ".join(getattr(text.brief, part) for part in text.brief.parts) if text.brief else ""
    foil_size = None
    if p.foil is not None and FOIL_NONE in traces:
        foil_size = Size.of(p.foil, len(traces[FOIL_NONE].logprob_nats))
    return Evidence(
        traces=traces,
        full=p.full,
        mismatched=p.mismatched,
        reasons=p.reasons,
        size=Size.of(p.text, len(p.token_ids)),
        foil_size=foil_size,
        parts=text.brief.parts if text.brief else (),
        novel=np.array(overlap.novel_tokens(p.text, p.spans, brief), dtype=bool),
    )


def summarise(scores: Iterable[Score]) -> list[dict[str, Any]]:
    """Means of the shown quantities by source and group, nulls left out and counted."""
    groups: dict[tuple[str, str], list[Score]] = defaultdict(list)
    for score in scores:
        groups[score.source or "texts", score.group or "no group"].append(score)
    rows = []
    for (source, group), members in sorted(groups.items()):
        row: dict[str, Any] = {"source": source, "group": group, "texts": len(members)}
        for name in SHOWN:
            values = [s.quantities[name] for s in members if s.quantities[name] is not None]
            row[name] = math.fsum(values) / len(values) if values else None
            row[f"{name}_scored"] = len(values)
        row["copies_brief"] = sum("copies the brief" in s.flags for s in members)
        rows.append(row)
    return rows


def _blocks(texts: Iterable[Text]) -> Iterator[list[Text]]:
    iterator = iter(texts)
    while block := list(itertools.islice(iterator, BLOCK)):
        yield block


def _traces(
    lm: LanguageModel, plans: Sequence[Plan], *, tokens_per_pass: int | None = None
) -> list[dict[str, Trace]]:
    """For each plan, condition -> trace; all pieces of all plans go through the model together."""
    names = [(i, name) for i, p in enumerate(plans) for name in p.conditions]
    pieces = [piece for i, name in names for piece in plans[i].conditions[name]]
    done = iter(lm.traces(pieces, tokens_per_pass=tokens_per_pass))
    traces: list[dict[str, Trace]] = [{} for _ in plans]
    for i, name in names:
        own = [next(done) for _ in plans[i].conditions[name]]
        traces[i][name] = Trace(
            np.concatenate([trace.logprob_nats for trace in own]),
            np.concatenate([trace.entropy_nats for trace in own]),
        )
    return traces


def _score(text: Text, p: Plan, traces: dict[str, Trace], judge: str, judge_identity: str) -> Score:
    values, reasons = quantities(evidence(text, p, traces))
    flags = []
    if text.brief and any(
        overlap.copies(p.text, getattr(text.brief, part)) for part in text.brief.parts
    ):
        flags.append("copies the brief")
    if text.model is not None and text.model == judge_identity:
        flags.append("the judge marks its own text")
    if p.joint_differs:
        flags.append("tokenised with its context, the text would have other ids")
    if p.pieces > 1:
        flags.append("longer than the window, scored in pieces")
    return Score(
        id=row_id(text),
        judge=judge,
        group=text.group,
        work=text.work,
        source=text.source,
        item=text.item,
        sample=text.sample,
        quantities=values,
        reasons=reasons,
        tokens=len(p.token_ids),
        characters=len(p.text),
        utf8_bytes=len(p.text.encode("utf-8")),
        pieces=p.pieces,
        flags=tuple(flags),
    )


_TRACE_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("part_of_brief", pa.list_(pa.string())),
        ("condition", pa.string()),
        ("token_id", pa.list_(pa.int32())),
        ("logprob_nats", pa.list_(pa.float64())),
        ("entropy_nats", pa.list_(pa.float64())),
    ]
)


def _write_traces(
    path: Path, block: Sequence[Text], plans: Sequence[Plan], traces: Sequence[dict[str, Trace]]
) -> None:
    """One row per text and condition; with it every number can be recomputed without the model."""
    rows = [
        {
            "id": row_id(text),
            "part_of_brief": [part for part in PARTS if part in name.split("+")],
            "condition": name,
            "token_id": [t for piece in p.conditions[name] for t in piece.target],
            "logprob_nats": trace.logprob_nats,
            "entropy_nats": trace.entropy_nats,
        }
        for text, p, by_name in zip(block, plans, traces, strict=True)
        for name, trace in by_name.items()
    ]
    with whole(path, mode="wb") as out:
        pq.write_table(pa.Table.from_pylist(rows, schema=_TRACE_SCHEMA), out)


def _whole_blocks(part: Path) -> int:
    """Blocks that an interrupted attempt finished; what it began of the next is taken away."""
    if not part.exists():
        return 0
    lines = part.read_bytes().splitlines(keepends=True)
    whole_lines = len(lines) - (1 if lines and not lines[-1].endswith(b"\n") else 0)
    blocks = whole_lines // BLOCK
    part.write_bytes(b"".join(lines[: blocks * BLOCK]))
    return blocks
