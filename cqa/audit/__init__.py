"""`cqa ingest --audit`: which share of a data set's sentences is craft, intent, audience, reality.

A classifier taught by the reasoning steps of annotations reads a sample of the sentences; what it
counts is corrected by its errors on sentences marked by the guide (annotations/audit/GUIDE.md).
"""

from cqa.audit.auditing import LEAST_MARKS, run
from cqa.audit.basis import Basis, predict_marks, shipped_basis
from cqa.audit.marks import CLASSES, Class, Drawn, Mark, Predictions, merge_marks
from cqa.audit.page import markdown
from cqa.audit.reading import Sample, Sentence, iter_sentences, sample

__all__ = [
    "CLASSES",
    "LEAST_MARKS",
    "Basis",
    "Class",
    "Drawn",
    "Mark",
    "Predictions",
    "Sample",
    "Sentence",
    "iter_sentences",
    "markdown",
    "merge_marks",
    "predict_marks",
    "run",
    "sample",
    "shipped_basis",
]
