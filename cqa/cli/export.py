"""`cqa export`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cqa.cli import options
from cqa.cli.app import command


@command("cqa export train-annotations-s0-1a2b3c4d5e my-adapter")
def export(
    training: Annotated[str, typer.Argument(help="A train run, or the beginning of its id.")],
    folder: Annotated[Path, typer.Argument(help="Folder to write; it must not exist yet.")],
    merge: Annotated[
        bool,
        typer.Option(
            "--merge", help="Merge the adapter into its base in fp32, and verify the result."
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Write an adapter or a merged model to a folder to share, with data, recipe, bill, results."""
    from cqa import export as stage
    from cqa import show
    from cqa.table import run_of

    found = stage.run(run_of(training), folder, merge=_merge if merge else None)
    show.facts(found, as_json)


def _merge(base, adapter, folder, texts):
    """`cqa.training.merge.merge`, imported when it is called."""
    from cqa.training.merge import merge

    return merge(base, adapter, folder, texts)
