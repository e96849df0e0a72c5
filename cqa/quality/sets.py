"""The measures of a whole set of annotations or items, as one JSON value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cqa.errors import DataRefused
from cqa.leaks import Placed, near_duplicates
from cqa.quality.balance import group_balance, overlap_with_brief, paired_balance, pairs_of
from cqa.quality.reasoning import probes, reasoning
from cqa.quality.shape import FRAME_TOKENS, shape
from cqa.quality.words import MATTR_WINDOW, counted, joined, vocabulary, word_counts
from cqa.types import Annotation, Dialogue, Item, current


def quality_of_annotations(
    annotations: Sequence[Annotation], dialogues: Sequence[Dialogue]
) -> dict[str, Any]:
    """The measures of a set of annotations with their dialogues, as JSON.

    Annotations that a later one corrects are left out and counted. `reasons` says why a
    value is null.

    Raises
    ------
    DataRefused
        Without a single annotation.
    """
    if not annotations:
        raise DataRefused("no annotations to be measured", next_step="give at least one")
    rows = current(annotations)
    texts = {
        "context": [row.context for row in rows],
        "brief": [joined(row.brief) for row in rows],
        "passage": [row.passage for row in rows],
        "foil": [row.foil for row in rows],
        "reasoning": ["\n".join(step.claim for step in row.reasoning) for row in rows],
        "decision": [row.decision for row in rows],
    }
    ids = [row.id for row in rows]
    spoken = {"turns of C": [_turns(dialogue, "C") for dialogue in dialogues]}
    pairs = pairs_of(rows)
    return _finished(
        {
            "kind": "annotations",
            "size": {
                "records": len(rows),
                "corrected": len(annotations) - len(rows),
                "works": len({row.work for row in rows}),
                "genres": counted(row.genre for row in rows),
                "dialogues": len(dialogues),
                "words": word_counts(texts | (spoken if dialogues else {})),
            },
            "vocabulary": {name: vocabulary(texts[name]) for name in ("passage", "foil")}
            | {name: vocabulary(said) for name, said in spoken.items() if said},
            "near_duplicates": _near_duplicates(rows),
            "shape": {name: shape(ids, told) for name, told in texts.items()}
            | {name: shape([d.id for d in dialogues], said) for name, said in spoken.items()},
            "overlap_with_brief": overlap_with_brief(ids, pairs, "passage"),
            "balance": {"passage against foil": paired_balance(pairs)},
            "reasoning": reasoning(rows),
            "dialogues": probes(dialogues) if dialogues else None,
        },
        {} if dialogues else {"dialogues": "no dialogues given"},
    )


def quality_of_items(items: Sequence[Item]) -> dict[str, Any]:
    """The measures of a benchmark, as JSON; literary and factual items are compared.

    `reasons` says why a value is null.

    Raises
    ------
    DataRefused
        Without a single item.
    """
    if not items:
        raise DataRefused("no items to be measured", next_step="give at least one")
    texts = {
        "context": [item.context for item in items],
        "brief": [joined(item.brief) for item in items],
        "text": [item.text for item in items],
        "foil": [item.foil for item in items],
    }
    ids = [item.id for item in items]
    pairs = pairs_of(items)
    groups = sorted({item.group for item in items}, reverse=True)
    by_group = {name: [pair for pair in pairs if pair.group == name] for name in groups}
    balance = {"text against foil": paired_balance(pairs)}
    balance |= {f"text against foil, {g}": paired_balance(of) for g, of in by_group.items()}
    if len(groups) == 2:
        one, other = groups
        balance[f"{one} against {other}"] = group_balance(by_group[one], by_group[other])
    return _finished(
        {
            "kind": "items",
            "size": {
                "records": len(items),
                "works": len({item.work for item in items}),
                "groups": counted(item.group for item in items),
                "parts_of_brief": counted(part for item in items for part in item.brief.parts),
                "words": word_counts(texts),
            },
            "vocabulary": {
                name if group is None else f"{name}, {group}": vocabulary(
                    [
                        t
                        for t, item in zip(texts[name], items, strict=True)
                        if group in (None, item.group)
                    ]
                )
                for group in (None, *groups)
                for name in ("text", "foil")
            },
            "near_duplicates": _near_duplicates(items),
            "shape": {name: shape(ids, told) for name, told in texts.items()},
            "overlap_with_brief": overlap_with_brief(ids, pairs, "text"),
            "balance": balance,
        },
        {} if len(groups) == 2 else {"balance": f"only {groups[0]} items: no groups to compare"},
    )


def _turns(dialogue: Dialogue, speaker: str) -> str:
    return "\n".join(turn.text for turn in dialogue.turns if turn.turn[0] == speaker)


def _near_duplicates(rows: Sequence[Annotation | Item]) -> list[list[Any]]:
    return [list(pair) for pair in near_duplicates([Placed(row.id, row) for row in rows])]


def _finished(report: dict[str, Any], reasons: Mapping[str, str]) -> dict[str, Any]:
    """The report with `reasons`: dotted path of each null -> why it is null."""
    why = {
        "sd": "a single value has no spread",
        "mattr": f"fewer than {MATTR_WINDOW} words",
        "distinct_1": "no words",
        "distinct_2": "no text of two words",
        "repeated_openings": "fewer than two texts with words",
        "repeated_skeleton_openings": "fewer than two texts with words",
        "mean_cosine": "fewer than two texts, or none with a skeleton",
        "nearest_cosine": "fewer than two texts, or none with a skeleton",
        "most_alike": "fewer than two texts, or none with a skeleton",
        "repeated_frames": f"no text with a skeleton of {FRAME_TOKENS} tokens",
        "next_kind_bits": "no record with a second step",
        "one": "no text with words",
        "other": "no text with words",
    }
    found = dict(reasons)
    for path, key in _nulls(report):
        if path not in found and key in why:
            found[path] = why[key]
    return report | {"reasons": found}


def _nulls(value: Any, path: str = "", key: str = "") -> Iterator[tuple[str, str]]:
    if value is None:
        yield path, key
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _nulls(inner, f"{path}.{name}" if path else str(name), str(name))
