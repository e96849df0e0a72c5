"""`cqa ingest --audit`: which share of a data set's sentences is craft, intent, audience, reality.

A classifier taught by the reasoning steps of annotations reads a sample of the sentences; what it
counts is corrected by its errors on sentences marked by hand (annotations/audit).
"""

from __future__ import annotations

import csv
import hashlib
import heapq
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from cqa import quantify
from cqa.errors import DataRefused, Problem, UsageRefused
from cqa.files import (
    iter_rows,
    read_json,
    read_rows,
    sha256_of,
    sha256_of_value,
    write_json,
    write_rows,
)
from cqa.paths import FOUNDING_BATCH, shipped, shown
from cqa.quantify import FloatArray, Marked, Shares
from cqa.types import Annotation, Dialogue, Frozen

Class = Literal["craft", "intent", "audience", "reality", "none"]
CLASSES = ("craft", "intent", "audience", "reality", "none")
SUFFIXES = (".jsonl", ".txt", ".csv", ".parquet")
LONGER_THAN = 20
"""A string of so many columns or fewer is taken for a label and not read.

A Chinese character takes two columns, as on a screen.
"""

LEAST_MARKS = 300
"""With fewer marked sentences the classifier's errors are not known well enough to correct for."""
LEAST_OWN_MARKS = 30
"""With so many marks drawn from a data set itself its shares rest on them."""
AUDIT_FOLDER = "annotations/audit"

_FOLDS = 5
_SETTINGS = {"words": [1, 2], "characters": [2, 4], "C": 3.0, "least_documents": 2}
_WORDS = 4
_UNSPACED_LETTERS = 6
_BULLET = re.compile(r"^\s*(?:[-*•–·>#|]+|\(?\d{1,3}[.)]|\(?[A-Za-z]\))\s+")
_END = re.compile(r"[.!?…]+[\"'”’»)\]*]*(?=\s)|[!?]+(?=[㐀-鿿])|[。！？]+[”’」』）\"]*")
_NEVER_LAST = re.compile(
    r"(?:mr|mrs|ms|dr|prof|st|vs|e\.g|i\.e|cf|fig|vol|approx|dept|gen|col|capt|lt|sgt|rev|hon)",
    re.I,
)
_PARAGRAPH_LINES = 50


@dataclass(frozen=True)
class Sentence:
    """One sentence and its place: file name, line from 1, dotted field, number in it from 1."""

    file: str
    line: int
    field: str
    number: int
    text: str

    @property
    def key(self) -> str:
        """What a mark refers to instead of the words: place and 16 hex digits of their SHA-256."""
        digest = hashlib.sha256(self.text.encode()).hexdigest()[:16]
        return f"{self.file}:{self.line}:{self.field}:{self.number}:{digest}"

    @property
    def row(self) -> tuple[str, int]:
        """What is resampled as a whole."""
        return self.file, self.line


def sentences(text: str) -> list[str]:
    """The sentences of an English or Chinese text, white space collapsed, list marks removed.

    Rules, no model: a sentence ends at . ! ? … before white space unless an abbreviation, an
    initial or a small letter stands there, at 。！？ anywhere, at a blank line and at a list item.
    What has fewer than 4 words (or, without spaces, 6 letters) is a label or a scrap and left out.
    """
    return [
        sentence for block in _blocks(text) for sentence in _cut(block) if _long_enough(sentence)
    ]


def _blocks(text: str) -> Iterator[str]:
    """Runs of lines that belong together: hard-wrapped lines are joined, list items are not."""
    run: list[str] = []
    for line in [*text.splitlines(), ""]:
        bare = _BULLET.sub("", line).strip()
        closed = run and (run[-1][-1] in '.!?:;。！？：…"”|' or len(run[-1]) < 45)
        if run and (not bare or closed or _BULLET.match(line)):
            yield " ".join(" ".join(run).split())
            run = []
        if bare:
            run.append(bare)


def _cut(block: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(block):
        if _ends_here(block, start, end):
            yield _BULLET.sub("", block[start : end.end()]).strip()
            start = end.end()
    yield _BULLET.sub("", block[start:]).strip()


def _ends_here(block: str, start: int, end: re.Match[str]) -> bool:
    if end.group()[0] in "。！？" or not block[end.end()].isspace():
        return True
    if block[end.end() :].lstrip("\"'“‘«([*- ")[:1].islower():
        return False
    said = block[start : end.start()].split()
    if not end.group().startswith(".") or not said:
        return True
    last = said[-1].strip("\"'“‘([")
    initial = re.fullmatch(r"(?:[A-Z]\.)*[A-HJ-Z]", last)
    number_of_a_list = len(said) == 1 and last.isdigit()
    before_number = last.casefold() == "no" and block[end.end() :].lstrip()[:1].isdigit()
    return not (initial or number_of_a_list or before_number or _NEVER_LAST.fullmatch(last))


def _long_enough(sentence: str) -> bool:
    words = sum(any(map(str.isalpha, word)) for word in sentence.split())
    unspaced = sum(unicodedata.category(letter) == "Lo" for letter in sentence)
    return words >= _WORDS or unspaced >= _UNSPACED_LETTERS


def iter_sentences(
    path: Path, fields: Sequence[str] = (), *, longer_than: int = LONGER_THAN
) -> Iterator[Sentence | Problem]:
    """The sentences of a data set, one row at a time; a row that cannot be read is a Problem.

    Rows: a line of .jsonl (any nesting), a record of .csv, a row of .parquet, a paragraph of .txt.
    `fields` are dotted names without list positions ("messages.content") or last names
    ("content"), and take in what lies below them; without any, every string counts that is longer
    than `longer_than` columns.
    """
    for line, row in _rows(path):
        if isinstance(row, Problem):
            yield row
            continue
        for field, text in _strings(row):
            if not _wanted(field, fields) or not _wider(text, longer_than):
                continue
            for number, sentence in enumerate(sentences(text), start=1):
                yield Sentence(path.name, line, field, number, sentence)


def _wider(text: str, columns: int) -> bool:
    if len(text) > columns or 2 * len(text) <= columns:
        return len(text) > columns
    return sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text) > columns


class _AnyRow(BaseModel):
    model_config = ConfigDict(extra="allow", protected_namespaces=())


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    if path.suffix not in SUFFIXES:
        raise DataRefused(
            [Problem(shown(path), "", f"a {path.suffix or 'nameless'} file", ", ".join(SUFFIXES))],
            next_step="give it as JSON lines, or as one of the other kinds",
        )
    if not path.is_file():
        raise DataRefused(f"{shown(path)}: no such file", next_step="check the path")
    if path.suffix == ".jsonl":
        for number, outcome in iter_rows(path, _AnyRow):
            if isinstance(outcome, list):
                yield from ((number, problem) for problem in outcome)
            else:
                yield number, outcome.model_extra
    elif path.suffix == ".parquet":
        yield from _parquet_rows(path)
    else:
        read = _csv_rows if path.suffix == ".csv" else _paragraphs
        try:
            with path.open(encoding="utf-8-sig", newline="") as lines:
                yield from read(lines)
        except (UnicodeDecodeError, csv.Error) as error:
            yield 0, Problem(shown(path), "", str(error), f"UTF-8 text as {path.suffix} has it")


def _csv_rows(lines: Any) -> Iterator[tuple[int, dict[str, str]]]:
    csv.field_size_limit(1 << 27)
    records = csv.reader(lines)
    heading = next(records, [])
    for record in records:
        yield records.line_num, dict(zip(heading, record, strict=False))


def _paragraphs(lines: Any) -> Iterator[tuple[int, dict[str, str]]]:
    paragraph: list[str] = []
    first = 1
    for number, line in enumerate(lines, start=1):
        paragraph.append(line)
        full = len(paragraph) >= _PARAGRAPH_LINES and line.rstrip()[-1:] in (*".!?。！？", "")
        if full or not line.strip():
            yield first, {"text": "".join(paragraph)}
            paragraph, first = [], number + 1
    yield first, {"text": "".join(paragraph)}


def _parquet_rows(path: Path) -> Iterator[tuple[int, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as table:
            batches = table.iter_batches(batch_size=1024)
            yield from enumerate((row for batch in batches for row in batch.to_pylist()), start=1)
    except pa.ArrowInvalid as error:
        yield 0, Problem(shown(path), "", str(error).splitlines()[0], "a Parquet file")


def _strings(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """(dotted field, string) of every string inside a JSON value."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _strings(inner, f"{field}.{name}" if field else str(name))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _strings(inner, f"{field}[{position}]")


def _wanted(field: str, fields: Sequence[str]) -> bool:
    plain = re.sub(r"\[\d+\]", "", field)
    return not fields or any(f".{name}." in f".{plain}." for name in fields)


@dataclass(frozen=True)
class Sample:
    """A uniform sample of the distinct sentences of a data set.

    `read` counts all sentences; `distinct` is exact where all distinct ones were kept and an
    estimate where they were not.
    """

    sentences: tuple[Sentence, ...]
    read: int
    distinct: int


def sample(
    path: Path,
    at_most: int,
    *,
    seed: int,
    fields: Sequence[str] = (),
    longer_than: int = LONGER_THAN,
) -> Sample:
    """At most so many distinct sentences of a data set, in one pass and in memory for that many.

    The sentences with the smallest seeded hashes are kept (bottom-k sampling: Cohen and Kaplan
    2007, PODC 225): uniform over distinct sentences, the same for any order of rows, and the
    largest hash kept tells how many distinct ones there were. A template that stands in every row
    counts once.
    """
    kept: dict[int, Sentence] = {}
    largest: list[int] = []
    read = 0
    problems: list[Problem] = []
    for found in iter_sentences(path, fields, longer_than=longer_than):
        if isinstance(found, Problem):
            problems.append(found)
            if len(problems) > DataRefused.shown:
                break
            continue
        read += 1
        value = _hash(found.text, seed)
        if value in kept or (len(kept) == at_most and value > -largest[0]):
            continue
        kept[value] = found
        heapq.heappush(largest, -value)
        if len(kept) > at_most:
            del kept[-heapq.heappop(largest)]
    if problems:
        raise DataRefused(problems, next_step=f"mend {shown(path)} and run the same command again")
    if not kept:
        which = f" in {', '.join(fields)}" if fields else ""
        raise DataRefused(
            f"{shown(path)}: no sentence of {_WORDS} words or more{which}",
            next_step="name the fields that hold text" if fields else "give a file with prose",
        )
    distinct = len(kept)
    if distinct == at_most and at_most > 1:
        estimate = round((at_most - 1) / (-largest[0] / 2**64))
        distinct = min(max(distinct, estimate), read)
    return Sample(tuple(kept[value] for value in sorted(kept)), read, distinct)


def _hash(text: str, seed: int) -> int:
    digest = hashlib.blake2b(text.encode(), digest_size=8, salt=seed.to_bytes(8, "big"))
    return int.from_bytes(digest.digest(), "big")


class Mark(Frozen):
    """The marks of one sentence by two people; the second is absent where only one has marked."""

    key: str
    mark_1: Class
    mark_2: Class | None = None

    @property
    def file(self) -> str:
        """The name of the file that the sentence stands in."""
        return self.key.split(":", 1)[0]

    @property
    def row(self) -> tuple[str, str]:
        """File and line."""
        file, line, _ = self.key.split(":", 2)
        return file, line

    @property
    def field(self) -> str:
        """The dotted field."""
        return self.key.split(":", 2)[2].rsplit(":", 2)[0]


class Drawn(Frozen):
    """How the marked sentences of a file were drawn: uniformly, from these fields (none: all)."""

    file: str
    sha256: str
    fields: tuple[str, ...]
    sentences: int
    seed: int


class Lesson(Frozen):
    """A sentence whose class is known; sentences of one work are never on both sides of a fold."""

    text: str
    kind: Class
    work: str


class _OneMark(Frozen):
    key: str
    mark: Class


class Predictions(Frozen):
    """What one classifier says of marked sentences whose words are not at hand."""

    classifier: str
    probabilities: dict[str, tuple[float, ...]]


def merge_marks(paths: Sequence[Path], out: Path) -> list[Mark]:
    """One or two files of {key, mark} lines -> `out` with {key, mark_1, mark_2} lines, by key.

    Refused unless both mark exactly the same sentences.
    """
    if not 1 <= len(paths) <= 2:
        raise UsageRefused(f"{len(paths)} files of marks", next_step="give one or two")
    given = [
        {row.key: row.mark for row in read_rows(path, _OneMark, unique="key")} for path in paths
    ]
    problems = [
        Problem(shown(path), "key", f"nothing for {key!r}", "a mark, as the other file has one")
        for path, marks in zip(paths, given, strict=True)
        for key in sorted(set().union(*given) - set(marks))
    ]
    if problems:
        raise DataRefused(problems, next_step="mark the same sentences in both files")
    second = given[1] if len(given) > 1 else {}
    merged = [
        Mark(key=key, mark_1=mark, mark_2=second.get(key)) for key, mark in sorted(given[0].items())
    ]
    write_rows(out, merged)
    return merged


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
    titles = {_same_work(work) for work in works}
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
        return self.fold_of.get(_same_work(self.work_of.get(text, "")), -1)


def fit(taught: Sequence[Lesson], elsewhere: Mapping[str, str] | None = None) -> Classifier:
    """Fit on all lessons and on all but each fold.

    `elsewhere` tells the work of sentences that are no lessons but belong to the works learned
    from (the expert's turns).
    """
    import sklearn.linear_model  # noqa: F401 - limits hold for libraries that are loaded already
    from threadpoolctl import threadpool_limits

    kinds = {lesson.kind for lesson in taught}
    works = {_same_work(lesson.work) for lesson in taught}
    if len(kinds) < 2 or len(works) < 2:
        raise DataRefused(
            f"sentences of {len(kinds)} kinds and {len(works)} works to learn from",
            next_step="give annotations of at least two works, with at least two kinds of steps",
        )
    fold_of = folds_of(works, min(_FOLDS, len(works)))
    fold = np.array([fold_of[_same_work(lesson.work)] for lesson in taught])
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
    return sha256_of_value([_SETTINGS, [lesson.model_dump() for lesson in taught]])


def _fitted(taught: Sequence[Lesson]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    least = _SETTINGS["least_documents"] if len(taught) >= 200 else 1
    words = TfidfVectorizer(ngram_range=tuple(_SETTINGS["words"]), sublinear_tf=True, min_df=least)
    characters = TfidfVectorizer(
        analyzer="char_wb",
        ngram_range=tuple(_SETTINGS["characters"]),
        sublinear_tf=True,
        min_df=least,
    )
    regression = LogisticRegression(C=_SETTINGS["C"], class_weight="balanced", max_iter=2000)
    model = make_pipeline(make_union(words, characters), regression)
    return model.fit([lesson.text for lesson in taught], [lesson.kind for lesson in taught])


def _predict(model: Any, texts: Sequence[str]) -> FloatArray:
    found = np.zeros((len(texts), len(CLASSES)))
    found[:, [CLASSES.index(kind) for kind in model.classes_]] = model.predict_proba(texts)
    return found


def _same_work(title: str) -> str:
    return " ".join(title.casefold().split())


@dataclass(frozen=True)
class Material:
    """What an audit rests on: what the classifier learns from, and the marks that judge it."""

    annotations: Sequence[Annotation]
    dialogues: Sequence[Dialogue]
    plain: Sequence[Lesson] = ()
    marks: Sequence[Mark] = ()
    drawn: Sequence[Drawn] = ()
    predictions: Predictions | None = None

    def lessons(self) -> list[Lesson]:
        """What the classifier learns from; of a corrected annotation only the correction."""
        corrected = {annotation.corrects for annotation in self.annotations}
        current = [a for a in self.annotations if a.id not in corrected]
        return lessons(current, self.dialogues, self.plain)

    def classifier(self) -> Classifier:
        """Fitted on the lessons; takes some seconds."""
        elsewhere = {
            sentence: dialogue.work
            for dialogue in self.dialogues
            for turn in dialogue.turns
            for sentence in sentences(turn.text)
        }
        return fit(self.lessons(), elsewhere)


def shipped_material() -> Material:
    """The founding batch with the marks of annotations/audit."""
    batch, folder = shipped(FOUNDING_BATCH), shipped(AUDIT_FOLDER)
    predictions = folder / "predictions.json"
    return Material(
        annotations=read_rows(batch / "annotations.jsonl", Annotation),
        dialogues=read_rows(batch / "dialogues.jsonl", Dialogue),
        plain=read_rows(folder / "sentences.jsonl", Lesson, unique="text"),
        marks=read_rows(folder / "marks.jsonl", Mark, unique="key"),
        drawn=read_rows(folder / "drawn.jsonl", Drawn, unique=None),
        predictions=Predictions.model_validate(read_json(predictions))
        if predictions.exists()
        else None,
    )


def predict_marks(files: Sequence[Path], material: Material, out: Path) -> Predictions:
    """Write what the classifier says of the marked sentences, read from the files they stand in.

    To be repeated whenever the annotations change: afterwards an audit needs those files no more.
    """
    classifier = material.classifier()
    predictions = _predictions(files, material.marks, classifier)
    if missing := [m.key for m in material.marks if m.key not in predictions.probabilities]:
        raise DataRefused(
            f"{len(missing)} marked sentences are in none of these files, such as {missing[0]!r}",
            next_step="give every file that the marks name",
        )
    write_json(out, predictions.model_dump(mode="json"))
    return predictions


def _predictions(
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
class _Known:
    """The marked sentences of which the classifier's answer is known."""

    marks: tuple[Mark, ...]
    marked: Marked
    missing: int
    prior_rates: FloatArray

    def of(self, file: str, fields: Sequence[str]) -> np.ndarray:
        """(m,) true for the marked sentences of these fields of a file."""
        return np.array([m.file == file and _wanted(m.field, fields) for m in self.marks], bool)


def run(
    paths: Sequence[Path],
    material: Material,
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
    material's predictions are of another classifier (other annotations), the marked sentences are
    read from `marked_files` and `paths`; with fewer than `least_marks` of them no share is given
    but the naive one. No sentence of any data set stands in the result.
    """
    if at_most < 2 or replicates < 2:
        raise UsageRefused("fewer than 2 sentences or replicates", next_step="ask for more")
    from threadpoolctl import threadpool_limits

    samples = [
        sample(path, at_most, seed=seed, fields=fields, longer_than=longer_than) for path in paths
    ]
    classifier = material.classifier()
    known = _known(material, classifier, [*marked_files, *paths])
    enough = known if len(known.marks) >= least_marks else None
    data_sets = []
    with threadpool_limits(1):
        transfer = _transfer(known, material.drawn, seed, min(replicates, 200))
        for path, drawn in zip(paths, samples, strict=True):
            own = None
            if enough and _is_drawn_from(path, fields, material.drawn):
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
        "classifier": _cross_validation(classifier),
        "marks": _marks(material.marks, known),
        "transfer": transfer,
        "limits": _limits(classifier, known, transfer, data_sets),
    }


def _known(material: Material, classifier: Classifier, files: Sequence[Path]) -> _Known:
    said: dict[str, tuple[float, ...]] = {}
    if material.predictions and material.predictions.classifier == classifier.sha256:
        said = dict(material.predictions.probabilities)
    if unsaid := [mark for mark in material.marks if mark.key not in said]:
        said |= _predictions(files, unsaid, classifier).probabilities
    marks = tuple(mark for mark in material.marks if mark.key in said)
    numbers = {row: number for number, row in enumerate(sorted({m.row for m in marks}))}
    names = sorted({m.file for m in marks})
    truth = np.eye(len(CLASSES))[[CLASSES.index(lesson.kind) for lesson in classifier.lessons]]
    even = np.full((len(CLASSES), len(CLASSES)), 1 / len(CLASSES))
    return _Known(
        marks,
        Marked(
            np.array([said[m.key] for m in marks]).reshape(-1, len(CLASSES)),
            np.array([[_number(m.mark_1), _number(m.mark_2)] for m in marks], int).reshape(-1, 2),
            np.array([numbers[m.row] for m in marks], int),
            np.array([names.index(m.file) for m in marks], int),
        ),
        len(material.marks) - len(marks),
        quantify.misclassification(quantify.one_hot(classifier.held_out), truth, even),
    )


def _number(mark: str | None) -> int:
    return -1 if mark is None else CLASSES.index(mark)


def _is_drawn_from(path: Path, fields: Sequence[str], drawn: Sequence[Drawn]) -> bool:
    for one in drawn:
        if one.file == path.name and one.fields == tuple(fields):
            return sha256_of(path) == one.sha256
    return False


def _data_set(
    path: Path,
    drawn: Sample,
    classifier: Classifier,
    known: _Known | None,
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
        shares[kind] = {**best, "naive": _rounded(naive[number]), **each}
    return {
        "file": shown(path),
        "sentences_read": drawn.read,
        "sentences_distinct": drawn.distinct,
        "sentences_sampled": len(texts),
        "rows_sampled": len(numbers),
        "sentences_marked": 0 if own is None else int(own.sum()),
        "unknown_words": _rounded(classifier.unknown_words(texts)),
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
        name: _rounded(end[number])
        for name, end in zip(("share", "low", "high"), ends, strict=True)
    }


def _contrast(shares: Shares, one: str, other: str) -> dict[str, Any]:
    difference, low, high = shares.difference(CLASSES.index(one), CLASSES.index(other))
    said = "more than" if low > 0 else "less than" if high < 0 else "not told apart from"
    return {
        "class": one,
        "against": other,
        "difference": _rounded(difference),
        "low": _rounded(low),
        "high": _rounded(high),
        "said": said,
    }


def _transfer(known: _Known, drawn: Sequence[Drawn], seed: int, replicates: int) -> dict[str, Any]:
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
        shown_points = {method: _by_class(point) for method, point in points.items()}
        files.append(
            {"file": name, "sentences": len(here), "marks": _by_class(truth), **shown_points}
        )
    if not files:
        reason = "no marked data set beside which others are marked"
        return {"reason": reason, "files": [], "mean_absolute_error": None, "intervals_hold": None}
    return {
        "reason": None,
        "files": files,
        "mean_absolute_error": {m: _rounded(np.mean(missed)) for m, missed in misses.items()},
        "intervals_hold": {m: _rounded(np.mean(inside)) for m, inside in held.items()},
    }


def _cross_validation(classifier: Classifier) -> dict[str, Any]:
    truth = np.eye(len(CLASSES))[[_number(lesson.kind) for lesson in classifier.lessons]]
    return {
        "sha256": classifier.sha256,
        "settings": _SETTINGS,
        "sentences": {k: int(n) for k, n in zip(CLASSES, truth.sum(axis=0), strict=True)},
        "works": len(classifier.fold_of),
        "folds": len(classifier.by_fold),
        **_performance(classifier.held_out, truth),
    }


def _performance(probabilities: FloatArray, truth: FloatArray) -> dict[str, Any]:
    """Confusion (true class in rows), F1 and calibration; classes that never occur are left out."""
    confusion = truth.T @ quantify.one_hot(probabilities)
    f1 = quantify.f1_scores(confusion)
    there = confusion.sum(axis=1) > 0
    bins = quantify.reliability(probabilities, truth)
    return {
        "macro_f1": _rounded(f1[there].mean()),
        "f1": {
            kind: _rounded(f1[number]) if there[number] else None
            for number, kind in enumerate(CLASSES)
        },
        "accuracy": _rounded(np.trace(confusion) / confusion.sum()),
        "confusion": {kind: _by_class(row) for kind, row in zip(CLASSES, confusion, strict=True)},
        "expected_calibration_error": _rounded(quantify.calibration_error(bins)),
        "reliability": [{k: _rounded(v) for k, v in asdict(one).items()} for one in bins],
    }


def _marks(marks: Sequence[Mark], known: _Known) -> dict[str, Any]:
    twice = [(mark.mark_1, mark.mark_2) for mark in marks if mark.mark_2 is not None]
    agreement: dict[str, Any] = {"sentences": len(twice)}
    if twice:
        one, other = zip(*twice, strict=True)
        agreement |= {
            "fraction": _rounded(np.mean([a == b for a, b in twice])),
            "cohens_kappa": _rounded(quantify.cohens_kappa(one, other)),
            "krippendorffs_alpha": _rounded(quantify.krippendorffs_alpha(twice)),
            "by_class": {
                kind: _rounded(quantify.specific_agreement(one, other, kind)) for kind in CLASSES
            },
        }
    else:
        agreement["reason"] = "no sentence has two marks"
    made: dict[str, Any] = {
        "sentences": len(marks),
        "used": len(known.marks),
        "missing": known.missing,
        "agreement": agreement,
    }
    if known.marks:
        weights = known.marked.weights
        made["by_class"] = _by_class(weights.sum(axis=0))
        made["classifier"] = _performance(known.marked.probabilities, weights)
    return made


def _limits(
    classifier: Classifier,
    known: _Known,
    transfer: Mapping[str, Any],
    data_sets: Sequence[Mapping[str, Any]],
) -> list[str]:
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


def _by_class(values: FloatArray) -> dict[str, float | None]:
    return {kind: _rounded(value) for kind, value in zip(CLASSES, values, strict=True)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)


def markdown(report: Mapping[str, Any]) -> str:
    """The report as a page: shares, whether craft is more than the others, grounds, limits."""
    head = ("data set", "class", "share", "95 % interval", "by", "adjusted", "EM", "naive", "n")
    lines = [_line(head), _line("---" for _ in head)]
    for found in report["data_sets"]:
        for kind, row in found["shares"].items():
            lines.append(
                _line(
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
                )
            )
    lines += [
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


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
