"""`cqa report`: scores before and after -> one sentence, tables (Markdown, CSV), one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cqa import analysis, runs, style
from cqa.errors import CqaError
from cqa.reporting import generated, outputs, results
from cqa.reporting.choose import pair
from cqa.reporting.inputs import (
    probes_of,
    probing,
    scores_of,
    sides_of,
    texts_of,
    words_of,
    written_by,
)
from cqa.score import PRIMARY
from cqa.study.cases import Case
from cqa.texts import as_texts
from cqa.types import Annotation, Text

if TYPE_CHECKING:
    from cqa.study.study import Study

_CODE = (
    "report.py",
    "study/cases.py",
    "analysis.py",
    "pairing.py",
    "style.py",
    "overlap.py",
    "probes.py",
)
_ROOMS = ("stats", "reporting", "templates")


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
            next_step="cqa run FILE does what is not done, and tries again what failed",
        )
    scored = [run for case in cases for run in case.tuned_scores]
    lost = len(experiment.seeds) - len(cases[0].seeds)
    standing = study.standing(scored)
    if lost:
        because = f"{lost} of {len(experiment.seeds)} seeds of {main} are missing"
        standing = replace(standing, reasons=(*standing.reasons, because))
    what = runs.Spec(
        stage="report",
        label=experiment.name,
        config={
            "experiment": experiment.name,
            "question": experiment.question,
            "kind": standing.said,
            "lock": standing.record(),
            "missing": missing,
            "analysis": experiment.analysis.model_dump(mode="json"),
        },
        parents=[
            study.ingested.id,
            *dict.fromkeys(run.id for one in cases for run in one.runs),
            *probing(cases[0].base_scores),
        ],
        code=_code(),
    )
    texts = {text.id: text for text in as_texts(study.data.items) if text.id}
    reported = runs.when_free(lambda: _run(what, cases, study.data.annotations, texts, study.root))
    study.made.append(reported)
    return reported


def of_runs(base: str | None, tuned: str | None, *, margin: float) -> runs.Run:
    """Report two score runs of the same texts; without names, the newest pair."""
    before, after = pair(base, tuned)
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
        parents=[before.id, after.id, *probing(before)],
        code=_code(),
    )
    case = Case(after.record["label"], before, (after,), (trained,) if trained else ())
    return _run(what, [case], [], texts_of(after), None)


def _run(
    what: runs.Spec,
    models: Sequence[Case],
    annotations: Sequence[Annotation],
    texts: Mapping[str, Text],
    root: Path | None,
) -> runs.Run:
    if done := runs.find(what, root):
        return done
    for run in (run for one in models for run in one.runs):
        runs.refuse_unreadable(run.record)
    with runs.execute(what, root) as reported:
        settings = what.config["analysis"]
        excluded = settings.get("exclude", {})
        base = scores_of(models[0].base_scores, excluded)
        separate = [
            analysis.compare(
                one.label,
                base,
                *(scores_of(run, excluded) for run in one.tuned_scores),
                primary=settings["primary"],
                margin=settings["margin"],
                noise_floor=one.noise_floor,
                on=one.on,
            )
            for one in models
        ]
        compared = analysis.corrected(separate)
        written = written_by(models, excluded)
        source = style.Source.of(text for one in annotations for text in words_of(one))
        found = results.of(what.config, compared, models, base) | {
            "writing": generated.judged(written, source, settings["primary"]),
            "writing_changes": generated.changes(written, settings["primary"]),
            "style": generated.style(written, source),
            "probes": probes_of(what.parents, models[0].base_scores.path.parent),
        }
        sides, tokens = sides_of(models, excluded)
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


def _code() -> str:
    package = Path(__file__).parent
    modules = sorted(path for room in _ROOMS for path in (package / room).glob("*.*"))
    return runs.code_hash(*_CODE, *(str(path.relative_to(package)) for path in modules))
