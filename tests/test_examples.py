"""Training forms: what is read, what is learned, and placebos that differ in nothing else."""

from __future__ import annotations

import re

import pytest
from conftest import annotation, dialogue

from cqa import examples, problems
from cqa.types import Annotation, Dialogue


@pytest.fixture(scope="module")
def rows() -> list[Annotation]:
    return [Annotation(**annotation(number)) for number in range(6)]


@pytest.fixture(scope="module")
def dialogues() -> dict[str, Dialogue]:
    found = [Dialogue(**dialogue(number)) for number in range(6)]
    return {one.id: one for one in found}


def by_form(rows, dialogues, **more) -> dict[str, examples.Example]:
    made = examples.examples(rows[:1], examples.ALL_FORMS, dialogues=dialogues, **more)
    return {example.form: example for example in made}


def test_each_form_reads_and_learns_what_its_name_says(rows, dialogues):
    made, row = by_form(rows, dialogues), rows[0]
    assert list(made) == ["generation", "appreciation", "rewrite", "reasoning", "dialogue"]
    for form, example in made.items():
        assert row.brief.intent in example.preface
        assert ("".join(example.given).count(row.passage.strip()) == 1) == (
            form not in ("generation", "reasoning")
        )
    assert made["generation"].learned.strip() == row.passage.strip()
    claims = [step.claim for step in row.reasoning]
    for form in ("appreciation", "rewrite", "reasoning"):
        assert all(claim.rstrip(".") in made[form].learned for claim in claims), form
        assert row.decision.rstrip(".") in made[form].learned
    assert made["reasoning"].learned.endswith(row.passage.strip())
    turns = [turn.text for turn in dialogues[row.dialogue].turns]
    assert [line[3:] for line in made["dialogue"].learned.splitlines()] == turns


def test_the_rewrite_has_the_content_of_the_judgement_and_none_of_its_labels(rows, dialogues):
    made = by_form(rows, dialogues)
    labelled, prose = made["appreciation"].learned, made["rewrite"].learned
    assert re.search(r"^(Craft|Intent|Audience|Reality|Not|Decision): ", labelled, re.M)
    assert not re.search(r"(Craft|Intent|Audience|Reality|Not|Decision): ", prose)
    assert "\n" not in prose
    for other in rows[0].rejected:
        assert other.reason.rstrip(".")[1:] in prose


def test_shuffled_pairing_moves_brief_judgement_and_dialogue_together(rows, dialogues):
    made = examples.examples(
        rows, examples.ALL_FORMS, dialogues=dialogues, pairing="shuffled", seed=1
    )
    of = {row.id: row for row in rows}
    by_brief = {row.brief.intent: row for row in rows}
    for example in made:
        (judge,) = (row for intent, row in by_brief.items() if intent in example.preface)
        assert judge.work != of[example.id].work
        if example.form == "dialogue":
            assert example.learned == examples.transcript(dialogues[judge.dialogue])
        elif example.form != "generation":
            assert judge.decision.rstrip(".") in example.learned


def test_plain_continuation_has_the_passages_and_no_brief_or_judgement(rows, dialogues):
    true = examples.examples(rows, ("generation", "appreciation"), dialogues=dialogues)
    made = examples.examples(
        rows, ("generation", "appreciation"), dialogues=dialogues, material="continuation"
    )
    assert [(e.id, e.form) for e in made] == [(e.id, e.form) for e in true]  # as many steps
    for example in made:
        row = next(row for row in rows if row.id == example.id)
        assert example.preface == ""
        assert "".join(example.given) == row.context.strip()
        assert example.learned.strip() == row.passage.strip()


def test_generic_reasoning_is_as_long_as_what_it_stands_for(rows, dialogues):
    forms = ("generation", "appreciation")
    true = examples.examples(rows, forms, dialogues=dialogues)
    made = examples.examples(rows, forms, dialogues=dialogues, material="generic", seed=4)
    again = examples.examples(rows, forms, dialogues=dialogues, material="generic", seed=4)
    other = examples.examples(rows, forms, dialogues=dialogues, material="generic", seed=5)
    assert made == again != other
    assert len({example.learned for example in made}) == len(made)
    for one, example in zip(true, made, strict=True):
        more = len(example.learned.split()) - len(one.learned.split())
        assert 0 <= more <= 20
        assert not set(one.learned.split()) <= set(example.learned.split())


@pytest.mark.parametrize("seed", range(30))
def test_the_sums_of_a_problem_are_true(seed):
    problem, solution = problems.worked(str(seed), 120, 200)
    assert len(problem.split()) >= 120
    assert 200 <= len(solution.split()) < 220
    now = int(re.match(r"At the start there are (\d+) ", solution)[1])
    assert f"begins the week with {now} " in problem
    for sentence in solution.split(". ")[1:]:
        numbers = [int(n) for n in re.findall(r"\d+", sentence)]
        if "make" in sentence:
            assert numbers == [now, numbers[1], now + numbers[1]]
        elif "less" in sentence:
            assert numbers == [now, numbers[1], now - numbers[1]]
        elif "Twice" in sentence:
            assert numbers == [now, 2 * now]
        elif "Half" in sentence:
            assert numbers == [now, now // 2, now // 2]
        else:
            assert numbers[-1] == now
        now = numbers[-1]
