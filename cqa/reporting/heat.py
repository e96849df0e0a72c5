"""Per-token numbers for the page's small script: whole numbers only, no word of any text.

The script colours the text that stands in the page already. So nothing that a stranger wrote is
ever inside a script element, and a page whose script does not run still has every text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cqa.reporting.items import Tokens

HUNDREDTHS = 100
MODELS = 3
"""Base, the main model and one more: what a page of 200 items can carry in a megabyte."""

ByItem = Mapping[str, Mapping[str, Tokens]]


def data(items: Sequence[Mapping[str, Any]], models: Sequence[ByItem]) -> str:
    """JSON: `{"items": {anchor: {side: [starts, [none, full] of each model]}}, "top": [...]}`.

    Numbers are hundredths of a bit. `top` is the 98th percentile of |surprise|, |gain| and
    |change|, where the colours are full. Items whose words are not shown have no numbers either.
    """
    found: dict[str, dict[str, list[Any]]] = {}
    sizes: list[list[int]] = [[], [], []]
    for row in items:
        if row["text"] is None:
            continue
        for side in ("text", "foil"):
            seen = [model.get(row["id"], {}).get(side) for model in models]
            if seen[0] is None or seen[0].full is None:
                continue
            values = [
                [_whole(one.none), _whole(one.full)]
                if one is not None and one.full is not None and one.start == seen[0].start
                else None
                for one in seen
            ]
            _measure(sizes, values)
            found.setdefault(row["anchor"], {})[side] = [list(seen[0].start), values]
    top = [sorted(size)[int(0.98 * (len(size) - 1))] if size else 1 for size in sizes]
    written = json.dumps({"items": found, "top": [max(1, t) for t in top]}, separators=(",", ":"))
    return written.replace("<", "\\u003c")  # an anchor has none; a script element must not end here


def _whole(bits: Sequence[float]) -> list[int]:
    return [round(HUNDREDTHS * value) for value in bits]


def _measure(sizes: list[list[int]], values: Sequence[list[list[int]] | None]) -> None:
    base, main = values[0], values[1] if len(values) > 1 else None
    assert base is not None
    sizes[0] += map(abs, base[0])
    sizes[1] += [abs(a - b) for a, b in zip(*base, strict=True)]
    if main is not None:
        sizes[2] += [abs(a - b) for a, b in zip(base[1], main[1], strict=True)]
