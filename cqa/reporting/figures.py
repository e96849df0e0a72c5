"""Pictures of the results: plain numbers in, matplotlib figures out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cqa.types import PARTS

COLOURS = {"literary": "#c2602a", "factual": "#4a83bd"}
_PARTS = {"intent": "#c2602a", "audience": "#7f9b3f", "reality": "#4a83bd"}
_GREY = "#8a8a8a"
_PNG_DPI = 160
_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cqa",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}

Row = Mapping[str, Any]
"""A change of one quantity on one group, as it stands in report.json."""


@contextmanager
def _figure(width: float, height: float) -> Iterator[tuple[Figure, Any]]:
    with plt.rc_context(_SETTINGS):
        figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
        yield figure, axes
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once, not again for every format
        plt.close(figure)


def save(figure: Figure, out: Any, kind: str) -> None:
    """Write a figure as `svg` (its text stays text, its bytes the same every time) or `png`."""
    with plt.rc_context(_SETTINGS):
        if kind == "svg":
            figure.savefig(out, format=kind, metadata={"Date": None, "Creator": None})
        else:
            figure.savefig(out, format=kind, dpi=_PNG_DPI)


def forest(rows: Sequence[Row], margin: float) -> Figure:
    """Change of the primary quantity by model and group: estimate, 95 % interval, the margin.

    Where there are several seeds, a small dot for each.
    """
    several = _several(rows)
    with _figure(7, 0.7 + 0.32 * len(rows)) as (figure, axes):
        axes.axvspan(-margin, margin, color=_GREY, alpha=0.13, lw=0)
        axes.axvline(0, color=_GREY, lw=0.8)
        for height, row in enumerate(rows):
            colour = COLOURS.get(row["group"], _GREY)
            if row["low"] is not None:
                axes.plot([row["low"], row["high"]], [height, height], color=colour, lw=2)
            if row["change"] is not None:
                axes.plot(row["change"], height, "o", color=colour, ms=5.5)
            if several:
                seeds = row["seed_means"]
                axes.plot(seeds, [height + 0.27] * len(seeds), ".", color=colour, ms=3.5, alpha=0.7)
        names = [f"{row['model']}, {row['group']}" for row in rows]
        axes.set_yticks(range(len(rows)), names, parse_math=False)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        dots = "; small dots: single seeds" if several else ""
        axes.set_xlabel(f"change of specific gain, bits per token (band: ± margin{dots})")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    return figure


def curve(points: Sequence[Row], label: str, margin: float) -> Figure:
    """Change of the primary quantity along `x`: a line for each arm and group, dots for seeds."""
    several = _several(points)
    with _figure(7, 3.0) as (figure, axes):
        _ground(axes, margin)
        lines: dict[tuple[str, str], list[Row]] = {}
        for point in sorted(points, key=lambda point: point["x"]):
            lines.setdefault((point["arm"], point["group"]), []).append(point)
        arms = list(dict.fromkeys(arm for arm, _ in lines))
        apart = 0.012 * max((point["x"] for point in points), default=0.0)
        for number, ((arm, group), line) in enumerate(lines.items()):
            colour = COLOURS.get(group, _GREY)
            style = ("-", "--", ":", "-.")[arms.index(arm) % 4]
            known = [point for point in line if point["change"] is not None]
            known = [{**point, "x": point["x"] + number * apart} for point in known]
            x, y = [p["x"] for p in known], [p["change"] for p in known]
            axes.plot(x, y, ls=style, marker="o", ms=4, color=colour, label=f"{arm}, {group}")
            _intervals(axes, known, colour)
            for point in known if several else ():
                seeds = point["seed_means"]
                x = [point["x"] - apart] * len(seeds)
                axes.plot(x, seeds, ".", color=colour, ms=3.5, alpha=0.7)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel(f"{label} (small dots: single seeds)" if several else label)
        axes.legend(frameon=False, fontsize=8)
    return figure


def _several(rows: Iterable[Row]) -> bool:
    return any(len(row.get("seed_means", ())) > 1 for row in rows)


def cost(points: Sequence[Row], label: str, margin: float) -> Figure:
    """Change of the primary quantity of each arm over what it cost, from nothing on.

    The names stand at the right side, one below the other, in the order of the changes.
    """
    known = sorted(
        (point for point in points if point["change"] is not None), key=lambda p: p["change"]
    )
    with _figure(7, max(3.0, 0.5 + 0.24 * len(known))) as (figure, axes):
        _ground(axes, margin)
        colour = COLOURS.get(known[0]["group"], _GREY) if known else _GREY
        axes.plot([p["x"] for p in known], [p["change"] for p in known], "o", ms=4, color=colour)
        _intervals(axes, known, colour)
        axes.set_xlim(0, 1.06 * max((point["x"] for point in known), default=1.0))
        for number, point in enumerate(known):
            axes.annotate(
                point["model"],
                (point["x"], point["change"]),
                (1.03, (number + 0.5) / len(known)),
                textcoords="axes fraction",
                va="center",
                parse_math=False,
                arrowprops={
                    "arrowstyle": "-",
                    "color": _GREY,
                    "lw": 0.5,
                    "shrinkB": 3,
                    "relpos": (0, 0.5),  # from the name's left end, so that it crosses no other
                },
            )
        axes.set_xlabel(label)
    return figure


def _ground(axes: Any, margin: float) -> None:
    axes.axhspan(-margin, margin, color=_GREY, alpha=0.13, lw=0)
    axes.axhline(0, color=_GREY, lw=0.8)
    axes.set_ylabel("change, bits per token")


def _intervals(axes: Any, points: Iterable[Row], colour: str) -> None:
    for point in points:
        if point["low"] is not None:
            ends = [point["low"], point["high"]]
            axes.plot([point["x"]] * 2, ends, color=colour, lw=1, alpha=0.6)


def plane(items: Sequence[Row], thresholds: Mapping[str, float] | None) -> Figure:
    """Each item before (ring) and after (dot): surprise against residual, the quadrants named.

    A dot is a link to its item. `thresholds` are the medians of the reference set.
    """
    with _figure(7, 5.6) as (figure, axes):
        for group, colour in COLOURS.items():
            rows = [row for row in items if row["group"] == group]
            if not rows:
                continue
            before, after = ([row[side] for row in rows] for side in ("before", "after"))
            # One path with gaps: a line of its own for each of 10,000 items takes a minute to draw.
            gaps = [(math.nan, math.nan)] * len(rows)
            moves = chain.from_iterable(zip(before, after, gaps, strict=True))
            axes.plot(*zip(*moves, strict=True), color=colour, lw=0.6, alpha=0.5)
            axes.scatter(*zip(*before, strict=True), s=14, fc="none", ec=colour, lw=0.7)
            dots = axes.scatter(*zip(*after, strict=True), s=14, color=colour, lw=0, label=group)
            dots.set_urls([row["link"] for row in rows])
        if thresholds:
            axes.axvline(thresholds["surprise"], color=_GREY, lw=0.8)
            axes.axhline(thresholds["residual"], color=_GREY, lw=0.8)
            for x, y, name, side in (
                (0.01, 0.98, "contradiction", "left"),
                (0.99, 0.98, "noise", "right"),
                (0.01, 0.03, "cliché", "left"),
                (0.99, 0.03, "calibrated surprise", "right"),
            ):
                axes.text(x, y, name, transform=axes.transAxes, color=_GREY, ha=side, va="center")
        axes.set_xlabel("surprise without the brief, bits per token")
        axes.set_ylabel("residual with the brief, bits per token")
        axes.legend(frameon=False, fontsize=8, loc="center right")
    return figure


def shares(rows: Sequence[Row]) -> Figure:
    """What each part of the brief brings (Shapley), base (light) and tuned (full), by group."""
    labels = list(dict.fromkeys((row["model"], row["group"]) for row in rows))
    with _figure(7, 0.8 + 0.55 * len(labels)) as (figure, axes):
        axes.axvline(0, color=_GREY, lw=0.8)
        for height, label in enumerate(labels):
            own = {r["quantity"]: r for r in rows if (r["model"], r["group"]) == label}
            for number, part in enumerate(PARTS):
                row = own.get(f"phi_{part}_bits_per_token")
                if row is None:
                    continue
                at = height + (number - 1) * 0.25
                axes.barh(at - 0.05, row["base"], 0.1, color=_PARTS[part], alpha=0.4)
                name = part if height == 0 else None
                axes.barh(at + 0.05, row["tuned"], 0.1, color=_PARTS[part], label=name)
        names = [f"{model}, {group}" for model, group in labels]
        axes.set_yticks(range(len(labels)), names, parse_math=False)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_xlabel("share of the gain, bits per token (light: base)")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.legend(frameon=False, fontsize=8)
    return figure
