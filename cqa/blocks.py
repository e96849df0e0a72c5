"""Blocks of a scoring: rows that are scored and written together, found again and joined.

A block is two files: the scores (JSON lines) and the traces (Parquet). The traces say which texts
they are of and what the scores beside them are, and their pages carry checksums (CRC-32), so that
a block of other texts and a damaged one are told from those that can be used.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cqa.conditions import FOIL_NONE, NONE, Plan
from cqa.files import json_line, sha256_of, sha256_of_rows, whole, write_text
from cqa.judge import Marked
from cqa.types import PARTS, Text

ROWS = 32
"""Rows of a block: what an interruption can lose."""
TRACES = pa.schema(
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
"""The columns of `traces.parquet`."""
_ROW_GROUP_BYTES = 16_000_000


def of(texts: Iterable[Text]) -> Iterator[list[Text]]:
    """Texts in blocks of `ROWS`; the last may have fewer."""
    iterator = iter(texts)
    while block := list(itertools.islice(iterator, ROWS)):
        yield block


def file(folder: Path, number: int) -> Path:
    """The scores of a block, of the run in this folder; its traces lie beside them."""
    return folder / "blocks" / f"{number:06d}.jsonl"


def is_done(scores: Path, texts: Sequence[Text]) -> bool:
    """Whether this block is there, undamaged, and of these texts."""
    if not scores.exists():
        return False
    try:
        # Every page is read, so that every checksum is compared.
        traces = _read(scores.with_suffix(".parquet"))
        return traces.schema.metadata == _told(texts, sha256_of(scores))
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError):
        return False


def write(scores: Path, marked: Sequence[Marked]) -> None:
    """Write a block; the scores last, and never beside traces that are not theirs.

    There is one row of traces per text and condition; from them every number can be had without
    the model. `start` tells where in the text (and in its foil) each token begins; it is the same
    under every condition and stands in the first.
    """
    lines = "".join(json_line(one.score) for one in marked)
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
    told = _told([one.text for one in marked], hashlib.sha256(lines.encode()).hexdigest())
    scores.unlink(missing_ok=True)
    with whole(scores.with_suffix(".parquet"), mode="wb") as out:
        table = pa.Table.from_pylist(rows, schema=TRACES.with_metadata(told))
        pq.write_table(table, out, write_page_checksum=True)
    write_text(scores, lines)


def join(folder: Path, texts: int, scores: Path, traces: Path) -> None:
    """The blocks of so many texts as one file of scores and one of traces; `folder` is the run's.

    The traces stand in row groups of whole blocks: the writer remembers each group to the end.
    """
    parts = [file(folder, number) for number in range(-(-texts // ROWS))]
    with whole(scores, mode="wb") as out:
        for part in parts:
            with part.open("rb") as block:
                shutil.copyfileobj(block, out)
    with whole(traces, mode="wb") as out, pq.ParquetWriter(out, TRACES) as writer:
        group: list[pa.Table] = []
        size = 0
        for part in parts:
            group.append(_read(part.with_suffix(".parquet")).replace_schema_metadata())
            size += group[-1].nbytes
            if size >= _ROW_GROUP_BYTES:
                writer.write_table(pa.concat_tables(group))
                group, size = [], 0
        if group:
            writer.write_table(pa.concat_tables(group))


def _read(traces: Path) -> pa.Table:
    # In this thread: Arrow waits for ever for threads that a lack of memory kept from starting.
    with pq.ParquetFile(traces, page_checksum_verification=True) as told:
        return told.read(use_threads=False)


def _told(texts: Iterable[Text], scores_sha256: str) -> dict[bytes, bytes]:
    return {
        b"texts_sha256": sha256_of_rows(texts).encode(),
        b"scores_sha256": scores_sha256.encode(),
    }


def _starts(plan: Plan) -> dict[str, list[int]]:
    return {
        name: [start for start, _ in spans]
        for name, spans in ((NONE, plan.spans), (FOIL_NONE, plan.foil_spans))
    }
