"""Which id sequences a text is scored under: the draw of mismatched briefs, the filler."""

from __future__ import annotations

import random

import pytest
from closed_form import WordTokenizer

from cqa import render
from cqa.conditions import NEAREST, PoolBrief, draw_mismatched, filler_ids, plan
from cqa.types import Brief, Text

TOKENIZER = WordTokenizer()
ROW = Text(
    text="It rained.", brief=Brief(intent="one two three four"), work="Ours", group="literary"
)


def pool_brief(name: str, words: int, **changes) -> PoolBrief:
    given = {"work": f"Work {name}", "group": "literary"} | changes
    brief = given.pop("brief", Brief(intent=" ".join(f"{name}{i}" for i in range(words))))
    return PoolBrief(name, brief=brief, **given)


def drawn(pool, row: Text = ROW, row_id: str = "row", k: int = 3) -> list[str]:
    """The briefs that were drawn, by the id they have in the pool."""
    by_ids = {
        tuple(TOKENIZER.encode(render.preface(entry.brief))): entry.id for entry in reversed(pool)
    }
    return [by_ids[tuple(ids)] for ids in draw_mismatched(row, row_id, pool, TOKENIZER, k)]


def test_mismatched_briefs_are_of_another_work_with_the_same_parts_and_group():
    unfit = [
        pool_brief("own-work", 4, work="Ours"),
        pool_brief("other-group", 4, group="factual"),
        pool_brief("more-parts", 4, brief=Brief(intent="a b c d", reality="e")),
        pool_brief("own-brief", 4, brief=ROW.brief),
    ]
    fit = [pool_brief("near", 4), pool_brief("far", 90), pool_brief("no-group", 5, group=None)]
    assert sorted(drawn([*unfit, *fit])) == ["far", "near", "no-group"]
    assert drawn(unfit) == []
    assert sorted(drawn([*fit, pool_brief("again", 4, brief=fit[0].brief)])) == [
        "far",
        "near",
        "no-group",
    ], "a brief that two rows share is drawn once"


def test_they_are_drawn_from_the_nearest_in_length_by_the_id_alone():
    pool = [pool_brief(f"b{number:02}", 4 + number) for number in range(30)]
    nearest = {entry.id for entry in pool[:NEAREST]}
    seen = {name for number in range(40) for name in drawn(pool, row_id=f"row-{number}")}
    assert seen == nearest
    assert drawn(pool) == drawn(random.Random(1).sample(pool, len(pool)))
    assert drawn(pool, row_id="a") != drawn(pool, row_id="b")
    of_item = ROW.model_copy(update={"item": "item-1"})
    assert drawn(pool, of_item, "a") == drawn(pool, of_item, "b"), "texts of one item share them"


def test_a_pool_too_small_is_a_reason_and_no_condition():
    p = plan(ROW, "row", [pool_brief("b", 4), pool_brief("c", 5)], TOKENIZER, 4096)
    assert p.mismatched == ()
    assert not [name for name in p.conditions if name.startswith("mismatch")]
    assert "holds 2 briefs of another work" in p.reasons["mismatch"]


@pytest.mark.parametrize("words", [1, 7, 300])
def test_the_filler_is_as_long_as_the_brief_and_ends_in_its_token(words):
    like = TOKENIZER.encode(render.preface(Brief(intent=" ".join(["w"] * words))))
    filler = filler_ids(TOKENIZER, like)
    assert len(filler) == len(like)
    assert filler[-1] == like[-1]
    assert filler[:-1] == (TOKENIZER.encode(render.FILLER) * words)[: len(like) - 1]
