"""`cqa report`: scores before and after -> one sentence, tables (Markdown, CSV), one HTML file."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from cqa import analysis, parquet, runs, score, writing
from cqa.conditions import FILLER
from cqa.errors import CqaError, DataRefused, UsageRefused
from cqa.files import read_rows, sha256_of, sha256_of_rows
from cqa.paths import BENCHMARK_ITEMS, shipped
from cqa.probes import treatments
from cqa.reporting import generated, heat, items, outputs, results
from cqa.reporting.generated import Written
from cqa.reporting.items import Side, Tokens
from cqa.score import PRIMARY
from cqa.study.cases import Case
from cqa.study.lock import Standing
from cqa.texts import as_texts, row_id
from cqa.types import Annotation, Item, Score, Text

if TYPE_CHECKING:
    from cqa.study.study import Study

_CODE = (
    "report.py",
    "study/cases.py",
    "analysis.py",
    "pairing.py",
    "writing.py",
    "overlap.py",
    "probes.py",
    "templates/report.html",
    "templates/report.css",
    "templates/report.js",
)
_PROBES = "probes-"
_ROOMS = ("stats", "reporting")


def of_study(study: Study, missing: Mapping[str, str] | None = None) -> runs.Run:
    """Report what is done of an experiment. `missing` says why steps are not, where it is known."""
    experiment, cases = study.experiment, study.cases()
    undone = [step.name for step in study.steps if study.find(step) is None]
    missing = {name: (missing or {}).get(name, "not done") for name in undone}
    main = experiment.analysis.arm
    if not cases or cases[0].arm != main or cases[0].epoch is not None:
        why = "\n".join(f"  {step}: {reason}" for step, reason in missing.items())
        raise CqaError(
            f"{experiment.name}: there is no score of {main!r} and of the base to compare\n{why}",
            next_step="the same command tries what failed again",
        )
    scored = [run for case in cases for run in case.tuned_scores]
    lost = len(experiment.seeds) - len(cases[0].seeds)
    standing = study.standing(scored)
    if lost:
        because = f"{lost} of {len(experiment.seeds)} seeds of {main} are missing"
        standing = _exploratory(standing, because)
    what = runs.Spec(
        stage="report",
        label=experiment.name,
        config={
            "experiment": experiment.name,
            "question": experiment.question,
            "kind": standing.said,
            "lock": json.loads(json.dumps(asdict(standing))),
            "missing": missing,
            "analysis": experiment.analysis.model_dump(mode="json"),
        },
        parents=[
            study.ingested.id,
            *dict.fromkeys(run.id for one in cases for run in one.runs),
            *_probing(cases[0].base_scores),
        ],
        code=_code(),
    )
    texts = {text.id: text for text in as_texts(study.data.items) if text.id}
    reported = runs.when_free(lambda: _run(what, cases, study.data.annotations, texts, study.root))
    study.made.append(reported)
    return reported


def _exploratory(standing: Standing, because: str) -> Standing:
    """The standing of a report that rests on less than what was locked."""
    said, _, when = standing.said.rpartition(" (locked")
    known = [] if standing.confirmatory else [said.removeprefix("exploratory: ")]
    said = f"exploratory: {'; '.join([*known, because])} (locked{when}"
    return replace(standing, confirmatory=False, said=said)


def of_runs(base: str | None, tuned: str | None, *, margin: float) -> runs.Run:
    """Report two score runs of the same texts; without names, the newest pair."""
    from cqa.study.study import latest, run_of

    def tuned_and_no_own_text(run: runs.Run) -> bool:
        return _is_tuned(run) and not any(
            one.startswith("generate-") for one in run.record["parents"]
        )

    after = run_of(tuned) if tuned is not None else latest("score", tuned_and_no_own_text)
    if after is None:
        raise UsageRefused(
            "no tuned model has been scored yet",
            next_step="cqa score --benchmark --adapter latest",
        )

    def decides(run: runs.Run) -> dict[str, Any]:
        """All that has to be the same on both sides."""
        found = run.record["inputs"] | run.record["config"] | {"code": run.record["code"]}
        free = {"adapter", "noise_floor"}
        if "adapter" not in after.record["inputs"]:  # all weights were trained
            free |= {"model", "judge"}
        return {name: value for name, value in found.items() if name not in free}

    def same_but_for_adapter(run: runs.Run) -> bool:
        return not _is_tuned(run) and decides(run) == decides(after)

    before = run_of(base) if base is not None else latest("score", same_but_for_adapter)
    if before is None:
        raise UsageRefused(
            "the base model has not been scored on the same texts yet",
            next_step="cqa score --benchmark",
        )
    for run in (before, after):
        if run.record["stage"] != "score" or not run.done:
            raise UsageRefused(
                f"{run.id}: not a finished scoring", next_step="see `cqa table` for the scorings"
            )
    one, two = decides(before), decides(after)
    if one["data"] != two["data"]:
        raise DataRefused(
            f"{before.id} and {after.id} cannot be compared: they scored different items (hashes "
            f"{one['data'][:12]} and {two['data'][:12]})",
            next_step="score both models on the same file",
        )
    if differing := sorted(k for k in one.keys() | two.keys() if one.get(k) != two.get(k)):
        raise DataRefused(
            f"{before.id} and {after.id} cannot be compared: they differ in {', '.join(differing)}",
            next_step="score both models on the same file with the same settings",
        )
    parents = [runs.read(after.path.parent / name) for name in after.record["parents"]]
    trained = next((run for run in parents if run and run.record["stage"] == "train"), None)
    what = runs.Spec(
        stage="report",
        label=after.record["label"],
        config={
            "experiment": after.record["label"],
            "question": f"Did {after.record['label']} become better than its base?",
            "kind": "exploratory: nothing was fixed before the scores were seen",
            "analysis": {"primary": PRIMARY, "margin": margin},
        },
        parents=[before.id, after.id, *_probing(before)],
        code=_code(),
    )
    case = Case(after.record["label"], before, (after,), (trained,) if trained else ())
    return _run(what, [case], [], _texts_of(after), None)


def _is_tuned(run: runs.Run) -> bool:
    trained = any(parent.startswith("train-") for parent in run.record["parents"])
    return trained or "adapter" in run.record["inputs"]


def _run(
    what: runs.Spec,
    models: Sequence[Case],
    annotations: Sequence[Annotation],
    texts: Mapping[str, Text],
    root: Path | None,
) -> runs.Run:
    if done := runs.find(what, root):
        return done
    with runs.execute(what, root) as reported:
        settings = what.config["analysis"]
        excluded = settings.get("exclude", {})
        base = _scores(models[0].base_scores, excluded)
        separate = [
            analysis.compare(
                one.label,
                base,
                *(_scores(run, excluded) for run in one.tuned_scores),
                primary=settings["primary"],
                margin=settings["margin"],
                noise_floor=one.noise_floor or 0.0,
                on=one.on,
            )
            for one in models
        ]
        compared = analysis.corrected(separate)
        written = _written(models, excluded)
        source = writing.Source.of(text for one in annotations for text in _words_of(one))
        found = results.of(what.config, compared, models, base) | {
            "writing": generated.judged(written, source, settings["primary"]),
            "writing_changes": generated.changes(written, settings["primary"]),
            "style": generated.style(written, source),
            "probes": _probes(what.parents, models[0].base_scores.path.parent),
        }
        sides, tokens = _sides(models, excluded)
        made = outputs.write(
            reported.path,
            found,
            changes=results.changes(compared),
            sides=sides,
            tokens=tokens,
            records=[models[0].base_scores.record, *(c.tuned_scores[0].record for c in models)],
            texts=texts,
            written=generated.side_by_side(written),
        )
        reported.tell(
            headline={"sentence": found["sentence"], "verdict": compared[0].verdict.word},
            outputs=made,
        )
    return reported


def _scores(run: runs.Run, excluded: Collection[str]) -> list[Score]:
    return [s for s in score.load_scores(run) if (s.item or s.id) not in excluded]


def _written(models: Sequence[Case], excluded: Collection[str]) -> list[Written]:
    """The texts of the base and of every tuned model that wrote, with their scores."""
    first = next((one for one in models if one.base_texts and one.base_text_scores), None)
    if first is None:
        return []
    subjects = [
        ("base", "base", first.base_texts, first.base_text_scores, first.base_own_scores)
    ] + [
        (texts.record["label"], one.arm, texts, scores, own)
        for one in models
        for texts, scores, own in zip(
            one.tuned_texts, one.tuned_text_scores, one.tuned_own_scores, strict=True
        )
    ]
    return [
        Written(
            label,
            [one for one in read_rows(texts.file("texts.jsonl"), Text) if one.item not in excluded],
            _scores(scores, excluded),
            _scores(own, excluded) if own else (),
            arm,
            tuple(run.id for run in (texts, scores, own) if run),
        )
        for label, arm, texts, scores, own in subjects
    ]


def _sides(
    models: Sequence[Case], excluded: Collection[str]
) -> tuple[list[Side], list[Mapping[str, Mapping[str, Tokens]]]]:
    """The benchmark as base and tuned models see it; token by token for the first of them."""
    subjects = [("base", (models[0].base_scores,))] + [(m.label, m.tuned_scores) for m in models]
    sides = [
        Side(label, tuple(run.id for run in made), tuple(_scores(run, excluded) for run in made))
        for label, made in subjects
    ]
    return sides, [items.tokens(_traces(made[0])) for _, made in subjects[: heat.MODELS]]


def _probing(base: runs.Run) -> list[str]:
    """The newest scoring of texts made to fool the measure, by the same base model."""
    from cqa.study.study import latest

    model = base.record["inputs"].get("model")

    def same(run: runs.Run) -> bool:
        probes = run.record["label"].startswith(_PROBES)
        return probes and run.record["inputs"].get("model") == model and not _is_tuned(run)

    found = latest("score", same, base.path.parent)
    return [found.id] if found else []


def _probes(parents: Sequence[str], root: Path) -> list[dict[str, Any]]:
    """How the primary quantity treats them."""
    return [
        asdict(row)
        for parent in parents
        if (run := runs.read(root / parent)) and run.record["label"].startswith(_PROBES)
        for row in treatments(score.load_scores(run), PRIMARY)
    ]


def _traces(run: runs.Run) -> list[dict[str, Any]]:
    """The tokens of a scoring without the brief, with each part of it and with all."""
    path = run.file("traces.parquet")
    if not path.is_file():
        return []
    columns = ["id", "condition", "parts", "start", "logprob_nats"]
    condition = pc.field("condition")
    kept = ~(pc.starts_with(condition, "mismatch") | (condition == FILLER))
    with parquet.opened(path, f"delete {run.id} and score again") as traces:
        if not set(columns) <= set(traces.schema_arrow.names):  # scored before tokens had places
            return []
        return traces.read(columns).filter(kept).to_pylist()


def _texts_of(scored: runs.Run) -> dict[str, Text]:
    """The texts of a scoring, where they are at hand: the shipped items, or what was generated."""
    shipped_items = read_rows(shipped(BENCHMARK_ITEMS), Item)
    if scored.record["inputs"]["data"] == sha256_of_rows(shipped_items):
        found = as_texts(shipped_items)
    else:
        found = [
            text
            for parent in scored.record["parents"]
            if (path := scored.path.parent / parent / "texts.jsonl").is_file()
            if sha256_of(path) == scored.record["inputs"]["data"]
            for text in read_rows(path, Text)
        ]
    return {row_id(text): text for text in found}


def _words_of(annotation: Annotation) -> list[str]:
    """Everything of an annotation that a model may have learned by heart."""
    claims = [step.claim for step in annotation.reasoning]
    return [annotation.context, annotation.passage, annotation.decision, *claims]


def _code() -> str:
    package = Path(__file__).parent
    modules = sorted(path for room in _ROOMS for path in (package / room).glob("*.py"))
    return runs.code_hash(*_CODE, *(str(path.relative_to(package)) for path in modules))
