"""How far people who marked the same things agree, beyond chance; by NLTK's AnnotationTask."""

from __future__ import annotations

from collections.abc import Sequence


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
