"""How far an audit can be believed: cross-validation, agreement, transfer, limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from cqa import agreement
from cqa.audit import calibration, quantify
from cqa.audit.basis import Known
from cqa.audit.classifier import SETTINGS, Classifier
from cqa.audit.marks import CLASSES, Drawn, Mark, class_number
from cqa.audit.quantify import FloatArray

LEAST_OWN_MARKS = 30
"""With so many marks drawn from a data set itself its shares rest on them."""


def transfer_between(
    known: Known, drawn: Sequence[Drawn], seed: int, replicates: int
) -> dict[str, Any]:
    """Each marked file treated as if only the others had been marked; errors against its marks."""
    files: list[dict[str, Any]] = []
    misses: dict[str, list[FloatArray]] = {}
    held: dict[str, list[FloatArray]] = {}
    for name in sorted({one.file for one in drawn if not one.fields}):
        inside = known.of(name, ())
        if inside.sum() < LEAST_OWN_MARKS or (~inside).sum() < LEAST_OWN_MARKS:
            continue
        here, others = known.marked.of(inside), known.marked.of(~inside)
        truth = here.weights.mean(axis=0)
        by_others = quantify.estimate(
            here.probabilities,
            here.rows,
            others,
            known.prior_rates,
            seed=seed,
            replicates=replicates,
        )
        points = {
            **{method: shares.share for method, shares in by_others.items()},
            "naive": quantify.one_hot(here.probabilities).mean(axis=0),
            "as_the_others": others.weights.mean(axis=0),
        }
        for method, point in points.items():
            misses.setdefault(method, []).append(np.abs(point - truth))
        for method, shares in by_others.items():
            inside_ends = (shares.low <= truth) & (truth <= shares.high)
            held.setdefault(method, []).append(inside_ends)
        shown_points = {method: by_class(point) for method, point in points.items()}
        files.append(
            {"file": name, "sentences": len(here), "marks": by_class(truth), **shown_points}
        )
    if not files:
        reason = "no marked data set beside which others are marked"
        return {"reason": reason, "files": [], "mean_absolute_error": None, "intervals_hold": None}
    return {
        "reason": None,
        "files": files,
        "mean_absolute_error": {m: rounded(np.mean(missed)) for m, missed in misses.items()},
        "intervals_hold": {m: rounded(np.mean(inside)) for m, inside in held.items()},
    }


def cross_validation(classifier: Classifier) -> dict[str, Any]:
    """What the classifier learned from, and its performance on the works left out, as JSON."""
    truth = np.eye(len(CLASSES))[[class_number(lesson.kind) for lesson in classifier.lessons]]
    return {
        "sha256": classifier.sha256,
        "settings": SETTINGS,
        "sentences": {k: int(n) for k, n in zip(CLASSES, truth.sum(axis=0), strict=True)},
        "works": len(classifier.fold_of),
        "folds": len(classifier.by_fold),
        **performance(classifier.held_out, truth),
    }


def performance(probabilities: FloatArray, truth: FloatArray) -> dict[str, Any]:
    """Confusion (true class in rows), F1 and calibration; classes that never occur are left out."""
    confusion = truth.T @ quantify.one_hot(probabilities)
    f1 = calibration.f1_scores(confusion)
    there = confusion.sum(axis=1) > 0
    bins = calibration.reliability(probabilities, truth)
    return {
        "macro_f1": rounded(f1[there].mean()),
        "f1": {
            kind: rounded(f1[number]) if there[number] else None
            for number, kind in enumerate(CLASSES)
        },
        "accuracy": rounded(np.trace(confusion) / confusion.sum()),
        "confusion": {kind: by_class(row) for kind, row in zip(CLASSES, confusion, strict=True)},
        "expected_calibration_error": rounded(calibration.calibration_error(bins)),
        "reliability": [{k: rounded(v) for k, v in asdict(one).items()} for one in bins],
    }


def marks_made(marks: Sequence[Mark], known: Known) -> dict[str, Any]:
    """The marks counted, how far they agree, and how the classifier does on them, as JSON."""
    twice = [(mark.mark_1, mark.mark_2) for mark in marks if mark.mark_2 is not None]
    agreed: dict[str, Any] = {"sentences": len(twice)}
    if twice:
        one, other = zip(*twice, strict=True)
        agreed |= {
            "fraction": rounded(np.mean([a == b for a, b in twice])),
            "cohens_kappa": rounded(agreement.cohens_kappa(one, other)),
            "krippendorffs_alpha": rounded(agreement.krippendorffs_alpha(twice)),
            "by_class": {
                kind: rounded(agreement.specific_agreement(one, other, kind)) for kind in CLASSES
            },
        }
    else:
        agreed["reason"] = "no sentence has two marks"
    made: dict[str, Any] = {
        "sentences": len(marks),
        "used": len(known.marks),
        "missing": known.missing,
        "agreement": agreed,
    }
    if known.marks:
        weights = known.marked.weights
        made["by_class"] = by_class(weights.sum(axis=0))
        made["classifier"] = performance(known.marked.probabilities, weights)
    return made


def limits(
    classifier: Classifier,
    known: Known,
    transfer: Mapping[str, Any],
    data_sets: Sequence[Mapping[str, Any]],
) -> list[str]:
    """What a reader has to know before believing the shares, one sentence or more each."""
    said = [
        "The classifier learned from sentences about literary choices and from plain ones written "
        "for it; a data set is another kind of text. The corrected shares (adjusted, EM) assume "
        "that in a data set one class is taken for another as often as among the marked "
        "sentences, of other data sets. Shares by marks, where the data set itself was marked, "
        "assume nothing of the kind.",
        "A sentence that is repeated counts once, and every sentence counts alike, short or long. "
        "What a text teaches as a whole, beyond what its sentences say, is not seen.",
    ]
    if error := transfer["mean_absolute_error"]:
        points = {name: f"{100 * value:.1f}" for name, value in error.items()}
        held = {name: f"{100 * value:.0f} %" for name, value in transfer["intervals_hold"].items()}
        said.append(
            "How far that assumption fails: a marked data set that is corrected with the marks of "
            f"the others only misses its own marks by {points['adjusted']} points a class "
            f"(adjusted) or {points['em']} (EM), while counting alone misses them by "
            f"{points['naive']} and giving it the shares of the others by "
            f"{points['as_the_others']}. The intervals hold the marked share in {held['adjusted']} "
            f"of the cases (adjusted) and {held['em']} (EM). Of a data set that nobody has marked, "
            "believe the adjusted interval and no point in it."
        )
    if known.missing:
        said.append(f"{known.missing} marked sentences were not at hand and are not used.")
    strange = [d["file"] for d in data_sets if (d["unknown_words"] or 0) > 0.5]
    if strange:
        said.append(
            f"More than half of the words of {', '.join(strange)} are unknown to the classifier "
            "(another language or subject): its shares there are worth little."
        )
    if not any(sentence.text.isascii() is False for sentence in classifier.lessons):
        said.append("The classifier has learned from English only.")
    return said


def by_class(values: FloatArray) -> dict[str, float | None]:
    """Name of a class -> its value, from (K,) values in the order of CLASSES."""
    return {kind: rounded(value) for kind, value in zip(CLASSES, values, strict=True)}


def rounded(value: float | None) -> float | None:
    """The value to six decimals; None stays None."""
    return None if value is None else round(float(value), 6)
