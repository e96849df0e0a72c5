"""Every file of a report, from the results and what they were taken from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup

from cqa.files import sha256_of, whole, write_csv, write_json, write_text
from cqa.reporting import figures, harness, heat, html, items, latex, markdown, sheets, svg
from cqa.reporting.items import Side, Tokens
from cqa.types import Text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CURVES = {
    "epoch": "After each epoch of training.",
    "rows": "Over the number of annotations that were trained on.",
    "device_seconds": "What the training of each arm cost, and what it brought on literary items.",
}


def write(
    folder: Path,
    results: dict[str, Any],
    *,
    changes: Sequence[Mapping[str, Any]],
    sides: Sequence[Side],
    tokens: Sequence[Mapping[str, Mapping[str, Tokens]]],
    records: Sequence[Mapping[str, Any]],
    texts: Mapping[str, Text],
    written: Sequence[Mapping[str, Any]],
) -> dict[str, str]:
    """Write the report into `folder`; gives file -> hash.

    `sides` are the base and then every tuned model, `records` the record of a scoring of each;
    `tokens` are of the first few sides. `texts` are what may be shown, by id.
    """
    base, main = sides[0], sides[1]
    listed = items.rows(base, main, texts)
    thresholds = records[0]["headline"].get("thresholds")
    drawn = _figures(results, items.plane(listed), thresholds)
    write_json(folder / "report.json", results)
    write_csv(folder / "results.csv", pd.DataFrame(changes))
    write_csv(folder / "items.csv", pd.DataFrame(items.tidy(base, sides[1:], texts)))
    write_text(folder / "report.md", markdown.page(results))
    write_text(folder / "tables.tex", latex.page(results))
    for side, record in zip(sides, records, strict=True):
        path = folder / "lm-eval" / f"results_{_file_name(side.label)}.json"
        path.parent.mkdir(exist_ok=True)
        write_json(path, harness.results(side, record))
    inline: dict[str, Any] = {"curves": []}
    for name, (figure, said) in drawn.items():
        _save(folder / "figures" / name, figure)
        markup = svg.inline(figure, name, said)
        if name.startswith("curve-"):
            inline["curves"].append({"svg": Markup(markup), "said": said})  # nosec B704
        else:
            inline[name] = Markup(markup)  # nosec B704 - of svg.py
    for name, page in html.pages(
        results,
        figures=inline,
        sheets=sheets.sheets(listed, written),
        heat=heat.of(listed, tokens),
        models=[side.label for side in sides[: len(tokens)]],
    ):
        write_text(folder / name, page)
    made = sorted(path for path in folder.rglob("*") if path.suffix in _KINDS)
    return {str(path.relative_to(folder)): sha256_of(path) for path in made if _ours(path)}


_KINDS = {".json", ".csv", ".md", ".tex", ".html", ".svg", ".png"}


def _ours(path: Path) -> bool:
    return path.name not in ("run.json", "begun.json")


def _figures(
    results: Mapping[str, Any], points: Sequence[Mapping[str, Any]], thresholds: Any
) -> dict[str, tuple[Figure, str]]:
    margin = results["analysis"]["margin"]
    finals = [model for model in results["models"] if model.get("epoch") is None]
    primary = [row for model in finals for row in model["primary"]]
    drawn = {
        "forest": (
            figures.forest(primary, margin),
            "Change of specific gain by model and group, with 95 % intervals.",
        )
    }
    for axis, said in _CURVES.items():
        along = _points(results["models"], axis)
        if len({point["x"] for point in along} - {0}) > 1:
            if axis == "device_seconds":
                along = [point for point in along if point["group"] == "literary"]
            draw = figures.cost if axis == "device_seconds" else figures.curve
            drawn[f"curve-{axis}"] = (draw(along, _AXES[axis], margin), said)
    if points:
        said = "Surprise against residual of each item, before and after."
        drawn["plane"] = (figures.plane(points, thresholds), said)
    shares = [row for model in finals[:3] for row in model["secondary"] if _is_share(row)]
    if shares:
        said = "Shapley values of the parts of the brief, base and tuned."
        drawn["shares"] = (figures.shares(shares), said)
    return drawn


_AXES = {
    "epoch": "epoch",
    "rows": "annotations",
    "device_seconds": "device seconds of training, all seeds",
}


def _points(models: Sequence[Mapping[str, Any]], axis: str) -> list[dict[str, Any]]:
    """The primary changes of the models that have a place on the axis.

    Before its first epoch, and without annotations, a model is its base: the change is 0.
    """
    if axis == "epoch":
        followed = {m["arm"] for m in models if m.get("epoch") is not None}
        along = [m for m in models if m.get("arm") in followed and m["after_epochs"] is not None]
        of = "after_epochs"
    else:  # what an epoch alone has cost is not known
        along, of = [m for m in models if m.get("epoch") is None and m.get(axis) is not None], axis
    points = [
        {**row, "x": model[of], "arm": model["arm"] if axis == "epoch" else "arms"}
        for model in along
        for row in model["primary"]
    ]
    origins = {} if axis == "device_seconds" else {(p["arm"], p["group"]): p for p in points}
    zero = {"x": 0, "change": 0.0, "low": None, "high": None, "seed_means": []}
    return [p | zero for p in origins.values()] + points


def _is_share(row: Mapping[str, Any]) -> bool:
    return row["quantity"].startswith("phi_") and row["base"] is not None


def _save(path: Path, figure: Figure) -> None:
    path.parent.mkdir(exist_ok=True)
    with whole(path.with_suffix(".svg")) as out:
        figures.save(figure, out, "svg")
    with whole(path.with_suffix(".png"), mode="wb") as out:
        figures.save(figure, out, "png")


def _file_name(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", label).strip("-.") or "model"
