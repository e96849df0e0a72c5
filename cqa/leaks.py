"""What training records and benchmark items share: runs of words, whole texts, works, authors.

Everything is compared after Unicode normalisation (NFKC), case folding and removal of punctuation.
Words are hashed where they stand and looked up, so that the cost grows with the number of words and
not with the number of pairs.
"""

from __future__ import annotations

import difflib
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cqa.errors import Problem
from cqa.types import PARTS, Annotation, Brief, Dialogue, Item

SHARED_WORDS = 8
"""A run of so many words on both sides is a leak; in a script without spaces, of twice as many
characters. In a mixed run a character counts as half a word."""
NEAR = 0.5
"""From this Jaccard similarity of three-word shingles on, two texts are near-duplicates."""
NO_NAMES = frozenset({"", "original", "anonymous", "unknown", "various"})
"""What stands in the field `author` where nobody is named."""

_SHINGLE_WORDS = 3
_FEWEST_SHINGLES = 6
"""Texts of less than eight words are alike by chance."""
_BANDS, _ROWS = 40, 3
"""Of the locality-sensitive hashing: a pair is looked at with probability 1 − (1 − J³)^40, which
is 0.995 at J = 0.5 and 0.9999 at J = 0.6."""
_MOST = 20
"""Partners that a row is named with where a phrase is everywhere."""
_MOST_CANDIDATES = 100
"""A text that resembles so many earlier ones is like them, and later texts meet those instead."""
_QUOTED_WORDS = 14
_UNSPACED = (
    *("CJK ", "IDEOGRAPHIC ", "HIRAGANA", "KATAKANA", "BOPOMOFO"),
    *("THAI ", "LAO ", "KHMER ", "MYANMAR "),
)
"""How the Unicode names of characters begin whose scripts put no spaces between words."""

Row = Annotation | Dialogue | Item


@dataclass(frozen=True)
class Placed:
    """A row and the place it was read from, file:line."""

    where: str
    row: Row


def leaks(training: Sequence[Placed], benchmark: Sequence[Placed]) -> list[Problem]:
    """What the benchmark shares with the training records, item by item; both places are named.

    A pair of rows is named once for its words, with the longest run they share, and an item once
    for its work and once for its author. An item that shares words with more than 20 training
    rows is named with 20 of them.
    """
    problems: dict[int, list[Problem]] = {number: [] for number in range(len(benchmark))}
    for number, problem in _same_work_or_author(training, benchmark):
        problems[number].append(problem)
    rows = [*benchmark, *training]
    corpus = _Corpus.of(rows)
    border = len(benchmark)
    runs = _shared_runs(corpus, border)
    near = {pair: found for pair, found in _near(corpus, border).items() if pair[1] >= border}
    by_item = itertools.groupby(sorted(runs.keys() | near.keys()), key=lambda pair: pair[0])
    for number, pairs in by_item:
        for pair in itertools.islice(pairs, _MOST):
            record = rows[pair[1]]
            told = _told(corpus, benchmark[number], record, runs.get(pair), near.get(pair))
            problems[number].append(told)
    return [problem for number in sorted(problems) for problem in problems[number]]


def near_duplicates(rows: Sequence[Placed]) -> list[tuple[str, str, float]]:
    """Pairs of rows of one set that are nearly the same: (where, where, Jaccard similarity).

    The similarity is the exact one of three-word shingles (Broder 1997) of the whole record or of
    its text alone, whichever is higher. A correction resembles what it corrects, and is not
    named. A row with 20 near-duplicates before it is not compared with those that follow.
    """
    corpus = _Corpus.of(rows)
    return [
        (rows[one].where, rows[other].where, found.jaccard)
        for (one, other), found in sorted(_near(corpus, len(rows)).items())
        if not _corrects(rows[one].row, rows[other].row)
    ]


def split_groups(annotations: Sequence[Annotation]) -> dict[str, str]:
    """Work -> group: works that share a named author, directly or through others, are one group.

    A group is called after the first of its titles in alphabetical order, in small letters and
    with single spaces, so that a work without a named author is a group under its own title.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    for annotation in annotations:
        work = f"work {work_key(annotation.work)}"
        for key in (work, *(f"author {author}" for author in author_keys(annotation.author))):
            parent[root(key)] = root(work)
    titles = {
        annotation.work: root(f"work {work_key(annotation.work)}") for annotation in annotations
    }
    first: dict[str, str] = {}
    for title, group in titles.items():
        said = " ".join(title.casefold().split())
        first[group] = min(first.get(group, said), said)
    return {title: first[group] for title, group in titles.items()}


def work_key(title: str) -> str:
    """A title without case, punctuation and Unicode form; one of signs alone stays as it is."""
    return " ".join(normal_words(title)) or title.strip()


def author_keys(author: str) -> frozenset[str]:
    """The named authors of a work, none where nobody is named.

    Several are separated by `;`, `&`, `/` or `and`. The words of a name count in any order, so
    that `Woolf, Virginia` is Virginia Woolf; an initial is not the name that it stands for.
    """
    names = re.split(r"[;&/]|\band\b", author, flags=re.IGNORECASE)
    keys = {" ".join(sorted(normal_words(name))) for name in names}
    return frozenset(keys - NO_NAMES)


def normal_words(text: str) -> list[str]:
    """The words of a text as compared; where a script has no spaces, each character is a word."""
    plain = text.replace("´", "'")  # NFKC would make a space of it
    folded = unicodedata.normalize("NFKC", plain).casefold()
    return unicodedata.normalize("NFKC", folded).translate(_LETTERS).split()


class _Letters(dict[int, str]):
    """What becomes of a character: kept, set apart, dropped (''), or a space between words."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        category = unicodedata.category(sign)
        if category == "Cf" or sign in "'`‘’ʼ′":
            kept = ""  # a soft hyphen; an apostrophe, so that don't is one word in any typography
        elif category[0] not in "LMN":
            kept = " "
        elif _unspaced(sign):
            kept = f" {sign} "
        else:
            kept = sign
        self[code] = kept
        return kept


_LETTERS = _Letters()


def _unspaced(sign: str) -> bool:
    return ord(sign) >= 0xE00 and unicodedata.name(sign, "").startswith(_UNSPACED)


def _fields(row: Row) -> Iterator[tuple[str, str]]:
    """(dotted path, text) of everything in a row that can be read in training or is scored."""
    if isinstance(row, Dialogue):
        if row.preamble:
            yield "preamble", row.preamble
        for number, turn in enumerate(row.turns):
            yield f"turns[{number}].text", turn.text
            if turn.raw:
                yield f"turns[{number}].raw", turn.raw
        return
    yield _text_field(row), row.text if isinstance(row, Item) else row.passage
    yield "foil", row.foil
    yield "context", row.context
    yield from _parts(row.brief)
    if isinstance(row, Annotation):
        for number, step in enumerate(row.reasoning):
            yield f"reasoning[{number}].claim", step.claim
        yield "decision", row.decision
        for number, rejected in enumerate(row.rejected):
            yield f"rejected[{number}].choice", rejected.choice
            yield f"rejected[{number}].reason", rejected.reason


def _text_field(row: Annotation | Item) -> str:
    return "text" if isinstance(row, Item) else "passage"


def _parts(brief: Brief) -> Iterator[tuple[str, str]]:
    for part in PARTS:
        if words := getattr(brief, part):
            yield f"brief.{part}", words


@dataclass(frozen=True, eq=False)
class _Corpus:
    """The words of all fields of all rows, one after the other.

    `tokens` and `weights` (2 for a word, 1 for a character of a script without spaces) have shape
    (words,); `starts` has shape (fields + 1,); `row_of` and `names` have one entry per field.
    """

    vocabulary: list[str]
    tokens: np.ndarray
    weights: np.ndarray
    starts: np.ndarray
    row_of: np.ndarray
    names: list[str]

    @classmethod
    def of(cls, rows: Iterable[Placed]) -> _Corpus:
        ids: dict[str, int] = {}
        tokens: list[int] = []
        starts, row_of, names = [0], [], []
        for number, placed in enumerate(rows):
            for name, text in _fields(placed.row):
                tokens += [ids.setdefault(word, len(ids)) for word in normal_words(text)]
                starts.append(len(tokens))
                row_of.append(number)
                names.append(name)
        weight_of = np.array([1 if _unspaced(word[0]) else 2 for word in ids], dtype=np.int64)
        array = np.array(tokens, dtype=np.int64)
        return cls(
            list(ids),
            array,
            weight_of[array] if len(ids) else array,
            np.array(starts),
            np.array(row_of, dtype=np.int64),
            names,
        )

    @cached_property
    def field_of(self) -> np.ndarray:
        """The field of each word, shape (words,)."""
        return np.repeat(np.arange(len(self.names)), np.diff(self.starts))

    def windows(self, words: int) -> tuple[np.ndarray, np.ndarray]:
        """From each word on, the shortest run that weighs `words` words: (hash, whether it fits).

        Both have shape (words,). The hash is Σ mix(token_i)·B^(i − start) modulo 2^64, from sums
        over prefixes: B is odd and so has an inverse.
        """
        total = np.concatenate([[0], np.cumsum(self.weights)])
        ends = np.searchsorted(total, total[:-1] + 2 * words)
        fits = ends <= self.starts[1:][self.field_of]
        ends = np.where(fits, ends, np.arange(len(ends)))
        base = 0x9E3779B97F4A7C15
        prefix = np.zeros(len(total), dtype=np.uint64)
        np.cumsum(_mixed(self.tokens) * _powers(base, len(self.tokens)), out=prefix[1:])
        inverse = _powers(pow(base, -1, 2**64), len(self.tokens))
        return (prefix[ends] - prefix[:-1]) * inverse, fits

    def quote(self, start: int, length: int, *, shown: bool) -> str:
        """The words from `start` on, shortly, or only how many where they may not be shown."""
        words = [self.vocabulary[token] for token in self.tokens[start : start + length]]
        spaced = not all(map(_unspaced, (word[0] for word in words)))
        unit, most = ("words", _QUOTED_WORDS) if spaced else ("characters", 2 * _QUOTED_WORDS)
        if not shown:
            return f"{len(words)} {unit} (not cleared for redistribution)"
        more = "..." if len(words) > most else ""
        return f"'{(' ' if spaced else '').join(words[:most])}{more}' ({len(words)} {unit})"


def _powers(base: int, count: int) -> np.ndarray:
    """1, B, B², ... modulo 2^64, shape (count,)."""
    factors = np.full(count, base, dtype=np.uint64)
    factors[:1] = 1
    return np.cumprod(factors)


def _mixed(tokens: np.ndarray) -> np.ndarray:
    """Word numbers spread over 64 bits by the finaliser of splitmix64 (Steele et al. 2014)."""
    mixed = (tokens.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@dataclass(frozen=True)
class _Run:
    """Words that stand in both rows: where they begin on either side, how many, their weight."""

    item_start: int
    record_start: int
    length: int
    weight: int


def _shared_runs(corpus: _Corpus, border: int) -> dict[tuple[int, int], _Run]:
    """(row before the border, row from it on) -> the longest run of words that stands in both."""
    hashes, fits = corpus.windows(SHARED_WORDS)
    first = int(corpus.starts[np.searchsorted(corpus.row_of, border)])
    places = np.flatnonzero(fits)
    left, right = places[places < first], places[places >= first]
    right = right[np.isin(hashes[right], hashes[left])]
    right = right[np.argsort(hashes[right], kind="stable")]
    low = np.searchsorted(hashes[right], hashes[left], side="left")
    high = np.searchsorted(hashes[right], hashes[left], side="right")
    counts = np.minimum(high - low, _MOST)
    nth = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    left, right = np.repeat(left, counts), right[np.repeat(low, counts) + nth]

    tokens, starts = corpus.tokens, corpus.starts
    goes_on = (  # the run began earlier and is found there
        (left > starts[corpus.field_of[left]])
        & (right > starts[corpus.field_of[right]])
        & (tokens[left - 1] == tokens[right - 1])
    )
    best: dict[tuple[int, int], _Run] = {}
    for one, other in zip(left[~goes_on].tolist(), right[~goes_on].tolist(), strict=True):
        fields = corpus.field_of[one], corpus.field_of[other]
        room = min(starts[fields[0] + 1] - one, starts[fields[1] + 1] - other)
        differ = np.flatnonzero(tokens[one : one + room] != tokens[other : other + room])
        length = int(differ[0]) if len(differ) else int(room)
        weight = int(corpus.weights[one : one + length].sum())
        pair = int(corpus.row_of[fields[0]]), int(corpus.row_of[fields[1]])
        if weight >= 2 * SHARED_WORDS and (pair not in best or weight > best[pair].weight):
            best[pair] = _Run(one, other, length, weight)
    return best


@dataclass(frozen=True, eq=False)
class _Document:
    """What is compared as one text: its row, its name, its fields, its shingles (sorted hashes)."""

    row: int
    name: str
    fields: tuple[int, ...]
    shingles: np.ndarray


@dataclass(frozen=True)
class _Near:
    one: _Document
    other: _Document
    jaccard: float


def _documents(corpus: _Corpus) -> Iterator[_Document]:
    """Of each row the whole and, of an annotation or item, text and foil by themselves."""
    hashes, fits = corpus.windows(_SHINGLE_WORDS)
    bounds = np.searchsorted(corpus.row_of, np.arange(corpus.row_of.max(initial=-1) + 2))
    for row, (low, high) in enumerate(itertools.pairwise(bounds)):
        fields = range(int(low), int(high))
        alone = [n for n in fields if corpus.names[n] in ("text", "passage", "foil")]
        whole = [n for n in fields if _in_whole(corpus.names[n])]
        for name, chosen in [("", whole), *((corpus.names[n], [n]) for n in alone)]:
            spans = [slice(*corpus.starts[n : n + 2]) for n in chosen]
            parts = [hashes[span][fits[span]] for span in spans]
            shingles = np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.uint64)
            if len(shingles) >= _FEWEST_SHINGLES:
                yield _Document(row, name, tuple(chosen), shingles)


def _in_whole(name: str) -> bool:
    return name in ("text", "passage", "context") or name.startswith(("brief.", "turns["))


def _near(corpus: _Corpus, indexed: int) -> dict[tuple[int, int], _Near]:
    """(row, later row) -> the most alike of their texts, where the first is one of `indexed` rows.

    Candidates come from MinHash signatures in bands (Leskovec, Rajaraman & Ullman 2014, ch. 3), and
    are verified with the exact similarity.
    """
    from datasketch import MinHash, MinHashLSH

    documents: list[_Document] = []
    index = MinHashLSH(num_perm=_BANDS * _ROWS, params=(_BANDS, _ROWS))
    empty = MinHash(num_perm=_BANDS * _ROWS, hashfunc=int)
    best: dict[tuple[int, int], _Near] = {}
    for document in _documents(corpus):
        signature = empty.copy()
        signature.update_batch((document.shingles >> np.uint64(32)).tolist())
        found, candidates = 0, sorted(index.query(signature))
        for number in candidates:
            other = documents[number]
            if other.row == document.row:
                continue
            jaccard = _jaccard(other.shingles, document.shingles)
            if jaccard >= NEAR:
                found += 1
                pair = other.row, document.row
                if pair not in best or jaccard > best[pair].jaccard:
                    best[pair] = _Near(other, document, jaccard)
        if document.row < indexed and found < _MOST and len(candidates) < _MOST_CANDIDATES:
            index.insert(len(documents), signature, check_duplication=False)
            documents.append(document)
    return best


def _jaccard(one: np.ndarray, other: np.ndarray) -> float:
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)


def _corrects(one: Row, other: Row) -> bool:
    return any(
        isinstance(a, Annotation) and a.corrects is not None and a.corrects == b.id
        for a, b in ((one, other), (other, one))
    )


def _same_work_or_author(
    training: Sequence[Placed], benchmark: Sequence[Placed]
) -> Iterator[tuple[int, Problem]]:
    works: dict[str, Placed] = {}
    authors: dict[str, Placed] = {}
    for placed in training:
        works.setdefault(work_key(placed.row.work), placed)
        if not isinstance(placed.row, Dialogue):
            for author in author_keys(placed.row.author):
                authors.setdefault(author, placed)
    for number, placed in enumerate(benchmark):
        if known := works.get(work_key(placed.row.work)):
            seen = f"{placed.row.work!r}, which {known.where} trains on"
            expected = "a work of its own (else a leak)"
            yield number, Problem(placed.where, "work", seen, expected)
        if isinstance(placed.row, Dialogue):
            continue
        shared = sorted(author_keys(placed.row.author) & authors.keys())
        if shared:
            seen = f"{placed.row.author!r}, whom {authors[shared[0]].where} trains on"
            expected = "an author of its own (else a leak)"
            yield number, Problem(placed.where, "author", seen, expected)


def _told(
    corpus: _Corpus, item: Placed, record: Placed, run: _Run | None, near: _Near | None
) -> Problem:
    """The problem of one pair of rows: the longest run it shares, and how alike it is."""
    alike = f"; near-duplicates, Jaccard {near.jaccard:.2f}" if near else ""
    if run is None:
        run = _longest_block(corpus, near)
    fields = [corpus.names[corpus.field_of[at]] for at in (run.item_start, run.record_start)]
    shown = _may_be_shown(item.row) and _may_be_shown(record.row)
    quoted = corpus.quote(run.item_start, run.length, shown=shown)
    seen = f"{quoted}, as in {fields[1]} of {record.where}{alike}"
    return Problem(item.where, fields[0], seen, "words of its own (else a leak)")


def _may_be_shown(row: Row) -> bool:
    if isinstance(row, Item):
        return row.redistribution
    return row.rights is None or row.rights.redistribution


def _longest_block(corpus: _Corpus, near: _Near) -> _Run:
    """The longest run that two near-duplicates share; it may be short."""
    best = _Run(0, 0, 0, 0)
    for one in near.one.fields:
        for other in near.other.fields:
            (a, b), (c, d) = corpus.starts[one : one + 2], corpus.starts[other : other + 2]
            left, right = corpus.tokens[a:b].tolist(), corpus.tokens[c:d].tolist()
            match = difflib.SequenceMatcher(None, left, right, autojunk=False).find_longest_match()
            weight = int(corpus.weights[a + match.a : a + match.a + match.size].sum())
            if weight > best.weight:
                best = _Run(int(a) + match.a, int(c) + match.b, match.size, weight)
    return best
