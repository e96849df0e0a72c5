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

The same text may stand in a string of JSON. There and here, a line that begins with a speaker's
name and a colon begins a turn, and the lines after it go on with it; one that is indented deeper
than the others always goes on. Before the first turn stand header lines, and what is none is the
preamble. `exit:` may also stand after the last turn. White space at the ends of lines is layout and
goes; nothing else of what was said is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cqa.importers import speakers
from cqa.importers.building import finish
from cqa.importers.facts import add, exit_of, header, refuse_misspelt
from cqa.importers.record import Draft, Imported, Place, Unusable, Utterance
from cqa.importers.speakers import (
    Names,
    Prefix,
    Untold,
    key,
    name_like,
    only_a_time,
    prefix,
    who_is_who,
    without_time,
)

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


_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")


@dataclass(frozen=True)
class Line:
    """A line without its end. `number` from 1 in its file (0: in no file), `offset` in characters
    from the beginning of the text."""

    number: int
    offset: int
    text: str


@dataclass
class _Open:
    """The utterance that the lines go on with."""

    by: str
    head: Prefix
    start_seconds: float | None
    line: Line
    texts: list[str] = field(default_factory=list)


def lines_of(text: str, *, numbered: bool = True) -> list[Line]:
    """Lines as the web has them: only LF, CR and CR LF end one."""
    return [
        Line(number if numbered else 0, found.start(), found[0].rstrip("\r\n"))
        for number, found in enumerate(_LINE.finditer(text), start=1)
        if found[0]
    ]


def has_speakers(text: str, *, only_letters: bool = False) -> bool:
    """Whether a line begins as a turn does: of anybody, or of B or C by their letters only."""
    return any(
        speakers.role(head.name, {}) or (not only_letters and _may_speak(head))
        for head in _heads(lines_of(text)).values()
    )


def draft_of(
    lines: Sequence[Line], place: Place, known: Mapping[str, str], *, guess: bool = True
) -> Draft | None:
    """The dialogue in a text, or None where no line begins with a name that is B or C.

    `known` maps the keys of names to B and C. Without `guess` two names such as Bo and Chao are
    not taken for B and C, as is right for a text that may be plain prose. Raises Unusable.
    """
    heads = _heads(lines)
    known = {**_speakers_said(lines, place), **known}
    for number in [n for n, line in enumerate(lines) if n in heads and header(line.text)]:
        if key(heads[number].name) not in known:
            del heads[number]
    table = _table(lines, heads, known, place, guess)
    if not table:
        return None
    facts, utterances = _fold(lines, heads, table, place)
    return Draft(utterances, facts, table, speakers.guessed(table, known))


def _heads(lines: Sequence[Line]) -> dict[int, Prefix]:
    """By number in `lines`: what may be the head of a turn."""
    indents = [_indent(line.text) for line in lines if line.text.strip()]
    margin = min(indents, default=0)
    found = {
        number: prefix(line.text)
        for number, line in enumerate(lines)
        if line.text.strip() and _indent(line.text) == margin
    }
    return {number: head for number, head in found.items() if head is not None}


def _may_speak(head: Prefix) -> bool:
    return head.start_seconds is not None or name_like(head.name)


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _speakers_said(lines: Sequence[Line], place: Place) -> dict[str, str]:
    said: dict[str, str] = {}
    for line in lines:
        head = prefix(line.text)
        if head and (head.start_seconds is not None or speakers.role(head.name, said)):
            break  # the first turn
        if (found := header(line.text)) and found[0] == "speakers":
            table = speakers.mapping(found[1], place.at(line.number or place.line))
            if not isinstance(table, dict):
                raise Unusable(table)
            said |= table
    return said


def _table(
    lines: Sequence[Line],
    heads: Mapping[int, Prefix],
    known: Mapping[str, str],
    place: Place,
    guess: bool,
) -> dict[str, str]:
    """Keys of the names that begin turns -> B or C; empty where there is none."""
    told = any(speakers.role(head.name, known) for head in heads.values())
    if not told and not guess:
        return {}
    seen = [
        (head.name, head.start_seconds is not None)
        for head in heads.values()
        if speakers.role(head.name, known) or _may_speak(head)
    ]
    if not seen:
        return {}
    try:
        return who_is_who(Names.of(seen), known)
    except Untold as untold:
        first = next(n for n, head in heads.items() if key(head.name) == key(untold.first))
        expected = speakers.HOW
        if told:
            expected += "; a line that goes on with the turn before it can be indented"
        raise place.refuse("speaker", untold.seen, expected, line=lines[first].number) from None


def _fold(
    lines: Sequence[Line], heads: Mapping[int, Prefix], table: Mapping[str, str], place: Place
) -> tuple[dict[str, Any], list[Utterance]]:
    speaking = {n: table[at] for n, head in heads.items() if (at := key(head.name)) in table}
    facts: dict[str, Any] = {}
    preamble: list[str] = []
    turns: list[_Open] = []
    time: float | None = None
    for number, line in enumerate(lines):
        said = header(line.text)
        if number in speaking:
            head = heads[number]
            start = head.start_seconds if head.start_seconds is not None else time
            turns.append(_Open(speaking[number], head, start, line, [head.rest]))
            time = None
        elif _is_time_of_next(number, lines, speaking):
            time = only_a_time(line.text)
        elif turns and not (said and said[0] == "exit" and _ends(said[1], table, place)):
            turns[-1].texts.append(without_time(line.text).strip())
        elif said and said[0] != "preamble":
            if said[0] != "speakers":
                add(facts, *said, place, line.number)
        elif line.text.strip():
            if not said:
                refuse_misspelt(line.text, place, line.number)
            preamble.append(said[1] if said else line.text.strip())
    if preamble:
        facts["preamble"] = "\n".join(preamble)
    return facts, list(_utterances(turns, lines))


def _is_time_of_next(number: int, lines: Sequence[Line], speaking: Mapping[int, str]) -> bool:
    if only_a_time(lines[number].text) is None:
        return False
    after = (n for n in range(number + 1, len(lines)) if lines[n].text.strip())
    return next(after, None) in speaking


def _ends(value: str, table: Mapping[str, str], place: Place) -> bool:
    try:
        exit_of(value, table, place)
    except Unusable:
        return False
    return True


def _utterances(turns: Sequence[_Open], lines: Sequence[Line]) -> Iterator[Utterance]:
    ends = [turn.line.offset for turn in turns[1:]]
    ends += [lines[-1].offset + len(lines[-1].text)] if lines else []
    for turn, end in zip(turns, ends, strict=True):
        yield Utterance(
            turn.by,
            "\n".join(turn.texts).strip(),
            turn.head.name,
            turn.line.number,
            turn.start_seconds,
            offset=turn.line.offset,
            end=end,
        )
