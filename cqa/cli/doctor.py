"""`cqa doctor`"""

from __future__ import annotations

import typer

from cqa.cli import options
from cqa.cli.app import command
from cqa.errors import EXIT_FAILURE


@command("cqa doctor")
def doctor(as_json: options.Json = False) -> None:
    """Check the installed packages, device, caches, write access and embedded model."""
    from cqa import doctor as checks
    from cqa import show

    found = checks.examine()
    show.doctor(found, as_json)
    if any(check.ok is False for check in found):
        raise typer.Exit(EXIT_FAILURE)
