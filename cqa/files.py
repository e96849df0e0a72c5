"""Files in and out: file:line in every complaint; what is written is whole or not there at all."""

from __future__ import annotations

import difflib
import fcntl
import hashlib
import json
import math
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from cqa.errors import DataRefused, Problem
from cqa.paths import shown

Row = TypeVar("Row", bound=BaseModel)

if TYPE_CHECKING:
    import pandas as pd

LARGEST_LINE = 50_000_000
"""Bytes of one row; War and Peace takes three million."""
_SEEN_CHARACTERS = 60
_EXPECTED_CHARACTERS = 300
_FAULTS = 1000
"""Of one row; more are only counted, since each takes more memory than what it is about."""


def read_rows(path: Path, kind: type[Row], *, unique: str | None = "id") -> list[Row]:
    """All rows of a JSON-lines file, or DataRefused naming every bad line at once.

    `unique` is the field whose values must differ between rows (None turns the check off).
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    first_seen: dict[Any, int] = {}
    for number, outcome in iter_rows(path, kind):
        if isinstance(outcome, list):
            problems += outcome
            continue
        if unique and (key := getattr(outcome, unique)) is not None:
            if key in first_seen:
                expected = f"an id of its own (line {first_seen[key]} has it already)"
                where = f"{shown(path)}:{number}"
                problems.append(Problem(where, unique, _brief_repr(key), expected))
            first_seen.setdefault(key, number)
        rows.append(outcome)
    if problems:
        raise DataRefused(problems, next_step=f"mend {shown(path)} and run the same command again")
    if not rows:
        raise DataRefused(
            f"{shown(path)}: no rows", next_step="give a file with one JSON object per line"
        )
    return rows


def iter_rows(path: Path, kind: type[Row]) -> Iterator[tuple[int, Row | list[Problem]]]:
    """(line number from 1, row or the problems of that line), blank lines skipped."""
    for number, line in _lines(path):
        where = f"{shown(path)}:{number}"
        if len(line) > LARGEST_LINE:
            seen = f"more than {LARGEST_LINE / 1e6:.0f} MB in one line"
            yield number, [Problem(where, "", seen, "one row in a line")]
            continue
        try:
            raw = json.loads(
                line.decode("utf-8-sig" if number == 1 else "utf-8"),
                object_pairs_hook=_no_key_twice,
                parse_constant=_no_nan,
                parse_float=_finite,
            )
            json.dumps(raw, ensure_ascii=False).encode("utf-8")  # a lone surrogate fails here
        except UnicodeDecodeError as error:
            seen = f"byte 0x{error.object[error.start]:02x} at {error.start}"
            yield number, [Problem(where, "", seen, "UTF-8 text")]
            continue
        except UnicodeEncodeError as error:
            seen = f"half of a surrogate pair, {error.object[error.start]!r}"
            yield number, [Problem(where, "", seen, "whole characters")]
            continue
        except json.JSONDecodeError as error:
            seen = f"{error.msg} at column {error.colno}, near {_near(line, error.pos)}"
            yield number, [Problem(where, "", seen, "one JSON object per line")]
            continue
        except ValueError as error:  # a number of thousands of digits
            yield number, [Problem(where, "", str(error).split(";")[0], "numbers of common size")]
            continue
        except RecursionError:
            yield number, [Problem(where, "", "very deep nesting", "a flat JSON object")]
            continue
        except _Refused as error:
            yield number, [Problem(where, error.field, error.seen, error.expected)]
            continue
        if not isinstance(raw, dict):
            yield number, [Problem(where, "", _brief_repr(raw), "a JSON object")]
            continue
        try:
            yield number, kind.model_validate(raw)
        except ValidationError as error:
            yield number, explain(error, kind, where)


def explain(error: ValidationError, kind: type[BaseModel], where: str) -> list[Problem]:
    """pydantic's findings in the words of the project: field, what was seen, what is expected."""
    if error.error_count() > _FAULTS:
        seen = f"{error.error_count()} faults in one row"
        return [Problem(where, "", seen, f"a row as {kind.__name__} has it")]
    problems = []
    for found in error.errors():
        field = _dotted(found["loc"])
        seen = _brief_repr(found["input"])
        expected = found["msg"].removeprefix("Input should be ")
        match found["type"]:
            case "too_short" if len(found["input"]) >= found["ctx"]["min_length"]:
                continue  # too short only without the members that were refused already
            case "too_short":
                expected = f"at least {found['ctx']['min_length']} of them"
            case "missing":
                seen, expected = "nothing", "a value (the field is required)"
            case "extra_forbidden":
                expected = _did_you_mean(found["loc"], kind)
            case "string_pattern_mismatch":
                pattern = found["ctx"]["pattern"]
                expected = _PATTERNS.get(pattern, f"text of the form {pattern}")
            case "value_error":
                expected = str(found["ctx"]["error"])
                if isinstance(found["input"], dict):
                    seen = "none of that"
            case "literal_error":
                expected = f"one of {found['ctx']['expected']}"
        if len(expected) > _EXPECTED_CHARACTERS:
            expected = expected[: _EXPECTED_CHARACTERS - 3] + "..."
        problems.append(Problem(where, field, seen, expected))
    return problems


def sha256_of(path: Path) -> str:
    """Hash of a file, or of a folder: its files' relative names and contents in sorted order."""
    digest = hashlib.sha256()
    if path.is_dir():
        for inner in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{inner.relative_to(path).as_posix()}\0{sha256_of(inner)}\0".encode())
        return digest.hexdigest()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_of_value(value: Any) -> str:
    """Hash of a JSON value in canonical form; refuses (TypeError) what JSON cannot say."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of_rows(rows: Iterable[BaseModel]) -> str:
    """Hash of rows, whatever file they stand in."""
    return sha256_of_value([row.model_dump(mode="json") for row in rows])


@contextmanager
def whole(path: Path, *, mode: str = "w", new: bool = False) -> Iterator[Any]:
    """Open a file that appears under its name only when everything has been written to disk.

    With `new` it replaces nothing: of several processes that write it, one has its way and the
    others get FileExistsError. The lock on it ends with its process: what was left by a killed one
    can be told by that.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        text_options = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
        with os.fdopen(handle, mode, **text_options) as out:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield out
            out.flush()
            os.fsync(out.fileno())
        os.chmod(name, 0o666 & ~_umask())
        if new:
            os.link(name, path)
            os.unlink(name)
        else:
            os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole(path) as out:
        out.write(text)


def write_json(path: Path, value: Any, *, new: bool = False) -> None:
    """Write one JSON value, indented, whole or not at all; with `new` only where there is none."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    with whole(path, new=new) as out:
        out.write(text + "\n")


def copy(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all."""
    with source.open("rb") as read, whole(target, mode="wb") as out:
        shutil.copyfileobj(read, out)


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a data frame as CSV, whole or not at all, its texts without formulas."""
    texts = frame.select_dtypes(include=["object", "string"]).columns
    told = frame.assign(**{name: frame[name].map(no_formula) for name in texts})
    with whole(path) as out:
        told.to_csv(out, index=False)


def no_formula(cell: Any) -> Any:
    """A cell that a spreadsheet would take for a formula as text that it takes for text."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in _FORMULA else cell


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write_rows(path: Path, rows: Iterable[BaseModel]) -> None:
    """Write JSON lines, whole or not at all."""
    with whole(path) as out:
        for row in rows:
            out.write(json_line(row))


def json_line(row: BaseModel) -> str:
    """One row as it stands in a file, with its line end."""
    return json.dumps(row.model_dump(), ensure_ascii=False) + "\n"


def read_json(path: Path) -> Any:
    """One JSON value, or a DataRefused that names the file."""
    try:
        value = json.loads(
            path.read_text(encoding="utf-8"), parse_constant=finite, parse_float=finite
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate fails here
        return value
    except (OSError, ValueError, RecursionError) as error:
        raise DataRefused(
            f"{shown(path)}: cannot be read ({error})",
            next_step="if a run's record is damaged, delete its folder and repeat its command",
        ) from error


def refuse_endless(path: Path) -> None:
    """DataRefused for a pipe, a socket or a device: they are read twice, or never end.

    Raises OSError where there is nothing of this name.
    """
    kind = path.stat().st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise DataRefused(
            f"{shown(path)}: a pipe or a device", next_step="write it to a file and give the file"
        )


class _Refused(Exception):
    def __init__(self, field: str, seen: str, expected: str) -> None:
        super().__init__(field)
        self.field, self.seen, self.expected = field, seen, expected


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        refuse_endless(path)
        with path.open("rb") as handle:
            number = 0
            while line := handle.readline(LARGEST_LINE + 1):
                number += 1
                if line.strip():
                    yield number, line
                while len(line) > LARGEST_LINE and not line.endswith(b"\n"):
                    line = handle.readline(LARGEST_LINE + 1)
                    if not line:
                        return
    except FileNotFoundError:
        raise DataRefused(
            f"{shown(path)}: no such file", next_step="check the path, or see `cqa --help`"
        ) from None
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        said = getattr(error, "strerror", None) or str(error)
        raise DataRefused(
            f"{shown(path)}: cannot be read ({said})",
            next_step="give a readable file of JSON lines",
        ) from error


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, value in pairs:
        if key in row:
            raise _Refused(ascii(key)[1:-1], "the key twice", "each key once")
        row[key] = value
    return row


def finite(literal: str) -> float:
    """A number of a JSON text; ValueError for NaN, Infinity and what becomes infinite."""
    number = float(literal)
    if not math.isfinite(number):
        raise ValueError(f"{literal} is no number that JSON knows")
    return number


def _no_nan(name: str) -> None:
    raise _Refused("", name, "a number that JSON knows (missing is null)")


def _finite(literal: str) -> float:
    number = float(literal)
    if math.isinf(number):
        raise _Refused("", literal, "a number that a computer can hold")
    return number


def _dotted(location: tuple[int | str, ...]) -> str:
    dotted = ""
    for step in location:
        dotted += f"[{step}]" if isinstance(step, int) else f".{step}" if dotted else str(step)
    return dotted


def _did_you_mean(location: tuple[int | str, ...], kind: type[BaseModel]) -> str:
    known = _fields_at(kind, location[:-1])
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f"no such key; did you mean {close[0]!r}?" if close else "no such key here"


def _fields_at(kind: Any, location: tuple[int | str, ...]) -> list[str]:
    """The keys that are known at a place inside a model; none where that is not to be told."""
    for step in location:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(step))
            kind = field.annotation if field else None
        else:  # inside a list, tuple or mapping: the type of its members
            kind = next(iter(_models_in(kind)), None)
    models = _models_in(kind)
    return list(models[0].model_fields) if models else []


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation such as `tuple[Turn, ...] | None` speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


def _brief_repr(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, deep nesting
        return f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= _SEEN_CHARACTERS else text[: _SEEN_CHARACTERS - 3] + "..."


def _near(line: bytes, position: int) -> str:
    text = line.decode("utf-8", "replace")
    return _brief_repr(text[max(0, position - 15) : position + 15].strip())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_PATTERNS = {
    r"\S": "some text (not empty, not only white space)",
    r"^[BC][1-9][0-9]*$": "a turn label such as B1 or C12",
    r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$": "an id of letters, digits and . _ : / @ + -",
}
