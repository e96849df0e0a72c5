"""What the fuzz tests share: how many cases, what bad values look like, what an outcome may be.

`make test` runs a sample, always the same one; `make fuzz` sets CQA_FUZZ and runs all, new ones
each time. A case is one input given to the program; `COUNTED` counts them.
"""

from __future__ import annotations

import codecs
import copy
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from cqa.errors import EXIT_DATA_REFUSED, EXIT_USAGE, CqaError

FULL = bool(os.environ.get("CQA_FUZZ"))
COUNTED = [0]
_SECONDS = 20
"""Of the processor for one case; most take milliseconds."""
_SECONDS_WAITING = 90
"""Of any clock, for one case that waits for something; the machine may be busy."""


def cases(sample: int, full: int) -> settings:
    """So many examples in the sample that `make test` runs, and so many in `make fuzz`."""
    return settings(
        max_examples=full if FULL else sample,
        derandomize=not FULL,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate, *([Phase.shrink] if FULL else [])),
        suppress_health_check=list(HealthCheck),
    )


class Hang(BaseException):
    """A case took longer than any case may."""


@contextmanager
def in_time() -> Iterator[None]:
    """Raise Hang in what takes too long."""

    def ring(signum: int, frame: object) -> None:
        raise Hang

    kinds = ((signal.SIGALRM, signal.ITIMER_REAL), (signal.SIGPROF, signal.ITIMER_PROF))
    before = [signal.signal(number, ring) for number, _ in kinds]
    for (_, timer), seconds in zip(kinds, (_SECONDS_WAITING, _SECONDS), strict=True):
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for (number, timer), handler in zip(kinds, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def outcome(call: Callable[[], Any], place: str = "") -> str | None:
    """None where a call goes through, else what it says. Anything else it does is a fault.

    What is said names the place, has a remedy, fits a screen, and ends with exit code 2 or 3.
    """
    COUNTED[0] += 1
    told = None
    try:
        with in_time():
            call()
    except CqaError as error:
        told = error
    if told is None:
        return None
    assert told.exit_code in (EXIT_USAGE, EXIT_DATA_REFUSED), told
    assert told.what.strip()
    assert told.next_step.strip(), f"no remedy: {told}"
    assert place in told.what, f"no place: {told}"
    assert len(str(told)) < 20_000, f"{len(str(told))} characters are no message"
    return str(told)


WORDS = (
    "", " ", "\n", "\x00", "a\x00b", "\ud800", "x\udfffy", "\ufeff", "\u202eevil", "\u2028", "é",
    "e\u0301", "שלום עולם", "مرحبا", "你好，世界", "Привет mixed 世界 العالم", "😀" * 3, "NaN",
    "null", "1e999", "true", "../../etc/passwd", "/etc/passwd", "C:\\Windows\\x", "..\\..\\x",
    "~nobody/x",
    "a/../../../b", "-", "--help", "=1+1", "@SUM(A1)", "<script>alert(1)</script>", "{{ 7*7 }}",
    "{% for x in y %}", "$(touch x)", "`id`", "'; DROP TABLE runs;--", "[/red]", "[bold]", "%s%n",
    "x" * 400, "\x1b[31m", "B1", "C0", "B99999999999999999999",
)  # fmt: skip
"""Texts that have broken programs."""
NUMBERS = (
    0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, 10**400, -(10**30), 0.0, -0.0, 0.5, -0.5,
    1e-320, 1e308, float("nan"), float("inf"), float("-inf"), True, False,
)  # fmt: skip


def deep(levels: int) -> Any:
    """Lists in lists."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


BAD = st.one_of(
    st.none(),
    st.sampled_from(WORDS),
    st.sampled_from(NUMBERS),
    st.sampled_from([[], {}, [None], [[]], {"": 1}, {"a": {"b": {}}}, deep(40), [1] * 300]),
    st.text(max_size=20),
    st.integers(),
    st.floats(),
    st.lists(st.sampled_from(WORDS[:12]), max_size=3),
)
"""Any JSON value, the bad ones first; not all of them can be written as JSON."""


def _paths(value: Any, path: tuple = ()) -> Iterator[tuple]:
    yield path
    inner: Any = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, below in inner:
        yield from _paths(below, (*path, key))


@st.composite
def spoilt(draw: Callable, good: Any, most: int = 2) -> Any:
    """A good JSON value with one or two places in it changed, taken out, doubled or misspelt."""
    value = json.loads(json.dumps(good))
    for _ in range(draw(st.integers(1, most))):
        path = draw(st.sampled_from(list(_paths(value))))
        if not path:
            if draw(st.integers(0, 9)) == 0:
                return copy.deepcopy(draw(BAD))
            continue
        holder = value
        for step in path[:-1]:
            holder = holder[step]
        how = draw(st.sampled_from(["change", "change", "take out", "misspell", "double"]))
        if how == "change":
            holder[path[-1]] = copy.deepcopy(draw(BAD))
        elif how == "take out":
            del holder[path[-1]]
        elif isinstance(holder, list):
            holder.append(holder[path[-1]])
        else:
            name = path[-1] + "x" if how == "misspell" else draw(st.sampled_from(WORDS))
            holder[name] = holder[path[-1]]
    return value


@st.composite
def spoilt_bytes(draw: Callable, text: str) -> bytes:
    """A text as bytes as bad editors, bad copies and bad people leave it."""
    data = text.encode("utf-8", "surrogatepass")
    for how in draw(st.lists(st.sampled_from(sorted(_WAYS)), max_size=2)):
        data = _WAYS[how](draw, data)
    return data


def _cut(draw: Callable, data: bytes) -> bytes:
    return data[: draw(st.integers(0, len(data)))]


def _insert(draw: Callable, data: bytes) -> bytes:
    at = draw(st.integers(0, len(data)))
    middle = draw(
        st.sampled_from([b"\x00", b"\xff", b"\xed\xa0\x80", b'"', b"{", b"]", b",", b"\n"])
    )
    return data[:at] + middle + data[at:]


def _swap(draw: Callable, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join(draw(st.permutations(lines))) if len(lines) < 20 else data


_WAYS = {
    "byte order mark": lambda draw, data: codecs.BOM_UTF8 + data,
    "two of them": lambda draw, data: 2 * codecs.BOM_UTF8 + data,
    "windows": lambda draw, data: data.replace(b"\n", b"\r\n"),
    "old mac": lambda draw, data: data.replace(b"\n", b"\r"),
    "utf-16": lambda draw, data: data.decode("utf-8", "replace").encode("utf-16"),
    "latin-1": lambda draw, data: data.decode("utf-8", "replace").encode("latin-1", "replace"),
    "cut": _cut,
    "insert": _insert,
    "swap": _swap,
    "twice": lambda draw, data: data + data,
    "no line ends": lambda draw, data: data.replace(b"\n", b""),
    "nothing": lambda draw, data: b"",
    "zeros": lambda draw, data: b"\x00" * 200,
}


def as_json(value: Any) -> str:
    """A value as a careless program writes it: NaN, halves of surrogate pairs, huge numbers."""
    return json.dumps(value, ensure_ascii=False)
