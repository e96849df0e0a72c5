"""The items of a report in several files where they are many, so that each opens at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cqa.files import write_text

ITEMS = 500
"""Of one sheet; a browser takes some seconds to lay out thousands."""
FIRST = "report.html"


@dataclass(frozen=True)
class Sheet:
    """Some of the items, the most moved on the first sheet, and some of what was written."""

    number: int
    items: Sequence[Mapping[str, Any]]
    written: Sequence[Mapping[str, Any]]

    @property
    def file(self) -> str:
        """The file it stands in, beside the others; the first is the report itself."""
        return FIRST if self.number == 1 else f"sheet-{self.number}.html"


def sheets(items: Sequence[Mapping[str, Any]], written: Sequence[Mapping[str, Any]]) -> list[Sheet]:
    """One sheet or more."""
    parts = zip_longest(_cut(items), _cut(written), fillvalue=())
    return [Sheet(number, *part) for number, part in enumerate(parts, start=1)] or [
        Sheet(1, (), ())
    ]


def link(anchor: str, position: int) -> str:
    """From the first sheet to the item at this position, the first of all being 1."""
    number = (position - 1) // ITEMS + 1
    return f"#{anchor}" if number == 1 else f"{Sheet(number, (), ()).file}#{anchor}"


def copy_to(folder: Path, out: Path) -> None:
    """Copy the report of a folder to `out`, its other sheets beside it under names of their own."""
    names = {FIRST: out.name}
    for path in sorted(folder.glob("sheet-*.html")):
        names[path.name] = f"{out.stem}-{path.name}"
    for name, new in names.items():
        text = (folder / name).read_text("utf-8")
        for old, now in names.items():  # a story's own quotation marks are escaped
            text = text.replace(f'href="{old}', f'href="{quote(now)}')
        write_text(out.with_name(new), text)


def _cut(rows: Sequence[Mapping[str, Any]]) -> list[Sequence[Mapping[str, Any]]]:
    return [rows[start : start + ITEMS] for start in range(0, len(rows), ITEMS)]
