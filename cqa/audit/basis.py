"""What an audit rests on: what the classifier learns from, and the marks that judge it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cqa.audit import quantify
from cqa.audit.classifier import Classifier, Lesson, fit, lessons
from cqa.audit.marks import CLASSES, Drawn, Mark, Predictions, class_number
from cqa.audit.quantify import FloatArray, Marked
from cqa.audit.reading import Sentence, in_fields, iter_sentences
from cqa.audit.sentences import sentences
from cqa.errors import DataRefused
from cqa.files import (
    read_json,
    read_rows,
    sha256_of,
    write_json,
)
from cqa.paths import FOUNDING_BATCH, shipped
from cqa.types import Annotation, Dialogue, current

AUDIT_FOLDER = "annotations/audit"


@dataclass(frozen=True)
class Basis:
    """What an audit rests on: what the classifier learns from, and the marks that judge it."""

    annotations: Sequence[Annotation]
    dialogues: Sequence[Dialogue]
    plain: Sequence[Lesson] = ()
    marks: Sequence[Mark] = ()
    drawn: Sequence[Drawn] = ()
    predictions: Predictions | None = None

    def lessons(self) -> list[Lesson]:
        """What the classifier learns from; of a corrected annotation only the correction."""
        return lessons(current(self.annotations), self.dialogues, self.plain)

    def classifier(self) -> Classifier:
        """Fitted on the lessons; takes some seconds."""
        elsewhere = {
            sentence: dialogue.work
            for dialogue in self.dialogues
            for turn in dialogue.turns
            for sentence in sentences(turn.text)
        }
        return fit(self.lessons(), elsewhere)


def shipped_basis() -> Basis:
    """The founding batch with the marks of annotations/audit."""
    batch, folder = shipped(FOUNDING_BATCH), shipped(AUDIT_FOLDER)
    predictions = folder / "predictions.json"
    return Basis(
        annotations=read_rows(batch / "annotations.jsonl", Annotation),
        dialogues=read_rows(batch / "dialogues.jsonl", Dialogue),
        plain=read_rows(folder / "sentences.jsonl", Lesson, unique="text"),
        marks=read_rows(folder / "marks.jsonl", Mark, unique="key"),
        drawn=read_rows(folder / "drawn.jsonl", Drawn, unique=None),
        predictions=Predictions.model_validate(read_json(predictions))
        if predictions.exists()
        else None,
    )


def predict_marks(files: Sequence[Path], basis: Basis, out: Path) -> Predictions:
    """Write what the classifier says of the marked sentences, read from the files they stand in.

    To be repeated whenever the annotations change: afterwards an audit needs those files no more.
    """
    classifier = basis.classifier()
    predictions = predictions_of(files, basis.marks, classifier)
    if missing := [m.key for m in basis.marks if m.key not in predictions.probabilities]:
        raise DataRefused(
            f"{len(missing)} marked sentences are in none of these files, such as {missing[0]!r}",
            next_step="give every file that the marks name",
        )
    write_json(out, predictions.model_dump(mode="json"))
    return predictions


def predictions_of(
    files: Sequence[Path], marks: Sequence[Mark], classifier: Classifier
) -> Predictions:
    """By file name and words, wherever in the file the sentence now stands."""
    wanted: dict[tuple[str, str], list[str]] = {}
    for mark in marks:
        wanted.setdefault((mark.file, mark.key.rsplit(":", 1)[1]), []).append(mark.key)
    names = {mark.file for mark in marks}
    texts: dict[str, str] = {}
    for path in files:
        if path.name in names:
            for found in iter_sentences(path):
                if isinstance(found, Sentence):
                    keys = wanted.get((found.file, found.key.rsplit(":", 1)[1]), ())
                    texts.update(dict.fromkeys(keys, found.text))
    rows = classifier.probabilities(list(texts.values())) if texts else []
    return Predictions(
        classifier=classifier.sha256,
        probabilities={
            key: tuple(round(float(p), 6) for p in row)
            for key, row in zip(texts, rows, strict=True)
        },
    )


@dataclass(frozen=True)
class Known:
    """The marked sentences of which the classifier's answer is known."""

    marks: tuple[Mark, ...]
    marked: Marked
    missing: int
    prior_rates: FloatArray

    def of(self, file: str, fields: Sequence[str]) -> np.ndarray:
        """(m,) true for the marked sentences of these fields of a file."""
        return np.array([m.file == file and in_fields(m.field, fields) for m in self.marks], bool)


def known_of(basis: Basis, classifier: Classifier, files: Sequence[Path]) -> Known:
    """The marks whose sentences the classifier has judged, by the predictions or in these files."""
    said: dict[str, tuple[float, ...]] = {}
    if basis.predictions and basis.predictions.classifier == classifier.sha256:
        said = dict(basis.predictions.probabilities)
    if unsaid := [mark for mark in basis.marks if mark.key not in said]:
        said |= predictions_of(files, unsaid, classifier).probabilities
    marks = tuple(mark for mark in basis.marks if mark.key in said)
    numbers = {row: number for number, row in enumerate(sorted({m.row for m in marks}))}
    names = sorted({m.file for m in marks})
    truth = np.eye(len(CLASSES))[[CLASSES.index(lesson.kind) for lesson in classifier.lessons]]
    even = np.full((len(CLASSES), len(CLASSES)), 1 / len(CLASSES))
    return Known(
        marks,
        Marked(
            np.array([said[m.key] for m in marks]).reshape(-1, len(CLASSES)),
            np.array(
                [[class_number(m.mark_1), class_number(m.mark_2)] for m in marks], int
            ).reshape(-1, 2),
            np.array([numbers[m.row] for m in marks], int),
            np.array([names.index(m.file) for m in marks], int),
        ),
        len(basis.marks) - len(marks),
        quantify.misclassification(quantify.one_hot(classifier.held_out), truth, even),
    )


def is_drawn_from(path: Path, fields: Sequence[str], drawn: Sequence[Drawn]) -> bool:
    """Whether marked sentences were drawn from these fields of this very file, by its hash."""
    for one in drawn:
        if one.file == path.name and one.fields == tuple(fields):
            return sha256_of(path) == one.sha256
    return False
