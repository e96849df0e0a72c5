"""The command line as a whole: entry point, version, and how errors are told."""

from __future__ import annotations

import errno
import functools
import signal
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console

from cqa import __version__, quiet
from cqa.errors import EXIT_STOPPED, CqaError, DataRefused, of_the_machine
from cqa.paths import shown
from cqa.terminal import json_text, visible

app = typer.Typer(
    name="cqa",
    help="Did fine-tuning on about 100 expert annotations make a small model better at creative "
    "writing, by how much, how sure, and for what cost?",
    epilog="Example: cqa run experiments/reproduce.toml",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Entry point of the `cqa` command."""
    quiet.libraries()
    signal.signal(signal.SIGTERM, _terminated)
    app()


def command(example: str) -> Callable[[Callable], Callable]:
    """Register a command whose help ends with an example and whose errors are told to people."""

    def register(body: Callable) -> Callable:
        return app.command(epilog=f"Example: {example}")(_tells_errors(body))

    return register


def _tells_errors(body: Callable) -> Callable:
    """A CqaError becomes its message and exit code, and so does a fault of the machine and a file
    that the system refuses; anything else is a defect and crashes whole."""

    @functools.wraps(body)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return body(*args, **kwargs)
        except CqaError as error:
            raise _told(error, bool(kwargs.get("as_json"))) from None
        except Exception as error:
            named = isinstance(error, OSError) and error.filename is not None
            known = _refused(error) if named else of_the_machine(error)
            if known is None:
                raise
            raise _told(known, bool(kwargs.get("as_json"))) from None
        except KeyboardInterrupt:
            typer.echo("cqa: stopped; the same command goes on from what is done", err=True)
            raise typer.Exit(EXIT_STOPPED) from None

    return wrapped


def _told(error: CqaError, as_json: bool) -> typer.Exit:
    """Tell the error; what is to be raised then."""
    if as_json:
        told = {"error": error.what, "next": error.next_step, "exit": error.exit_code}
        typer.echo(json_text(told))
    style = "red" if sys.stderr.isatty() else None
    stderr = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
    stderr.print(visible(f"cqa: {error}"), markup=False, style=style)
    return typer.Exit(error.exit_code)


def _refused(error: OSError) -> CqaError:
    """A file or folder that cannot be used; a full or broken disk is no fault of what was typed."""
    name = str(error.filename2 or error.filename)
    kind = CqaError if error.errno in (errno.ENOSPC, errno.EIO, errno.EDQUOT) else DataRefused
    return kind(
        f"{shown(name)}: {error.strerror}",
        next_step="check this path, who may write there, and the room on its disk",
    )


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"cqa {__version__}")
        raise typer.Exit()


def _terminated(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
