"""Plain transcripts: lines of B and C, with times or without, one dialogue or several in a file.

    work: The Lamp
    exit: C, nothing was left to say

    [00:00:04] B: Why the lamp?
    00:12 C: Because, um, it is
    the only thing that she can move.
    ---
    ...

A line of three dashes or more parts two dialogues. Header lines before the first such line, with
no turn among them, hold for every dialogue of the file. No standard: this is the form that people
type, with the bold names of Markdown and the bracketed names and times of WhisperX.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from cqa.importers.building import finish
from cqa.importers.header import header
from cqa.importers.record import Draft, Imported, Place, Unusable
from cqa.importers.script import Line, draft_of, lines_of

_PARTING = re.compile(r"\s*-{3,}\s*$")


def read(text: str, path: Path, known: Mapping[str, str]) -> Iterator[Imported]:
    """The dialogues of a transcript."""
    blocks = _blocks(lines_of(text))
    if not blocks:
        seen, expected = "an empty file", "lines that begin with `B:` and `C:`"
        yield Imported(1, None, Place(path, 1, 1).refuse("", seen, expected).problems)
    heading: list[Line] = []
    if len(blocks) > 1 and all(header(line.text) for line in blocks[0] if line.text.strip()):
        heading = blocks.pop(0)
    for number, block in enumerate(blocks, start=1):
        first = next(line.number for line in block if line.text.strip())
        place = Place(path, first, number)
        record = "\n".join(line.text for line in block).strip("\n")
        try:
            draft = _with_heading(heading, block, place, known, several=len(blocks) > 1)
            yield replace(finish(draft, place), record=record)
        except Unusable as error:
            yield Imported(first, record, error.problems)


def _blocks(lines: list[Line]) -> list[list[Line]]:
    blocks: list[list[Line]] = [[]]
    for line in lines:
        if _PARTING.match(line.text):
            blocks.append([])
        else:
            blocks[-1].append(line)
    return [block for block in blocks if any(line.text.strip() for line in block)]


def _with_heading(
    heading: list[Line], block: list[Line], place: Place, known: Mapping[str, str], several: bool
) -> Draft:
    """The dialogue of a block; what its own header says goes before what the file's says."""
    own = {found[0] for line in block if (found := header(line.text))}
    common = [
        line
        for line in heading
        if (found := header(line.text)) and (found[0] == "speakers" or found[0] not in own)
    ]
    draft = draft_of([*common, *block], place, known)
    if draft is None:
        expected = "lines that begin with `B:` and `C:` (or with names that are said to be these)"
        raise place.refuse("", "no line that begins with a speaker", expected)
    said = draft.facts.get("id")
    if several and said is not None and "id" not in own:
        return replace(draft, facts={**draft.facts, "id": f"{said}-{place.number}"})
    return draft
