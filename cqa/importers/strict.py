"""Bytes to text to JSON values, strictly: what cannot be kept whole is a Problem, never a crash.

JSON is refused where `cqa.files` refuses it: NaN and numbers beyond a double, a key that stands
twice, half of a surrogate pair, integers of thousands of digits, deep nesting.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cqa.errors import Problem
from cqa.files.faults import brief
from cqa.files.strict import HOOKS, Refused
from cqa.paths import shown

LARGEST = 50_000_000
"""Bytes that are read in one piece: a file that is no JSON lines, or one line of a file that is."""
DEEPEST = 100
"""Levels of nesting; a dialogue needs five, and Python's own limit depends on who calls."""

_LINE_SUFFIXES = (".jsonl", ".ndjson")
_SPACE = " \t\r\n"
_STRICT = json.JSONDecoder(**HOOKS)
_LENIENT = json.JSONDecoder(parse_int=str, parse_constant=str)


@dataclass(frozen=True)
class Raw:
    """A record as it stands in a file. Where there are problems, `record` is its text, or None
    where the record cannot be told from the rest of the file."""

    line: int
    record: Any
    problems: tuple[Problem, ...] = ()


def text_of(path: Path) -> str | Problem:
    """The text of a file without its byte order mark, or why it cannot be had."""
    try:
        with path.open("rb") as handle:
            size = os.fstat(handle.fileno()).st_size
            data = handle.read(LARGEST + 1) if size <= LARGEST else b""
    except OSError as error:
        seen = error.strerror or "a file that cannot be read"
        return Problem(shown(path), "", seen, "a file that can be read")
    if max(size, len(data)) > LARGEST:
        expected = f"at most {LARGEST / 1e6:.0f} MB (JSON lines may be of any size)"
        return Problem(shown(path), "", f"{size / 1e6:.0f} MB in one piece", expected)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + error.object.count(b"\n", 0, error.start)
        before = error.object.rfind(b"\n", 0, error.start) + 1
        return _not_utf_8(error, f"{shown(path)}:{line}", before)


def records(path: Path, *, by_line: bool | None = None) -> Iterator[Raw]:
    """The JSON values of a file: of JSON lines one a line, else the members of its array.

    Which of the two it is is seen from the file, unless `by_line` says it.

    A fault inside one value does not stop the others; a fault of JSON's grammar in a file that is
    one array does, since nobody can tell where the next member begins.
    """
    try:
        by_line = _is_by_line(path) if by_line is None else by_line
    except OSError:
        by_line = False
    if by_line:
        yield from _by_line(path)
        return
    text = text_of(path)
    if isinstance(text, Problem):
        yield Raw(1, None, (text,))
    else:
        yield from _members(text, path)


def _is_by_line(path: Path) -> bool:
    """JSON lines by their name; or by a first line that is an object from end to end."""
    with path.open("rb") as handle:
        line = b""
        while not line.strip():
            line = handle.readline(LARGEST)
            if not line:
                return False
    line = line.removeprefix(b"\xef\xbb\xbf").strip()
    if path.suffix.casefold() in _LINE_SUFFIXES:
        return not line.startswith(b"[")
    try:
        return line.startswith(b"{") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _by_line(path: Path) -> Iterator[Raw]:
    number, file = 0, shown(path)
    with path.open("rb") as handle:
        while line := handle.readline(LARGEST + 1):
            number += 1
            where = f"{file}:{number}"
            if len(line) > LARGEST:
                while line and not line.endswith(b"\n"):
                    line = handle.readline(LARGEST)
                seen = f"more than {LARGEST / 1e6:.0f} MB in one line"
                yield Raw(number, None, (Problem(where, "", seen, "one record in a line"),))
            elif line.strip():
                yield _of_line(line, number, where)


def _of_line(line: bytes, number: int, where: str) -> Raw:
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError as error:
        return Raw(number, line.decode("utf-8", "replace"), (_not_utf_8(error, where, 0),))
    value = _strictly(lambda: _STRICT.decode(text), text, lambda _: where)
    if isinstance(value, Problem):
        return Raw(number, text, (value,))
    return Raw(number, *_kept_whole(value, text, where))


def _members(text: str, path: Path) -> Iterator[Raw]:
    """The members of an array, or the values one after the other where there is no array."""
    position, line, counted, file = 0, 1, 0, shown(path)
    in_array = begun = False
    while True:
        position = _after_space(text, position)
        if not in_array:
            if position == len(text):
                return
            if text[position] == "[":
                in_array, begun = True, False
                position += 1
                continue
        elif text.startswith("]", position):
            in_array = False
            position += 1
            continue
        elif begun and not text.startswith(",", position):
            where = f"{file}:{1 + text.count(chr(10), 0, position)}"
            seen = brief(text[position : position + 15]) if position < len(text) else "the end"
            yield Raw(line, None, (Problem(where, "", seen, "a comma or ] after a record"),))
            return
        elif begun:
            position = _after_space(text, position + 1)
        line += text.count("\n", counted, position)
        counted = position
        where = f"{file}:{line}"
        value, end = _member(text, position, file, where)
        if end is None:
            yield Raw(line, None, (value,))
            return
        source = text[position:end]
        if isinstance(value, Problem):
            yield Raw(line, source, (value,))
        else:
            yield Raw(line, *_kept_whole(value, source, where))
        position, begun = end, True


def _member(text: str, position: int, file: str, where: str) -> tuple[Any, int | None]:
    """(value or Problem, where it ends); the end is None where it cannot be found."""
    read = _strictly(
        lambda: _STRICT.raw_decode(text, position),
        text,
        lambda at: f"{file}:{1 + text.count(chr(10), 0, at)}" if at is not None else where,
    )
    if not isinstance(read, Problem):
        return read
    try:
        return read, _LENIENT.raw_decode(text, position)[1]
    except (ValueError, RecursionError):
        return read, None


def _strictly(read: Callable[[], Any], text: str, where: Callable[[int | None], str]) -> Any:
    """What `read` returns, or the Problem that JSON has; `where` names a place for an offset."""
    try:
        return read()
    except json.JSONDecodeError as error:
        near = brief(text[max(0, error.pos - 15) : error.pos + 15].strip())
        seen = f"{error.msg} at column {error.colno}, near {near}"
        return Problem(where(error.pos), "", seen, "a JSON object")
    except Refused as error:
        return Problem(where(None), error.field, error.seen, error.expected)
    except ValueError as error:  # a number of thousands of digits
        return Problem(where(None), "", str(error).split(";")[0], "numbers of common size")
    except RecursionError:
        return Problem(where(None), "", "very deep nesting", f"at most {DEEPEST} levels")


def _kept_whole(value: Any, text: str, where: str) -> tuple[Any, tuple[Problem, ...]]:
    """(value, no problems), or (text, why the value cannot be written again as it was)."""
    if _deeper_than(value, DEEPEST):
        return text, (Problem(where, "", "very deep nesting", f"at most {DEEPEST} levels"),)
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        seen = f"half of a surrogate pair, {error.object[error.start]!r}"
        return text, (Problem(where, "", seen, "whole characters"),)
    if not isinstance(value, dict):
        return value, (Problem(where, "", brief(value), "a JSON object"),)
    return value, ()


def _deeper_than(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels + 1):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return False
    return True


def _after_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in _SPACE:
        position += 1
    return position


def _not_utf_8(error: UnicodeDecodeError, where: str, line_begins: int) -> Problem:
    seen = f"byte 0x{error.object[error.start]:02x} at {error.start - line_begins}"
    if error.object[:2] in (b"\xff\xfe", b"\xfe\xff"):
        seen = "the byte order mark of UTF-16"
    return Problem(where, "", seen, "UTF-8 text (the program that wrote it can save it so)")
