"""Works and their authors: the same in two sets, and groups that belong on one side of a split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from cqa.errors import Problem
from cqa.leaks.corpus import Placed
from cqa.leaks.words import normal_words
from cqa.types import Annotation, Dialogue

NO_NAMES = frozenset({"", "original", "anonymous", "unknown", "various"})
"""What stands in the field `author` where nobody is named."""


def same_work_or_author(
    training: Sequence[Placed], benchmark: Sequence[Placed]
) -> Iterator[tuple[int, Problem]]:
    """(number of the benchmark row, what it shares with the first training row that has it)."""
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
        said = title_key(title)
        first[group] = min(first.get(group, said), said)
    return {title: first[group] for title, group in titles.items()}


def title_key(title: str) -> str:
    """A title in small letters and with single spaces; its punctuation is kept."""
    return " ".join(title.casefold().split())


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
