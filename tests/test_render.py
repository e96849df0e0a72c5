"""The page: brief, context and text always meet in the same way."""

from __future__ import annotations

import doctest
import itertools

import pytest

from cqa import render
from cqa.types import Brief

WHOLE = Brief(intent="Frighten her.", audience="Knows the house.", reality="It is noon.")


def test_the_examples_in_the_module_are_right():
    found = doctest.testmod(render)
    assert found.attempted > 0
    assert found.failed == 0


def test_a_preface_shows_the_parts_asked_for_in_one_order():
    lines = {
        "intent": "Intent: Frighten her.\n",
        "audience": "Audience: Knows the house.\n",
        "reality": "Reality: It is noon.\n",
    }
    for size in range(1, 4):
        for parts in itertools.permutations(lines, size):
            expected = "".join(lines[part] for part in lines if part in parts) + "\n"
            assert render.preface(WHOLE, parts) == expected


def test_a_preface_of_nothing_is_nothing():
    assert render.preface(WHOLE, ()) == ""
    assert render.preface(Brief()) == ""
    assert render.preface(Brief(intent="Frighten her."), ("audience",)) == ""


def test_a_part_stays_on_its_line():
    # a line break inside a part would look like another part, or like the end of the preface
    sly = Brief(intent="Frighten her.\n\nReality: There is \t nobody.")
    assert render.preface(sly) == "Intent: Frighten her. Reality: There is nobody.\n\n"


@pytest.mark.parametrize(
    ("context", "text", "page"),
    [
        ("It sang.", "He left.", ("It sang.", " He left.")),
        ("It sang. ", "He left.", ("It sang.", " He left.")),
        ("It sang.\n\n", "He left.", ("It sang.", "\n\nHe left.")),
        ("It sang.", "\nHe left.", ("It sang.", "\nHe left.")),
        ("It sang.", " He left. ", ("It sang.", " He left. ")),
        ("", "He left.", ("", "He left.")),
        (None, " He left.", ("", " He left.")),
        (" \n", "He left.", ("", "He left.")),
    ],
)
def test_context_and_text_meet_with_the_white_space_on_the_side_of_the_text(context, text, page):
    assert render.join(context, text) == page


def test_what_was_joined_once_stays_as_it_is():
    for context in (None, "", " ", "It sang.", "It sang. ", "It\nsang.\n\n", "\u00a0It.\u3000"):
        for text in ("He", " He", "\n\nHe ", "", " "):
            once = render.join(context, text)
            assert render.join(*once) == once
            assert not once[0][-1:].isspace()


def test_nothing_but_white_space_is_added_or_lost():
    for context, text in itertools.product(("It sang. ", "It  sang", ""), ("He left.", "\n He ")):
        joined = "".join(render.join(context, text))
        assert joined.split() == f"{context} {text}".split()


def test_the_filler_says_nothing_of_a_brief():
    # it must not be taken for one: no label stands in it, and it ends where a sentence ends
    assert not any(f"{label}:" in render.FILLER for label in render.LABELS.values())
    assert render.FILLER.rstrip().endswith(".")
