"""Progress on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cqa.terminal import visible

Tell = Callable[[int, int, str], None]
"""(done, of how many, note)"""

_SECONDS_BETWEEN_LINES = 10.0

console = Console(stderr=True, highlight=False)


def say(line: str) -> None:
    """One line for the reader, not part of the result."""
    console.print(visible(line), markup=False, emoji=False, soft_wrap=True)


@contextmanager
def progress(label: str) -> Iterator[Tell]:
    """Yields a function to call as the work goes on."""
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(visible(label), total=None, note="")
            yield lambda done, total, note: bar.update(
                task, completed=done, total=total, note=visible(note)
            )
        return
    last = time.monotonic()

    def line(done: int, total: int, note: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES and done < total:
            last = time.monotonic()
            say(f"{label}: {done}/{total} {note}".rstrip())

    yield line
