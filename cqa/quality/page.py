"""The measures as Markdown: one small table for each question."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cqa.quality.shape import OPENING_WORDS
from cqa.quality.words import MATTR_WINDOW
from cqa.reporting.markdown import number
from cqa.reporting.markdown_table import table


def markdown(report: Mapping[str, Any]) -> str:
    """The report as Markdown: one small table for each question."""
    sections: list[Callable[[Mapping[str, Any]], list[str]]] = [
        _size_page,
        _vocabulary_page,
        _shape_page,
        _overlap_page,
        _balance_page,
        _reasoning_page,
    ]
    return "\n".join(line for section in sections for line in [*section(report), ""]).strip() + "\n"


def _size_page(report: Mapping[str, Any]) -> list[str]:
    size = report["size"]
    counts = [f"{size['records']} {report['kind']} of {size['works']} works"]
    for name in ("genres", "groups"):
        if name in size:
            most = list(size[name].items())[:6]
            listed = ", ".join(f"{key} {n}" for key, n in most)
            counts.append(
                f"{len(size[name])} {name} ({listed}{', ...' if len(size[name]) > 6 else ''})"
            )
    if size.get("corrected"):
        counts.append(f"{size['corrected']} corrected by others and left out")
    pairs = report["near_duplicates"]
    said = "; ".join(f"{one} and {other} ({number(j, 2)})" for one, other, j in pairs[:5])
    counts.append(f"near-duplicates: {len(pairs)}" + (f" ({said})" if said else ""))
    rows = [[name, *_spread_cells(spread)] for name, spread in size["words"].items()]
    return [
        "; ".join(counts) + ".",
        "",
        *table(("words of", "mean", "sd", "least", "most"), rows),
    ]


def _spread_cells(spread: Mapping[str, Any]) -> list[str]:
    ends = [number(spread[end], 0) for end in ("least", "most")]
    return [number(spread["mean"], 1), number(spread["sd"], 1), *ends]


def _vocabulary_page(report: Mapping[str, Any]) -> list[str]:
    rows = [
        [name, str(of["words"]), str(of["types"])]
        + [number(of[key], 3) for key in ("mattr", "distinct_1", "distinct_2")]
        for name, of in report["vocabulary"].items()
    ]
    headings = ("vocabulary of", "words", "types", f"MATTR ({MATTR_WINDOW})")
    return table((*headings, "distinct-1 (type-token ratio)", "distinct-2"), rows)


def _shape_page(report: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, of in report["shape"].items():
        one = of["most_alike"]
        rows.append(
            [
                name,
                _percent(of["repeated_openings"]),
                _percent(of["repeated_skeleton_openings"]),
                number(of["mean_cosine"], 3),
                number(of["nearest_cosine"], 3),
                f"{one[0]}, {one[1]} ({number(one[2], 2)})" if one else number(None),
                _percent(of["repeated_frames"]),
                f"`{of['frames'][0][0]}` in {of['frames'][0][1]}" if of["frames"] else number(None),
            ]
        )
    headings = (
        "shape of",
        f"same {OPENING_WORDS} first words",
        "same skeleton of the opening",
        "mean cosine",
        "nearest",
        "most alike",
        "repeated frames",
        "most frequent frame",
    )
    return table(headings, rows)


def _overlap_page(report: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, of in report["overlap_with_brief"].items():
        jaccard, run = of["jaccard_with_brief"], of["run_shared_with_brief"]
        rows.append(
            [
                name,
                number(jaccard["mean"], 3),
                f"{number(jaccard['most'], 2)} ({jaccard['id']})",
                number(run["mean"], 2),
                f"{run['most']} ({run['id']})",
            ]
        )
    headings = ("with the brief", "content-word Jaccard", "most", "longest shared run", "most")
    return table(headings, rows)


def _balance_page(report: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for title, quantities in report["balance"].items():
        one, other = title.split(",")[0].split(" against ")
        paired = "higher" in next(iter(quantities.values()))
        rows = [
            [
                quantity.replace("_", " "),
                number(of["one"], 2),
                number(of["other"], 2),
                _interval(of["difference"], sign=True),
                *([_interval(of["higher"], sign=False)] if paired else []),
            ]
            for quantity, of in quantities.items()
        ]
        headings = [title, one, other, "d [95 % interval]", *([f"{one} higher"] if paired else [])]
        lines += [*table(headings, rows), *_why_no_interval(quantities), ""]
    return lines[:-1]


def _reasoning_page(report: Mapping[str, Any]) -> list[str]:
    if "reasoning" not in report:
        return []
    of, dialogues = report["reasoning"], report["dialogues"]
    spreads = {"steps per record": of["steps"], "rejected per record": of["rejected"]}
    if dialogues:
        spreads |= {"turns per dialogue": dialogues["turns"]}
        spreads |= {"probes per dialogue": dialogues["probes"]}
    commonest, times = of["commonest_order"]
    kinds = ", ".join(f"{kind} {_percent(share)}" for kind, share in of["kinds"].items())
    said = [
        f"Kinds of steps: {kinds}.",
        f"{of['orders']} orders of kinds, entropy {number(of['order_bits'], 2)} of at most "
        f"{number(of['most_order_bits'], 2)} bits (commonest: {commonest}, {times} times); "
        f"next kind given the last {number(of['next_kind_bits'], 2)} of at most 2 bits.",
    ]
    if dialogues:
        listed = ", ".join(f"{kind} {n}" for kind, n in dialogues["probes_by_kind"].items())
        said.append(
            f"Probes: {listed or 'none'}; {dialogues['without_probe']} dialogues without one."
        )
    rows = [[name, *_spread_cells(spread)] for name, spread in spreads.items()]
    return [*table(("", "mean", "sd", "least", "most"), rows), "", " ".join(said)]


def _percent(share: float | None) -> str:
    return number(share) if share is None else f"{number(100 * share, 1)} %"


def _interval(of: Mapping[str, Any], *, sign: bool) -> str:
    ends = [number(of[end], 2, sign=sign) for end in ("estimate", "low", "high")]
    return f"{ends[0]} [{ends[1]}, {ends[2]}]" if of["low"] is not None else ends[0]


def _why_no_interval(quantities: Mapping[str, Any]) -> list[str]:
    reasons = sorted({of["difference"]["reason"] for of in quantities.values()} - {None})
    return ["", f"No interval of d: {'; '.join(reasons)}."] if reasons else []
