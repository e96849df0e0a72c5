"""Means of a scoring, and what became of texts made to fool the measure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cqa.paths import shown
from cqa.reporting.markdown import number
from cqa.runs import refuse_unreadable
from cqa.scores import judge_name
from cqa.show.plain import as_json_object, print_line, print_table

if TYPE_CHECKING:
    from cqa.probes import Treatment
    from cqa.runs import Run


_HEADINGS = {
    "surprise_bits_per_token": "surprise",
    "residual_bits_per_token": "residual",
    "gain_bits_per_token": "gain",
    "gain_share": "gain share",
    "specific_gain_bits_per_token": "specific gain",
    "contrast_bits_per_token": "contrast",
    "gain_bits_per_byte": "gain, bits per byte",
}


def scores(
    scored: Sequence[Run], as_json: bool, probed: Sequence[Sequence[Treatment]] = ()
) -> None:
    """Means by source and group, for each scoring; of a scoring of probes, what became of them."""
    if as_json:
        found = [{**run.record, "path": str(run.path)} for run in scored]
        for record, treatments in zip(found, probed, strict=False):
            record["probes"] = [vars(one) for one in treatments]
        as_json_object(found[0] if len(found) == 1 else {"runs": found})
        return
    for run in scored:
        _scoring(run)
    for treatments in probed:
        _probes(treatments)


def _scoring(run: Run) -> None:
    refuse_unreadable(run.record)
    summary = run.record["headline"]
    groups = summary["groups"]
    quantities = groups[0] if groups else ()
    names = [name for name in quantities if f"{name}_scored" in quantities]
    judge = judge_name(run.record)
    title = f"{run.record['label']}: judge {judge}, {summary['dtype']}; bits per token"
    rows = []
    for row in groups:
        cells = []
        for name in names:
            few = f" ({row[f'{name}_scored']})" if 0 < row[f"{name}_scored"] < row["texts"] else ""
            cells.append("null" if row[name] is None else f"{row[name]:.4f}{few}")
        rows.append((f"{row['source'][:40]}, {row['group']}", str(row["texts"]), *cells))
    right = ("n", *(_HEADINGS.get(name, name) for name in names))
    print_table(("texts",), right, rows, title=title)
    flags = Counter()
    for row in groups:
        flags.update(row["flags"])
    for flag, count in flags.items():
        print_line(f"{count} of {summary['texts']} texts: {flag}")
    if floor := summary.get("noise_floor"):
        worst = max(floor["largest_difference"].values(), default=0.0)
        print_line(
            f"noise floor: at most {worst:.1e} in any of these, over {floor['texts']} texts "
            "scored again in another batch size and order"
        )
    print_line(f"every quantity of every text: {shown(run.file('scores.jsonl'))}")


def _probes(treatments: Sequence[Treatment]) -> None:
    """What the primary quantity makes of texts that were made to fool it."""
    rows = [
        (
            one.probe,
            str(one.texts),
            number(one.mean, sign=True),
            number(one.mean_of_texts, sign=True),
            str(one.beats_its_text),
            str(one.flagged_as_copy),
        )
        for one in treatments
    ]
    right = ("texts", "probe's mean", "texts' mean", "beats its text", "copy flag")
    print_table(("probe",), right, rows, title="specific gain, bits per token")
