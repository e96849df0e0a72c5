"""One text -> the id sequences under which it has to be scored, and why some cannot be.

Preface, context and text are tokenised one by one and their ids joined, so the text has the same
ids under every condition. Nothing here needs torch: a tokenizer is anything with `encode`,
`offsets` and `start_id`.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cqa import render
from cqa.types import Brief, Group, Text

NONE, FILLER, FOIL_NONE, FOIL_FULL = "none", "filler", "foil|none", "foil|full"
NEAREST = 16
"""Mismatched briefs are drawn from so many that are nearest in token length."""

_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*(?=\s|$)|[。！？][”’）」』]*|\n")


class Tokenizer(Protocol):
    """What rendering needs to know of a tokenizer."""

    start_id: int
    """BOS, or for tokenizers without one the document separator; conditioned on, never scored."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a string, no special tokens added."""
        ...

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """For each token of `encode(text)`, the characters [start, end) that it covers."""
        ...


@dataclass(frozen=True)
class PoolBrief:
    """A brief that can stand in as a mismatched one."""

    id: str
    work: str | None
    group: Group | None
    brief: Brief


@dataclass(frozen=True)
class Piece:
    """`left` conditions and is not scored; `target` is scored. Both are token ids."""

    left: tuple[int, ...]
    target: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """All conditions of one text. `conditions` maps a name to the pieces that make up the text."""

    conditions: dict[str, tuple[Piece, ...]]
    full: str | None
    """The name of the condition with every part of the brief; None where the row has no brief."""
    mismatched: tuple[str, ...]
    reasons: dict[str, str]
    """What cannot be scored -> why; the keys are `text`, `brief`, `mismatch`, `foil`."""
    text: str
    """The text as it stands on the page, with the white space that joins it to the context."""
    foil: str | None
    spans: tuple[tuple[int, int], ...] = ()
    foil_spans: tuple[tuple[int, int], ...] = ()
    token_ids: tuple[int, ...] = ()
    pieces: int = 0
    joint_differs: bool = False
    """Tokenising preface, context and text in one go would have given other ids."""
    context_cut: bool = False
    """The context did not fit the window and lost its beginning."""


def subset_name(parts: Sequence[str]) -> str:
    """The name of the condition that shows these parts of the brief: `intent+reality`."""
    return "+".join(parts) if parts else NONE


def subsets(brief: Brief) -> list[tuple[str, ...]]:
    """Every subset of the parts that are there, the empty one first, the full one last."""
    sizes = range(len(brief.parts) + 1)
    return [subset for size in sizes for subset in itertools.combinations(brief.parts, size)]


def plan(
    row: Text, row_id: str, pool: Sequence[PoolBrief], tokenizer: Tokenizer, window: int, k: int = 3
) -> Plan:
    """The conditions of one row. `window` is the longest sequence the model takes, in tokens."""
    context, text = render.join(row.context, row.text, continues=row.continues)
    if not text.strip():
        return Plan({}, None, (), {"text": "the text is empty"}, text, None)
    reasons: dict[str, str] = {}
    prefaces: dict[str, list[int]] = {NONE: []}
    full, mismatched = None, ()

    if row.brief is None:
        reasons["brief"] = "the row carries no brief"
    else:
        for subset in subsets(row.brief):
            prefaces[subset_name(subset)] = tokenizer.encode(render.preface(row.brief, subset))
        full = subset_name(row.brief.parts)
        if not row.brief.parts:
            reasons["mismatch"] = "the brief is empty"
        else:
            prefaces[FILLER] = filler_ids(tokenizer, prefaces[full])
            drawn = draw_mismatched(row, row_id, pool, tokenizer, k)
            mismatched = tuple(f"mismatch-{number}" for number in range(1, len(drawn) + 1))
            prefaces |= dict(zip(mismatched, drawn, strict=True))
            if len(drawn) < k:
                mismatched = ()
                reasons["mismatch"] = (
                    f"the pool holds {len(drawn)} briefs of another work with the same parts; "
                    f"{k} are needed"
                )
    if reasons.get("brief"):
        reasons["mismatch"] = reasons["brief"]
    if row.foil is None:
        reasons["foil"] = "the row carries no foil"

    longest = max(len(ids) for ids in prefaces.values())
    room = window - 1 - longest
    if room < window // 4:
        why = f"the brief takes {longest} of the model's {window} tokens"
        return Plan({}, None, (), {"text": why}, text, None)

    context_ids = tokenizer.encode(context)
    ids, spans = tokenizer.encode(text), tokenizer.offsets(text)
    cuts = piece_cuts(text, spans, len(context_ids), room)
    conditions = {
        name: pieces_of(tokenizer.start_id, preface_ids, context_ids, ids, cuts, room)
        for name, preface_ids in prefaces.items()
        if not (name.startswith("mismatch") and name not in mismatched)
    }
    foil, foil_spans = None, []
    if row.foil is not None and full is not None:
        foil = render.join(row.context, row.foil)[1]
        foil_ids, foil_spans = tokenizer.encode(foil), tokenizer.offsets(foil)
        foil_cuts = piece_cuts(foil, foil_spans, len(context_ids), room)
        for name, preface_name in ((FOIL_NONE, NONE), (FOIL_FULL, full)):
            conditions[name] = pieces_of(
                tokenizer.start_id, prefaces[preface_name], context_ids, foil_ids, foil_cuts, room
            )
    pages = [("", [])]
    if full is not None:
        pages.append((render.preface(row.brief), prefaces[full]))
    joint = any(
        tokenizer.encode(page + context + text) != [*page_ids, *context_ids, *ids]
        for page, page_ids in pages
    )
    return Plan(
        conditions,
        full,
        mismatched,
        reasons,
        text,
        foil,
        tuple(spans),
        tuple(foil_spans),
        tuple(ids),
        len(cuts),
        joint_differs=joint,
        context_cut=len(cuts) == 1 and len(context_ids) + len(ids) > room,
    )


def filler_ids(tokenizer: Tokenizer, like: Sequence[int]) -> list[int]:
    """A neutral preface of the same number of tokens as `like`, ending in the same token."""
    once = tokenizer.encode(render.FILLER)
    repeated = list(itertools.islice(itertools.cycle(once), len(like) - 1))
    return [*repeated, like[-1]]


def draw_mismatched(
    row: Text, row_id: str, pool: Sequence[PoolBrief], tokenizer: Tokenizer, k: int
) -> list[list[int]]:
    """Prefaces of up to k briefs of other works, with the same parts and near in token length.

    The draw is seeded with the row's id and sees only the pool, so that a row's score depends on no
    other row of its file.
    """
    assert row.brief is not None
    own = len(tokenizer.encode(render.preface(row.brief)))
    seen = {render.preface(row.brief)}
    candidates = [
        (tokenizer.encode(page), other.id)
        for other in pool
        if other.brief.parts == row.brief.parts
        and (row.work is None or other.work != row.work)
        and (row.group is None or other.group is None or other.group == row.group)
        and (page := render.preface(other.brief)) not in seen
        and not seen.add(page)
    ]
    candidates.sort(key=lambda entry: (abs(len(entry[0]) - own), entry[1]))
    nearest = candidates[:NEAREST]
    drawn = random.Random(f"mismatch:{row.item or row_id}").sample(nearest, min(k, len(nearest)))
    return [ids for ids, _ in drawn]


def piece_cuts(
    text: str, spans: Sequence[tuple[int, int]], context_tokens: int, room: int
) -> list[tuple[int, int]]:
    """Token ranges [start, end) of the pieces of a text: one if it fits, else cut at sentence ends.

    `room` is what the longest preface leaves of the window. Where the text has to be cut, a piece
    takes at most half of the room, so that the other half can hold what comes before it. A sentence
    longer than that is cut where the half ends.
    """
    count = len(spans)
    if context_tokens + count <= room or count <= room // 2:
        return [(0, count)]
    ends = {match.end() for match in _SENTENCE_END.finditer(text)}
    after_sentence = [i + 1 for i, (_, end) in enumerate(spans) if end in ends]
    cuts, start, most = [], 0, room // 2
    while count - start > most:
        inside = [token for token in after_sentence if start < token <= start + most]
        end = inside[-1] if inside else start + most
        cuts.append((start, end))
        start = end
    return [*cuts, (start, count)]


def pieces_of(
    start_id: int,
    preface_ids: Sequence[int],
    context_ids: Sequence[int],
    ids: Sequence[int],
    cuts: Sequence[tuple[int, int]],
    room: int,
) -> tuple[Piece, ...]:
    """The pieces under one preface. The left context of a piece is the same for every preface."""
    pieces = []
    for start, end in cuts:
        before = [*context_ids, *ids[:start]]
        kept = before[max(0, len(before) - (room - (end - start))) :]
        pieces.append(Piece((start_id, *preface_ids, *kept), tuple(ids[start:end])))
    return tuple(pieces)


def pool_of(rows: Sequence[Text]) -> list[PoolBrief]:
    """The briefs of a file as a pool, sorted by id so that the file's order does not matter."""
    briefs = [
        PoolBrief(row.id or str(number), row.work, row.group, row.brief)
        for number, row in enumerate(rows)
        if row.brief is not None and row.brief.parts
    ]
    return sorted(briefs, key=lambda entry: entry.id)
