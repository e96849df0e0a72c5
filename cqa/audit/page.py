"""The report of an audit as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cqa.reporting.markdown_table import table


def markdown(report: Mapping[str, Any]) -> str:
    """The report as a page: shares, whether craft is more than the others, grounds, limits."""
    head = ("data set", "class", "share", "95 % interval", "by", "adjusted", "EM", "naive", "n")
    rows = [
        [
            found["file"],
            kind,
            _percent(row["share"]),
            f"{_percent(row['low'])} to {_percent(row['high'])}",
            found["method"] or "–",
            *(_percent((row[name] or {}).get("share")) for name in ("adjusted", "em")),
            _percent(row["naive"]),
            f"{found['sentences_sampled']:,}",
        ]
        for found in report["data_sets"]
        for kind, row in found["shares"].items()
    ]
    lines = [
        *table(head, rows),
        "",
        "Shares in per cent of distinct sentences; n: sentences read by the classifier.",
        "",
    ]
    for found in report["data_sets"]:
        said = [f"{c['said']} {c['against']} ({_points(c)})" for c in found["contrasts"]]
        about = f"craft is {'; '.join(said)}" if said else f"no shares: {found['reason']}"
        lines.append(f"- {found['file']}: {about}.")
    return "\n".join([*lines, "", *_grounds(report), "", *(f"- {s}" for s in report["limits"]), ""])


def _grounds(report: Mapping[str, Any]) -> list[str]:
    learned, marks = report["classifier"], report["marks"]
    agreement = marks["agreement"]
    lines = [
        f"- classifier: macro F1 {learned['macro_f1']:.2f} on works left out "
        f"({learned['works']} works, {learned['folds']} folds), expected calibration error "
        f"{learned['expected_calibration_error']:.3f}",
    ]
    if "classifier" in marks:
        lines.append(
            f"- on the {marks['used']} marked sentences: macro F1 "
            f"{marks['classifier']['macro_f1']:.2f}, accuracy {marks['classifier']['accuracy']:.2f}"
        )
    if "reason" in agreement:
        lines.append(f"- agreement of the marks: {agreement['reason']}")
    else:
        values = (agreement[name] for name in ("cohens_kappa", "krippendorffs_alpha"))
        kappa, alpha = ("–" if value is None else f"{value:.2f}" for value in values)
        lines.append(
            f"- {agreement['sentences']} sentences marked twice: kappa {kappa}, alpha {alpha}, "
            f"the same mark for {_percent(agreement['fraction'])} %"
        )
    return lines


def _points(contrast: Mapping[str, Any]) -> str:
    difference, low, high = (f"{100 * contrast[k]:+.1f}" for k in ("difference", "low", "high"))
    return f"{difference} points, {low} to {high}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"
