"""Steps, kinds and their order; probes and exits of the dialogues."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from cqa.quality.words import counted, spread
from cqa.types import Annotation, Dialogue


def reasoning(rows: Sequence[Annotation]) -> dict[str, Any]:
    """Steps, kinds and their order.

    `order_bits` is the entropy of the whole order of kinds, at most log2 of the records;
    `next_kind_bits` that of a kind given the one before it, at most 2. From few records both come
    out lower than in truth.
    """
    orders = Counter(" > ".join(step.kind for step in row.reasoning) for row in rows)
    kinds = Counter(step.kind for row in rows for step in row.reasoning)
    follow: dict[str, Counter[str]] = {}
    for row in rows:
        for one, other in itertools.pairwise(step.kind for step in row.reasoning):
            follow.setdefault(one, Counter())[other] += 1
    steps_that_follow = sum(after.total() for after in follow.values())
    commonest, times = orders.most_common(1)[0]
    return {
        "steps": spread([len(row.reasoning) for row in rows]),
        "records_by_steps": {
            str(steps): n
            for steps, n in sorted(Counter(len(row.reasoning) for row in rows).items())
        },
        "kinds": {kind: n / kinds.total() for kind, n in sorted(kinds.items())},
        "records_without": {
            kind: sum(all(step.kind != kind for step in row.reasoning) for row in rows)
            for kind in ("craft", "intent", "audience", "reality")
        },
        "first_kinds": counted(row.reasoning[0].kind for row in rows),
        "orders": len(orders),
        "commonest_order": [commonest, times],
        "order_bits": _bits(orders),
        "most_order_bits": math.log2(len(rows)),
        "next_kind_bits": sum(after.total() * _bits(after) for after in follow.values())
        / steps_that_follow
        if steps_that_follow
        else None,
        "load_bearing": spread([len(set(row.load_bearing)) for row in rows]),
        "rejected": spread([len(row.rejected) for row in rows]),
    }


def _bits(counts: Counter[str]) -> float:
    """Entropy of the shares in bits."""
    total = counts.total()
    return sum(n / total * math.log2(total / n) for n in counts.values())


def probes(dialogues: Sequence[Dialogue]) -> dict[str, Any]:
    """Turns, probes, who speaks first and who ends, over all dialogues, as JSON."""
    by_dialogue = [[turn.probe for turn in d.turns if turn.probe] for d in dialogues]
    return {
        "turns": spread([len(dialogue.turns) for dialogue in dialogues]),
        "probes": spread([len(probes) for probes in by_dialogue]),
        "probes_by_kind": counted(probe for probes in by_dialogue for probe in probes),
        "without_probe": sum(not probes for probes in by_dialogue),
        "first_speakers": counted(dialogue.turns[0].turn[0] for dialogue in dialogues),
        "exits": counted(d.exit.by if d.exit else "missing" for d in dialogues),
    }
