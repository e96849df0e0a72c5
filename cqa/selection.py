"""A part of the annotations: so many of them, or only what they say of some kinds."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from cqa.errors import DataRefused
from cqa.types import PARTS, Annotation, Kind

_ORDER = "rows"
"""Seeds the order of the works. Every training seed gets the same annotations."""


def first(annotations: Sequence[Annotation], rows: int) -> list[Annotation]:
    """The first `rows` annotations, work by work in an order that depends on the titles alone.

    So 10 annotations are among the 25, and those among the 50; only the last work may be cut. The
    annotations stay in the order in which they were given.
    """
    if rows > len(annotations):
        raise DataRefused(
            f"rows = {rows}, and there are {len(annotations)} annotations to choose from",
            next_step="ask for fewer, or say split = 'all' to have no development side",
        )
    ranked = sorted(
        range(len(annotations)),
        key=lambda at: (hashlib.sha256(f"{_ORDER}:{annotations[at].work}".encode()).digest(), at),
    )
    return [annotations[at] for at in sorted(ranked[:rows])]


def of_kinds(annotations: Sequence[Annotation], kinds: Collection[Kind]) -> list[Annotation]:
    """The same annotations with only what they say of these kinds.

    Of the reasoning the steps of these kinds are kept, of the brief the parts of these names; craft
    is no part of a brief, so that craft alone leaves no brief. What was rejected and the decision
    belong to no kind and stay, and no annotation is dropped: every selection has as many examples,
    but not as many tokens.
    """
    gone = {part: None for part in PARTS if part not in kinds}
    return [
        annotation.model_copy(
            update={
                "brief": annotation.brief.model_copy(update=gone),
                "reasoning": tuple(s for s in annotation.reasoning if s.kind in kinds),
                "load_bearing": (),
            }
        )
        for annotation in annotations
    ]
