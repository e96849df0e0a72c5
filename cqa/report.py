"""`cqa report`: scores before and after -> one sentence, tables (Markdown, CSV), one HTML file."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cqa import analysis, markdown, runs, score, writing
from cqa.analysis import Change, Comparison
from cqa.cases import Case
from cqa.errors import CqaError, DataRefused, UsageRefused
from cqa.files import read_rows, sha256_of, sha256_of_value, whole, write_json, write_text
from cqa.html import page
from cqa.score import PRIMARY
from cqa.types import Annotation, Score, Text

if TYPE_CHECKING:
    from cqa.study import Study

_CODE = (
    "report.py",
    "cases.py",
    "analysis.py",
    "writing.py",
    "overlap.py",
    "html.py",
    "markdown.py",
    "figures.py",
    "templates/report.html",
)


def of_study(study: Study, missing: Mapping[str, str] | None = None) -> runs.Run:
    """Report what is done of an experiment. `missing` names steps that are not, with the reason."""
    experiment, missing = study.experiment, dict(missing or {})
    cases = study.cases()
    main = experiment.analysis.arm
    if not cases or cases[0].arm != main:
        why = "\n".join(f"  {step}: {reason}" for step, reason in missing.items())
        raise CqaError(
            f"{experiment.name}: there is no score of {main!r} and of the base to compare\n{why}",
            next_step="the same command tries what failed again",
        )
    scored = [run for case in cases for run in case.tuned_scores]
    standing = study.standing(scored)
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
        parents=[study.ingested.id, *dict.fromkeys(run.id for c in cases for run in c.runs)],
        code=_code(),
    )
    reported = _run(what, cases, study.data.annotations, study.root)
    study.made.append(reported)
    return reported


def of_runs(base: str | None, tuned: str | None, *, margin: float) -> runs.Run:
    """Report two score runs of the same texts; without names, the newest pair."""
    from cqa.study import latest, run_of

    after = run_of(tuned) if tuned is not None else latest("score", _is_tuned)
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
        parents=[before.id, after.id],
        code=_code(),
    )
    case = Case(after.record["label"], before, (after,), (trained,) if trained else ())
    return _run(what, [case], [], None)


def _is_tuned(run: runs.Run) -> bool:
    trained = any(parent.startswith("train-") for parent in run.record["parents"])
    return trained or "adapter" in run.record["inputs"]


def _run(
    what: runs.Spec, models: Sequence[Case], annotations: Sequence[Annotation], root: Path | None
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
                noise_floor=_noise_floor(one),
                on=one.on,
            )
            for one in models
        ]
        compared = analysis.corrected(separate)
        results = {
            "sentence": analysis.sentence(compared[0], _cost(models[0])),
            "question": what.config["question"],
            "kind": what.config["kind"],
            "lock": what.config.get("lock"),
            "missing": what.config.get("missing", {}),
            "analysis": {**settings, "sha256": sha256_of_value(dict(settings))},
            "models": [_model(c, one) for c, one in zip(compared, models, strict=True)],
            "against": [
                _row(f"{compared[0].label} against {other.label}", change)
                for other, one in zip(compared[1:], models[1:], strict=True)
                if one.epoch is None
                for change in analysis.against(compared[0], other)
            ],
            "base_of_benchmark": models[0].base_scores.record["headline"]["groups"],
            "writing": _writing(models, annotations),
            "bill": [_bill(run) for run in {r.id: r for m in models for r in m.runs}.values()],
            "numbers": _numbers(compared, models),
        }
        table = _tidy(compared)
        write_json(reported.file("report.json"), results)
        with whole(reported.file("results.csv")) as out:
            table.to_csv(out, index=False)
        write_text(reported.file("report.md"), markdown.page(results))
        texts = _side_by_side(models)
        write_text(reported.file("report.html"), page(results, compared, base, texts))
        reported.tell(
            headline={"sentence": results["sentence"], "verdict": compared[0].verdict.word},
            outputs={
                name: sha256_of(reported.file(name))
                for name in ("report.json", "results.csv", "report.md", "report.html")
            },
        )
    return reported


def _model(comparison: Comparison, one: Case) -> dict[str, Any]:
    return {
        "model": one.label,
        "arm": one.arm,
        "seeds": list(one.seeds),
        "epoch": one.epoch,
        "rows": one.rows,
        "sentence": analysis.sentence(comparison, _cost(one)),
        "verdict": comparison.verdict.word
        + (f" ({comparison.verdict.reason})" if comparison.verdict.reason else ""),
        "decay": comparison.verdict.decay,
        "noise_floor": comparison.verdict.noise_floor,
        "primary": [
            _row(one.label, change)
            for group in analysis.GROUPS
            if (change := comparison.change(comparison.primary, group))
        ],
        "secondary": [
            _row(one.label, change)
            for change in comparison.changes
            if (change.quantity, change.group) != (comparison.primary, "literary")
        ],
        "brackets_said": {
            name: analysis.said(interval) for name, interval in comparison.brackets.items()
        },
        "brackets": {name: asdict(value) for name, value in comparison.brackets.items()},
        "difference_said": (
            "literary − factual "
            + analysis.said(comparison.difference.interval)
            + f", p = {markdown.p_value(comparison.difference.test.p)}"
            if comparison.difference
            else "no factual group to compare with"
        ),
        "difference": asdict(comparison.difference) if comparison.difference else None,
        "selective": comparison.selective.holds if comparison.selective else None,
        "control_unmoved": comparison.control.holds if comparison.control else None,
    }


def _row(label: str, change: Change) -> dict[str, Any]:
    interval = change.interval
    return {
        "model": label,
        "quantity": change.quantity,
        "group": change.group,
        "items": interval.items,
        "works": interval.works,
        "dropped": change.dropped,
        "base": change.base_mean,
        "tuned": change.tuned_mean,
        "change": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "interval": interval.method,
        "bca_low": change.bca.low,
        "bca_high": change.bca.high,
        "p": change.sign_flip.p,
        "p_wilcoxon": change.wilcoxon.p,
        "p_adjusted": change.adjusted_p,
        "p_holm": change.holm_p,
        "seed_means": list(change.seed_means),
        "between_seed_sd": change.between_seed_sd,
        "crossed": change.crossed,
        "d_z": change.dz.estimate,
        "d_z_low": change.dz.low,
        "d_z_high": change.dz.high,
        "rank_biserial": change.rank_biserial.estimate,
        "detectable": change.detectable.effect,
    }


def _tidy(compared: Sequence[Comparison]) -> pd.DataFrame:
    return pd.DataFrame([_row(c.label, change) for c in compared for change in c.changes])


def _numbers(compared: Sequence[Comparison], models: Sequence[Case]) -> dict[str, float | None]:
    """The numbers an experiment file can expect, by name."""
    numbers: dict[str, float | None] = {}
    for row in models[0].base_scores.record["headline"]["groups"]:
        for name in ("surprise_bits_per_token", "gain_bits_per_token", PRIMARY):
            numbers[f"base.{row['group']}.{name}"] = row[name]
    for comparison in compared:
        for group in analysis.GROUPS:
            for quantity in (PRIMARY, "gain_bits_per_token", "residual_bits_per_token"):
                if change := comparison.change(quantity, group):
                    key = f"{comparison.label}.{group}.change_of_{quantity}"
                    numbers[key] = change.interval.estimate
    return numbers


def _writing(models: Sequence[Case], annotations: Sequence[Annotation]) -> list[dict[str, Any]]:
    passages = [annotation.passage for annotation in annotations]
    rows: list[dict[str, Any]] = []
    base_scores: list[Score] | None = None
    for label, texts_run, scores_run in _written(models):
        texts = read_rows(texts_run.file("texts.jsonl"), Text)
        facts = writing.describe(
            [text.text for text in texts], [bool(text.meta["ended"]) for text in texts], passages
        )
        scores = score.load_scores(scores_run)
        base_scores = scores if base_scores is None else base_scores
        changes = analysis.changes_of_writing(base_scores, scores) if label != "base" else []
        rows.append(
            {"model": label, "judge": scores[0].judge}
            | asdict(facts)
            | {name: _mean(scores, name) for name in ("gain_bits_per_token", PRIMARY)}
            | {"changes": [_row(label, change) for change in changes if change.quantity == PRIMARY]}
        )
    return rows


def _written(models: Sequence[Case]) -> list[tuple[str, runs.Run, runs.Run]]:
    """(label, texts, their scores) of the base and of every tuned model that wrote."""
    first = next((one for one in models if one.base_texts and one.base_text_scores), None)
    if first is None:
        return []
    return [("base", first.base_texts, first.base_text_scores)] + [
        (texts.record["label"], texts, scores)
        for one in models
        for texts, scores in zip(one.tuned_texts, one.tuned_text_scores, strict=True)
    ]


def _side_by_side(models: Sequence[Case]) -> list[dict[str, Any]]:
    """For each item and sample: the brief, and what base and tuned models wrote."""
    rows: dict[tuple[str | None, int | None], dict[str, Any]] = {}
    for label, run, _ in _written(models):
        for text in read_rows(run.file("texts.jsonl"), Text):
            row = rows.setdefault((text.item, text.sample), {"text": text, "written": []})
            row["written"].append((label, text.text))
    return list(rows.values())


def _bill(run: runs.Run) -> dict[str, Any]:
    spent = run.record.get("spent") or {}
    said = ", ".join(f"{name} {value}" for name, value in spent.items())
    seconds = sum(attempt.get("seconds") or 0.0 for attempt in run.record["attempts"])
    return {"run": run.id, "seconds": round(seconds, 2), "spent": said}


def _cost(one: Case) -> str:
    if not one.trained:
        return "not known (the training was not run by cqa)"
    spent = [run.record["spent"] for run in one.trained]
    device = "CPU" if spent[0]["device"].startswith("cpu") else spent[0]["device"]
    seconds, tokens = (sum(each[name] for each in spent) for name in ("device_seconds", "tokens"))
    return f"{seconds:.0f} s of one {device} ({tokens:,} tokens)"


def _scores(run: runs.Run, excluded: Collection[str]) -> list[Score]:
    return [s for s in score.load_scores(run) if (s.item or s.id) not in excluded]


def _noise_floor(one: Case) -> float:
    """A change carries the noise of both scorings, of the noisiest seed; 0 where not measured."""

    def of(run: runs.Run) -> float:
        measured = run.record["headline"].get("noise_floor")
        return measured["largest_difference"].get(PRIMARY, 0.0) if measured else 0.0

    return of(one.base_scores) + max(of(run) for run in one.tuned_scores)


def _mean(scores: Sequence[Score], name: str) -> float | None:
    values = [s.quantities[name] for s in scores if s.quantities[name] is not None]
    return sum(values) / len(values) if values else None


def _code() -> str:
    stats_modules = sorted(p.name for p in (Path(__file__).parent / "stats").glob("*.py"))
    return runs.code_hash(*_CODE, *(f"stats/{name}" for name in stats_modules))
