"""Numbers of a study against the ones that were accepted, and accepting new ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cqa import runs
from cqa.config import Experiment
from cqa.files import copy, read_json, write_text
from cqa.reporting import markdown

_HEADING = "[expected]"
_NOTE = """\
# The numbers of the last accepted run (`cqa run --accept` renews them), and how far another
# machine may be from them. Scores of a model that is not trained differ by rounding only; what was
# trained differs with the processor and the number of threads.
"""

TOLERANCE_SCORED = 0.0001
"""Bits per token, for the base model: fp32 sums in another order."""
TOLERANCE_TRAINED = 0.003
"""Bits per token, for a change through training: rounding grows over the steps. One thread and two
gave the same numbers; another processor was not tried."""


@dataclass(frozen=True)
class Difference:
    """A number that is not what was expected."""

    name: str
    expected: float | None
    seen: float | None
    tolerance: float

    def __str__(self) -> str:
        return f"{self.name}: expected {self.expected} ± {self.tolerance:g}, got {self.seen}"


def compare(experiment: Experiment, reported: runs.Run) -> list[Difference]:
    """What differs from the experiment's [expected] section by more than the stated tolerance."""
    numbers = read_json(reported.file("report.json"))["numbers"]
    differences = []
    for name, expected in experiment.expected.items():
        seen = numbers.get(name)
        if expected.value is None or seen is None:
            same = expected.value == seen
        else:
            same = abs(seen - expected.value) <= expected.tolerance
        if not same:
            differences.append(Difference(name, expected.value, seen, expected.tolerance))
    return differences


def accept(path: Path, experiment: Experiment, reported: runs.Run) -> list[Path]:
    """Write results/NAME.md and .csv beside the experiment file, and renew its [expected] section.

    A file without that section gets none: a study of many hours is not repeated to be compared.
    [expected] is the last section of an experiment file; what stands before it is left as it is.
    """
    results = read_json(reported.file("report.json"))
    folder = path.parent / "results"
    report, table = folder / f"{path.stem}.md", folder / f"{path.stem}.csv"
    folder.mkdir(exist_ok=True)
    write_text(report, _results_page(path, experiment, results, reported))
    copy(reported.file("results.csv"), table)
    written = path.read_text("utf-8")
    if f"\n{_HEADING}" not in written:
        return [report, table]
    kept = written[: _start_of_expected(written)].rstrip()
    write_text(path, f"{kept}\n\n{_expected_section(results['numbers'])}")
    return [report, table, path]


def _start_of_expected(text: str) -> int:
    note, heading = text.find(_NOTE), text.find(f"\n{_HEADING}")
    starts = [at for at in (note, heading) if at >= 0]
    return min(starts, default=len(text))


def _expected_section(numbers: Mapping[str, float | None]) -> str:
    lines = [_NOTE + _HEADING]
    for name, value in numbers.items():
        if value is None:
            continue
        tolerance = TOLERANCE_SCORED if name.startswith("base.") else TOLERANCE_TRAINED
        lines.append(f"{json.dumps(name)} = {{ value = {value:.6f}, tolerance = {tolerance} }}")
    return "\n".join(lines) + "\n"


def _results_page(
    path: Path, experiment: Experiment, results: Mapping[str, Any], reported: runs.Run
) -> str:
    record = reported.record
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return (
        f"# Results of {experiment.name}\n\n"
        f"Written by `cqa run {path.parent.name}/{path.name} --accept`, "
        f"{record['ended'][:10]}, on {record['machine']['system']} "
        f"{record['machine']['processor']}, {record['machine']['cores']} cores; {versions}. "
        f"Every number is in [{path.stem}.csv]({path.stem}.csv).\n\n" + markdown.page(results)
    )
