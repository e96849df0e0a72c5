"""What a training or an experiment would take, and what this machine has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cqa.show.plain import as_json_object, print_line, print_lines
from cqa.training import said

if TYPE_CHECKING:
    from cqa.doctor import Check
    from cqa.study.foresight import Foresight
    from cqa.training.estimate import Estimate


def plan(found: Estimate, as_json: bool) -> None:
    """What a training would take."""
    if as_json:
        as_json_object(found.record())
        return
    print_lines(said.plan(found.record()))


def foresight(found: Foresight, as_json: bool) -> None:
    """What an experiment would take, and what it can find."""
    if as_json:
        as_json_object(found.record())
        return
    print_lines(found.told())


def doctor(found: Sequence[Check], as_json: bool) -> None:
    """Each check with its remedy."""
    if as_json:
        as_json_object({"checks": [vars(check) for check in found]})
        return
    for check in found:
        mark = {True: "ok", False: "NO", None: "--"}[check.ok]
        remedy = f"  -> {check.remedy}" if check.remedy else ""
        print_line(f"{mark}  {check.name:15} {check.found}{remedy}")
