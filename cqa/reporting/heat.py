"""Per-token numbers for the page's small script: whole numbers only, no word of any text.

The script colours the text that stands in the page already. So nothing that a stranger wrote is
ever inside a script element, and a page whose script does not run still has every text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cqa.reporting.items import Tokens

HUNDREDTHS = 100
MODELS = 3
"""Base, the main model and one more: what a sheet can carry in a few megabytes."""

ByItem = Mapping[str, Mapping[str, Tokens]]


def of(
    items: Sequence[Mapping[str, Any]], models: Sequence[ByItem]
) -> Callable[[Sequence[Mapping[str, Any]]], str]:
    """What gives, for some of the items, `{"items": {anchor: {side: [starts, [none, full] of each
    model]}}, "top": [...]}` as JSON.

    Numbers are hundredths of a bit. `top` is the 98th percentile of |surprise|, |gain| and
    |change| over all items, where the colours are full. Items whose words are not shown have no
    numbers either.
    """
    sizes: list[list[int]] = [[], [], []]
    for row in items:
        for _, values in _sides(row, models).values():
            _measure(sizes, values)
    top = [max(1, sorted(size)[int(0.98 * (len(size) - 1))]) if size else 1 for size in sizes]

    def written(some: Sequence[Mapping[str, Any]]) -> str:
        found = {row["anchor"]: sides for row in some if (sides := _sides(row, models))}
        text = json.dumps({"items": found, "top": top}, separators=(",", ":"))
        return text.replace(
            "<", "\\u003c"
        )  # an anchor has none; a script element must not end here

    return written


def _sides(row: Mapping[str, Any], models: Sequence[ByItem]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for side in ("text", "foil") if row["text"] is not None else ():
        seen = [model.get(row["id"], {}).get(side) for model in models]
        if seen[0] is None or seen[0].full is None:
            continue
        values = [
            [_whole(one.none), _whole(one.full)]
            if one is not None and one.full is not None and one.start == seen[0].start
            else None
            for one in seen
        ]
        found[side] = [list(seen[0].start), values]
    return found


def _whole(bits: Sequence[float]) -> list[int]:
    return [round(HUNDREDTHS * value) for value in bits]


def _measure(sizes: list[list[int]], values: Sequence[list[list[int]] | None]) -> None:
    base, main = values[0], values[1] if len(values) > 1 else None
    assert base is not None
    sizes[0] += map(abs, base[0])
    sizes[1] += [abs(a - b) for a, b in zip(*base, strict=True)]
    if main is not None:
        sizes[2] += [abs(a - b) for a, b in zip(base[1], main[1], strict=True)]
