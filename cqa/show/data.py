"""A data set, and what was assumed, dropped and warned of in its making."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cqa.files import read_json
from cqa.progress import say
from cqa.reporting.markdown import number
from cqa.show.listing import run
from cqa.show.plain import as_json_object, print_line

if TYPE_CHECKING:
    from cqa.runs import Run


_MOST_TOLD = 5
"""Lines of one sort on stderr; all of them are in the run's files."""


def ingested(made: Run, as_json: bool) -> None:
    """A data set; and of its making what was assumed, dropped, agreed on and warned of."""
    beside = _beside(made)
    if as_json:
        as_json_object({**made.record, "path": str(made.path), **beside})
        return
    run(made, as_json)
    if agreed := beside["agreement"]:
        print_line(_agreement(agreed))
    _tell("note", beside["notes"], "notes.json")
    _tell("dropped", beside["dropped"], "dropped.jsonl")
    warnings = beside["warnings"]
    _tell("warning", [_warning(name, of) for name, of in warnings.items()], "signals.json", 20)
    if warnings:
        say("warnings are no verdicts: annotations/PROTOCOL.md, section 7, says what each means")


def _beside(made: Run) -> dict[str, Any]:
    def read(name: str) -> Any:
        return read_json(made.file(name)) if made.file(name).exists() else None

    signals = read("signals.json")
    dropped = []
    if made.file("dropped.jsonl").exists():
        lines = made.file("dropped.jsonl").read_text("utf-8").splitlines()
        dropped = [problem for line in lines for problem in json.loads(line)["problems"]]
    return {
        "warnings": {
            name: {"dialogues": dialogues, "example": signals["examples"][name]}
            for name, dialogues in signals["warnings"].items()
        },
        "notes": read("notes.json") or [],
        "dropped": dropped,
        "agreement": read("agreement.json"),
    }


def _tell(what: str, lines: Sequence[str], file: str, most: int = _MOST_TOLD) -> None:
    for line in lines[:most]:
        say(f"{what}: {line}")
    if len(lines) > most:
        say(f"{what}: ... and {len(lines) - most} more ({file})")


def _warning(name: str, of: Mapping[str, Any]) -> str:
    ids = of["dialogues"]
    named = ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
    example = "" if len(ids) == 1 else f"{ids[0]}: "
    return (
        f"{name} in {len(ids)} dialogue{'s' * (len(ids) > 1)} ({named}): {example}{of['example']}"
    )


def _agreement(agreed: Mapping[str, Any]) -> str:
    kinds, bearing = agreed["kinds"], agreed["load_bearing"]
    said = [f"kinds alpha {number(kinds['krippendorffs_alpha'], 2)}"]
    if "same" in kinds:
        said.append(
            f"kappa {number(kinds['cohens_kappa'], 2)}, the same in {100 * kinds['same']:.0f} %"
        )
    if bearing["steps"]:
        said.append(f"load-bearing alpha {number(bearing['krippendorffs_alpha'], 2)}")
    return (
        f"agreement of {agreed['annotators']} annotators on {kinds['steps']} steps of "
        f"{agreed['annotations']} annotations: {'; '.join(said)}"
    )
