"""Ingest through the command line: what ships is valid, what is wrong is refused whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPOSITORY, annotation, dialogue, items, read_rows, write_rows

from cqa import ingest, runs
from cqa.ingest import split_by_work
from cqa.types import Annotation


def ingested(cqa, *sources: Path | str) -> dict:
    result = cqa("ingest", *map(str, sources), "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def split(record: dict) -> dict[str, str]:
    return json.loads((Path(record["path"]) / "split.json").read_text("utf-8"))


def change(file: Path, number: int, edit: Callable[[dict], object]) -> None:
    """Edit row `number`, from 0."""
    rows = read_rows(file)
    edit(rows[number])
    write_rows(file, rows)


def refused(cqa, workplace: Path, *sources: Path | str) -> list[str]:
    """The lines that a refusal prints, having checked that it left no trace."""
    before = sorted(workplace.rglob("*"))
    result = cqa("ingest", *map(str, sources))
    assert result.exit_code == 3, result.output
    assert result.stdout == ""
    assert sorted(workplace.rglob("*")) == before, "nothing is written, not even a runs directory"
    return result.stderr.removeprefix("cqa: ").splitlines()


def test_what_ships_is_valid_and_as_large_as_promised(cqa):
    facts = ingested(cqa)["headline"]
    assert facts["annotations"] == 100
    assert facts["items_literary"] == 96
    assert facts["items_factual"] == 96
    assert set(facts["steps_by_kind"]) == {"craft", "intent", "audience", "reality"}
    # no work is shared between the two sides, nor with the benchmark: ingest would have refused
    assert facts["works_train"] > facts["works_dev"] > 0


def test_no_work_of_the_benchmark_is_in_both_groups():
    # its scores would stand on both sides of literary − factual, which then has no interval
    groups: dict[str, set[str]] = {}
    for row in read_rows(REPOSITORY / "annotations" / "benchmark" / "items.jsonl"):
        groups.setdefault(row["work"], set()).add(row["group"])
    assert all(len(found) == 1 for found in groups.values())


def test_a_data_set_is_made_once_and_then_found(cqa, batch, benchmark):
    first = cqa("ingest", "batch", "items.jsonl")
    second = cqa("ingest", "batch", "items.jsonl")
    assert first.stdout.startswith("made ingest-batch-")
    assert second.stdout.startswith("done already: ingest-batch-")


def test_a_broken_row_names_file_and_line_field_what_was_seen_and_what_is_expected(
    cqa, workplace, batch, benchmark
):
    change(batch / "annotations.jsonl", 2, lambda row: row["reasoning"][0].update(kind="mood"))
    assert refused(cqa, workplace, "batch", "items.jsonl") == [
        "batch/annotations.jsonl:3: reasoning[0].kind: saw 'mood'; "
        "expected one of 'craft', 'intent', 'audience' or 'reality'",
        "  next: mend the lines and run the same command again",
    ]


def test_broken_rows_of_all_files_are_named_at_once(cqa, workplace, batch, benchmark):
    change(batch / "annotations.jsonl", 0, lambda row: row.pop("decision"))
    change(batch / "dialogues.jsonl", 5, lambda row: row["exit"].update(by="D"))
    change(benchmark, 11, lambda row: row.update(foil=row["text"]))
    told = refused(cqa, workplace, "batch", "items.jsonl")
    assert [line.split(": saw")[0] for line in told] == [
        "batch/dialogues.jsonl:6: exit.by",
        "batch/annotations.jsonl:1: decision",
        "items.jsonl:12",
        "  next: mend the lines and run the same command again",
    ]


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda row: row["brief"].pop("reality"), "a brief with all three parts; reality missing"),
        (lambda row: row.update(load_bearing=[1, 3]), "numbers between 1 and 2, got [3]"),
        (lambda row: row.update(load_bearing=[0]), "numbers between 1 and 2, got [0]"),
        (lambda row: row.update(foil=row["passage"] + "\n"), "a foil that differs"),
        (lambda row: row["reasoning"][0].update(turns=[]), "reasoning[0].turns: saw []"),
        (lambda row: row["reasoning"][0].update(turns=["c1"]), "a turn label such as B1 or C12"),
        (lambda row: row["rights"].update(licence=" "), "rights.licence: saw ' '"),
    ],
)
def test_a_judgement_that_is_not_whole_is_refused(cqa, workplace, batch, edit, told):
    change(batch / "annotations.jsonl", 1, edit)
    first, _ = refused(cqa, workplace, "batch")
    assert first.startswith("batch/annotations.jsonl:2: ")
    assert told in first


def test_turns_that_the_dialogue_does_not_have_are_named(cqa, workplace, batch):
    # the dialogues of the test batch have the turns C1, B1, C2
    change(
        batch / "annotations.jsonl", 3, lambda row: row["reasoning"][1].update(turns=["C2", "C9"])
    )
    assert refused(cqa, workplace, "batch")[0] == (
        "batch/annotations.jsonl:4: reasoning[1].turns: saw C9; "
        "expected turns of dlg-3 (its last is C2)"
    )


def test_a_reason_without_a_turn_of_the_expert_is_refused(cqa, workplace, batch):
    change(batch / "annotations.jsonl", 3, lambda row: row["reasoning"][0].update(turns=["B1"]))
    assert refused(cqa, workplace, "batch")[0] == (
        "batch/annotations.jsonl:4: reasoning[0].turns: saw B1; "
        "expected at least one turn of the expert, C"
    )


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["B1", "B2"], "at least one turn of C, the expert; there is none"),
        (["B1", "C1", "C3"], "turns of C numbered 1, 2, 3 ... in order, got [1, 3]"),
        (["B2", "C1", "B1"], "turns of B numbered 1, 2, 3 ... in order, got [2, 1]"),
    ],
)
def test_a_dialogue_has_an_expert_and_numbered_turns(cqa, workplace, batch, labels, told):
    turns = [{"turn": label, "text": "Well."} for label in labels]
    change(batch / "dialogues.jsonl", 0, lambda row: row.update(turns=turns))
    assert told in refused(cqa, workplace, "batch")[0]


def test_an_annotation_needs_its_dialogue_and_both_are_of_one_work(cqa, workplace, batch):
    change(batch / "annotations.jsonl", 0, lambda row: row.update(dialogue="dlg-9"))
    change(batch / "annotations.jsonl", 4, lambda row: row.update(work="Novel 5"))
    told = refused(cqa, workplace, "batch")
    assert told[0].startswith("batch/annotations.jsonl:1: dialogue: saw 'dlg-9'")
    assert told[1] == (
        "batch/annotations.jsonl:5: work: saw 'Novel 5'; "
        "expected the work of its dialogue, 'Novel 4'"
    )


@pytest.mark.parametrize("title", ["Novel 2", "novel 2", "NOVEL  2 "])
def test_a_work_on_both_sides_is_a_leak_and_both_places_are_named(
    cqa, workplace, batch, benchmark, title
):
    change(benchmark, 7, lambda row: row.update(work=title))
    assert refused(cqa, workplace, "items.jsonl", "batch")[0] == (
        f"items.jsonl:8: work: saw {title!r}, which batch/annotations.jsonl:3 trains on; "
        "expected a work of its own (else a leak)"
    )


def test_an_id_that_two_files_share_is_refused(cqa, workplace, batch):
    write_rows(workplace / "more" / "dialogues.jsonl", [dialogue(0)])
    assert refused(cqa, workplace, "batch", "more")[0] == (
        "more/dialogues.jsonl:1: id: saw 'dlg-0', which batch/dialogues.jsonl:1 has already; "
        "expected an id of its own"
    )


def test_a_file_of_any_name_is_known_by_its_rows(cqa, workplace):
    write_rows(workplace / "one.jsonl", [dialogue(n) for n in range(2)])
    write_rows(workplace / "two.jsonl", [annotation(n) for n in range(2)])
    write_rows(workplace / "three.jsonl", items())
    facts = ingested(cqa, "three.jsonl", "two.jsonl", "one.jsonl")["headline"]
    assert (facts["dialogues"], facts["annotations"]) == (2, 2)
    assert (facts["items_literary"], facts["items_factual"]) == (6, 6)


@pytest.mark.parametrize("content", ["", "{}\n", "[]\n", "{\n", '{"text": "a"}\n', "\udcff"])
def test_a_file_that_is_none_of_the_three_kinds_is_refused(cqa, workplace, content):
    (workplace / "what.jsonl").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert refused(cqa, workplace, "what.jsonl")[0].startswith("what.jsonl:1: saw a row that is")


def test_a_folder_with_none_of_the_files_is_refused(cqa, workplace):
    (workplace / "empty").mkdir()
    assert refused(cqa, workplace, "empty")[0].startswith("empty: none of dialogues.jsonl")


def test_neither_the_order_of_files_nor_of_rows_matters_to_the_split(
    cqa, workplace, batch, benchmark
):
    straight = split(ingested(cqa, "batch", "items.jsonl"))
    other = workplace / "other"
    for name in ("annotations.jsonl", "dialogues.jsonl"):
        write_rows(other / name, read_rows(batch / name)[::-1])
    turned = split(ingested(cqa, other / "annotations.jsonl", benchmark, other / "dialogues.jsonl"))
    assert turned == straight
    assert set(straight) == {f"Novel {number}" for number in range(6)}
    # a fifth of six works is 1.2, so one is held back
    assert sorted(straight.values()) == ["dev", *["train"] * 5]


def test_one_work_written_in_two_ways_stands_on_one_side(cqa, workplace, batch):
    again = [
        annotation(n) | {"id": f"again-{n}", "dialogue": f"dlg-{n}", "work": f"NOVEL  {n}"}
        for n in range(6)
    ]
    write_rows(batch / "annotations.jsonl", [*read_rows(batch / "annotations.jsonl"), *again])
    record = ingested(cqa, "batch")
    sides = split(record)
    for number in range(6):
        own = {sides[work] for work in sides if work.split()[-1] == str(number)}
        assert len(own) == 1, f"Novel {number} is both trained on and held back"
    # six works however they are written, and again one of them is held back
    facts = record["headline"]
    assert (facts["works_train"], facts["works_dev"]) == (5, 1)


def of_works(works: list[str], author: str = "original") -> list[Annotation]:
    return [Annotation(**annotation(0) | {"work": work, "author": author}) for work in works]


def test_the_split_is_by_work_and_a_new_work_moves_at_most_one_other():
    works = of_works([f"Work {number}" for number in range(60)])
    for count in range(2, len(works)):
        before, after = split_by_work(works[:count]), split_by_work(works[: count + 1])
        moved = [work for work in before if before[work] != after[work]]
        assert len(moved) <= 1
        assert "dev" in before.values()
        assert "train" in before.values()
    # 60 works: a fifth of them, 12, are held back
    assert list(split_by_work(works).values()).count("dev") == 12


def test_the_works_of_one_author_stand_on_one_side():
    works = of_works([f"Work {number}" for number in range(20)])
    sides = split_by_work(works)
    one, other = (next(w for w in sides if sides[w] == side) for side in ("train", "dev"))
    rows = [w for w in works if w.work not in (one, other)] + of_works([one, other], "A. Writer")
    together = split_by_work(rows)
    assert together[one] == together[other]


def test_a_single_work_is_trained_on():
    assert split_by_work(of_works(["alone", "alone"])) == {"alone": "train"}


def test_a_correction_is_a_new_line_and_the_earlier_one_is_not_trained_on(cqa, workplace, batch):
    path = batch / "annotations.jsonl"
    rows = read_rows(path)
    better = rows[0] | {"id": "better", "corrects": rows[0]["id"], "decision": "Say it plainly."}
    write_rows(path, [*rows, better])
    found = ingest.load(runs.read(Path(ingested(cqa, "batch")["path"])))
    assert [row.id for row in found.annotations] == [*(r["id"] for r in rows[1:]), "better"]
    write_rows(path, [better, *rows])
    assert refused(cqa, workplace, "batch")[0] == (
        f"batch/annotations.jsonl:1: corrects: saw {rows[0]['id']!r}; "
        "expected the id of an annotation on an earlier line"
    )


def test_words_that_training_and_benchmark_share_are_a_leak(cqa, workplace, batch, benchmark):
    rows = read_rows(benchmark)
    stolen = "she kept the second key in the bread tin under the heel"
    rows[4]["context"] = f"One day, as {stolen.upper()}, it rained."
    write_rows(benchmark, rows)
    change(batch / "annotations.jsonl", 2, lambda row: row.update(context=f"It rained; {stolen}."))
    told = refused(cqa, workplace, "batch", "items.jsonl")[0]
    assert told.startswith("items.jsonl:5: ")
    assert "batch/annotations.jsonl:3" in told


def test_a_transcript_is_a_dialogue(cqa, workplace):
    (workplace / "session.txt").write_text(
        "work: The Ferry\n\nB: Why the lamp?\nC: It is, hm, it is what he has.\nB: And without?\n"
        "C: Then nothing burns.\n"
    )
    record = ingested(cqa, "session.txt")
    assert record["headline"]["dialogues"] == 1
    (row,) = read_rows(Path(record["path"]) / "dialogues.jsonl")
    assert row["work"] == "The Ferry"
    assert [turn["turn"] for turn in row["turns"]] == ["B1", "C1", "B2", "C2"]
    signals = json.loads((Path(record["path"]) / "signals.json").read_text())
    assert signals["exits"] == {"missing": 1}


NAMED = (
    "work: The Ferry\n\nAnna: Why the lamp?\nDr. Wu: It is, hm, what he has.\n"
    "Anna: And without?\nDr. Wu: Then nothing burns.\n"
)


def test_who_is_who_can_be_said_on_the_command_line(cqa, workplace):
    (workplace / "session.txt").write_text(NAMED)
    (told, _) = refused(cqa, workplace, "session.txt")
    assert told.startswith("session.txt:3: speaker: saw speakers 'Anna' (2), 'Dr. Wu' (2)")
    assert told.endswith("or with --speakers")
    record = ingested(cqa, "session.txt", "--speakers", "B=Anna,C=Dr. Wu")
    (row,) = read_rows(Path(record["path"]) / "dialogues.jsonl")
    assert [turn["turn"] for turn in row["turns"]] == ["B1", "C1", "B2", "C2"]
    assert record["warnings"]["exit_by"] == {
        "dialogues": ["session-1"],
        "example": "who ended the dialogue, and why, is not recorded",
    }


@pytest.mark.parametrize(
    ("said", "told"), [("Anna", "saw 'Anna'"), ("B=Anna,C=Anna", "'Anna' twice")]
)
def test_speakers_that_say_nothing_are_a_fault_of_usage(cqa, workplace, said, told):
    (workplace / "session.txt").write_text(NAMED)
    result = cqa("ingest", "session.txt", "--speakers", said)
    assert result.exit_code == 2
    assert told in result.stderr


def test_speakers_beside_files_that_need_none_are_not_ignored(cqa, batch):
    result = cqa("ingest", "batch", "--speakers", "B=Anna,C=Wu")
    assert result.exit_code == 2
    assert "--speakers beside files that say B and C themselves" in result.stderr


def test_warnings_and_notes_are_shown_and_are_no_verdicts(cqa, workplace):
    (workplace / "session.txt").write_text("B: Why the lamp?\nC: It is what he has.\n")
    result = cqa("ingest", "session.txt")
    assert result.exit_code == 0
    told = result.stderr.splitlines()
    assert told[0] == (
        "note: session.txt:1: work: not said; the name of the file, 'session', stands for it"
    )
    assert (
        "warning: exit_by in 1 dialogue (session-1): "
        "who ended the dialogue, and why, is not recorded" in told
    )
    assert told[-1].startswith("warnings are no verdicts")


def dropped(record: dict) -> list[dict]:
    return read_rows(Path(record["path"]) / "dropped.jsonl")


def test_drop_goes_on_without_refused_records_and_keeps_them_whole(cqa, workplace, batch):
    change(batch / "annotations.jsonl", 2, lambda row: row["reasoning"][0].update(kind="mood"))
    change(batch / "annotations.jsonl", 4, lambda row: row["reasoning"][0].update(turns=["C9"]))
    with (batch / "annotations.jsonl").open("ab") as out:
        out.write(b'{"id": "ann-9", "id": "ann-10"}\n\xff\n')
    record = ingested(cqa, "batch", "--drop")
    assert record["headline"]["annotations"] == 4
    assert record["headline"]["dropped"] == 4
    rows = dropped(record)
    assert [row["where"].rpartition(":")[2] for row in rows] == ["3", "7", "8", "5"]
    lines = (batch / "annotations.jsonl").read_bytes().splitlines()
    assert rows[0]["record"] == json.loads(lines[2])
    assert rows[1]["record"] == '{"id": "ann-9", "id": "ann-10"}'
    assert rows[3]["record"] == json.loads(lines[4])
    assert rows[0]["problems"] == [
        "batch/annotations.jsonl:3: reasoning[0].kind: saw 'mood'; "
        "expected one of 'craft', 'intent', 'audience' or 'reality'"
    ]
    assert "reasoning[0].turns: saw C9" in rows[3]["problems"][0]
    assert record["dropped"] == [problem for row in rows for problem in row["problems"]]


def test_what_rests_on_a_dropped_record_goes_with_it(cqa, workplace, batch):
    change(batch / "dialogues.jsonl", 1, lambda row: row["turns"].pop(0))  # C2 before any C1
    first = read_rows(batch / "annotations.jsonl")[3]
    broken = {**first, "id": "ann-3b", "corrects": "ann-3", "passage": ""}
    with (batch / "annotations.jsonl").open("a") as out:
        out.write(json.dumps(broken) + "\n")
    record = ingested(cqa, "batch", "--drop")
    kept = read_rows(Path(record["path"]) / "annotations.jsonl")
    # ann-1 lost its dialogue; ann-3 is held to be wrong, and what should replace it is no good
    assert [row["id"] for row in kept] == ["ann-0", "ann-2", "ann-4", "ann-5"]
    reasons = {row["where"].removeprefix("batch/"): row["problems"] for row in dropped(record)}
    assert "dialogue: saw 'dlg-1'" in reasons["annotations.jsonl:2"][0]
    assert "'ann-3', whose correction was refused" in reasons["annotations.jsonl:4"][0]


def test_of_two_records_with_one_id_the_later_is_dropped(cqa, workplace, batch):
    change(batch / "annotations.jsonl", 5, lambda row: row.update(id="ann-0"))
    record = ingested(cqa, "batch", "--drop")
    assert [row["where"] for row in dropped(record)] == ["batch/annotations.jsonl:6"]


def test_drop_keeps_imported_records_whole(cqa, workplace):
    good = {"messages": [{"role": "user", "content": "Why?"}], "work": "The Ferry"}
    good["messages"].append({"role": "assistant", "content": "It burns."})
    bad = {"messages": [{"role": "tool", "content": "x"}], "work": "灯"}
    write_rows(workplace / "chat.jsonl", [good, bad])
    record = ingested(cqa, "chat.jsonl", "--drop")
    (row,) = dropped(record)
    assert (row["where"], row["record"]) == ("chat.jsonl:2", bad)


def test_a_leak_is_refused_with_drop_too(cqa, workplace, batch, benchmark):
    change(benchmark, 3, lambda row: row.update(work="Novel 2"))
    assert "else a leak" in refused(cqa, workplace, "batch", "items.jsonl", "--drop")[0]


def test_a_batch_of_which_nothing_is_left_is_refused_with_drop_too(cqa, workplace):
    (workplace / "annotations.jsonl").write_text('{"reasoning": 1}\n')
    assert len(refused(cqa, workplace, "annotations.jsonl", "--drop")) > 1


def test_a_file_without_records_is_refused_with_drop_too(cqa, workplace, batch):
    (batch / "dialogues.jsonl").write_text("")
    assert "no rows" in refused(cqa, workplace, "batch", "--drop")[0]


def marks(number: int, *kinds: str, **changes) -> dict:
    return {"annotation": f"ann-{number}", "annotator": "second", "kinds": kinds} | changes


def test_two_annotators_are_compared_step_by_step(cqa, workplace, batch):
    # the annotations have the kinds reality, audience, and step 1 bears load
    given = [marks(n, "reality", "audience", load_bearing=[1]) for n in range(4)]
    given += [marks(4, "craft", "audience", load_bearing=[2])]
    write_rows(batch / "marks.jsonl", given)
    record = ingested(cqa, "batch")
    agreed = record["agreement"]
    assert (agreed["annotators"], agreed["annotations"]) == (2, 5)
    # reality 4 + 5, audience 5 + 5, craft 1 of 20; observed 2, expected (400 - 81 - 100 - 1) / 19
    expected = 1 - 2 / ((20**2 - 9**2 - 10**2 - 1**2) / 19)
    assert agreed["kinds"]["krippendorffs_alpha"] == pytest.approx(expected)
    assert agreed["kinds"]["same"] == 0.9
    assert agreed["kinds"]["by_mark"]["craft"] == 0
    # bearing and not: ten of each; four observed of ten pairs differ in two steps
    assert agreed["load_bearing"]["krippendorffs_alpha"] == pytest.approx(1 - 4 / (200 / 19))
    assert "agreement of 2 annotators on 10 steps of 5 annotations: kinds alpha 0.83" in (
        cqa("ingest", "batch").stdout
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([marks(9, "craft")], "marks.jsonl:1: annotation: saw 'ann-9'"),
        ([marks(1, "craft")], "kinds: saw 1 of them; expected one for each of the 2 steps"),
        ([marks(1, "craft", "mood")], "kinds[1]: saw 'mood'"),
        ([marks(1, "craft", "craft", load_bearing=[3])], "load_bearing: saw [3]"),
        ([marks(1, "craft", "craft")] * 2, "marks.jsonl:2: annotator: saw 'ann-1 by second'"),
    ],
)
def test_marks_that_do_not_fit_are_refused(cqa, workplace, batch, given, told):
    write_rows(batch / "marks.jsonl", given)
    assert told in refused(cqa, workplace, "batch")[0]


def test_marks_change_no_training(cqa, workplace, batch):
    plain = ingested(cqa, "batch")
    write_rows(batch / "marks.jsonl", [marks(1, "craft", "craft")])
    marked = ingested(cqa, "batch")
    assert marked["inputs"]["data"] == plain["inputs"]["data"]
    assert marked["id"] != plain["id"]
    assert marked["agreement"]["load_bearing"]["krippendorffs_alpha"] is None
    assert marked["agreement"]["reasons"] == {
        "load_bearing.krippendorffs_alpha": "nobody else was asked"
    }
