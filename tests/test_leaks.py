"""What two sets share: against counting by hand, trying every run, and records made to leak."""

from __future__ import annotations

import random
import time
import unicodedata
from difflib import SequenceMatcher

import pytest
from conftest import REPOSITORY, annotation, dialogue, items
from hypothesis import given, settings
from hypothesis import strategies as st

from cqa.files import read_rows
from cqa.leaks import (
    Placed,
    author_keys,
    leaks,
    near_duplicates,
    normal_words,
    split_groups,
    work_key,
)
from cqa.types import Annotation, Dialogue, Item

LINE = "Nine herons stood along the weir that morning and none would look at us"


def an_annotation(number: int = 1, **changes) -> Placed:
    row = annotation(number) | changes
    return Placed(f"train.jsonl:{number}", Annotation.model_validate(row))


def an_item(number: int = 0, **changes) -> Placed:
    return Placed(f"items.jsonl:{number}", Item.model_validate(items()[number] | changes))


def a_dialogue(text: str, number: int = 1, **changes) -> Placed:
    row = dialogue(number) | changes
    row["turns"][2]["text"] = text
    return Placed(f"dialogues.jsonl:{number}", Dialogue.model_validate(row))


def random_words(rng: random.Random, count: int) -> str:
    return " ".join(f"v{rng.randrange(5000)}" for _ in range(count))


def one_problem(training: Placed, item: Placed):
    (problem,) = leaks([training], [item])
    return problem


def test_records_without_anything_in_common_do_not_leak():
    training = [an_annotation(n) for n in range(6)]
    assert leaks(training, [an_item(n) for n in range(12)]) == []


def test_eight_words_in_a_row_leak_and_both_places_and_the_words_are_named():
    # "stood along the weir that morning and none": eight; before it "cats", after it "came"
    item = an_item(3, foil=" Two cats stood along the weir that morning and none came.")
    problem = one_problem(an_annotation(4, passage=f" {LINE}."), item)
    assert str(problem) == (
        "items.jsonl:3: foil: saw 'stood along the weir that morning and none' (8 words), "
        "as in passage of train.jsonl:4; expected words of its own (else a leak)"
    )


def test_seven_words_in_a_row_do_not_leak():
    item = an_item(3, foil=" Two cats stood along the weir that morning, and NO one came.")
    assert leaks([an_annotation(4, passage=f" {LINE}.")], [item]) == []


@pytest.mark.parametrize(
    "disguised",
    [
        "STOOD along the weir; that morning... and (none) would",
        "stood — along the\n\nweir 'that morning', and “none” would",
        "stood al\u00adong the we\u200bir that morning and none would",
        "ｓｔｏｏｄ along the ｗｅｉｒ that morning and none would",
    ],
)
def test_case_punctuation_and_unicode_form_hide_nothing(disguised):
    item = an_item(3, context=f"It was said: {disguised} be back.")
    problem = one_problem(an_annotation(4, foil=f" {LINE}."), item)
    assert "'stood along the weir that morning and none would' (9 words)" in problem.seen


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Don't", "don’t"),
        ("café", unicodedata.normalize("NFD", "CAFÉ")),
        ("ﬁre", "fire"),
        ("STRASSE", "straße"),
        ("don´t", "dont"),
        ("हिन्दी", "हिन्दी।"),
    ],
)
def test_one_word_in_two_typographies_is_one_word(one, other):
    assert normal_words(one) == normal_words(other)
    assert len(normal_words(one)) == 1


def test_a_hyphen_and_a_dash_part_words():
    assert normal_words("sea-side—no, snow_white") == ["sea", "side", "no", "snow", "white"]


@pytest.mark.parametrize(("shared", "leak"), [(16, True), (15, False)])
def test_in_a_script_without_spaces_sixteen_characters_leak_and_fifteen_do_not(shared, leak):
    sentence = "春眠不覺曉處處聞啼鳥夜來風雨聲花落知多少"
    item = an_item(2, text=f" 床前明月光疑是地上霜{sentence[:shared]}舉頭望明月。")
    found = leaks([an_annotation(1, passage=f" 丙{sentence[:8]}，{sentence[8:]}。")], [item])
    assert bool(found) == leak
    if leak:
        assert "'春眠不覺曉處處聞啼鳥夜來風雨聲花' (16 characters)" in found[0].seen


def test_a_character_counts_half_a_word_where_scripts_are_mixed():
    # five words and six characters weigh 5 + 6/2 = 8 words; with five characters 7.5
    for characters, leak in (("春眠不覺曉處", True), ("春眠不覺曉", False)):
        shared = f"a b c d e {characters}"
        found = leaks(
            [an_annotation(1, passage=f" before {shared} after")], [an_item(2, text=f" {shared}")]
        )
        assert bool(found) == leak


FIELDS = {
    "passage": {"passage": f" {LINE}."},
    "foil": {"foil": f" {LINE}."},
    "context": {"context": f"{LINE}."},
    "brief.audience": {"brief": {"intent": "A.", "audience": LINE, "reality": "B."}},
    "reasoning[1].claim": {
        "reasoning": [
            {"kind": "craft", "claim": "One.", "turns": ["C1"]},
            {"kind": "craft", "claim": LINE, "turns": ["C1"]},
        ]
    },
    "decision": {"decision": LINE},
    "rejected[0].reason": {"rejected": [{"choice": "none", "reason": LINE}]},
}


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_that_is_trained_on_is_compared(field):
    problem = one_problem(an_annotation(2, **FIELDS[field]), an_item(1, text=f" {LINE}!"))
    assert problem.field == "text"
    assert f"as in {field} of train.jsonl:2" in problem.seen


@pytest.mark.parametrize("field", ["text", "foil", "context", "brief.reality"])
def test_every_field_of_an_item_is_compared_with_the_turns_of_a_dialogue(field):
    changes = {"brief": {"reality": LINE}} if field == "brief.reality" else {field: f" {LINE}!"}
    problem = one_problem(a_dialogue(f"Listen. {LINE}. You see?"), an_item(1, **changes))
    assert problem.field == field
    assert "as in turns[2].text of dialogues.jsonl:1" in problem.seen


def test_a_run_does_not_go_on_from_one_field_into_the_next():
    half, rest = "nine herons stood along", "the weir that morning"
    found = leaks(
        [an_annotation(1, passage=f" {half}", foil=f" {rest}")],
        [an_item(2, text=f" {half} {rest}")],
    )
    assert found == []


@pytest.mark.parametrize(
    ("before", "before_item"), [("", ""), (" Ripe pear", ""), ("", " Ripe pear")]
)
def test_a_run_at_the_beginning_of_a_field_is_found_whatever_stands_before_it(before, before_item):
    # the fields before, passage and text, end with the same word
    more, others = (random_words(random.Random(seed), 40) for seed in range(2))
    training = an_annotation(1, passage=" One pear.", foil=f"{before} {LINE} {more}.")
    item = an_item(2, text=" No pear.", foil=f"{before_item} {LINE} {others}.")
    problem = one_problem(training, item)
    assert (problem.field, "Jaccard" in problem.seen) == ("foil", False)
    assert f"'{LINE.casefold()}' (14 words)" in problem.seen


def test_of_several_shared_runs_the_longest_is_quoted_and_the_pair_is_named_once():
    long = "the ferry had gone down with all its pears and the pilot was blamed for it"
    training = an_annotation(1, passage=f" {LINE}. Then {long}.")
    item = an_item(2, text=f" {LINE}.", foil=f" She wrote that {long}, in Tamil.")
    problem = one_problem(training, item)
    assert problem.field == "foil"
    assert problem.seen.startswith("'the ferry had gone down")
    assert "(16 words)" in problem.seen


def test_a_long_quotation_is_cut_and_says_its_length():
    words = [f"word{n}" for n in range(40)]
    text = " " + " ".join(words)
    problem = one_problem(an_annotation(1, passage=text), an_item(2, text=text))
    assert f"'{' '.join(words[:14])}...' (40 words)" in problem.seen
    assert problem.seen.endswith("; near-duplicates, Jaccard 1.00")


def test_words_that_may_not_be_shown_are_counted_and_not_quoted():
    rights = annotation(1)["rights"] | {"redistribution": False}
    closed = an_annotation(1, passage=f" {LINE}.", rights=rights)
    for training, item in (
        (closed, an_item(2, text=f" {LINE}.")),
        (an_annotation(1, passage=f" {LINE}."), an_item(2, text=f" {LINE}.", redistribution=False)),
        (a_dialogue(LINE, rights=rights), an_item(2, text=f" {LINE}.")),
    ):
        problem = one_problem(training, item)
        assert "14 words (not cleared for redistribution)" in problem.seen
        assert "heron" not in str(problem)


def test_leaks_are_those_of_trying_every_run():
    """Random texts over few words, so that the longest shared run is now shorter, now longer."""
    rng = random.Random(1)
    leaking = 0
    for _ in range(150):
        texts = [" " + " ".join(rng.choices("ab", k=rng.randint(10, 30))) for _ in range(2)]
        one, other = (text.split() for text in texts)
        longest = SequenceMatcher(None, one, other, autojunk=False).find_longest_match().size
        found = leaks([an_annotation(1, passage=texts[0])], [an_item(2, text=texts[1])])
        if longest >= 8:
            (problem,) = found
            assert f"({longest} words)" in problem.seen
            leaking += 1
        else:
            assert [problem for problem in found if "Jaccard" not in problem.seen] == []
    assert 30 < leaking < 120, "both outcomes were tried"


def words_with(changed: tuple[int, ...], count: int = 60) -> str:
    """word0 word1 ..., the words at `changed` exchanged for others."""
    return " " + " ".join(f"new{n}" if n in changed else f"word{n}" for n in range(count))


def test_a_text_with_every_eighth_word_exchanged_is_a_near_duplicate_without_a_long_run():
    # 60 words have 58 shingles of three. Six exchanged words spoil three each: 58 - 18 = 40 are
    # shared, and J = 40 / (58 + 58 - 40) = 0.526. Of the runs between them the last is cut at 55.
    item = an_item(2, text=words_with((7, 15, 23, 31, 39, 47, 55)[:6]))
    far = an_item(2, text=words_with((7, 15, 23, 31, 39, 47, 55)))  # 37 / 79 = 0.468
    training = an_annotation(1, passage=words_with(()))
    problem = one_problem(training, item)
    assert problem.seen == (
        "'word48 word49 word50 word51 word52 word53 word54 word55 word56 word57 word58 word59' "
        "(12 words), as in passage of train.jsonl:1; near-duplicates, Jaccard 0.53"
    )
    assert leaks([training], [far]) == []


def test_a_near_duplicate_without_a_long_run_is_quoted_with_what_it_shares():
    # The end exchanged as well, so that no run is longer than seven: 40 words, 38 shingles, at
    # 7, 15, 23 and 31 exchanged: 38 - 12 = 26 shared, J = 26 / 50 = 0.52
    training = an_annotation(1, passage=words_with((), 39))
    item = an_item(2, text=words_with((7, 15, 23, 31), 39))
    # 39 words: 37 shingles, 37 - 12 = 25 shared, J = 25 / 49 = 0.510
    problem = one_problem(training, item)
    assert problem.field == "text"
    assert "(7 words)" in problem.seen
    assert problem.seen.endswith("near-duplicates, Jaccard 0.51")


def test_a_training_text_used_as_a_foil_is_found():
    problem = one_problem(
        an_annotation(1, passage=words_with((), 39)),
        an_item(2, foil=words_with((7, 15, 23, 31), 39)),
    )
    assert (problem.field, problem.seen[-4:]) == ("foil", "0.51")


def test_texts_of_less_than_eight_words_are_no_near_duplicates():
    def row(number: int, words: str) -> Placed:
        rng = random.Random(number)
        brief = {"intent": random_words(rng, 20)}
        context, foil = random_words(rng, 40), " " + random_words(rng, 10)
        return an_item(number, text=words, context=context, brief=brief, foil=foil)

    seven, eight = " And so he came and sat down.", " And so he came in and sat down."
    assert near_duplicates([row(0, seven), row(1, seven)]) == []
    assert near_duplicates([row(0, eight), row(1, eight)]) == [
        ("items.jsonl:0", "items.jsonl:1", 1.0)
    ]


def test_near_duplicates_of_one_set_with_their_exact_similarity():
    plain = {"brief": {"intent": "Go.", "audience": "Go.", "reality": "Go."}}
    rng = random.Random(3)
    rows = [
        an_annotation(1, passage=words_with(()), context=random_words(rng, 40), **plain),
        an_annotation(2, passage=words_with((30,)), context=random_words(rng, 40), **plain),
        an_annotation(3, passage=" " + random_words(rng, 60), **plain),
    ]
    ((one, other, jaccard),) = near_duplicates(rows)
    assert (one, other) == ("train.jsonl:1", "train.jsonl:2")
    assert jaccard == pytest.approx(55 / 61)  # 58 - 3 shared of 58 + 58 - 55


def test_a_correction_resembles_what_it_corrects_and_is_not_named():
    first = an_annotation(1, passage=words_with(()))
    second = an_annotation(2, passage=words_with((30,)), corrects="ann-1")
    third = an_annotation(3, passage=words_with((40,)))
    pairs = [pair[:2] for pair in near_duplicates([first, second, third])]
    assert pairs == [("train.jsonl:1", "train.jsonl:3"), ("train.jsonl:2", "train.jsonl:3")]


@pytest.mark.parametrize("closeness", [3, 60])
def test_a_phrase_that_is_everywhere_is_named_with_twenty_records(closeness):
    rng = random.Random(5)
    training = [
        an_annotation(n, passage=f" {LINE}, {random_words(rng, closeness)}.", id=f"ann-{n}")
        for n in range(50)
    ]
    found = leaks(training, [an_item(2, text=f" {LINE}.")])
    assert len(found) == 20
    assert len({str(problem) for problem in found}) == 20


@pytest.mark.parametrize("title", ["The  WEIR", "The Weir.", "‘The Weir’", "Ｔｈｅ Weir"])
def test_the_same_work_on_both_sides_is_named_however_it_is_written(title):
    problem = one_problem(an_annotation(4, work="The Weir"), an_item(3, work=title))
    assert (problem.where, problem.field) == ("items.jsonl:3", "work")
    assert problem.seen == f"{title!r}, which train.jsonl:4 trains on"


def test_the_work_of_a_dialogue_alone_is_trained_on_as_well():
    problem = one_problem(a_dialogue("No.", work="The Weir"), an_item(3, work="the weir"))
    assert (problem.field, problem.seen) == (
        "work",
        "'the weir', which dialogues.jsonl:1 trains on",
    )


def test_the_same_named_author_on_both_sides_is_a_leak():
    problem = one_problem(
        an_annotation(4, author="Woolf, Virginia"), an_item(3, author="Virginia WOOLF & Co Author")
    )
    assert problem.field == "author"
    assert problem.seen == "'Virginia WOOLF & Co Author', whom train.jsonl:4 trains on"


@pytest.mark.parametrize(
    "nobody", ["original", "Anonymous", " unknown ", "VARIOUS", "-", "(original)"]
)
def test_nobody_is_no_author(nobody):
    assert author_keys(nobody) == frozenset()
    assert leaks([an_annotation(4, author=nobody)], [an_item(3, author=nobody)]) == []


def test_names_of_several_authors_are_told_apart_and_a_name_is_not_cut_inside():
    assert author_keys("Ann Lee and Bo Park") == {"ann lee", "bo park"}
    assert author_keys("Ann Lee; Park, Bo / Cy Oz") == {"ann lee", "bo park", "cy oz"}
    assert author_keys("Sandy Anderson") == {"anderson sandy"}


def test_titles_of_signs_alone_are_told_apart():
    assert work_key("?") != work_key("!")


def groups(*pairs: tuple[str, str]) -> dict[str, str]:
    return split_groups(
        [an_annotation(n, work=work, author=author).row for n, (work, author) in enumerate(pairs)]
    )


def test_works_without_a_named_author_are_groups_under_their_own_titles():
    assert groups(("The  Weir", "original"), ("Pears", "anonymous"), ("the weir", "original")) == {
        "The  Weir": "the weir",
        "Pears": "pears",
        "the weir": "the weir",
    }


def test_works_that_share_an_author_through_a_third_work_are_one_group():
    # Weir - Lee - Pears - Park - Ferry; Tin stands alone
    assert groups(
        ("Weir", "Ann Lee"),
        ("Tin", "Cy Oz"),
        ("Pears", "Bo Park and Lee, Ann"),
        ("Ferry", "Bo Park"),
    ) == {"Weir": "ferry", "Tin": "tin", "Pears": "ferry", "Ferry": "ferry"}


@given(
    st.lists(
        st.tuples(st.sampled_from("ABCDEFGH"), st.sets(st.sampled_from("klmnopq"), max_size=3)),
        min_size=1,
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_groups_are_the_connected_parts_of_works_and_authors(pairs, rng):
    """Oracle: reachability by repeated merging of sets."""
    parts = [({work}, set(names)) for work, names in pairs]
    while True:
        for one in parts:
            for other in parts:
                if one is not other and (one[0] & other[0] or one[1] & other[1]):
                    one[0].update(other[0])
                    one[1].update(other[1])
                    parts = [part for part in parts if part is not other]
                    break
            else:
                continue
            break
        else:
            break
    expected = {work: min(part[0]).casefold() for part in parts for work in part[0]}
    rows = [(work, "; ".join(sorted(names)) or "original") for work, names in pairs]
    assert groups(*rows) == expected
    rng.shuffle(rows)
    assert groups(*rows) == expected, "the order of the annotations does not matter"


def test_nothing_against_nothing():
    assert leaks([], []) == []
    assert leaks([an_annotation(1)], []) == []
    assert leaks([], [an_item(1)]) == []
    assert near_duplicates([]) == []
    assert split_groups([]) == {}


def test_what_ships_does_not_leak_and_repeats_nothing_and_the_check_is_quick():
    folder = REPOSITORY / "annotations"

    def placed(path: str, kind) -> list[Placed]:
        return [Placed(f"{path}:{row.id}", row) for row in read_rows(folder / path, kind)]

    annotations = placed("founding/annotations.jsonl", Annotation)
    dialogues = placed("founding/dialogues.jsonl", Dialogue)
    benchmark = placed("benchmark/items.jsonl", Item)
    near_duplicates(annotations[:2])  # the first call loads a library
    before = time.process_time()
    assert leaks([*annotations, *dialogues], benchmark) == []
    assert time.process_time() - before < 2
    assert near_duplicates(annotations) == near_duplicates(benchmark) == []


def test_the_cost_grows_with_the_words_and_not_with_the_pairs():
    rng = random.Random(4)

    def seconds(count: int) -> float:
        training = [
            an_annotation(n, passage=" " + random_words(rng, 80), id=f"ann-{n}")
            for n in range(count)
        ]
        benchmark = [
            an_item(3, text=" " + random_words(rng, 80), id=f"item-{n}") for n in range(count)
        ]
        before = time.process_time()
        leaks(training, benchmark)
        return time.process_time() - before

    seconds(20)
    # eight times the rows are 64 times the pairs
    assert seconds(1600) < 24 * max(seconds(200), 0.02)
