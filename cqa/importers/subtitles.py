"""WebVTT and SubRip: cues with times, whose speakers stand in voice tags or before a colon.

WebVTT as the W3C has it (Candidate Recommendation of 4 April 2019): header, NOTE, STYLE and REGION
blocks, cue identifiers, voice spans `<v Chao>`, other tags, character references. SubRip (.srt) has
no standard; read is what SubRip, ffmpeg and Whisper write, with {\\an8} and HTML tags left out.

One file is one dialogue. A cue without a name goes on with the speaker before it. Header lines
(`work: ...`, `speakers: Chao = C, Bo = B`) stand in the head of the file or in NOTE blocks; a NOTE
may also say just `Chao = C`. The wrapping of cues is layout: lines are joined by a space, or by
nothing where a Chinese character stands at the joint.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cqa.importers import speakers
from cqa.importers.building import finish
from cqa.importers.facts import add, header
from cqa.importers.record import Draft, Imported, Place, Unusable, Utterance
from cqa.importers.speakers import (
    Names,
    Prefix,
    Untold,
    key,
    name_like,
    prefix,
    seconds,
    who_is_who,
)
from cqa.importers.transcript import Line, lines_of

_CLOCK = r"(?:\d{1,4}:)?\d{1,2}:[0-5]\d[.,]\d{1,3}"
_TIMING = re.compile(rf"\s*(?P<start>{_CLOCK})[ \t]*-->[ \t]*{_CLOCK}(?:\s|$)")
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?[ \t]+(?P<name>[^<>]*)>")
_TAG = re.compile(r"</?(?:[a-zA-Z][^<>\n]*|\d[\d:.]*)?>|\{\\[^{}\n]*\}")
_DASH = re.compile(r"^\s*[-–—]\s*")
_SOUND = re.compile(r"\s*(?:\[[^\]]*\]|\([^)]*\)|（[^）]*）|【[^】]*】|♪.*|♫.*)\s*$")
_UNSPACED = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")
_ASIDE = ("NOTE", "STYLE", "REGION")


@dataclass(frozen=True)
class _Piece:
    """A part of a cue, with the name of its voice tag; without, its text may begin with a name."""

    line: int
    start_seconds: float
    name: str | None
    text: str


def read(text: str, path: Path, known: Mapping[str, str], *, webvtt: bool) -> Iterator[Imported]:
    """The one dialogue of a file of subtitles."""
    place = Place(path, 1, 1)
    try:
        yield replace(finish(_draft(text, place, known, webvtt), place), record=text)
    except Unusable as error:
        yield Imported(1, text, error.problems)


def glue(parts: Sequence[str]) -> str:
    """The parts as one, with a space between two unless a Chinese character stands there."""
    glued: list[str] = []
    for part in filter(None, parts):
        if glued and not _UNSPACED.search(glued[-1][-1] + part[0]):
            glued.append(" ")
        glued.append(part)
    return "".join(glued)


def _draft(text: str, place: Place, known: Mapping[str, str], webvtt: bool) -> Draft:
    blocks = _blocks(lines_of(text))
    facts: dict[str, Any] = {}
    said: dict[str, str] = {}
    if webvtt:
        _check_signature(blocks, place)
    pieces: list[_Piece] = []
    problems = []
    for number, block in enumerate(blocks):
        at = _timing_at(block)
        if at is not None:
            try:
                pieces += _pieces(block, at, place)
            except Unusable as error:
                problems += error.problems
        elif _is_aside(number, block) if webvtt else not pieces:
            _heed(block, facts, said, place)
        elif not webvtt:  # a blank line inside a cue
            start = pieces[-1].start_seconds
            pieces += [_Piece(line.number, start, None, _plain(line.text)) for line in block]
        else:
            seen = speakers.brief(block[0].text)
            expected = "a cue with its time line, or a NOTE"
            problems += place.refuse("", seen, expected, line=block[0].number).problems
    if problems:
        raise Unusable(*problems)
    known = {**said, **known}
    table = _table(pieces, known, place)
    utterances, notes = _fold(pieces, table, place)
    notes = (*speakers.guessed(table, known), *notes)
    return Draft(utterances, facts, table, notes, join=glue)


def _blocks(lines: Sequence[Line]) -> list[list[Line]]:
    blocks: list[list[Line]] = [[]]
    for line in lines:
        if line.text.strip():
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return [cue for block in blocks if block for cue in _cut(block)]


def _cut(block: list[Line]) -> Iterator[list[Line]]:
    """A block cut before its time lines, as some files lack the blank lines between cues."""
    cuts = [0]
    for at, line in enumerate(block):
        if at > 0 and _TIMING.match(line.text):
            before = block[at - 1].text
            named = before.strip().isdigit() or (at == 1 and not header(before))
            cuts.append(at - named)
    for start, end in zip(cuts, [*cuts[1:], len(block)], strict=True):
        if start < end:
            yield block[start:end]


def _check_signature(blocks: Sequence[Sequence[Line]], place: Place) -> None:
    first = blocks[0][0].text if blocks else ""
    if not re.match(r"WEBVTT(?:[ \t]|$)", first):
        raise place.refuse("", speakers.brief(first), "WEBVTT in the first line")


def _timing_at(block: Sequence[Line]) -> int | None:
    """Which line of the block has its times: the first, or the second after an identifier."""
    return next((n for n, line in enumerate(block[:2]) if "-->" in line.text), None)


def _is_aside(number: int, block: Sequence[Line]) -> bool:
    return number == 0 or block[0].text.split()[0] in _ASIDE


def _heed(block: Sequence[Line], facts: dict[str, Any], said: dict[str, str], place: Place) -> None:
    """Take what the head of the file or a NOTE says of the dialogue; the rest is a comment."""
    if block[0].text.split()[0] in ("STYLE", "REGION"):
        return
    for line in block:
        text = re.sub(r"^\s*NOTE(?:\s+|$)", "", line.text).strip()
        found = header(text)
        if found and found[0] != "speakers":
            add(facts, *found, place, line.number)
            continue
        table = speakers.mapping(found[1] if found else text.lstrip("# "), place.at(line.number))
        if isinstance(table, dict):
            said |= table
        elif found:
            raise Unusable(table)


def _pieces(block: Sequence[Line], at: int, place: Place) -> Iterator[_Piece]:
    timing = _TIMING.match(block[at].text)
    if timing is None:
        seen = speakers.brief(block[at].text.strip())
        expected = "times such as 00:01:02.500 --> 00:01:04.000"
        raise place.refuse("", seen, expected, line=block[at].number)
    start = seconds(timing["start"])
    assert start is not None  # the pattern is narrower than what seconds() takes
    name: str | None = None
    for line in block[at + 1 :]:
        position = 0
        for voice in _VOICE.finditer(line.text):
            if before := _plain(line.text[position : voice.start()]):
                yield _Piece(line.number, start, name, before)
            name = html.unescape(voice["name"]).strip() or None
            position = voice.end()
        if after := _plain(line.text[position:]):
            yield _Piece(line.number, start, name, after)
        if "</v>" in line.text[position:]:
            name = None


def _plain(text: str) -> str:
    return html.unescape(_TAG.sub("", text)).strip()


def _head(piece: _Piece) -> Prefix | None:
    """The name before the colon in a piece that has no voice tag, a dash before it left out."""
    return prefix(_DASH.sub("", piece.text)) if piece.name is None else None


def _table(pieces: Sequence[_Piece], known: Mapping[str, str], place: Place) -> dict[str, str]:
    seen: list[tuple[str, bool, int]] = []
    for piece in pieces:
        head = _head(piece)
        if piece.name is not None:
            seen.append((piece.name, True, piece.line))
        elif head and (speakers.role(head.name, known) or name_like(head.name)):
            seen.append((head.name, False, piece.line))
    if not seen:
        expected = "cues that begin with `<v NAME>` or `NAME:`"
        raise place.refuse("speaker", "no name of a speaker", expected)
    try:
        return who_is_who(Names.of((name, sure) for name, sure, _ in seen), known)
    except Untold as untold:
        line = next(line for name, _, line in seen if key(name) == key(untold.first))
        raise place.refuse("speaker", untold.seen, speakers.HOW, line=line) from None


def _fold(
    pieces: Sequence[_Piece], table: Mapping[str, str], place: Place
) -> tuple[list[Utterance], tuple[str, ...]]:
    """The utterances, one for each stretch of cues under one name; and what was left out."""
    heads: list[Utterance] = []
    texts: list[list[str]] = []
    sounds: list[str] = []
    dashes = _dashed(pieces)
    for piece in pieces:
        head = _head(piece)
        name, text = piece.name, piece.text
        if head and key(head.name) in table:
            name, text = head.name, head.rest
        if name is not None:
            heads.append(Utterance(table[key(name)], "", name, piece.line, piece.start_seconds))
            texts.append([text])
        elif not heads and _SOUND.match(text):
            sounds.append(text)
        elif not heads or piece.line in dashes:
            seen = f"{speakers.brief(text)} without a name"
            raise place.refuse("speaker", seen, "`<v NAME>` or `NAME:` before it", line=piece.line)
        else:
            texts[-1].append(text)
    notes = (f"left out before the first speaker: {' '.join(sounds)}",) if sounds else ()
    said = zip(heads, texts, strict=True)
    return [replace(head, text=glue(parts)) for head, parts in said], notes


def _dashed(pieces: Sequence[_Piece]) -> set[int]:
    """Lines of cues of which two begin with a dash: somebody else speaks, nobody says who."""
    by_cue: dict[float, list[int]] = {}
    for piece in pieces:
        if piece.name is None and re.match(r"[-–—]\s", piece.text):
            by_cue.setdefault(piece.start_seconds, []).append(piece.line)
    return {line for lines in by_cue.values() if len(lines) > 1 for line in lines}
