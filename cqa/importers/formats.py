"""Which format a file has, and its dialogues one after the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from cqa.errors import Problem
from cqa.files.faults import brief
from cqa.importers import chat, strict, subtitles, tools, transcript
from cqa.importers.building import finish
from cqa.importers.record import Draft, Imported, Place, Unusable
from cqa.importers.speakers import mapping
from cqa.importers.transcript import has_speakers
from cqa.paths import shown

_Reader = Callable[[Mapping[str, Any], Place, Mapping[str, str]], Draft]


@dataclass(frozen=True)
class Form:
    """A format whose files are JSON records."""

    about: str
    fits: Callable[[Mapping[str, Any]], bool]
    """Whether a record is of it; asked in the order of RECORDS."""
    read: _Reader
    """(record, its place, known speakers) -> the draft of its dialogue, or Unusable is raised."""


RECORDS: dict[str, Form] = {
    "bc": Form("records with `cot_body`, as the BC Protocol names them", chat.is_bc, chat.read_bc),
    "label-studio-min": Form(
        "JSON-MIN export of Label Studio", tools.is_label_studio_min, tools.read_label_studio_min
    ),
    "label-studio": Form(
        "JSON export of Label Studio", tools.is_label_studio, tools.read_label_studio
    ),
    "argilla": Form("records of Argilla, JSON or JSON lines", tools.is_argilla, tools.read_argilla),
    "messages": Form(
        "chat messages as TRL reads them, JSON lines or JSON",
        lambda record: chat.form_of(record) == "messages",
        chat.read_chat,
    ),
    "conversations": Form(
        "ShareGPT conversations, JSON lines or JSON",
        lambda record: chat.form_of(record) == "conversations",
        chat.read_chat,
    ),
    "prodigy": Form("JSON lines of Prodigy", tools.is_prodigy, tools.read_prodigy),
    "doccano": Form("JSON lines of doccano", tools.is_doccano, tools.read_doccano),
}
"""Another tool's records: one reading function, and one line here."""
FORMATS = {
    "transcript": "plain lines `B: ...` and `C: ...`, with times or without",
    "webvtt": "WebVTT with voice tags or names before a colon",
    "srt": "SubRip subtitles with names before a colon",
} | {name: form.about for name, form in RECORDS.items()}
"""The names that `detect` gives."""

_JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
_SUBTITLE_SUFFIXES = {".vtt": "webvtt", ".srt": "srt"}
_HEAD_BYTES = 1 << 16
_HEAD_RECORDS = 50
_JSON_BEGINS = re.compile(r"\s*(?:\{|\[\s*[\[{\]])")
_SRT_BEGINS = re.compile(r"\s*\d+[ \t]*\r?\n[ \t]*\d+:\d\d:\d\d[,.]\d+[ \t]*-->")
_KEYS = (
    "messages, conversations, cot_body, data with annotations, fields, turns, or text with spans, "
    "answer, label or entities"
)
_TEXT_SUFFIXES = ("", ".md", ".text", ".txt")
_OWN_KEYS = ("reasoning", "brief", "foil")


def detect(path: Path) -> str | None:
    """The format of a file (a key of FORMATS) by its suffix and content, or None.

    None is also the answer for what cannot be read and for the rows of cqa itself. The first
    records that are JSON decide: of fifty at most, the first that is of any format.
    """
    suffix = path.suffix.casefold()
    if suffix in _SUBTITLE_SUFFIXES:
        return _SUBTITLE_SUFFIXES[suffix]
    try:
        with path.open("rb") as handle:
            head = handle.read(_HEAD_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return None
    if suffix in _JSON_SUFFIXES or _JSON_BEGINS.match(head):
        return _detect_records(path)
    if head.startswith("WEBVTT"):
        return "webvtt"
    if _SRT_BEGINS.match(head):
        return "srt"
    only_letters = suffix not in _TEXT_SUFFIXES
    return "transcript" if has_speakers(head, only_letters=only_letters) else None


def read(path: Path, *, speakers: Mapping[str, str] | None = None) -> Iterator[Imported]:
    """The dialogues of a file, in its order, each as a Dialogue or as the Problems that it has.

    `speakers` says which names are B and which are C, and goes before what the file says. Nothing
    is raised for what stands in a file: where not even records can be told apart, or there are
    none, one Imported of the whole file says so. Turn labels are counted per speaker, neighbouring
    turns of one speaker are one turn, and what was said is kept as it is.
    """
    known = mapping(speakers, shown(path))
    if not isinstance(known, dict):
        yield Imported(1, None, [known])
        return
    name = detect(path)
    if name is None and not _is_json(path):
        if path.suffix.casefold() not in _TEXT_SUFFIXES:
            yield Imported(1, None, [_unknown(path)])
            return
        name = "transcript"  # it may be one by names that only the caller knows
    if name in RECORDS or name is None:
        yield from _read_records(path, name, known)
    else:
        text = strict.text_of(path)
        if isinstance(text, Problem):
            yield Imported(_line_of(text), None, [text])
        elif name == "transcript":
            yield from transcript.read(text, path, known)
        else:
            yield from subtitles.read(text, path, known, webvtt=name == "webvtt")


def _read_records(path: Path, name: str | None, known: Mapping[str, str]) -> Iterator[Imported]:
    number = 0
    for number, raw in enumerate(strict.records(path), start=1):
        place = Place(path, raw.line, number)
        if raw.problems:
            yield Imported(raw.line, raw.record, list(raw.problems))
            continue
        try:
            if name is None:
                seen = f"an object with the keys {brief(', '.join(raw.record))}"
                raise place.refuse("", seen, _KEYS)
            draft = RECORDS[name].read(raw.record, place, known)
            yield replace(finish(draft, place), record=raw.record)
        except Unusable as error:
            yield Imported(raw.line, raw.record, error.problems)
    if not number:
        yield Imported(1, None, [Problem(shown(path), "", "no records", _KEYS)])


def _detect_records(path: Path) -> str | None:
    for raw in islice(strict.records(path), _HEAD_RECORDS):
        if raw.problems or not isinstance(raw.record, dict):
            continue
        if _is_own(raw.record):
            return None
        if name := _format_of(raw.record):
            return name
    return None


def _format_of(record: Mapping[str, Any]) -> str | None:
    return next((name for name, form in RECORDS.items() if form.fits(record)), None)


def _is_own(record: Mapping[str, Any]) -> bool:
    """A row of cqa: a dialogue with labelled turns (that Prodigy has not had), or another."""
    turns = record.get("turns")
    if isinstance(turns, list) and turns and isinstance(turns[0], dict) and "turn" in turns[0]:
        return "work" in record and "_task_hash" not in record and "answer" not in record
    return any(name in record for name in _OWN_KEYS)


def _is_json(path: Path) -> bool:
    if path.suffix.casefold() in _JSON_SUFFIXES:
        return True
    try:
        with path.open("rb") as handle:
            return bool(_JSON_BEGINS.match(handle.read(1024).decode("utf-8-sig", "replace")))
    except OSError:
        return False


def _unknown(path: Path) -> Problem:
    text = strict.text_of(path)
    if isinstance(text, Problem):
        return text
    return Problem(shown(path), "", brief(text.strip()), f"one of {', '.join(FORMATS)}")


def _line_of(problem: Problem) -> int:
    last = problem.where.rpartition(":")[2]
    return int(last) if last.isdigit() else 1
