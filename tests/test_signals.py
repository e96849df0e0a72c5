"""Protocol signals: sums by hand in both languages, and each warning with and without its cause."""

from __future__ import annotations

import json
import math
import re

import pytest
from conftest import REPOSITORY, write_rows
from conftest import annotation as annotation_row
from hypothesis import given
from hypothesis import strategies as st

from cqa.dialogue import speech
from cqa.dialogue.signals import Signals, batch_signals, dialogue_signals
from cqa.types import Annotation, Dialogue

PROTOCOL = REPOSITORY / "annotations" / "PROTOCOL.md"
PROBES = {
    "f": "follow_up",
    "x": "counterexample",
    "o": "counterfactual_open",
    "d": "counterfactual_decoy",
}


def dialogue(*lines: str, exit_by: str | None = "B", **changes) -> Dialogue:
    """From lines such as `C: Yes.` and `B f: Why?`; ` || ` parts what was heard from the clean."""
    turns, counts = [], {"B": 0, "C": 0}
    for line in lines:
        head, text = line.split(": ", 1)
        speaker, *probe = head.split()
        counts[speaker] += 1
        raw, clean = text.split(" || ") if " || " in text else (None, text)
        turn = {"turn": f"{speaker}{counts[speaker]}", "text": clean, "raw": raw}
        turns.append(turn | {"probe": PROBES[probe[0]] if probe else None})
    ended = exit_by and {"by": exit_by, "reason": "no new premise"}
    row = {"id": "dlg-0", "work": "Novel 0", "turns": turns, "exit": ended}
    return Dialogue.model_validate(row | changes)


def annotation(*steps: tuple[str, list[str]], **changes) -> Annotation:
    """An annotation of `dlg-0` with these claims and turns."""
    reasoning = [{"kind": "craft", "claim": claim, "turns": turns} for claim, turns in steps]
    return Annotation.model_validate(annotation_row(0) | {"reasoning": reasoning} | changes)


def warned(signals: Signals) -> set[str]:
    return {signal.signal for signal in signals.signals if signal.warning}


def values(signals: Signals) -> dict:
    return {signal.signal: signal.value for signal in signals.signals}


def shipped() -> tuple[list[Dialogue], list[Annotation]]:
    founding = REPOSITORY / "annotations" / "founding"

    def rows(name: str, kind):
        lines = (founding / name).read_text("utf-8").splitlines()
        return [kind.model_validate_json(line) for line in lines]

    return rows("dialogues.jsonl", Dialogue), rows("annotations.jsonl", Annotation)


def worked() -> tuple[list[dict], list[dict]]:
    """The JSON blocks of PROTOCOL.md: dialogues and annotations."""
    blocks = re.findall(r"^```json\n(.*?)^```$", PROTOCOL.read_text("utf-8"), re.M | re.S)
    rows = [json.loads(block) for block in blocks]
    return [row for row in rows if "turns" in row], [row for row in rows if "reasoning" in row]


SMALL = (
    "C: Because she must count. The lamp is red.",  # 8 words, 1 claim
    "B f: Why the lamp?",  # 3 words
    "C: Hm. It's the lamp, no, the hand.",  # 7 words, the markers `Hm` and `no`
    "B o: And in the dark?",  # 4 words
    "C: Otherwise nobody counts.",  # 3 words, 1 claim
)


def test_a_small_english_dialogue_gives_the_sums_done_by_hand():
    signals = dialogue_signals(dialogue(*SMALL), [annotation(("She counts.", ["C1", "C2", "C3"]))])
    found = values(signals)
    assert (found["units_by_c"], found["units_by_b"]) == (18, 7)
    assert found["c_share"] == 18 / 25
    assert [found[probe] for probe in PROBES.values()] == [1, 0, 1, 0]
    assert found["untyped_turns_of_b"] == 0
    assert (found["counterfactuals"], found["load_bearing_claims"]) == (1, 2)
    assert found["counterfactual_density"] == 1 / 2
    assert found["load_bearing_steps"] == 1  # the annotation marks its only step
    assert signals["load_bearing_claims"].where == ("C1", "C3")
    # lengths 8, 7, 3: mean 6, squared distances 4 + 1 + 9 over 3 turns
    assert found["turn_length_variation"] == pytest.approx(math.sqrt(14 / 3) / 6)
    assert found["hesitation_rate"] is None
    assert signals["hesitation_rate"].reason == "C says fewer than 100 words"
    assert signals.warnings == ()


def test_a_small_chinese_dialogue_is_counted_in_characters():
    signals = dialogue_signals(
        dialogue(
            "C: 因为她在数钱。",  # 6 characters, 1 claim
            "B d: 那就不必点灯了。",  # 7
            "C: 嗯，不对，得点灯，否则数不了。",  # 1 + 2 + 3 + 5 = 11; markers 嗯 and 不对; 1 claim
            language="zh",
        ),
        [],
    )
    assert signals["c_share"].value == 17 / 24
    assert signals["counterfactual_density"].value == 1 / 2
    assert speech.hesitations("嗯，不对，得点灯，否则数不了。") == ["嗯", "不对"]


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("Don't, she said.", ["don't", "she", "said"]),
        ("他用GPT写。", ["他", "用", "gpt", "写"]),
        ("三百年，四百", ["三", "百", "年", "四", "百"]),
        ("らんぷ ok", ["ら", "ん", "ぷ", "ok"]),
        ("... !", []),
    ],
)
def test_units_are_words_and_where_there_are_no_spaces_characters(text, units):
    assert speech.units(text) == units


@pytest.mark.parametrize(
    ("text", "markers"),
    [
        ("Um, it is, er, the lamp.", ["Um", "er"]),
        ("The, the lamp. And I I went.", ["The, the", "I I"]),
        ("He was... no, wait, he was not.", ["...", "no", "wait"]),
        ("Strike that. It's the lamp, I mean the hand.", ["Strike that", "I mean"]),
        ("No, he is not. They wait for the well, and he knows it, it's old.", []),
        ("An old sofa, sofa cushions and a half-half.", ["sofa, sofa"]),
        ("呃，那我，那我想想……不是，等等，我再说。", ["呃", "那我，那我", "……", "不是，", "等等"]),
        ("山门有个老头，老头不认得他，也不对劲，鸡鸭等等都有。", []),
    ],
)
def test_markers_of_hesitation_and_of_taking_it_back(text, markers):
    assert speech.hesitations(text) == markers


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("It is red. It must be, because of the snow. Really!", 1),
        ("Otherwise it falls. Therefore it stays. It is mustard.", 2),
        ("它是红的。因为有雪，所以必须红。否则看不见！", 2),
        ("She had to go, or else. That's why.", 2),
        ("A red lamp, and a cause.", 0),
    ],
)
def test_a_sentence_with_a_causal_connective_may_bear_load(text, claims):
    assert len(speech.load_bearing_claims(text)) == claims


B_SAYS = "She would rather lose the house than win."


@pytest.mark.parametrize(
    ("claim", "answer", "leaks"),
    [
        ("Here she would rather lose the house.", "Yes.", True),  # six words of B's
        ("Here she would rather lose the case.", "Yes.", False),  # five
        ("Here she would rather lose the house.", "Yes, she would rather lose the house.", False),
        ("SHE WOULD, rather, lose the house!", "Yes.", True),  # signs and case are no words
    ],
)
def test_six_words_of_b_in_a_claim_that_c_never_says_are_a_leak(claim, answer, leaks):
    talk = dialogue(f"B x: {B_SAYS}", f"C: {answer}")
    signals = dialogue_signals(talk, [annotation((claim, ["C1"]))])
    assert ("words_of_b_in_target" in warned(signals)) is leaks
    if leaks:
        (where,) = signals["words_of_b_in_target"].where
        assert where == "ann-0 step 1, B1: 'she would rather lose the house'"


def test_words_that_are_not_cleared_are_not_quoted():
    rights = {
        "contributor": "A.",
        "source": "a session",
        "licence": "none",
        "redistribution": False,
    }
    talk = dialogue(f"B x: {B_SAYS}", "C: Yes.", rights=rights)
    made = annotation(("Here she would rather lose the house.", ["C1"]))
    assert dialogue_signals(talk, [made])["words_of_b_in_target"].where == ("ann-0 step 1, B1",)


def test_a_decision_in_the_words_of_b_is_a_leak_too():
    talk = dialogue(f"B x: {B_SAYS}", "C: Yes.")
    made = annotation(("He lies.", ["C1"]), decision="She would rather lose the house.")
    assert "decision, B1" in dialogue_signals(talk, [made])["words_of_b_in_target"].where[0]


@pytest.mark.parametrize(
    ("claim", "leaks"),
    [
        ("他宁可把房子输掉也不肯", False),  # 11 characters
        ("他宁可把房子输掉也不肯认", True),  # 12
        ("我看他宁可把房子输掉也不肯认", True),  # 12, not from the start
        ("他宁可把房子输掉也 yes", False),  # 9 and a word of another text
    ],
)
def test_a_chinese_character_counts_as_half_a_word(claim, leaks):
    source = "他宁可把房子输掉也不肯认错。"
    assert (speech.borrowed_run(claim, speech.runs([source])) is not None) is leaks


@given(st.lists(st.sampled_from(["aa", "bb", "cc", "灯", "雪"]), max_size=40), st.data())
def test_a_borrowed_run_is_in_both_texts_and_in_no_other(source, data):
    start = data.draw(st.integers(0, len(source)))
    text, other = " ".join(source[start:]), " ".join(source[: start // 2])
    run = speech.borrowed_run(text, speech.runs([" ".join(source)]) - speech.runs([other]))
    if run is None:
        weight = sum(1 if unit in "灯雪" else 2 for unit in source[start:])
        assert weight < 12 or other
    else:
        for there, stands in ((text, True), (" ".join(source), True), (other, False)):
            assert (f" {run} " in f" {there} ") is stands


@pytest.mark.parametrize(
    ("lines", "share", "warns"),
    [
        (["B f: One two three.", "C: Four five."], 2 / 5, True),
        (["B f: One two.", "C: Three four."], 2 / 4, False),
        (["C: All of it."], 1.0, True),  # nobody asks
    ],
)
def test_the_expert_says_at_least_half_and_somebody_asks(lines, share, warns):
    signals = dialogue_signals(dialogue(*lines), [])
    assert signals["c_share"].value == share
    assert ("c_share" in warned(signals)) is warns


def test_turns_of_signs_only_have_no_share_and_say_why():
    signal = dialogue_signals(dialogue("B f: ?!", "C: ..."), [])["c_share"]
    assert (signal.value, signal.reason) == (None, "there are no words")


@pytest.mark.parametrize(
    ("lines", "warnings"),
    [
        (["B: Why?", "C: So.", "B: And?", "C: So."], {"untyped_turns_of_b"}),
        (["B f: Why?", "C: So.", "B: And?", "C: So."], set()),
        (["B f: Why?", "B x: And she?", "C: So it is."], {"unanswered_probes"}),
        (["C: So, so it is.", "B f: Why?"], {"unanswered_probes"}),
        (["B: Well.", "B x: And she?", "C: So it is."], set()),  # `Well.` asks nothing
        (["B o: So without it she stays, right?", "C: She must."], {"restating_probes", "c_share"}),
        (
            ["B o: 没有灯她就不走，对吧？", "C: 必须有灯，没有灯她哪儿也去不了。"],
            {"restating_probes"},
        ),
        (["B o: And without it?", "C: Then she must stay where she is."], set()),
        (["B d: Without it she stays, right?", "C: No, no, she must not stay."], set()),
    ],
)
def test_what_is_warned_of_in_the_probes(lines, warnings):
    assert warned(dialogue_signals(dialogue(*lines), [])) == warnings


def test_unanswered_probes_are_named():
    talk = dialogue("B f: Why?", "B x: And she?", "C: So.", "B d: Then he goes.")
    signal = dialogue_signals(talk, [])["unanswered_probes"]
    assert (signal.value, signal.where) == (2, ("B1", "B3"))


def test_a_counterfactual_without_any_claim_has_no_density_and_is_warned_of():
    talk = dialogue("C: It is red, and so is she.", "B o: And blue?", "C: Then it is blue.")
    signals = dialogue_signals(talk, [])
    assert signals["counterfactual_density"].value is None
    assert warned(signals) == {"counterfactual_density"}
    assert signals.warnings == (
        "dlg-0: counterfactual_density: a counterfactual was put, but no sentence of C's has a "
        "causal connective (B1)",
    )
    without = dialogue_signals(dialogue("C: It is red.", "B f: And?", "C: Blue."), [])
    assert without["counterfactual_density"].value is None
    assert warned(without) == set()


TWICE = (
    "C: It must be red, she says so.",
    "B o: And blue?",
    "C: Then she goes home at once.",
    "B d: Or he goes, then.",
    "C: He never goes anywhere at all.",
)


@pytest.mark.parametrize(
    ("steps", "most"),
    [
        ([["C2", "C3"]], 2),  # one step rests on both answers
        ([["C2", "B2"]], 2),  # on an answer and on the other question
        ([["C2"], ["C3"]], 1),
        ([["C1"], ["C1", "C3"]], 1),
        ([["C1"]], 0),
        ([], 2),  # no annotation: nothing but counterfactuals between them
    ],
)
def test_at_most_one_counterfactual_in_a_reasoning_segment(steps, most):
    made = [annotation(*(("It is red.", turns) for turns in steps))] if steps else []
    signals = dialogue_signals(dialogue(*TWICE), made)
    signal = signals["counterfactuals_in_a_segment"]
    assert signal.value == most
    assert (signal.warning is not None) is (most == 2)
    assert signal.where == (("B1", "B2") if most == 2 else ())


def test_without_annotations_another_question_parts_two_segments():
    talk = dialogue(*TWICE[:3], "B f: Why?", "C: She is tired.", *TWICE[3:])
    assert dialogue_signals(talk, [])["counterfactuals_in_a_segment"].value == 1


RAW = "Um, it is, er, the lamp. Wait. The hand."  # 9 words, 3 markers


@pytest.mark.parametrize(
    ("clean", "rate", "warns"),
    [
        ("It is the lamp. Wait. The hand.", 100 / 7, True),  # 1 of 7 is 43 % of 3 of 9
        ("It is the lamp. Wait. Hand.", 100 / 6, False),  # 1 of 6 is 50 %
        ("It is, er, the lamp. Wait. The hand she had on the lamp.", 200 / 13, True),  # 46 %
        ("It is, er, the lamp. Wait. The hand.", 200 / 8, False),
        ("It is the hand.", 0.0, True),
    ],
)
def test_cleaning_keeps_half_of_the_hesitation_or_is_warned_of(clean, rate, warns):
    talk = dialogue("B f: What is it?", f"C: {RAW} || {clean}", "C: Um, um, um.")
    signals = dialogue_signals(talk, [])
    assert signals["hesitation_raw"].value == pytest.approx(300 / 9)
    assert signals["hesitation_clean"].value == pytest.approx(rate)
    assert signals["hesitation_kept"].value == pytest.approx(rate / (300 / 9))
    assert ("hesitation_kept" in warned(signals)) is warns


def test_without_raw_turns_or_markers_in_them_what_is_kept_is_null_with_the_reason():
    none = dialogue_signals(dialogue("B f: What?", "C: Um, the lamp."), [])
    for name in ("hesitation_raw", "hesitation_clean", "hesitation_kept"):
        assert (none[name].value, none[name].reason) == (None, "no turn of C's has a raw version")
    calm = dialogue_signals(dialogue("B f: What?", "C: The lamp. Right. || The lamp."), [])
    assert (calm["hesitation_raw"].value, calm["hesitation_clean"].value) == (0.0, 0.0)
    assert calm["hesitation_kept"].reason == "no marker in the raw turns"
    assert "hesitation_kept" not in warned(none) | warned(calm)


@pytest.mark.parametrize(("by", "warns"), [("B", False), ("C", True), (None, True)])
def test_an_exit_that_is_missing_or_is_not_bs_is_warned_of(by, warns):
    signals = dialogue_signals(dialogue("B f: What?", "C: The lamp.", exit_by=by), [])
    assert signals["exit_by"].value == by
    assert ("exit_by" in warned(signals)) is warns
    assert (signals["exit_by"].reason is None) is (by is not None)


@pytest.mark.parametrize(("by", "differs"), [("B", 0), ("C", 1), (None, None)])
def test_an_annotation_that_says_otherwise_of_the_exit_is_warned_of(by, differs):
    talk = dialogue("B f: What?", "C: The lamp.", exit_by=by)
    signals = dialogue_signals(talk, [annotation(("It is red.", ["C1"]))])  # its exit is B's
    assert signals["exits_that_differ"].value == differs
    assert ("exits_that_differ" in warned(signals)) is bool(differs)


FOUR = ("B f: What?", "C: A lamp.", "C: A hand.", "B f: And?", "C: No more.", "C: That is it.")


@pytest.mark.parametrize(
    ("turns", "late", "warns"),
    [
        (["C1", "C4"], (), False),
        (["C3"], ("C4",), False),
        (["C2", "B2"], ("C3", "C4"), True),
        (["B1"], ("C1", "C2", "C3", "C4"), True),
    ],
)
def test_two_last_turns_of_c_that_nothing_rests_on_are_a_late_exit(turns, late, warns):
    signal = dialogue_signals(dialogue(*FOUR), [annotation(("Red.", turns))])["late_turns"]
    assert (signal.value, signal.where) == (len(late), late)
    assert (signal.warning is not None) is warns


def test_without_an_annotation_nothing_is_late():
    signal = dialogue_signals(dialogue(*FOUR), [])["late_turns"]
    assert (signal.value, signal.reason) == (None, "no annotation rests on this dialogue")


@pytest.mark.parametrize(
    ("steps", "single", "warns"),
    [
        ([["C1"], ["C1"]], 2, True),
        ([["C1"], ["C2"]], 2, False),
        ([["C1"], ["C1", "B1"]], 1, False),
        ([["C1"]], 1, False),  # one step cannot rest on more than its own turns
    ],
)
def test_a_judgement_that_rests_on_one_turn_is_warned_of(steps, single, warns):
    made = annotation(*(("Red.", turns) for turns in steps))
    signals = dialogue_signals(dialogue(*FOUR), [made])
    assert signals["steps_on_one_turn"].value == single
    assert ("judgements_on_one_turn" in warned(signals)) is warns


def test_annotations_of_other_dialogues_and_corrected_ones_count_for_nothing():
    leaking = annotation(("Here she would rather lose the house.", ["C1"]), id="ann-a")
    elsewhere = leaking.model_copy(update={"id": "ann-b", "dialogue": "dlg-9"})
    mended = annotation(("She chooses.", ["C1"]), id="ann-c", corrects="ann-a")
    talk = dialogue(f"B x: {B_SAYS}", "C: She does, and she knows it, no, she hopes it.")
    assert warned(dialogue_signals(talk, [leaking, elsewhere])) == {"words_of_b_in_target"}
    signals = dialogue_signals(talk, [leaking, elsewhere, mended])
    assert warned(signals) == set()
    assert signals["load_bearing_steps"].value == 1


PLAIN = (
    "the lamp is red and the hand is near it and she knows that he sees what she does with it all"
)
SPOKEN = PLAIN.replace("and the", "um, and, no, the")
OPENERS = ("Firstly, ", "Moreover, ", "In conclusion, ")


@pytest.mark.parametrize(
    ("turns", "signs"),
    [
        ([opener + PLAIN * 2 for opener in OPENERS], 3),
        ([PLAIN * 2] * 3, 2),
        ([opener + SPOKEN * 2 for opener in OPENERS], 2),
        ([SPOKEN * 2] * 3, 1),
        ([PLAIN, PLAIN * 3, PLAIN * 2], 1),
        ([SPOKEN, SPOKEN * 3, SPOKEN * 2], 0),
        (
            [
                "首先" + "他看见了那盏灯" * 6,
                "其次" + "她数钱" * 14,
                "总之" + "没有人在看着他们" * 5,
            ],
            3,
        ),
    ],
)
def test_two_signs_of_writing_in_one_dialogue_are_warned_of(turns, signs):
    # by hand: PLAIN has 22 words and 3 turns 132 of them; lengths 1 : 3 : 2 vary by 0.41
    talk = dialogue("B f: Why?", *(f"C: {turn}." for turn in turns))
    signals = dialogue_signals(talk, [])
    assert signals["signs_of_writing"].value == signs
    assert ("signs_of_writing" in warned(signals)) is (signs > 1)


def test_two_turns_are_too_few_to_be_called_even():
    signal = dialogue_signals(dialogue("B f: What?", "C: A lamp."), [])["turn_length_variation"]
    assert (signal.value, signal.reason) == (None, "C has fewer than 3 turns with words")


def test_every_null_has_its_reason_and_every_dialogue_the_same_signals():
    dialogues, annotations = shipped()
    bare = dialogue("C: ...", exit_by=None)
    tables = [dialogue_signals(one, annotations) for one in (*dialogues, dialogue(*SMALL), bare)]
    for signals in tables:
        assert list(values(signals)) == list(values(tables[0]))
        for signal in signals.signals:
            assert (signal.value is None) == (signal.reason is not None), signal


def test_a_signal_by_a_name_that_is_none_is_a_key_error():
    with pytest.raises(KeyError):
        dialogue_signals(dialogue(*SMALL), [])["naturalness"]


def test_the_sums_of_a_batch_are_those_of_its_dialogues():
    second = dialogue(
        "C: It is red, and so is she.", "B o: And blue?", "C: Blue.", id="dlg-1", exit_by=None
    )
    third = dialogue("C: 因为她在数钱。", id="dlg-2", exit_by="C", language="zh")
    batch = batch_signals(
        [dialogue(*SMALL), second, third], [annotation(("Red.", ["C1", "C2", "C3"]))]
    )
    assert batch == json.loads(json.dumps(batch))
    assert (batch["dialogues"], batch["annotations"]) == (3, 1)
    assert batch["dialogues_without_annotation"] == ["dlg-1", "dlg-2"]
    assert batch["languages"] == {"en": 2, "zh": 1}
    # shares 18/25, 8/10 and 1
    assert batch["c_share"] == {"least": 0.72, "median": 0.8, "most": 1.0}
    assert batch["probes"]["follow_up"] == 1
    assert batch["probes"]["counterfactual_open"] == 2
    assert (batch["counterfactuals"], batch["load_bearing_claims"]) == (2, 3)
    assert batch["counterfactual_density"] == 2 / 3
    assert batch["dialogues_without_counterfactual"] == 1
    assert batch["dialogues_with_raw_turns"] == 0
    assert batch["exits"] == {"B": 1, "missing": 1, "C": 1}
    assert batch["warnings"] == {
        "counterfactual_density": ["dlg-1"],
        "exit_by": ["dlg-1", "dlg-2"],
        "c_share": ["dlg-2"],
    }
    assert batch["examples"]["exit_by"] == "who ended the dialogue, and why, is not recorded"
    assert batch["examples"].keys() == batch["warnings"].keys()
    assert batch["dialogues_with_warnings"] == 2
    assert batch["reasons"] == {}


def test_an_empty_batch_has_nulls_with_reasons():
    batch = batch_signals([], [])
    assert (batch["c_share"], batch["counterfactual_density"]) == (None, None)
    assert set(batch["reasons"]) == {"c_share", "counterfactual_density"}


def test_what_ships_is_not_warned_of_as_writing_or_as_words_of_b():
    batch = batch_signals(*shipped())
    assert not batch["warnings"].keys() & {
        "c_share",
        "exits_that_differ",
        "signs_of_writing",
        "unanswered_probes",
        "untyped_turns_of_b",
        "words_of_b_in_target",
    }


def test_the_worked_dialogues_are_valid_together_and_of_no_work_that_ships(cqa, workplace):
    dialogues, annotations = worked()
    write_rows(workplace / "worked" / "dialogues.jsonl", dialogues)
    write_rows(workplace / "worked" / "annotations.jsonl", annotations)
    result = cqa("ingest", "worked", "--json")
    assert result.exit_code == 0, result.output
    headline = json.loads(result.stdout)["headline"]
    assert (headline["dialogues"], headline["annotations"]) == (2, 2)
    assert set(headline["steps_by_kind"]) == {"craft", "intent", "audience", "reality"}
    assert not {row["work"] for row in dialogues} & {one.work for one in shipped()[0]}


def test_the_worked_dialogues_show_what_the_page_says_of_them():
    dialogues, annotations = worked()
    english, chinese = map(Dialogue.model_validate, dialogues)
    made = [Annotation.model_validate(row) for row in annotations]
    in_english, in_chinese = (dialogue_signals(one, made) for one in (english, chinese))
    for signals in (in_english, in_chinese):
        assert signals.warnings == ()
        assert signals["exit_by"].value == "B"
        assert signals["counterfactuals"].where == ("B4",)
        assert signals["counterfactual_density"].value == 1 / 2
        assert signals["hesitation_kept"].value < 1
    assert (english.language, in_english["counterfactual_open"].value) == ("en", 1)
    assert (chinese.language, in_chinese["counterfactual_decoy"].value) == ("zh", 1)
    assert [turn.turn for turn in english.turns if turn.raw] == ["C2", "C5", "C6"]
    assert [turn.turn for turn in chinese.turns if turn.raw] == ["C2", "C4"]
    assert in_english["load_bearing_claims"].where == ("C4", "C6")
    assert in_chinese["load_bearing_claims"].where == ("C3", "C6")
    # by hand, of C2 + C5 + C6: 4 + 7 + 4 markers as heard, 2 + 5 + 2 left
    assert [sum_of_markers(english, version) for version in ("raw", "text")] == [15, 9]
    # of C2 + C4: 5 + 6 as heard, 3 + 3 left
    assert [sum_of_markers(chinese, version) for version in ("raw", "text")] == [11, 6]
    times = [turn.start_seconds for one in (english, chinese) for turn in one.turns]
    assert times[: len(english.turns)] == sorted(times[: len(english.turns)])
    assert times[len(english.turns) :] == sorted(times[len(english.turns) :])


def sum_of_markers(talk: Dialogue, version: str) -> int:
    return sum(len(speech.hesitations(getattr(turn, version))) for turn in talk.turns if turn.raw)


def test_the_protocol_page_names_every_signal_and_no_other():
    section = PROTOCOL.read_text("utf-8").split("\n## 7.")[1].split("\n## 8.")[0]
    table = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = set(re.findall(r"`([a-z_]+)`", " ".join(table)))
    made = set(values(dialogue_signals(dialogue(*SMALL), [])))
    # the row of probes names the first and the last; the lengths are the parts of `c_share`
    assert named | {"counterexample", "counterfactual_open"} == made - {"units_by_c", "units_by_b"}
