"""What two texts share, against counting by hand and by force."""

from __future__ import annotations

import random

import pytest

from cqa import overlap

BRIEF = "He answers the slander by choosing the worst place for himself."


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Don't, he said; 'tis O’Brien's.", ["don't", "he", "said", "tis", "o’brien's"]),
        ("snow_white und STRASSE-7", ["snow", "white", "und", "strasse", "7"]),
        ("Straße", ["strasse"]),
        ("¿Qué? … — 你好", ["qué", "你好"]),
        ("", []),
    ],
)
def test_words_are_runs_of_letters_and_digits_case_folded(text, found):
    assert overlap.words(text) == found


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("By choosing the worst place: mine.", 5),  # by choosing the worst place
        ("by choosing; THE WORST\n\nplace", 5),  # punctuation and case hide nothing
        ("choosing the worst place", 4),
        ("the worst for the worst place", 3),  # the worst place
        ("himself he answers", 2),  # he answers; the end does not run on into the beginning
        ("Nothing of it.", 0),
        ("", 0),
    ],
)
def test_the_longest_shared_run_counted_by_hand(text, length):
    assert overlap.longest_shared_run(text, BRIEF) == length
    assert overlap.longest_shared_run(BRIEF, text) == length


def test_the_longest_shared_run_is_that_of_trying_every_run():
    rng = random.Random(0)
    for _ in range(200):
        one, other = ([rng.choice("abc") for _ in range(rng.randint(0, 9))] for _ in range(2))
        runs = [one[i:j] for i in range(len(one)) for j in range(i + 1, len(one) + 1)]
        inside = [run for run in runs if f" {' '.join(run)} " in f" {' '.join(other)} "]
        longest = max(map(len, inside), default=0)
        assert overlap.longest_shared_run(" ".join(one), " ".join(other)) == longest


def test_five_words_in_a_row_are_a_copy_and_four_are_not():
    assert overlap.copies("So: choosing the worst place for everyone.", BRIEF)  # … place for
    assert not overlap.copies("So: choosing the worst place at table.", BRIEF)


def test_a_token_is_novel_unless_its_word_stands_in_the_source():
    text = " The worst kettle, THE kettles"
    #       0  3 4    9 10   1617 20 21
    spans = [(0, 4), (4, 7), (7, 10), (10, 17), (17, 18), (18, 22), (22, 29), (29, 30)]
    # the; wor|st, both halves of one word; kettle; the comma; the again; kettle|s: not the word
    # kettle, of which the source knows nothing anyway
    expected = [False, False, False, True, True, False, True, True]
    assert overlap.novel_tokens(text, spans, "the worst of all") == expected


def test_a_token_over_two_words_is_novel_only_if_both_are():
    assert overlap.novel_tokens("tin kettle", [(0, 10)], "a kettle") == [False]
    assert overlap.novel_tokens("tin kettle", [(0, 10)], "a pot") == [True]


def test_without_a_source_every_token_is_novel():
    assert overlap.novel_tokens("one two", [(0, 3), (3, 7)], "") == [True, True]
