"""The coverage audit of data sets: shares of classes with their intervals and grounds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cqa.audit import quantify
from cqa.audit.basis import Basis, Known, is_drawn_from, known_of
from cqa.audit.classifier import Classifier
from cqa.audit.grounds import (
    LEAST_OWN_MARKS,
    cross_validation,
    limits,
    marks_made,
    rounded,
    transfer_between,
)
from cqa.audit.marks import CLASSES
from cqa.audit.quantify import Shares
from cqa.audit.reading import LONGER_THAN, Sample, sample
from cqa.errors import UsageRefused
from cqa.paths import shown

LEAST_MARKS = 300
"""With fewer marked sentences the classifier's errors are not known well enough to correct for."""


def run(
    paths: Sequence[Path],
    basis: Basis,
    *,
    marked_files: Sequence[Path] = (),
    fields: Sequence[str] = (),
    longer_than: int = LONGER_THAN,
    at_most: int = 5000,
    seed: int = 0,
    replicates: int = 400,
    least_marks: int = LEAST_MARKS,
) -> dict[str, Any]:
    """The coverage audit of data sets, as one JSON value; `markdown` makes it a page.

    Of each data set at most `at_most` distinct sentences are read, drawn with `seed`. Where the
    predictions of the basis are of another classifier (other annotations), the marked sentences are
    read from `marked_files` and `paths`; with fewer than `least_marks` of them no share is given
    but the naive one. No sentence of any data set stands in the result.
    """
    if at_most < 2 or replicates < 2:
        raise UsageRefused("fewer than 2 sentences or replicates", next_step="ask for more")
    from threadpoolctl import threadpool_limits

    samples = [
        sample(path, at_most, seed=seed, fields=fields, longer_than=longer_than) for path in paths
    ]
    classifier = basis.classifier()
    known = known_of(basis, classifier, [*marked_files, *paths])
    enough = known if len(known.marks) >= least_marks else None
    data_sets = []
    with threadpool_limits(1):
        transfer = transfer_between(known, basis.drawn, seed, min(replicates, 200))
        for path, drawn in zip(paths, samples, strict=True):
            own = None
            if enough and is_drawn_from(path, fields, basis.drawn):
                own = enough.of(path.name, fields)
                own = own if own.sum() >= LEAST_OWN_MARKS else None
            found = _data_set(path, drawn, classifier, enough, own, seed, replicates)
            data_sets.append(found)
    return {
        "classes": list(CLASSES),
        "settings": {
            "fields": list(fields),
            "longer_than": longer_than,
            "at_most": at_most,
            "seed": seed,
            "replicates": replicates,
            "least_marks": least_marks,
        },
        "data_sets": data_sets,
        "classifier": cross_validation(classifier),
        "marks": marks_made(basis.marks, known),
        "transfer": transfer,
        "limits": limits(classifier, known, transfer, data_sets),
    }


def _data_set(
    path: Path,
    drawn: Sample,
    classifier: Classifier,
    known: Known | None,
    own: np.ndarray | None,
    seed: int,
    replicates: int,
) -> dict[str, Any]:
    texts = [sentence.text for sentence in drawn.sentences]
    probabilities = classifier.probabilities(texts)
    numbers: dict[tuple[str, int], int] = {}
    rows = np.array([numbers.setdefault(s.row, len(numbers)) for s in drawn.sentences])
    naive = quantify.one_hot(probabilities).mean(axis=0)
    found: dict[str, Shares] = {}
    reason = None
    if known is None:
        reason = "too few marked sentences at hand to know the classifier's errors from"
    elif len(numbers) < 2:
        reason = "a single row: nothing tells how rows differ"
    else:
        found = quantify.estimate(
            probabilities,
            rows,
            known.marked,
            known.prior_rates,
            own=own,
            sentences=drawn.distinct,
            seed=seed,
            replicates=replicates,
        )
    method = next((name for name in ("marks", "adjusted") if name in found), None)
    shares = {}
    for number, kind in enumerate(CLASSES):
        each = {
            name: _interval(found[name], number) if name in found else None
            for name in ("adjusted", "em", "marks")
        }
        best = each[method] if method else {"share": None, "low": None, "high": None}
        shares[kind] = {**best, "naive": rounded(naive[number]), **each}
    return {
        "file": shown(path),
        "sentences_read": drawn.read,
        "sentences_distinct": drawn.distinct,
        "sentences_sampled": len(texts),
        "rows_sampled": len(numbers),
        "sentences_marked": 0 if own is None else int(own.sum()),
        "unknown_words": rounded(classifier.unknown_words(texts)),
        "method": method,
        "reason": reason,
        "shares": shares,
        "contrasts": [
            _contrast(found[method], "craft", other)
            for other in ("intent", "audience", "reality")
            if method
        ],
    }


def _interval(shares: Shares, number: int) -> dict[str, float | None]:
    ends = (shares.share, shares.low, shares.high)
    return {
        name: rounded(end[number]) for name, end in zip(("share", "low", "high"), ends, strict=True)
    }


def _contrast(shares: Shares, one: str, other: str) -> dict[str, Any]:
    difference, low, high = shares.difference(CLASSES.index(one), CLASSES.index(other))
    said = "more than" if low > 0 else "less than" if high < 0 else "not told apart from"
    return {
        "class": one,
        "against": other,
        "difference": rounded(difference),
        "low": rounded(low),
        "high": rounded(high),
        "said": said,
    }
