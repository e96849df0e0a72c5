"""What one set shares with another, or with itself, told row by row."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from cqa.errors import Problem
from cqa.leaks.corpus import Corpus, Placed, Row
from cqa.leaks.near import Near, longest_block, near_pairs
from cqa.leaks.shared import MOST, Shared, shared_runs
from cqa.leaks.works import same_work_or_author
from cqa.types import Annotation, Item


def leaks(training: Sequence[Placed], benchmark: Sequence[Placed]) -> list[Problem]:
    """What the benchmark shares with the training records, item by item; both places are named.

    A pair of rows is named once for its words, with the longest run they share, and an item once
    for its work and once for its author. An item that shares words with more than 20 training
    rows is named with 20 of them.
    """
    problems: dict[int, list[Problem]] = {number: [] for number in range(len(benchmark))}
    for number, problem in same_work_or_author(training, benchmark):
        problems[number].append(problem)
    rows = [*benchmark, *training]
    corpus = Corpus.of(rows)
    border = len(benchmark)
    runs = shared_runs(corpus, border)
    alike = {pair: found for pair, found in near_pairs(corpus, border).items() if pair[1] >= border}
    by_item = itertools.groupby(sorted(runs.keys() | alike.keys()), key=lambda pair: pair[0])
    for number, pairs in by_item:
        for pair in itertools.islice(pairs, MOST):
            record = rows[pair[1]]
            told = _told(corpus, benchmark[number], record, runs.get(pair), alike.get(pair))
            problems[number].append(told)
    return [problem for number in sorted(problems) for problem in problems[number]]


def near_duplicates(rows: Sequence[Placed]) -> list[tuple[str, str, float]]:
    """Pairs of rows of one set that are nearly the same: (where, where, Jaccard similarity).

    The similarity is the exact one of three-word shingles (Broder 1997) of the whole record or of
    its text alone, whichever is higher. A correction resembles what it corrects, and is not
    named. A row with 20 near-duplicates before it is not compared with those that follow.
    """
    corpus = Corpus.of(rows)
    return [
        (rows[one].where, rows[other].where, found.jaccard)
        for (one, other), found in sorted(near_pairs(corpus, len(rows)).items())
        if not _corrects(rows[one].row, rows[other].row)
    ]


def _told(
    corpus: Corpus, item: Placed, record: Placed, run: Shared | None, alike: Near | None
) -> Problem:
    """The problem of one pair of rows: the longest run it shares, and how alike it is."""
    how = f"; near-duplicates, Jaccard {alike.jaccard:.2f}" if alike else ""
    if run is None:
        run = longest_block(corpus, alike)
    fields = [corpus.names[corpus.field_of[at]] for at in (run.item_start, run.record_start)]
    shown = _may_be_shown(item.row) and _may_be_shown(record.row)
    quoted = corpus.quote(run.item_start, run.length, shown=shown)
    seen = f"{quoted}, as in {fields[1]} of {record.where}{how}"
    return Problem(item.where, fields[0], seen, "words of its own (else a leak)")


def _may_be_shown(row: Row) -> bool:
    if isinstance(row, Item):
        return row.redistribution
    return row.rights is None or row.rights.redistribution


def _corrects(one: Row, other: Row) -> bool:
    return any(
        isinstance(a, Annotation) and a.corrects is not None and a.corrects == b.id
        for a, b in ((one, other), (other, one))
    )
