"""Results on stdout, for people or as one JSON object. Nothing is computed here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from cqa.files import copy, read_json, write_csv
from cqa.paths import shown
from cqa.progress import say
from cqa.reporting.listing import COLUMNS
from cqa.reporting.markdown import number, p_value
from cqa.training import said

if TYPE_CHECKING:
    from cqa.accept import Difference
    from cqa.config import Experiment
    from cqa.doctor import Check
    from cqa.foresight import Foresight
    from cqa.probes import Treatment
    from cqa.runs import Run
    from cqa.schedule import Outcome
    from cqa.training.estimate import Estimate

_HEADINGS = {
    "surprise_bits_per_token": "surprise",
    "residual_bits_per_token": "residual",
    "gain_bits_per_token": "gain",
    "gain_share": "gain share",
    "specific_gain_bits_per_token": "specific gain",
    "contrast_bits_per_token": "contrast",
    "gain_bits_per_byte": "gain, bits per byte",
}

_PIPE_WIDTH = 160
"""Columns where stdout is not a terminal: tables stay whole lines that can be searched."""


def stdout() -> Console:
    """A console for results; wide and plain where it is not a terminal."""
    plain = {"highlight": False, "markup": False, "emoji": False}  # a name may have brackets
    console = Console(**plain)
    return console if console.is_terminal else Console(**plain, width=_PIPE_WIDTH)


def as_json_object(value: Any) -> None:
    """One object on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))  # noqa: T201


def hint(command: str, as_json: bool) -> None:
    """What to type next."""
    if not as_json:
        say(f"next: {command}")


def run(run: Run, as_json: bool) -> None:
    """One run: what it is, whether it was made now, its headline and bill."""
    record = run.record
    if as_json:
        as_json_object({**record, "path": str(run.path)})
        return
    found = "made" if run.fresh else "done already:"
    print(f"{found} {run.id}")  # noqa: T201
    _facts(record.get("headline") or {})
    if spent := record.get("spent"):
        print(f"spent of {record['budget'] or 'no limit'}:")  # noqa: T201
        if run.record["stage"] == "train":
            _lines(said.bill(spent, record.get("planned")))
            _lines(said.side_effects(record.get("side_effects")))
        else:
            _facts(spent)
    if record["status"] != "done":
        print(f"{record['status']}: {record['reason']}")  # noqa: T201
    print(f"in {shown(run.path)}")  # noqa: T201


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
        print(_agreement(agreed))  # noqa: T201
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


def plan(found: Estimate, as_json: bool) -> None:
    """What a training would take."""
    if as_json:
        as_json_object(found.record())
        return
    _lines(said.plan(found.record()))


def foresight(found: Foresight, as_json: bool) -> None:
    """What an experiment would take, and what it can find."""
    if as_json:
        as_json_object(found.record())
        return
    _lines(found.told())


def runs(found: Sequence[Run], as_json: bool) -> None:
    """Several runs, as one object where one is asked for."""
    if as_json and len(found) != 1:
        as_json_object({"runs": [{**one.record, "path": str(one.path)} for one in found]})
        return
    for one in found:
        run(one, as_json)


def texts(made: Sequence[Run], out: Path, rows: int, as_json: bool) -> None:
    """What was written, and where."""
    if as_json:
        as_json_object({"out": str(out), "rows": rows, "runs": [run.record for run in made]})
        return
    for one in made:
        facts = one.record["headline"]
        print(  # noqa: T201
            f"{one.record['label']}: {facts['texts']} texts, {facts['empty']} empty, "
            f"{facts['ended_by_itself']} ended by themselves ({one.id})"
        )
    print(f"{rows} rows in {shown(out)}")  # noqa: T201


def scores(
    scored: Sequence[Run], as_json: bool, probed: Sequence[Sequence[Treatment]] = ()
) -> None:
    """Means by source and group, for each scoring; of a scoring of probes, what became of them."""
    if as_json:
        found = [{**run.record, "path": str(run.path)} for run in scored]
        for record, treatments in zip(found, probed, strict=False):
            record["probes"] = [vars(one) for one in treatments]
        as_json_object(found[0] if len(found) == 1 else {"runs": found})
        return
    for run in scored:
        _scoring(run)
    for treatments in probed:
        _probes(treatments)


def _scoring(run: Run) -> None:
    summary = run.record["headline"]
    groups = summary["groups"]
    names = [name for name in groups[0] if f"{name}_scored" in groups[0]]
    judge = run.record["config"]["judge"]
    if "adapter" in run.record["inputs"]:
        judge += f" + {run.record['label']}"
    title = f"{run.record['label']}: judge {judge}, {summary['dtype']}; bits per token"
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("texts")
    table.add_column("n", justify="right")
    for name in names:
        table.add_column(_HEADINGS.get(name, name), justify="right")
    for row in groups:
        cells = []
        for name in names:
            few = f" ({row[f'{name}_scored']})" if 0 < row[f"{name}_scored"] < row["texts"] else ""
            cells.append("null" if row[name] is None else f"{row[name]:.4f}{few}")
        table.add_row(f"{row['source'][:40]}, {row['group']}", str(row["texts"]), *cells)
    stdout().print(table)
    flags = Counter()
    for row in groups:
        flags.update(row["flags"])
    for flag, count in flags.items():
        print(f"{count} of {summary['texts']} texts: {flag}")  # noqa: T201
    if floor := summary.get("noise_floor"):
        worst = max(floor["largest_difference"].values(), default=0.0)
        print(  # noqa: T201
            f"noise floor: at most {worst:.1e} in any of these, over {floor['texts']} texts "
            "scored again in another batch size and order"
        )
    print(f"every quantity of every text: {shown(run.file('scores.jsonl'))}")  # noqa: T201


def _probes(treatments: Sequence[Treatment]) -> None:
    """What the primary quantity makes of texts that were made to fool it."""
    table = Table(title="specific gain, bits per token", title_justify="left", box=None)
    for column in ("probe", "texts", "probe's mean", "texts' mean", "beats its text", "copy flag"):
        table.add_column(column, justify="left" if column == "probe" else "right")
    for one in treatments:
        table.add_row(
            one.probe,
            str(one.texts),
            number(one.mean, sign=True),
            number(one.mean_of_texts, sign=True),
            str(one.beats_its_text),
            str(one.flagged_as_copy),
        )
    stdout().print(table)


def report(run: Run, out: Path | None, as_json: bool) -> None:
    """The sentence, the table of the primary quantity, where the whole report is."""
    results = read_json(run.file("report.json"))
    if out:
        copy(run.file("report.html"), out)
    if as_json:
        as_json_object({**results, "path": str(run.path)})
        return
    console = stdout()
    console.print(results["sentence"], markup=False, style="bold")
    table = Table(box=None)
    for column in ("model", "group", "items", "works"):
        table.add_column(column)
    for column in ("base", "tuned", "change", "95 % interval", "p", "d_z", "detectable"):
        table.add_column(column, justify="right")
    for model in results["models"]:
        for row in model["primary"]:
            table.add_row(
                row["model"],
                row["group"],
                str(row["items"]),
                str(row["works"]),
                *(number(row[name]) for name in ("base", "tuned")),
                number(row["change"], sign=True),
                f"{number(row['low'], sign=True)} to {number(row['high'], sign=True)}",
                p_value(row["p"]),
                number(row["d_z"], 2, sign=True),
                number(row["detectable"]),
            )
    console.print(table)
    print(f"unit: {results['analysis']['primary']}; {results['kind']}")  # noqa: T201
    for name in ("report.html", "report.md", "results.csv"):
        print(shown(run.file(name)))  # noqa: T201


def validity(run: Run, as_json: bool) -> None:
    """Rank correlations of the quantities with human ratings."""
    rows = read_json(run.file("validity.json"))
    if as_json:
        as_json_object({**run.record["headline"], "agreements": rows, "path": str(run.path)})
        return
    table = Table(box=None)
    for column in ("criterion", "quantity", "texts", "works"):
        table.add_column(column)
    for column in ("rho", "95 % interval", "freed of length and frequency", "ceiling"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            *(str(row[name]) for name in ("criterion", "quantity", "texts", "works")),
            number(row["rho"], 2, sign=True),
            f"{number(row['low'], 2, sign=True)} to {number(row['high'], 2, sign=True)}",
            f"{number(row['partial_rho'], 2, sign=True)} "
            f"({number(row['partial_low'], 2, sign=True)} to "
            f"{number(row['partial_high'], 2, sign=True)})",
            number(row["ceiling"], 2),
        )
    stdout().print(table)
    print(shown(run.file("validity.csv")))  # noqa: T201


def outcome(found: Outcome, as_json: bool) -> None:
    """How far the steps of a study came, where that is not all of them."""
    if as_json:
        left = [step.name for step in found.left]
        as_json_object({**vars(found), "left": left})
        return
    failures(found, as_json)
    print(f"{found.done} of {found.total} steps are done, {found.fresh} of them now")  # noqa: T201
    if found.left:
        say(f"next: the same command goes on with {found.left[0].name}")


def failures(found: Outcome, as_json: bool) -> None:
    """What is missing, and why."""
    if as_json:
        return
    for step, reason in found.failed.items():
        print(f"missing {step}: {reason}")  # noqa: T201
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
        print("no such report: cqa report, or cqa run experiments/reproduce.toml")  # noqa: T201
        return
    table = Table(box=None)
    for column in ("report", "model", "verdict"):
        table.add_column(column, overflow="fold")
    for column in ("change", "95 % interval", "p", "device s", "best"):
        table.add_column(column, justify="right")
    for row in rows[-_MOST_MODELS:]:
        table.add_row(
            row["report"],
            row["model"],
            row["verdict"],
            number(row["change"], sign=True),
            f"{number(row['low'], sign=True)} to {number(row['high'], sign=True)}",
            p_value(row["p"]),
            number(row["device_seconds"], 0),
            "*" if row["best"] else "",
        )
    stdout().print(table)
    print("* nothing as cheap changed as much")  # noqa: T201
    if len(rows) > _MOST_MODELS:
        print(f"... and {len(rows) - _MOST_MODELS} of older reports (--out, --where)")  # noqa: T201


_MOST_MODELS = 100


def expected(experiment: Experiment, differing: Sequence[Difference], as_json: bool) -> None:
    """Whether the numbers are the expected ones."""
    if as_json:
        return
    if not experiment.expected:
        print("nothing to compare with: the experiment file has no [expected] section")  # noqa: T201
        return
    total = len(experiment.expected)
    within = total - len(differing)
    print(f"{within} of {total} numbers are as expected, within their tolerances")  # noqa: T201
    for difference in differing:
        print(f"  {difference}")  # noqa: T201


def table(newest: Sequence[Mapping[str, Any]], total: int, *, filtered: bool = False) -> None:
    """The newest runs of the results table, which has so many of them."""
    if not newest:
        print("no such run" if filtered else "no runs yet: cqa run experiments/reproduce.toml")  # noqa: T201
        return
    shown_rows = Table(box=None)
    for column in ("started", "run", "status", "seconds", "seed", "result"):
        shown_rows.add_column(column, overflow="fold")
    for row in newest:
        shown_rows.add_row(
            row["started"][:19],
            row["id"],
            row["status"],
            number(row["seconds"], 1),
            str(row["seed"]) if isinstance(row["seed"], int) else "",
            _result(row),
        )
    stdout().print(shown_rows)
    if total > len(newest):
        print(f"... and {total - len(newest)} older runs (--last, --csv)")  # noqa: T201


def doctor(found: Sequence[Check], as_json: bool) -> None:
    """Each check with its remedy."""
    if as_json:
        as_json_object({"checks": [vars(check) for check in found]})
        return
    for check in found:
        mark = {True: "ok", False: "NO", None: "--"}[check.ok]
        remedy = f"  -> {check.remedy}" if check.remedy else ""
        print(f"{mark}  {check.name:15} {check.found}{remedy}")  # noqa: T201


def _lines(lines: Iterable[tuple[str, str]]) -> None:
    for name, value in lines:
        print(f"  {name:16} {value}")  # noqa: T201


def facts(found: Mapping[str, Any], as_json: bool) -> None:
    """What was done, in short."""
    if as_json:
        as_json_object(found)
    else:
        _facts(found)


def _facts(facts: Mapping[str, Any]) -> None:
    for name, value in facts.items():
        if isinstance(value, float):
            value = f"{value:.4g}"
        elif isinstance(value, list):
            value = " ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in value)
        elif isinstance(value, dict):
            value = ", ".join(f"{key} {number}" for key, number in value.items())
        print(f"  {name.replace('_', ' '):22} {value}")  # noqa: T201


def _result(row: Mapping[str, Any]) -> str:
    if isinstance(row["reason"], str):
        return row["reason"].splitlines()[0]
    headline = json.loads(row["headline"]) if isinstance(row["headline"], str) else {}
    if "sentence" in headline:
        return headline["sentence"]
    plain = {k: v for k, v in headline.items() if isinstance(v, int | float | str)}
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in plain.items()
    )
