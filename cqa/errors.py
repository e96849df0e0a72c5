"""What can go wrong for a person: what happened, where, what to type next; and the exit codes.

Anything that is not a CqaError is a defect of the program and is left to crash whole.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass

from cqa.device_faults import is_disk_full, is_out_of_memory

EXIT_DONE = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_DATA_REFUSED = 3
EXIT_CUT_SHORT = 4
EXIT_GATE = {"improved": EXIT_DONE, "no worse": 10, "inconclusive": 11, "worse": 12}
"""Of `cqa report --gate`, by verdict."""
EXIT_STOPPED = 130
"""By Ctrl-C or SIGTERM, as shells have it."""


class CqaError(Exception):
    """A failure with a remedy. `next_step` is what the reader can do or type now."""

    exit_code = EXIT_FAILURE

    def __init__(self, what: str, *, next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.what}\n  next: {self.next_step}" if self.next_step else self.what


class UsageRefused(CqaError):
    """The command line asks for something that has no meaning."""

    exit_code = EXIT_USAGE


class BudgetTooSmall(CqaError):
    """The budget was spent before there was anything to show for it."""

    exit_code = EXIT_CUT_SHORT


@dataclass(frozen=True)
class Problem:
    """One fault in a file: `where` is file:line, `field` a dotted path, `seen` the value found."""

    where: str
    field: str
    seen: str
    expected: str

    def __str__(self) -> str:
        place = f"{self.where}: {self.field}" if self.field else self.where
        return f"{place}: saw {self.seen}; expected {self.expected}"


class DataRefused(CqaError):
    """Input that cannot be used; every problem is named at once, nothing has been written."""

    exit_code = EXIT_DATA_REFUSED
    shown = 20

    def __init__(self, problems: Sequence[Problem] | str, *, next_step: str = "") -> None:
        if isinstance(problems, str):
            self.problems: tuple[Problem, ...] = ()
            what = problems
        else:
            self.problems = tuple(problems)
            lines = [str(problem) for problem in self.problems[: self.shown]]
            if len(self.problems) > self.shown:
                lines.append(f"... and {len(self.problems) - self.shown} more problems")
            what = "\n".join(lines)
        super().__init__(what, next_step=next_step)


def of_the_machine(error: BaseException) -> CqaError | None:
    """A full disk, a folder that cannot be written or a memory too small, told as such; or None."""
    said = (str(error) or type(error).__name__).splitlines()[0]
    number = error.errno if isinstance(error, OSError) else None
    if is_disk_full(error):
        return CqaError(
            f"the disk is full: {said}",
            next_step="make room, then repeat the command: what was done is kept",
        )
    if number in (errno.EROFS, errno.EACCES, errno.EPERM):
        return CqaError(
            f"{said}: no right to it",
            next_step="see who owns the place, or name another (CQA_RUNS for the runs)",
        )
    if is_out_of_memory(error):
        return CqaError(
            f"the memory is too small: {said}",
            next_step="close other programs or take a smaller model, then repeat the command",
        )
    return None
