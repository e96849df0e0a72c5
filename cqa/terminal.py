"""What a terminal shows: nothing in it that a terminal would obey, whoever wrote it."""

from __future__ import annotations

import json
from typing import Any


def visible(text: str) -> str:
    """A text with control characters as the signs that stand for them, line ends and tabs as they
    are, and halves of surrogate pairs, which no terminal can show, escaped."""
    return text.translate(_SIGNS).encode("utf-8", "backslashreplace").decode("utf-8")


def json_text(value: Any, *, indent: int | None = None) -> str:
    """A value as JSON, in which the same characters are escapes and so stay what they are."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    return text.translate(_ESCAPES).encode("utf-8", "backslashreplace").decode("utf-8")


_SIGNS = {n: 0x2400 + n for n in range(32) if chr(n) not in "\t\n"} | {0x7F: 0x2421}
_SIGNS |= dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
_ESCAPES = {n: f"\\u{n:04x}" for n in range(0x7F, 0xA0)}  # json.dumps leaves these as they are
