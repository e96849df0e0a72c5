"""The neutral texts that ship: prose that no training is about."""

from __future__ import annotations

from cqa import paths

GENRES = ("fiction", "factual")


def passages(genre: str) -> tuple[str, ...]:
    """The passages of a genre, one a paragraph of its file."""
    page = (paths.shipped(paths.NEUTRAL_TEXTS) / f"{genre}.txt").read_text("utf-8")
    return tuple(part.strip() for part in page.split("\n\n") if part.strip())
