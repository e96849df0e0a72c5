"""Reports and studies: the sentence, the effects, what is missing, what was expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cqa.files import read_json, write_csv
from cqa.paths import shown
from cqa.progress import say
from cqa.reporting.listing import COLUMNS
from cqa.reporting.markdown import number, p_value
from cqa.reporting.sheets import copy_to
from cqa.show.plain import as_json_object, print_line, print_table

if TYPE_CHECKING:
    from cqa.config import Experiment
    from cqa.runs import Run
    from cqa.study.accept import Difference
    from cqa.study.schedule import Outcome


def report(run: Run, out: Path | None, as_json: bool) -> None:
    """The sentence, the table of the primary quantity, where the whole report is."""
    results = read_json(run.file("report.json"))
    if out:
        copy_to(run.path, out)
    if as_json:
        as_json_object({**results, "path": str(run.path)})
        return
    print_line(results["sentence"], style="bold")
    rows = [
        (
            row["model"],
            row["group"],
            str(row["items"]),
            str(row["works"]),
            *(number(row[name]) for name in ("base", "tuned")),
            number(row["change"], sign=True),
            f"{number(row['low'], sign=True)} to {number(row['high'], sign=True)}",
            p_value(row["p"]),
            p_value(row["p_adjusted"]),
            number(row["d_z"], 2, sign=True),
            number(row["detectable"]),
        )
        for model in results["models"]
        for row in model["primary"]
    ]
    print_table(
        ("model", "group", "items", "works"),
        ("base", "tuned", "change", "95 % interval", "p", "adjusted p", "d_z", "detectable"),
        rows,
    )
    print_line(f"unit: {results['analysis']['primary']}; {results['kind']}")
    for one in (results["lock"] or {}).get("deviations", ()):
        print_line(f"{one['field']}: locked {one['locked']!r}, now {one['now']!r}")
    for name in ("report.html", "report.md", "results.csv"):
        print_line(shown(run.file(name)))


def validity(run: Run, as_json: bool) -> None:
    """Rank correlations of the quantities with human ratings."""
    rows = read_json(run.file("validity.json"))
    if as_json:
        as_json_object({**run.record["headline"], "agreements": rows, "path": str(run.path)})
        return
    what = ("criterion", "quantity", "texts", "works")
    cells = [
        (
            *(str(row[name]) for name in what),
            number(row["rho"], 2, sign=True),
            f"{number(row['low'], 2, sign=True)} to {number(row['high'], 2, sign=True)}",
            f"{number(row['partial_rho'], 2, sign=True)} "
            f"({number(row['partial_low'], 2, sign=True)} to "
            f"{number(row['partial_high'], 2, sign=True)})",
            number(row["ceiling"], 2),
        )
        for row in rows
    ]
    how = (
        "rho",
        "95 % interval",
        "partial rho (length and token frequency held constant)",
        "ceiling",
    )
    print_table(what, how, cells)
    print_line(shown(run.file("validity.csv")))


def outcome(found: Outcome, as_json: bool) -> None:
    """How far the steps of a study came, where that is not all of them."""
    if as_json:
        left = [step.name for step in found.left]
        as_json_object({**vars(found), "left": left})
        return
    failures(found, as_json)
    print_line(f"{found.done} of {found.total} steps are done, {found.fresh} of them now")
    if found.left:
        say(f"next: the same command goes on with {found.left[0].name}")


def failures(found: Outcome, as_json: bool) -> None:
    """What is missing, and why."""
    if as_json:
        return
    for step, reason in found.failed.items():
        print_line(f"missing {step}: {reason}")
    if found.failed:
        say("next: the same command tries again what failed")


def reports(
    models: Sequence[Mapping[str, Any]], best: Sequence[bool], out: Path | None, as_json: bool
) -> None:
    """The models of the reports, a line each; `*` where no other is as cheap and as good."""
    rows = [{**row, "best": mark} for row, mark in zip(models, best, strict=True)]
    if out:
        import pandas as pd

        write_csv(out, pd.DataFrame(rows, columns=[*COLUMNS, "best"]))
    if as_json:
        as_json_object({"models": rows})
        return
    if not rows:
        print_line("no such report: cqa report, or cqa run experiments/reproduce.toml")
        return
    cells = [
        (
            row["report"],
            row["model"],
            row["verdict"],
            number(row["change"], sign=True),
            f"{number(row['low'], sign=True)} to {number(row['high'], sign=True)}",
            p_value(row["p"]),
            number(row["device_seconds"], 0),
            "*" if row["best"] else "",
        )
        for row in rows[-_MOST_MODELS:]
    ]
    effect = ("change", "95 % interval", "p", "device s", "best")
    print_table(("report", "model", "verdict"), effect, cells, fold=True)
    print_line("* nothing as cheap changed as much")
    if len(rows) > _MOST_MODELS:
        print_line(f"... and {len(rows) - _MOST_MODELS} of older reports (--out, --where)")


_MOST_MODELS = 100


def expected(experiment: Experiment, differing: Sequence[Difference], as_json: bool) -> None:
    """Whether the numbers are the expected ones."""
    if as_json:
        return
    if not experiment.expected:
        print_line("nothing to compare with: the experiment file has no [expected] section")
        return
    total = len(experiment.expected)
    within = total - len(differing)
    print_line(f"{within} of {total} numbers are as expected, within their tolerances")
    for difference in differing:
        print_line(f"  {difference}")
