"""`cqa lock`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cqa.cli import options, wiring
from cqa.cli.app import command


@command("cqa lock experiments/embedded.toml")
def lock(
    file: Annotated[Path, typer.Argument(help="An experiment file.")],
    again: Annotated[
        bool,
        typer.Option("--again", help="Replace a lock that differs; the new one records the old."),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Fix an experiment's question, data and analysis before its first score.

    `cqa run` does the same where no lock exists. Commit the file that is written.
    """
    from cqa import show
    from cqa.paths import shown
    from cqa.study import lock as locks

    study = wiring.study(file)
    path, now = study.lock_path(), study.to_lock()
    found = path.exists()
    held = locks.write(path, now, again=again)
    locks.refuse_changed(path, held, now)
    if as_json:
        show.as_json_object({"path": str(path), **held})
        return
    kept = "is locked already" if found and not held["earlier"] else "is locked"
    show.print_line(f"{file} {kept}: {held['written'][:19]} UTC, sha256 {held['sha256']}")
    show.print_line(f"{len(now['items'])} items, seeds {now['seeds']}, in {shown(path)}")
