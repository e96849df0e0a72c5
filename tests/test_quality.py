"""Measures of a set: arithmetic by hand, refilled templates against what ships, planted bias."""

from __future__ import annotations

import json
import math
import random
from collections import Counter

import pytest
from conftest import REPOSITORY, annotation, dialogue, items
from statsmodels.stats.proportion import proportion_confint

from cqa.errors import DataRefused
from cqa.files import read_rows
from cqa.quality import (
    markdown,
    quality_of_annotations,
    quality_of_items,
    skeleton,
)
from cqa.quality import shape as quality_shape
from cqa.quality import words as quality_words
from cqa.types import Annotation, Dialogue, Item


def an_annotation(number: int, **changes) -> Annotation:
    return Annotation.model_validate(annotation(number) | changes)


def an_item(number: int, **changes) -> Item:
    row = items()[number % 12] | {"id": f"item-{number:02d}", "work": f"Work {number}"}
    return Item.model_validate(row | changes)


def a_dialogue(number: int, *probes: str | None) -> Dialogue:
    turns = [{"turn": "C1", "text": "Yes and no."}]
    turns += [
        {"turn": f"B{n}", "text": "And why?"} | ({"probe": probe} if probe else {})
        for n, probe in enumerate(probes, start=1)
    ]
    return Dialogue.model_validate(dialogue(number) | {"turns": turns})


def text_items(*texts: str) -> list[Item]:
    """Items that differ in their texts alone."""
    return [an_item(n, text=f" {text}", foil=" A foil.") for n, text in enumerate(texts)]


def shape_of(*texts: str) -> dict:
    return quality_of_items(text_items(*texts))["shape"]["text"]


@pytest.fixture(scope="module")
def shipped() -> tuple[dict, dict]:
    """The reports on what ships: annotations, items."""
    folder = REPOSITORY / "annotations"
    return (
        quality_of_annotations(
            read_rows(folder / "founding/annotations.jsonl", Annotation),
            read_rows(folder / "founding/dialogues.jsonl", Dialogue),
        ),
        quality_of_items(read_rows(folder / "benchmark/items.jsonl", Item)),
    )


def test_variety_of_words_counted_by_hand(monkeypatch):
    monkeypatch.setattr(quality_words, "MATTR_WINDOW", 4)
    report = quality_of_items(text_items("The cat saw the dog.", "The cat slept."))
    # Eight words, the cat saw dog slept: five. Pairs within a text: the-cat cat-saw saw-the
    # the-dog | the-cat cat-slept: six, five different.
    # Windows of four: the cat saw the 3, cat saw the dog 4, saw the dog the 3, the dog the cat 3,
    # dog the cat slept 4: 17 of 20.
    assert report["vocabulary"]["text"] == {
        "words": 8,
        "types": 5,
        "mattr": pytest.approx(17 / 20),
        "distinct_1": pytest.approx(5 / 8),
        "distinct_2": pytest.approx(5 / 6),
    }


def test_too_few_words_for_the_window_are_null_with_a_reason():
    report = quality_of_items(text_items("The cat slept."))
    assert report["vocabulary"]["text"]["mattr"] is None
    assert report["reasons"]["vocabulary.text.mattr"] == "fewer than 100 words"


def test_the_moving_average_is_that_of_every_window_anew(monkeypatch):
    monkeypatch.setattr(quality_words, "MATTR_WINDOW", 10)
    rng = random.Random(0)
    words = rng.choices("abcdefgh", k=60)
    every = [len(set(words[n : n + 10])) / 10 for n in range(51)]
    found = quality_of_items(text_items(" ".join(words)))["vocabulary"]["text"]["mattr"]
    assert found == pytest.approx(sum(every) / 51)


def test_sizes_by_hand():
    rows = [an_annotation(0, genre="verse"), an_annotation(1, genre="verse"), an_annotation(2)]
    rows += [an_annotation(3, work="Novel 2", passage=" One two three.")]
    size = quality_of_annotations(rows, [])["size"]
    assert (size["records"], size["works"], size["dialogues"]) == (4, 3, 0)
    assert size["genres"] == {"test": 2, "verse": 2}
    # "The kettle waited on every step.": six words, thrice; and three
    assert size["words"]["passage"] == {
        "mean": pytest.approx(21 / 4),
        "sd": pytest.approx(math.sqrt((3 * 0.75**2 + 2.25**2) / 3)),
        "least": 3,
        "most": 6,
    }


def test_what_was_corrected_is_left_out_and_counted():
    rows = [an_annotation(0), an_annotation(1, corrects="ann-0"), an_annotation(2)]
    size = quality_of_annotations(rows, [])["size"]
    assert (size["records"], size["corrected"]) == (2, 1)


def test_near_duplicates_are_named_by_id():
    passage = " " + " ".join(f"word{n}" for n in range(30))
    rows = [an_annotation(n, passage=passage) for n in (1, 2)]
    assert quality_of_annotations(rows, [])["near_duplicates"] == [["ann-1", "ann-2", 1.0]]


@pytest.mark.parametrize(
    ("text", "bones"),
    [
        ("The old grey horse would not move.", "the _ would not _ ."),
        ("'Don't,' said O’Brien; THE end", "' dont , ' _ ; the _"),
        ("Rain, rain.", "_ , _ ."),
        ("snow_white €5", "_"),
        ("", ""),
    ],
)
def test_a_skeleton_keeps_function_words_and_punctuation(text, bones):
    assert " ".join(skeleton(text)) == bones


def test_a_skeleton_keeps_the_words_it_is_told_to():
    assert skeleton("The horse bolted.", frozenset({"horse"})) == ("the", "horse", "_", ".")


def test_repeated_openings_counted_by_hand():
    shape = shape_of(
        "When the rain came they sang.",
        "When the RAIN came, nobody sang.",  # the same four words
        "When the snow came they sang.",  # the same skeleton as the first, not as the second
        "A dog.",
        "A dog!",
    )
    assert shape["repeated_openings"] == pytest.approx(4 / 5)  # a text may be short
    # skeletons: "when the _ came they _ ." twice, as `came` stands in three of five texts, then
    # "when the _ came , nobody _ .", "a _ .", "a _ !"
    assert shape["repeated_skeleton_openings"] == pytest.approx(2 / 5)


def test_a_word_of_half_of_the_texts_belongs_to_their_shape_and_one_of_fewer_does_not():
    ledgers = [f"Ledger w{n}." for n in range(3)]
    # kept in three of six: "ledger _ ." thrice, "_ .", "_ !", "_ ?"
    shape = shape_of(*ledgers, "Rain.", "Rime!", "Snow?")
    assert shape["repeated_skeleton_openings"] == pytest.approx(3 / 6)
    # masked in three of seven: "_ ." four times, "_ !", "_ ?", "_ ;"
    shape = shape_of(*ledgers, "Rain.", "Rime!", "Snow?", "Hail;")
    assert shape["repeated_skeleton_openings"] == pytest.approx(4 / 7)


def test_repeated_frames_counted_by_hand():
    shape = shape_of(
        "He was in the barn, and she was out.",  # he was in the _ , and she was out .
        "He was in the shed, and she was out!",  # he was in the _ , and she was out !
        "Dogs bark.",
    )
    # Frames of eight tokens: four of eleven tokens each; the first three are shared, the
    # fourth ends in . or in ! : 6 of 8
    assert shape["repeated_frames"] == pytest.approx(6 / 8)
    assert ["he was in the _ , and she", 2] in shape["frames"]


def test_the_cosines_are_those_of_every_pair_of_skeletons():
    texts = [
        "Dogs, cats, the mice, rain: he was in the barn, and she was out.",
        "Pigs, hens, the geese, snow: he was in the shed, and she was up in the loft.",
        "They had a horse, and it was in the barn by the river.",
        "Not for me, not for you, and not for them.",
    ]
    bags = []
    for text in texts:
        tokens = skeleton(text)
        grams = [tokens[n : n + 4] for n in range(len(tokens) - 3)]
        bags.append(Counter(g for g in grams if sum(t != "_" and t.isalpha() for t in g) >= 2))

    def cosine(one: Counter, other: Counter) -> float:
        product = sum(one[gram] * other[gram] for gram in one)
        return product / math.sqrt(
            sum(n * n for n in one.values()) * sum(n * n for n in other.values())
        )

    every = {(i, j): cosine(bags[i], bags[j]) for i in range(4) for j in range(4) if i != j}
    shape = shape_of(*texts)
    assert shape["mean_cosine"] == pytest.approx(sum(every.values()) / 12)
    nearest = [max(every[i, j] for j in range(4) if j != i) for i in range(4)]
    assert shape["nearest_cosine"] == pytest.approx(sum(nearest) / 4)
    assert shape["most_alike"] == ["item-00", "item-01", pytest.approx(max(every.values()))]


TEMPLATES = (
    "The {a} stood by the {b}, and nobody had thought to {c} it. When the {d} came, he put "
    "his {e} on the {f} and said that he had never been to {g}.",
    "She had a {a} from her {b}; it was {c} and too {d} for her. What she wanted was to be a {e}, "
    "or at least to have {f} in the {g}.",
    "'Is that your {a}?' they asked. It was not, and there was no {b} in it, but if you {c} with a "
    "{d} for as long as that, you will {e} anything that is {f} under a {g}.",
)


def refilled(rng: random.Random, template: str) -> str:
    """The template with a new word, or two or three, in every slot; no word comes twice."""
    slots = {
        slot: " ".join(f"w{rng.randrange(10**9)}" for _ in range(rng.randint(1, 3)))
        for slot in "abcdefg"
    }
    return template.format(**slots)


def test_a_refilled_template_shows_in_every_measure_of_shape(shipped):
    rng = random.Random(2)
    rows = [an_annotation(n, passage=" " + refilled(rng, TEMPLATES[0])) for n in range(30)]
    shape = quality_of_annotations(rows, [])["shape"]["passage"]
    for of_set in (shipped[0]["shape"]["passage"], shipped[1]["shape"]["text"]):
        assert of_set["repeated_openings"] < 0.1
        assert of_set["repeated_skeleton_openings"] < 0.2
        assert of_set["mean_cosine"] < 0.05
        assert of_set["nearest_cosine"] < 0.3
        assert of_set["repeated_frames"] < 0.05
    assert shape["repeated_skeleton_openings"] > 0.9
    assert shape["mean_cosine"] > 0.9
    assert shape["nearest_cosine"] > 0.9
    assert shape["repeated_frames"] > 0.9
    assert shape["frames"][0][1] == 30
    # the slots are filled with words of their own, so that the words alone show little
    assert shape["repeated_openings"] < 0.2


def test_several_templates_hide_from_the_mean_but_not_from_the_nearest():
    rng = random.Random(3)
    texts = [refilled(rng, TEMPLATES[n % 3]) for n in range(30)]
    shape = shape_of(*texts)
    # ten of each: a text has 9 of the other 29 in its own shape
    assert shape["mean_cosine"] == pytest.approx(9 / 29, abs=0.06)
    assert shape["nearest_cosine"] > 0.9
    assert shape["repeated_frames"] > 0.9


def test_a_template_of_content_words_shows_as_well():
    rng = random.Random(4)
    texts = [
        f"Ledger, lantern, {rng.randrange(10**9)}: brass pilots counting {rng.randrange(10**9)} "
        f"pennies near {rng.randrange(10**9)} harbour bells, {rng.randrange(10**9)} years later."
        for _ in range(10)
    ]
    assert shape_of(*texts)["mean_cosine"] > 0.9, "words of half of the texts count as its frame"


def test_shapes_of_more_records_than_are_compared_come_from_a_sample(monkeypatch):
    rng = random.Random(5)
    texts = [refilled(rng, TEMPLATES[0]) for _ in range(40)]
    whole = shape_of(*texts)
    monkeypatch.setattr(quality_shape, "_COMPARED", 10)
    assert shape_of(*texts)["mean_cosine"] == pytest.approx(whole["mean_cosine"], abs=0.05)


def test_overlap_with_the_brief_counted_by_hand():
    brief = {"intent": "Let the old boat sink.", "reality": "It is a boat of oak."}
    # content of the brief: old boat sink oak; "let" and "is" are function words
    rows = [
        an_item(0, brief=brief, text=" The boat was of oak and tar.", foil=" Nothing of it."),
        an_item(1, brief=brief, text=" Rain.", foil=" It is a boat of tin."),
        an_item(2, brief=brief, text=" Snow.", foil=" Let the old boat sink."),
    ]
    overlap = quality_of_items(rows)["overlap_with_brief"]
    # boat oak of {old boat sink oak tar}: 2/5, the others 0; "of oak" is the longest run: 2, 0, 0
    assert overlap["text"]["jaccard_with_brief"] == {
        "mean": pytest.approx(2 / 15),
        "most": pytest.approx(2 / 5),
        "id": "item-00",
    }
    assert overlap["text"]["run_shared_with_brief"]["most"] == 2
    assert overlap["text"]["run_shared_with_brief"]["mean"] == pytest.approx(2 / 3)
    # nothing; boat of {... tin}: 1/5; old boat sink: 3/4, and a run of all its five words
    assert overlap["foil"]["jaccard_with_brief"] == {
        "mean": pytest.approx((1 / 5 + 3 / 4) / 3),
        "most": pytest.approx(3 / 4),
        "id": "item-02",
    }
    assert overlap["foil"]["run_shared_with_brief"] == {
        "mean": pytest.approx((1 + 5 + 5) / 3),
        "most": 5,
        "id": "item-01",
    }


def test_word_frequency_leaves_the_own_record_out():
    brief = {"intent": "x"}
    rows = [
        an_item(0, context="c", brief=brief, text=" sea sea pear", foil=" pear"),
        an_item(1, context="c", brief=brief, text=" sea", foil=" plum"),
        an_item(2, context="c", brief=brief, text=" sea plum", foil=" sea"),
    ]
    # Types of the whole set: c x sea pear plum, V = 5. Words: 6 + 4 + 5 = 15.
    # Record 0: N = 9, sea stands thrice elsewhere, pear not. Text: sea sea pear
    rest = 9 + 5
    first = (2 * math.log2(4 / rest) + math.log2(1 / rest)) / 3
    # Record 1: N = 11; sea 4 elsewhere.  Record 2: N = 10; sea 3, plum 1
    second = math.log2(5 / 16)
    third = (math.log2(4 / 15) + math.log2(2 / 15)) / 2
    balance = quality_of_items(rows)["balance"]["text against foil"]
    assert balance["log2_frequency"]["one"] == pytest.approx((first + second + third) / 3)
    # of foils: pear is not found elsewhere; plum is, once; sea is, thrice
    foils = [math.log2(1 / 14), math.log2(2 / 16), math.log2(4 / 15)]
    assert balance["log2_frequency"]["other"] == pytest.approx(sum(foils) / 3)
    assert balance["unseen_words"]["one"] == pytest.approx((1 / 3) / 3)
    assert balance["unseen_words"]["other"] == pytest.approx(1 / 3)


def test_a_text_without_words_is_left_out_of_the_frequencies():
    rows = [an_item(n) for n in range(5)] + [an_item(5, text=" ...!")]
    balance = quality_of_items(rows)["balance"]["text against foil"]
    assert balance["log2_frequency"]["records"] == 5
    assert balance["characters"]["records"] == 6


def test_the_standardised_difference_and_the_share_by_hand():
    lengths = [(3, 5), (4, 4), (8, 6), (5, 9)]
    rows = [
        an_item(n, text=" " + "x" * text, foil=" " + "y" * foil)
        for n, (text, foil) in enumerate(lengths)
    ]
    found = quality_of_items(rows)["balance"]["text against foil"]["characters"]
    # means 5 and 6; variances (4 + 1 + 9 + 0) / 3 = 14/3 and (1 + 4 + 0 + 9) / 3 = 14/3
    assert (found["one"], found["other"]) == (5, 6)
    assert found["difference"]["estimate"] == pytest.approx(-1 / math.sqrt(14 / 3))
    # higher once, equal once, lower twice: 1.5 of 4
    assert found["higher"]["estimate"] == pytest.approx(1.5 / 4)
    # Wilson 1927: the ends p lie 1.96 of their own standard errors from the share
    for end in (found["higher"]["low"], found["higher"]["high"]):
        assert abs(1.5 / 4 - end) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / 4))
    assert found["higher"]["low"] < 1.5 / 4 < found["higher"]["high"]


def test_several_items_of_a_work_count_as_one_for_the_interval():
    def report(works: int) -> dict:
        rows = [
            an_item(n, work=f"Work {n % works}", text=" " + "x" * (4 + n % 3), foil=" yyyyy")
            for n in range(24)
        ]
        return quality_of_items(rows)["balance"]["text against foil"]["characters"]["higher"]

    low, high = proportion_confint(3, 6, method="wilson")
    assert (report(6)["low"], report(6)["high"]) == (pytest.approx(low), pytest.approx(high))
    assert report(24)["low"] > report(6)["low"]


def test_foils_that_are_always_a_little_longer_are_exposed_by_the_share_and_not_by_d():
    rng = random.Random(6)
    lengths = [rng.randint(40, 160) for _ in range(40)]
    rows = [
        an_item(n, text=" " + "x" * length, foil=" " + "y" * (length + 3))
        for n, length in enumerate(lengths)
    ]
    found = quality_of_items(rows)["balance"]["text against foil"]["characters"]
    assert found["higher"]["estimate"] == 0
    assert found["higher"]["high"] < 0.1, "who picks the shorter one is always right"
    assert -0.2 < found["difference"]["estimate"] < 0


def test_groups_that_differ_are_told_with_an_interval_without_zero_and_equal_ones_with():
    rng = random.Random(7)

    def report(longer: int) -> dict:
        rows = [
            an_item(
                n,
                group="literary" if n % 2 else "factual",
                text=" " + "x" * (rng.randint(40, 120) + (longer if n % 2 else 0)),
            )
            for n in range(60)
        ]
        return quality_of_items(rows)["balance"]["literary against factual"]["characters"]

    differ, alike = report(50), report(0)
    assert differ["difference"]["low"] > 0.5
    assert alike["difference"]["low"] < 0 < alike["difference"]["high"]


def test_the_difference_of_groups_by_hand():
    lengths = {"literary": (3, 4, 8), "factual": (5, 6, 13)}
    rows = [
        an_item(10 * k + n, group=group, text=" " + "x" * length)
        for k, (group, of_group) in enumerate(lengths.items())
        for n, length in enumerate(of_group)
    ]
    found = quality_of_items(rows)["balance"]["literary against factual"]["characters"]
    # means 5 and 8; variances (4 + 1 + 9) / 2 = 7 and (9 + 4 + 25) / 2 = 19, their mean 13
    assert (found["one"], found["other"]) == (5, 8)
    assert found["difference"]["estimate"] == pytest.approx(-3 / math.sqrt(13))


def test_a_work_in_both_groups_leaves_no_interval_and_says_so():
    rows = [an_item(n, group="literary" if n % 2 else "factual") for n in range(20)]
    rows += [an_item(20, group="literary", work="Both"), an_item(21, group="factual", work="Both")]
    report = quality_of_items(rows)
    difference = report["balance"]["literary against factual"]["characters"]["difference"]
    assert difference["estimate"] is not None
    assert difference["low"] is None
    assert difference["reason"] == "works in both groups (1), such as 'Both'"
    assert difference["reason"] in markdown(report)


def test_the_order_of_kinds_counted_by_hand():
    def of(number: int, *kinds: str) -> Annotation:
        steps = [{"kind": kind, "claim": "So it is.", "turns": ["C1"]} for kind in kinds]
        return an_annotation(number, reasoning=steps, load_bearing=[1])

    reasoning = quality_of_annotations(
        [
            of(0, "craft", "intent"),
            of(1, "craft", "intent"),
            of(2, "craft", "reality", "craft"),
            of(3, "intent"),
        ],
        [],
    )["reasoning"]
    assert reasoning["steps"]["mean"] == 2
    assert reasoning["records_by_steps"] == {"1": 1, "2": 2, "3": 1}
    assert reasoning["kinds"] == {"craft": 4 / 8, "intent": 3 / 8, "reality": 1 / 8}
    assert reasoning["records_without"] == {"craft": 1, "intent": 1, "audience": 4, "reality": 3}
    assert reasoning["first_kinds"] == {"craft": 3, "intent": 1}
    # three orders with shares 1/2, 1/4, 1/4: 1.5 bits of at most log2 4
    assert reasoning["orders"] == 3
    assert reasoning["commonest_order"] == ["craft > intent", 2]
    assert reasoning["order_bits"] == pytest.approx(1.5)
    assert reasoning["most_order_bits"] == 2
    # after craft: intent twice, reality once; after reality always craft. 3/4 of the steps that
    # follow one come after craft
    after_craft = 2 / 3 * math.log2(3 / 2) + 1 / 3 * math.log2(3)
    assert reasoning["next_kind_bits"] == pytest.approx(3 / 4 * after_craft)


def test_records_that_all_reason_in_one_order_have_no_entropy():
    reasoning = quality_of_annotations([an_annotation(n) for n in range(6)], [])["reasoning"]
    assert (reasoning["order_bits"], reasoning["next_kind_bits"]) == (0, 0)
    assert reasoning["most_order_bits"] == pytest.approx(math.log2(6))


def test_probes_counted_by_hand():
    dialogues = [
        a_dialogue(0, "follow_up", None, "follow_up"),
        a_dialogue(1, "counterexample"),
        a_dialogue(2, None),
    ]
    found = quality_of_annotations([an_annotation(0)], dialogues)["dialogues"]
    assert found["probes"]["mean"] == 1
    assert found["probes_by_kind"] == {"follow_up": 2, "counterexample": 1}
    assert found["without_probe"] == 1
    assert found["turns"]["mean"] == pytest.approx((4 + 2 + 2) / 3)
    assert found["first_speakers"] == {"C": 3}


def test_without_dialogues_there_is_a_reason():
    report = quality_of_annotations([an_annotation(0), an_annotation(1)], [])
    assert report["dialogues"] is None
    assert report["reasons"]["dialogues"] == "no dialogues given"


def nulls(value, path: str = "") -> list[str]:
    """Dotted paths of the nulls that do not stand beside a reason."""
    if value is None:
        return [path]
    if not isinstance(value, dict) or value.get("reason"):
        return []
    return [
        p
        for name, inner in value.items()
        if name not in ("reason", "reasons")
        for p in nulls(inner, f"{path}.{name}" if path else name)
    ]


@pytest.mark.parametrize(
    "report",
    [
        lambda: quality_of_annotations([an_annotation(0)], []),
        lambda: quality_of_annotations([an_annotation(0)], [a_dialogue(0, None)]),
        lambda: quality_of_items([an_item(0, text=" ...", foil=" !")]),
        lambda: quality_of_items([an_item(n) for n in range(12)]),
        lambda: quality_of_items(
            [an_item(n, text=f" 春眠不覺曉{n}。", foil=" 處處聞啼鳥。") for n in range(4)]
        ),
    ],
)
def test_every_report_is_json_and_every_null_has_its_reason(report):
    found = report()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert nulls(found) == [path for path in nulls(found) if found["reasons"].get(path)]
    assert "None" not in markdown(found)
    assert "nan" not in markdown(found)


def test_what_ships_is_json_and_holds_what_it_is_said_to_hold(shipped):
    for report in shipped:
        assert json.dumps(report, allow_nan=False)
        assert report["near_duplicates"] == []
    annotations, benchmark = shipped
    assert benchmark["size"]["groups"]["literary"] == benchmark["size"]["groups"]["factual"]
    assert set(annotations["reasoning"]["kinds"]) == {"craft", "intent", "audience", "reality"}


def test_markdown_tables_are_whole_and_say_the_numbers(shipped):
    for report in shipped:
        page = markdown(report)
        for block in page.split("\n\n"):
            lines = block.splitlines()
            if lines[0].startswith("|"):
                assert set(lines[1]) <= set("|- "), lines[0]
                assert len({line.count("|") for line in lines}) == 1
                assert len(lines) > 2
    annotations, benchmark = (markdown(report) for report in shipped)
    share = shipped[0]["reasoning"]["kinds"]["craft"]
    assert f"craft {100 * share:.1f} %" in annotations
    assert "literary against factual" in benchmark
    words = shipped[1]["vocabulary"]["text"]["words"]
    assert f"| text | {words} |" in benchmark


def test_the_same_set_gives_the_same_report():
    rows = [an_item(n) for n in range(12)]
    assert quality_of_items(rows) == quality_of_items(rows)


def test_an_empty_set_is_refused():
    with pytest.raises(DataRefused, match="no annotations to be measured"):
        quality_of_annotations([], [])
    with pytest.raises(DataRefused, match="no items to be measured"):
        quality_of_items([])
