"""JSON as strictly as data needs it: no key twice, no NaN, no half characters, no abyss."""

from __future__ import annotations

import json
import math
from typing import Any

from cqa.files.faults import brief


class Refused(Exception):
    """What is wrong with a JSON text: field (where that is known), what was seen and expected."""

    def __init__(self, field: str, seen: str, expected: str) -> None:
        super().__init__(field)
        self.field, self.seen, self.expected = field, seen, expected


def parse(line: bytes, encoding: str = "utf-8") -> Any:
    """The JSON value of a line, or Refused."""
    try:
        value = json.loads(line.decode(encoding), **HOOKS)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate fails here
        return value
    except UnicodeDecodeError as error:
        seen = f"byte 0x{error.object[error.start]:02x} at {error.start}"
        raise Refused("", seen, "UTF-8 text") from error
    except UnicodeEncodeError as error:
        seen = f"half of a surrogate pair, {error.object[error.start]!r}"
        raise Refused("", seen, "whole characters") from error
    except json.JSONDecodeError as error:
        seen = f"{error.msg} at column {error.colno}, near {_near(line, error.pos)}"
        raise Refused("", seen, "one JSON object per line") from error
    except ValueError as error:  # a number of thousands of digits
        raise Refused("", str(error).split(";")[0], "numbers of common size") from error
    except RecursionError as error:
        raise Refused("", "very deep nesting", "a flat JSON object") from error


def finite(literal: str) -> float:
    """A number of a JSON text; ValueError for NaN, Infinity and what becomes infinite."""
    number = float(literal)
    if not math.isfinite(number):
        raise ValueError(f"{literal} is no number that JSON knows")
    return number


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, value in pairs:
        if key in row:
            raise Refused(ascii(key)[1:-1], "the key twice", "each key once")
        row[key] = value
    return row


def _no_nan(name: str) -> None:
    raise Refused("", name, "a number that JSON knows (missing is null)")


def _no_infinity(literal: str) -> float:
    number = float(literal)
    if math.isinf(number):
        raise Refused("", literal, "a number that a computer can hold")
    return number


HOOKS = {
    "object_pairs_hook": _no_key_twice,
    "parse_constant": _no_nan,
    "parse_float": _no_infinity,
}
"""Of json.loads or json.JSONDecoder; they raise Refused."""


def _near(line: bytes, position: int) -> str:
    text = line.decode("utf-8", "replace")
    return brief(text[max(0, position - 15) : position + 15].strip())
