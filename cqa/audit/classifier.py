"""A classifier taught by the reasoning steps of annotations, and its answers on works left out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cqa.audit.marks import CLASSES, Class
from cqa.audit.quantify import FloatArray
from cqa.audit.sentences import sentences
from cqa.errors import DataRefused
from cqa.files import sha256_of_value
from cqa.leaks import title_key
from cqa.types import Annotation, Dialogue, Frozen

_FOLDS = 5
SETTINGS = {"words": [1, 2], "characters": [2, 4], "C": 3.0, "least_documents": 2}


class Lesson(Frozen):
    """A sentence whose class is known; sentences of one work are never on both sides of a fold."""

    text: str
    kind: Class
    work: str


def lessons(
    annotations: Iterable[Annotation], dialogues: Iterable[Dialogue], plain: Iterable[Lesson] = ()
) -> list[Lesson]:
    """Sentences of known class: reasoning steps by their kind, the rest as none.

    The rest are contexts, passages and the turns of B. `plain` are further ones, in the
    registers of instructions, answers and critiques.
    """
    taught = []
    for annotation in annotations:
        of_kind = [(step.claim, step.kind) for step in annotation.reasoning]
        for text, kind in [*of_kind, (annotation.context, "none"), (annotation.passage, "none")]:
            taught += [Lesson(text=s, kind=kind, work=annotation.work) for s in sentences(text)]
    for dialogue in dialogues:
        for turn in dialogue.turns:
            if turn.turn.startswith("B"):
                said = sentences(turn.text)
                taught += [Lesson(text=s, kind="none", work=dialogue.work) for s in said]
    return [*taught, *plain]


def folds_of(works: Iterable[str], folds: int = _FOLDS) -> dict[str, int]:
    """Each work (its title without case and spacing) -> its fold, by the order of their hashes."""
    titles = {title_key(work) for work in works}
    ordered = sorted(titles, key=lambda work: hashlib.sha256(work.encode()).hexdigest())
    return {work: number % folds for number, work in enumerate(ordered)}


@dataclass(frozen=True)
class Classifier:
    """Word and character n-grams with logistic regression, and the same with a fold left out.

    A sentence of a work that was learned from is judged by the model that did not see that work.
    """

    model: Any
    by_fold: tuple[Any, ...]
    fold_of: Mapping[str, int]
    work_of: Mapping[str, str]
    lessons: tuple[Lesson, ...]
    held_out: FloatArray
    sha256: str

    def probabilities(self, texts: Sequence[str]) -> FloatArray:
        """(n, K) in the order of CLASSES."""
        fold = np.array([self._fold(text) for text in texts])
        found = np.zeros((len(texts), len(CLASSES)))
        for number in set(fold.tolist()):
            model = self.model if number < 0 else self.by_fold[number]
            inside = np.flatnonzero(fold == number)
            found[inside] = _predict(model, [texts[i] for i in inside])
        return found

    def unknown_words(self, texts: Iterable[str]) -> float | None:
        """The fraction of the words that the classifier has never (or hardly) met."""
        words = self.model[0].transformer_list[0][1]
        cut = words.build_tokenizer()
        met = [word in words.vocabulary_ for text in texts for word in cut(text.lower())]
        return 1 - sum(met) / len(met) if met else None

    def _fold(self, text: str) -> int:
        return self.fold_of.get(title_key(self.work_of.get(text, "")), -1)


def fit(taught: Sequence[Lesson], elsewhere: Mapping[str, str] | None = None) -> Classifier:
    """Fit on all lessons and on all but each fold.

    `elsewhere` tells the work of sentences that are no lessons but belong to the works learned
    from (the expert's turns).
    """
    import sklearn.linear_model  # noqa: F401 - limits hold for libraries that are loaded already
    from threadpoolctl import threadpool_limits

    kinds = {lesson.kind for lesson in taught}
    works = {title_key(lesson.work) for lesson in taught}
    if len(kinds) < 2 or len(works) < 2:
        raise DataRefused(
            f"sentences of {len(kinds)} kinds and {len(works)} works to learn from",
            next_step="give annotations of at least two works, with at least two kinds of steps",
        )
    fold_of = folds_of(works, min(_FOLDS, len(works)))
    fold = np.array([fold_of[title_key(lesson.work)] for lesson in taught])
    held_out = np.zeros((len(taught), len(CLASSES)))
    by_fold = []
    with threadpool_limits(1):  # on a busy machine the threads of BLAS wait for one another
        for number in range(fold.max() + 1):
            model = _fitted([lesson for lesson, f in zip(taught, fold, strict=True) if f != number])
            inside = np.flatnonzero(fold == number)
            held_out[inside] = _predict(model, [taught[i].text for i in inside])
            by_fold.append(model)
        whole = _fitted(taught)
    return Classifier(
        model=whole,
        by_fold=tuple(by_fold),
        fold_of=fold_of,
        work_of={**(elsewhere or {}), **{lesson.text: lesson.work for lesson in taught}},
        lessons=tuple(taught),
        held_out=held_out,
        sha256=identity(taught),
    )


def identity(taught: Iterable[Lesson]) -> str:
    """The hash by which a classifier is known: its settings and what it learned from."""
    return sha256_of_value([SETTINGS, [lesson.model_dump() for lesson in taught]])


def _fitted(taught: Sequence[Lesson]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    least = SETTINGS["least_documents"] if len(taught) >= 200 else 1
    words = TfidfVectorizer(ngram_range=tuple(SETTINGS["words"]), sublinear_tf=True, min_df=least)
    characters = TfidfVectorizer(
        analyzer="char_wb",
        ngram_range=tuple(SETTINGS["characters"]),
        sublinear_tf=True,
        min_df=least,
    )
    regression = LogisticRegression(C=SETTINGS["C"], class_weight="balanced", max_iter=2000)
    model = make_pipeline(make_union(words, characters), regression)
    return model.fit([lesson.text for lesson in taught], [lesson.kind for lesson in taught])


def _predict(model: Any, texts: Sequence[str]) -> FloatArray:
    found = np.zeros((len(texts), len(CLASSES)))
    found[:, [CLASSES.index(kind) for kind in model.classes_]] = model.predict_proba(texts)
    return found
