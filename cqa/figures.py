"""Pictures of a comparison as inline SVG."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot as plt

from cqa.analysis import GROUPS, Comparison

_COLOURS = {"literary": "#b4541a", "factual": "#3b6ea5"}


def forest(compared: Sequence[Comparison], margin: float) -> str:
    """Change of the primary quantity by model and group, with 95 % intervals and the margin."""
    rows = [
        (f"{comparison.label}, {group}", group, change.interval)
        for comparison in compared
        for group in GROUPS
        if (change := comparison.change(comparison.primary, group))
    ]
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "cqa", "font.size": 9}):
        figure, axes = plt.subplots(figsize=(7, 0.5 + 0.38 * len(rows)), layout="constrained")
        axes.axvspan(-margin, margin, color="#888888", alpha=0.12, lw=0)
        axes.axvline(0, color="#888888", lw=0.8)
        for height, (_, group, interval) in enumerate(rows):
            if interval.low is not None and interval.high is not None:
                axes.plot(
                    [interval.low, interval.high], [height, height], color=_COLOURS[group], lw=2
                )
            if interval.estimate is not None:
                axes.plot(interval.estimate, height, "o", color=_COLOURS[group], ms=5)
        axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
        axes.invert_yaxis()
        axes.set_xlabel("change of specific gain, bits per token (band: ± margin)")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        return _svg(figure)


def _svg(figure: plt.Figure) -> str:
    """The figure as an <svg> element that takes the colour of the text around it."""
    out = io.StringIO()
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    return svg.replace("#000000", "currentColor")
