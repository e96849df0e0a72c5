"""How far people who marked the same things agree, beyond chance; by NLTK's AnnotationTask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cqa.types import Annotation, Marks


def krippendorffs_alpha(units: Sequence[Sequence[object]]) -> float | None:
    """Nominal alpha of any number of markers; a unit holds the marks it got, absent ones left out.

    Krippendorff 2004 (Content Analysis, section 11.3). None where all marks that can be paired are
    the same: agreement beyond chance has no meaning then.
    """
    paired = [unit for unit in units if len(unit) > 1]
    if len({mark for unit in paired for mark in unit}) < 2:
        return None
    return float(_task(paired).alpha())


def cohens_kappa(one: Sequence[object], other: Sequence[object]) -> float | None:
    """Kappa of two markers of the same things (Cohen 1960, Educ. Psychol. Meas. 20:37).

    None where chance agreement is certain: both gave one and the same mark throughout.
    """
    if len({*one, *other}) < 2:
        return None
    return float(_task(list(zip(one, other, strict=True))).kappa())


def specific_agreement(
    one: Sequence[object], other: Sequence[object], kind: object
) -> float | None:
    """Of all uses of a class by two markers, the fraction in which both used it (Dice)."""
    pairs = [(a == kind, b == kind) for a, b in zip(one, other, strict=True)]
    used = sum(a + b for a, b in pairs)
    return 2 * sum(a and b for a, b in pairs) / used if used else None


def _task(units: Sequence[Sequence[object]]):
    from nltk.metrics.agreement import AnnotationTask

    return AnnotationTask(
        [(who, what, mark) for what, unit in enumerate(units) for who, mark in enumerate(unit)]
    )


def of_marks(annotations: Sequence[Annotation], marks: Sequence[Marks]) -> dict[str, Any] | None:
    """How far other annotators agree with the kinds and load-bearing steps of annotations, as JSON.

    A unit is one reasoning step; the annotation holds the first opinion and each line of marks
    another. Marks of annotations that are not given (corrected ones) do not count. None where
    there are no marks that do. `reasons` says why a value is null.
    """
    of_annotation: dict[str, list[Marks]] = {}
    for one in marks:
        of_annotation.setdefault(one.annotation, []).append(one)
    kinds: list[list[str]] = []
    bearing: list[list[bool]] = []
    marked = [annotation for annotation in annotations if annotation.id in of_annotation]
    for annotation in marked:
        others = of_annotation[annotation.id]
        for number, step in enumerate(annotation.reasoning, start=1):
            kinds.append([step.kind, *(one.kinds[number - 1] for one in others)])
            asked = [one.load_bearing for one in others if one.load_bearing is not None]
            if asked:
                bearing.append([number in given for given in (annotation.load_bearing, *asked)])
    if not marked:
        return None
    reasons: dict[str, str] = {}
    return {
        "annotators": 1 + len({one.annotator for one in marks}),
        "annotations": len(marked),
        "kinds": _agreed(kinds, "kinds", reasons),
        "load_bearing": _agreed(bearing, "load_bearing", reasons),
        "reasons": reasons,
    }


def _agreed(
    units: Sequence[Sequence[object]], name: str, reasons: dict[str, str]
) -> dict[str, Any]:
    """Alpha and, where each unit has two marks, what only two can have."""
    alpha = krippendorffs_alpha(units)
    if alpha is None:
        reasons[f"{name}.krippendorffs_alpha"] = (
            "one and the same mark throughout" if units else "nobody else was asked"
        )
    found: dict[str, Any] = {"steps": len(units), "krippendorffs_alpha": alpha}
    if units and all(len(unit) == 2 for unit in units):
        one, other = zip(*units, strict=True)
        found["same"] = sum(a == b for a, b in units) / len(units)
        found["cohens_kappa"] = cohens_kappa(one, other)
        found["by_mark"] = {
            str(mark): specific_agreement(one, other, mark)
            for mark in sorted({*one, *other}, key=str)
        }
        if found["cohens_kappa"] is None:
            reasons[f"{name}.cohens_kappa"] = "one and the same mark throughout"
    return found
