"""`cqa table`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cqa.cli import options
from cqa.cli.app import command


@command("cqa table --csv results.csv")
def table(
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Export every column to this file.")
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Discard the index and read every run again.")
    ] = False,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="Only runs such as status=failed, label~shuf, seconds>60. May be repeated."
        ),
    ] = None,
    last: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="How many of the newest runs to show.")
    ] = 30,
    as_json: options.Json = False,
) -> None:
    """The results table: every run of every command, the failed ones with their reason."""
    from cqa import show
    from cqa import table as index
    from cqa.progress import say

    if rebuild:
        index.rebuild()
    if csv:
        say(f"wrote {index.export_csv(csv, where=where or [])} runs to {csv}")
    if as_json:
        show.as_json_object({"runs": index.newest(-1, where or [])[0]})
    else:
        show.table(*index.newest(last, where or []), filtered=bool(where))
