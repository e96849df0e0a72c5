"""Dialogues from other tools: each export as its tool writes it, each fault with its line."""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cqa.errors import Problem
from cqa.importers import FORMATS, Imported, detect, read, strict
from cqa.importers.speakers import seconds
from cqa.types import Dialogue

FOUNDING = [
    json.loads(line)
    for line in (REPOSITORY / "annotations/founding/dialogues.jsonl").open(encoding="utf-8")
]


def put(name: str, content: Any) -> Path:
    """A file in the working directory: bytes as they are, text as UTF-8, a list as JSON lines."""
    path = Path(name)
    if isinstance(content, list):
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def imported(name: str, content: Any, **options: Any) -> list[Imported]:
    return list(read(put(name, content), **options))


def one(name: str, content: Any, **options: Any) -> Dialogue:
    """The only dialogue of a file."""
    (record,) = imported(name, content, **options)
    assert isinstance(record.outcome, Dialogue), record.outcome
    return record.outcome


def refused(name: str, content: Any, **options: Any) -> list[Problem]:
    """All problems of a file."""
    outcomes = [record.outcome for record in imported(name, content, **options)]
    return [problem for found in outcomes if isinstance(found, list) for problem in found]


def said(dialogue: Dialogue) -> list[tuple[str, str]]:
    return [(turn.turn, turn.text) for turn in dialogue.turns]


def probes(dialogue: Dialogue) -> dict[str, str]:
    return {turn.turn: turn.probe for turn in dialogue.turns if turn.probe}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(workplace):
    return workplace


# --- plain transcripts -----------------------------------------------------------------------

LAMP = """\
work: The Lamp
language: en
exit: C, I had nothing new to say

[00:00:04] B: Why the lamp?
00:12 C: Because, um... it is
the only thing that she can move.

She cannot move him.
[1:02:03.5] C: No. Wait.
B: A window, then?
C: Then she could, er, leave.
"""


def test_a_transcript_keeps_every_word_and_counts_turns_by_speaker():
    assert detect(put("lamp.txt", LAMP)) == "transcript"
    dialogue = one("lamp.txt", LAMP)
    assert said(dialogue) == [
        ("B1", "Why the lamp?"),
        # two turns of C in a row are one; their lines stay lines, the blank one too
        (
            "C1",
            "Because, um... it is\nthe only thing that she can move.\n\nShe cannot move him.\n"
            "No. Wait.",
        ),
        ("B2", "A window, then?"),
        ("C2", "Then she could, er, leave."),
    ]
    assert [turn.start_seconds for turn in dialogue.turns] == [4, 12, None, None]
    assert (dialogue.id, dialogue.work, dialogue.language) == ("lamp-1", "The Lamp", "en")
    assert dialogue.exit is not None
    assert (dialogue.exit.by, dialogue.exit.reason) == ("C", "I had nothing new to say")
    assert dialogue.rights is None


def test_a_byte_order_mark_and_other_line_ends_change_nothing():
    expected = one("lamp.txt", LAMP)
    for end in ("\r\n", "\r"):
        assert one("lamp.txt", "\ufeff" + LAMP.replace("\n", end)) == expected


def test_composed_and_decomposed_text_both_stay_as_they_are():
    # é in one character and in two: the names are one name, the words are not touched
    text = "speakers: Ren\u00e9 = C\nRene\u0301: caf\u00e9 cafe\u0301\n"
    assert said(one("a.txt", text)) == [("C1", "caf\u00e9 cafe\u0301")]


def test_dashes_part_dialogues_and_a_bad_one_does_not_stop_the_next():
    text = "work: X\nB: a\nC: b\n---\nB: only B\n\n-----\n\nid: third\nC: c\n"
    first, second, third = imported("my talks.txt", text)
    assert isinstance(first.outcome, Dialogue)
    assert re.fullmatch(r"my-talks-[0-9a-f]{6}-1", first.outcome.id), "a blank is no part of an id"
    assert second.outcome == [
        Problem("my talks.txt:5", "turns", "turns of B only", "at least one turn of C, the expert")
    ]
    assert second.record == "B: only B"
    assert isinstance(third.outcome, Dialogue)
    assert (third.line, third.outcome.id, third.outcome.work) == (9, "third", "my talks")
    assert third.notes == ("work: not said; the name of the file, 'my talks', stands for it",)
    assert first.notes == ()


def test_a_head_without_turns_holds_for_the_whole_file():
    text = (
        "---\nid: talk\nwork: X\nspeakers: Ann = C, Zoe = B\n---\nZoe: a\nAnn: b\n---\n"
        "work: Y\nAnn: c\n"
    )
    first, second = [record.outcome for record in imported("t.md", text)]
    assert isinstance(first, Dialogue)
    assert isinstance(second, Dialogue)
    assert (first.id, first.work, said(first)) == ("talk-1", "X", [("B1", "a"), ("C1", "b")])
    assert (second.id, second.work, said(second)) == ("talk-2", "Y", [("C1", "c")])


def test_chinese_with_full_width_colons_and_names_that_the_head_explains():
    text = (
        "作品：灯\n说话人：甲＝B，乙＝C\n结束：乙，没有新的话了\n\n"
        "甲：为什么是灯？\n乙：因为，嗯……\n她只能动它。\n"
    )
    dialogue = one("访谈.txt", text)
    assert said(dialogue) == [("B1", "为什么是灯？"), ("C1", "因为，嗯……\n她只能动它。")]
    assert (dialogue.work, dialogue.language) == ("灯", "zh")
    assert dialogue.exit is not None
    assert (dialogue.exit.by, dialogue.exit.reason) == ("C", "没有新的话了")
    assert dialogue.id.startswith("dialogue-"), "an id has no Chinese; a hash keeps two files apart"
    assert dialogue.id != one("對談.txt", text).id


def test_full_width_letters_are_the_letters():
    text = "Ｂ：为什么？\n［00：12］Ｃ：因为。\n"
    dialogue = one("a.txt", text)
    assert said(dialogue) == [("B1", "为什么？"), ("C1", "因为。")]
    assert dialogue.turns[1].start_seconds == 12


def test_names_are_told_by_the_caller_before_the_file_and_by_the_file_before_the_letters():
    text = "speakers: Bo = C, Chao = B\nBo: I write.\nChao: Why?\n"
    assert said(one("a.txt", text)) == [("C1", "I write."), ("B1", "Why?")]
    told = {"bo": "B", "CHAO": "C"}
    assert said(one("a.txt", text, speakers=told)) == [("B1", "I write."), ("C1", "Why?")]


def test_two_names_that_begin_with_b_and_c_need_no_telling_and_a_note_says_so():
    (record,) = imported("a.txt", "work: W\n**Bo:** Why?\n**Chao**: *Because*.\n")
    assert isinstance(record.outcome, Dialogue)
    assert said(record.outcome) == [("B1", "Why?"), ("C1", "*Because*.")]
    assert record.notes == ("speakers: taken by their first letters, bo = B, chao = C",)


@pytest.mark.parametrize("names", [("Ann", "Bob"), ("Bo", "Bea"), ("Chao", "Cy"), ("甲", "乙")])
def test_other_names_are_listed_with_the_remedy(names):
    one_name, other = names
    (problem,) = refused("a.txt", f"work: W\n\n{one_name}: x\n{other}: y\n{one_name}: z\n")
    assert problem.where == "a.txt:3"
    assert problem.seen == f"speakers '{one_name}' (2), '{other}' (1)"
    assert "speakers: NAME = B, NAME = C" in problem.expected


def test_names_in_small_letters_are_names_where_somebody_says_so():
    text = "bo: Why?\nchao: So.\n"
    assert refused("a.txt", text)[0].seen == "no line that begins with a speaker"
    expected = [("B1", "Why?"), ("C1", "So.")]
    assert said(one("a.txt", text, speakers={"Bo": "B", "Chao": "C"})) == expected
    assert said(one("a.txt", f"speakers: bo = B, chao = C\n{text}")) == expected


def test_a_third_speaker_is_refused_and_not_swallowed_by_the_turn_before():
    text = "B: a\nC: b\nHost: c\nC: d\nHost: e\n"
    (problem,) = refused("a.txt", text)
    assert (problem.where, problem.seen) == ("a.txt:3", "speakers 'Host' (2)")
    assert refused("a.txt", "B: a\nC: b\n[00:10] Host: c\n")[0].where == "a.txt:3"
    # said by the option to be B, or meant as words of C and therefore indented
    assert len(one("a.txt", text, speakers={"Host": "B"}).turns) == 5
    indented = one("a.txt", text.replace("Host", "  Host"))
    assert said(indented) == [("B1", "a"), ("C1", "b\nHost: c\nd\nHost: e")]


def test_a_sentence_with_a_colon_is_no_speaker():
    text = "B: a\nC: b\nLook: a bird\nat 10:30 we left\nThe point is: she stays\nhttps://x.org\n"
    assert said(one("a.txt", text))[1][1].count("\n") == 4


def test_a_time_on_a_line_of_its_own_belongs_to_the_turn_after_it():
    dialogue = one(
        "a.txt", "B: When?\n00:01:05\nC: At noon, or\n12:30\nat the latest.\n[00:02:00]\n"
    )
    assert said(dialogue) == [("B1", "When?"), ("C1", "At noon, or\n12:30\nat the latest.")]
    assert [turn.start_seconds for turn in dialogue.turns] == [None, 65]


def test_first_letters_never_contradict_what_was_said():
    (problem,) = refused("a.txt", "Bo: x\nChao: y\nChao: z\n", speakers={"Bo": "C"})
    assert problem.seen == "speakers 'Chao' (2)"


def test_what_stands_before_the_first_turn_is_the_preamble():
    text = "The inspector is late.\npreamble: It is noon.\n\nC: b\n"
    assert one("a.txt", text).preamble == "The inspector is late.\nIt is noon."


def test_the_exit_may_stand_at_the_end_and_who_ended_it_may_be_a_name():
    dialogue = one("a.txt", "Bo: a\nChao: b\nExit: he left, I heard\nexit: Bo, no more questions\n")
    assert said(dialogue)[1] == ("C1", "b\nExit: he left, I heard")
    assert dialogue.exit is not None
    assert (dialogue.exit.by, dialogue.exit.reason) == ("B", "no more questions")


def test_probes_and_rights_in_the_head():
    text = (
        "probes: B1 = follow_up, B2: Counterexample\ncontributor: C. Hao\nsource: tape 4\n"
        "licence: CC-BY-4.0\nredistribution: no\nB: a\nC: b\nB: c\nC: d\n"
    )
    dialogue = one("a.txt", text)
    assert probes(dialogue) == {"B1": "follow_up", "B2": "counterexample"}
    assert dialogue.rights is not None
    assert dialogue.rights.redistribution is False


@pytest.mark.parametrize(
    ("text", "where", "field"),
    [
        ("wrok: X\nC: a\n", "a.txt:1", "wrok"),
        ("work: X\nwork: Y\nC: a\n", "a.txt:2", "work"),
        ("work: X\n\nC: a\nB:\nC: b\n", "a.txt:4", "B"),
        ("exit: nobody\nC: a\n", "a.txt:1", "exit"),
        ("exit: C\nC: a\n", "a.txt:1", "exit"),
        ("\nprobes: B2 = follow_up\nB: a\nC: a\n", "a.txt:2", "probes"),
        ("probes: B1 = trick\nB: a\nC: a\n", "a.txt:1", "probes.B1"),
        ("id: no blanks\nC: a\n", "a.txt:1", "id"),
        ("contributor: me\nC: a\n", "a.txt:1", "rights.source"),
        ("speakers: Ann\nC: a\n", "a.txt:1", "speakers"),
        ("speakers: Ann = D\nC: a\n", "a.txt:1", "speakers"),
        ("speakers: Ann = B, Ann = C\nC: a\n", "a.txt:1", "speakers"),
        ("\nChapter One\n", "a.txt:2", ""),
    ],
)
def test_faults_of_a_transcript_have_a_line_and_a_field(text, where, field):
    problem = refused("a.txt", text)[0]
    assert (problem.where, problem.field) == (where, field)


def test_bytes_that_are_no_utf_8_are_named_with_their_line():
    assert refused("a.txt", b"B: a\nC: \xff\n")[0] == Problem(
        "a.txt:2", "", "byte 0xff at 3", "UTF-8 text (the program that wrote it can save it so)"
    )
    assert imported("a.txt", b"B: a\nC: \xff\n")[0].line == 2
    assert "UTF-16" in refused("a.vtt", "WEBVTT\n".encode("utf-16"))[0].seen


def test_an_option_that_makes_no_sense_is_a_problem_too():
    assert refused("a.txt", "C: a\n", speakers={"Ann": "X"})[0].field == "speakers"


# --- subtitles -------------------------------------------------------------------------------

VTT = """\
WEBVTT - recorded on 3 May
Kind: captions

NOTE
work: The Lamp
speakers: Chao Li = C, Mr. Alba = B

STYLE
::cue { color: white }

00:00.500 --> 00:01.000
[music]

intro-1
00:01.000 --> 00:03.000 align:start position:0%
<v.loud Mr. Alba>Why the <i>lamp</i> &amp; not
a window?</v>

00:00:03.250 --> 00:00:05.000
<v Chao Li>Um, because

NOTE somebody coughs

00:00:05.000 --> 00:00:07.000
<v Chao Li><00:00:05.100>it is <c.hot>there</c>.

00:00:07.000 --> 00:00:08.000
And she -- she can move it.

00:01:00.000 --> 00:01:02.000
<v Mr. Alba>Is it lit?</v> <v Chao Li>No!</v>
"""


def test_webvtt_with_voices_notes_styles_and_tags():
    assert detect(put("lamp.vtt", VTT)) == "webvtt"
    (record,) = imported("lamp.vtt", VTT)
    assert isinstance(record.outcome, Dialogue)
    assert said(record.outcome) == [
        ("B1", "Why the lamp & not a window?"),
        ("C1", "Um, because it is there. And she -- she can move it."),
        ("B2", "Is it lit?"),
        ("C2", "No!"),
    ]
    assert [turn.start_seconds for turn in record.outcome.turns] == [1, 3.25, 60, 60]
    assert record.outcome.work == "The Lamp"
    assert record.notes == ("left out before the first speaker: [music]",)
    assert record.record == VTT


def test_webvtt_with_names_before_colons_and_wrapped_chinese():
    text = (
        "WEBVTT\n\nNOTE 博 = B, 超 = C\n\n00:01.000 --> 00:02.000\n博：为什么\n是灯？\n\n"
        "00:02.000 --> 00:03.000\n超：因为，嗯……\n\n00:03.000 --> 00:04.000\n她只能动 lamp\n"
    )
    dialogue = one("a.vtt", text)
    assert said(dialogue) == [("B1", "为什么是灯？"), ("C1", "因为，嗯……她只能动 lamp")]


SRT = """\
1
00:00:01,000 --> 00:00:02,500
{\\an8}<b>Bo:</b> Why the lamp?

2
00:00:03,000 --> 00:00:04,000
Chao: Because
3
00:00:04,000 --> 00:00:05,000
of <font color="#fff">the dark</font>.

4
01:00:05,000 --> 01:00:06,000
[Bo]: And then?

5
01:00:06,000 --> 01:00:07,000
- Chao: Then, er,

nothing.
"""


def test_subrip_with_names_tags_and_missing_blank_lines():
    assert detect(put("lamp.srt", SRT)) == detect(put("lamp.dat", SRT)) == "srt"
    dialogue = one("lamp.srt", SRT)
    assert said(dialogue) == [
        ("B1", "Why the lamp?"),
        ("C1", "Because of the dark."),
        ("B2", "And then?"),
        ("C2", "Then, er, nothing."),
    ]
    # one hour is 3600 seconds
    assert [turn.start_seconds for turn in dialogue.turns] == [1, 3, 3605, 3606]


def test_subrip_as_whisperx_numbers_its_speakers():
    text = (
        "# speakers: SPEAKER_00 = B, SPEAKER_01 = C\n\n1\n00:00:01,000 --> 00:00:02,000\n"
        "[SPEAKER_00]: Why?\n\n2\n00:00:02,000 --> 00:00:03,000\n[SPEAKER_01]: So.\n"
    )
    assert said(one("a.srt", text)) == [("B1", "Why?"), ("C1", "So.")]
    (problem,) = refused("a.srt", text.partition("\n")[2])
    assert problem.where == "a.srt:4"
    assert problem.seen == "speakers 'SPEAKER_00' (1), 'SPEAKER_01' (1)"


@pytest.mark.parametrize(
    ("name", "text", "where", "seen"),
    [
        ("a.vtt", "00:01.000 --> 00:02.000\n<v C>a\n", 1, "'00:01.000 --> 00:02.000'"),
        ("a.vtt", "WEBVTT\n\n00:01.000 -> 00:02.000\n<v C>a\n", 3, "'00:01.000 -> 00:02.000'"),
        ("a.vtt", "WEBVTT\n\n0:01 --> 00:02.000\n<v C>a\n", 3, "'0:01 --> 00:02.000'"),
        ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nhello\n", 1, "no name of a speaker"),
        ("a.vtt", "", 1, "''"),
        (
            "a.vtt",
            "WEBVTT\n\n00:01.000 --> 00:02.000\nhello\n\n00:03.000 --> 00:04.000\n<v C>a\n",
            4,
            "'hello' without a name",
        ),
        (
            "a.srt",
            "1\n00:00:01,000 --> 00:00:02,000\nC: a\n\n"
            "2\n00:00:03,000 --> 00:00:04,000\n- x\n- y\n",
            7,
            "'- x' without a name",
        ),
        ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\nC:\n\n", 3, "''"),
    ],
)
def test_faults_of_subtitles_have_a_line(name, text, where, seen):
    (problem,) = refused(name, text)
    assert (problem.where, problem.seen) == (f"{name}:{where}", seen)


# --- chats -----------------------------------------------------------------------------------

MESSAGES = [
    {
        "id": "m-1",
        "work": "The Lamp",
        "messages": [
            {"role": "system", "content": "A room at night."},
            {"role": "user", "content": "Why the lamp?"},
            {"role": "assistant", "content": "Um, because."},
            {"role": "assistant", "content": [{"type": "text", "text": "It is dark."}]},
        ],
        "metadata": {"probes": ["follow_up"], "exit": {"by": "assistant", "reason": "all said"}},
    },
    {
        "prompt": [{"role": "user", "content": "Why?"}],
        "completion": [{"role": "assistant", "content": "So."}],
    },
    {"messages": [{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}]},
    {"messages": [{"role": "assistant", "content": None}]},
    {"messages": "B: a"},
]


def test_trl_messages_and_prompts_with_completions():
    assert detect(put("chat.jsonl", MESSAGES)) == "messages"
    first, second, *others = imported("chat.jsonl", MESSAGES)
    assert isinstance(first.outcome, Dialogue)
    assert said(first.outcome) == [("B1", "Why the lamp?"), ("C1", "Um, because.\nIt is dark.")]
    assert (first.outcome.id, first.outcome.preamble) == ("m-1", "A room at night.")
    assert probes(first.outcome) == {"B1": "follow_up"}
    assert first.outcome.exit is not None
    assert first.outcome.exit.by == "C"
    assert first.record == MESSAGES[0]
    assert isinstance(second.outcome, Dialogue)
    assert (second.outcome.id, said(second.outcome)) == ("chat-2", [("B1", "Why?"), ("C1", "So.")])
    assert [(record.line, record.outcome[0].field) for record in others] == [
        (3, "messages[1].content"),
        (4, "messages[0].content"),
        (5, "messages"),
    ]
    assert others[0].outcome[0].seen == "speakers 'tool' (1)"
    assert others[0].record == MESSAGES[2]


def test_sharegpt_conversations():
    rows = [
        {
            "id": "identity_0",
            "conversations": [
                {"from": "system", "value": "A room."},
                {"from": "human", "value": "Why?"},
                {"from": "gpt", "value": "So."},
            ],
        }
    ]
    assert detect(put("c.json", json.dumps(rows, indent=1))) == "conversations"
    dialogue = one("c.json", json.dumps(rows, indent=1))
    assert (dialogue.id, dialogue.preamble) == ("identity_0", "A room.")
    assert said(dialogue) == [("B1", "Why?"), ("C1", "So.")]


def test_who_is_the_expert_in_a_chat_can_be_turned_round():
    rows = [{"messages": [{"role": "user", "content": "I write."}], "prompt": [], "completion": []}]
    assert refused("a.jsonl", rows)[0].seen == "turns of B only"
    assert said(one("a.jsonl", rows, speakers={"user": "C"})) == [("C1", "I write.")]
    rows = [{"messages": [{"role": "system", "content": "Why?"}, *rows[0]["messages"]]}]
    told = {"user": "C", "system": "B"}
    assert said(one("a.jsonl", rows, speakers=told)) == [("B1", "Why?"), ("C1", "I write.")]


# --- BC Protocol -----------------------------------------------------------------------------


def test_bc_records_become_turns_or_one_turn_of_the_expert():
    rows = [
        {
            "id": "s-01",
            "group": "A",
            "preamble": "第三章",
            "cot_body": "B：为什么？\nC：因为……不，等等。",
            "summary": "没有新的话了",
            "metadata": {"work": "灯", "exit_by": "C"},
        },
        {"id": "s-02", "cot_body": " Note: she waits.\n\nNote: he, um, does not.", "summary": "x"},
        {"id": "s-03", "cot_body": "C: a", "summary": "s", "metadata": {"exit": "B, enough"}},
        {"id": "s-04", "cot_body": "", "metadata": {}},
        {"id": "s-05", "cot_body": "C: a", "metadata": "none"},
    ]
    assert detect(put("bc.jsonl", rows)) == "bc"
    first, second, third, fourth, fifth = imported("bc.jsonl", rows)
    assert isinstance(first.outcome, Dialogue)
    assert said(first.outcome) == [("B1", "为什么？"), ("C1", "因为……不，等等。")]
    assert (first.outcome.preamble, first.outcome.language) == ("第三章", "zh")
    assert first.outcome.exit is not None
    assert (first.outcome.exit.by, first.outcome.exit.reason) == ("C", "没有新的话了")
    assert first.notes == ("left out: group 'A'",)
    assert isinstance(second.outcome, Dialogue)
    assert said(second.outcome) == [("C1", rows[1]["cot_body"])], "to the letter"
    assert second.outcome.exit is None
    assert "left out: summary (nobody says who ended it)" in second.notes
    assert isinstance(third.outcome, Dialogue)
    assert third.outcome.exit is not None
    assert third.outcome.exit.reason == "enough"
    assert "left out: summary (the exit has a reason already)" in third.notes
    assert isinstance(fourth.outcome, list)
    assert (fourth.outcome[0].where, fourth.outcome[0].field) == ("bc.jsonl:4", "cot_body")
    assert isinstance(fifth.outcome, list)
    assert fifth.outcome[0].field == "metadata"


# --- annotation tools ------------------------------------------------------------------------

LABEL_STUDIO = [
    {
        "id": 17,
        "inner_id": 1,
        "project": 3,
        "file_upload": "talk.json",
        "created_at": "2026-03-09T21:52:49.513742Z",
        "data": {
            "audio": "/data/upload/talk.mp3",
            "work": "The Lamp",
            "dialogue": [
                {"author": "Bo:", "text": "Why the lamp?", "start": 1.5, "end": 3.0},
                {"author": "Chao", "text": "Um, because.", "start": 3.1, "duration": 2.0},
                {"author": "Bo", "text": "And at noon?"},
                {"author": "Chao", "text": "Oh. No."},
            ],
        },
        "annotations": [
            {"id": 90, "was_cancelled": True, "result": []},
            {
                "id": 91,
                "completed_by": 1,
                "was_cancelled": False,
                "ground_truth": False,
                "lead_time": 4.2,
                "result": [
                    {
                        "id": "RcHv5CdYBt",
                        "from_name": "kind",
                        "to_name": "dialogue",
                        "type": "paragraphlabels",
                        "origin": "manual",
                        "value": {
                            "start": "2",
                            "end": "2",
                            "startOffset": 0,
                            "endOffset": 12,
                            "text": "And at noon?",
                            "paragraphlabels": ["Counterexample"],
                        },
                    },
                    {
                        "type": "paragraphlabels",
                        "value": {"start": "1", "end": "1", "paragraphlabels": ["nice"]},
                    },
                    {"type": "choices", "value": {"choices": ["good"]}},
                ],
            },
        ],
        "predictions": [{"result": [{"value": {"start": "0", "paragraphlabels": ["follow_up"]}}]}],
    }
]


def test_label_studio_tasks_with_paragraphs_and_regions():
    text = json.dumps(LABEL_STUDIO, indent=2)
    assert detect(put("project-3-at-2026.json", text)) == "label-studio"
    dialogue = one("project-3-at-2026.json", text)
    assert said(dialogue) == [
        ("B1", "Why the lamp?"),
        ("C1", "Um, because."),
        ("B2", "And at noon?"),
        ("C2", "Oh. No."),
    ]
    assert [turn.start_seconds for turn in dialogue.turns] == [1.5, 3.1, None, None]
    assert probes(dialogue) == {"B2": "counterexample"}, "predictions are nobody's judgement"
    assert (dialogue.id, dialogue.work) == ("17", "The Lamp")


def test_label_studio_counts_a_text_in_utf_16_units():
    text = "B: \U0001f600 so?\nC: yes\nB: why?\nC: because"
    start = len(text[: text.index("B: why")].encode("utf-16-le")) // 2
    assert start == text.index("B: why") + 1  # the face takes two units
    value = {"start": start, "end": start + 7, "text": "B: why?", "labels": ["follow_up"]}
    task = {"id": 1, "data": {"text": text}, "annotations": [{"result": [{"value": value}]}]}
    assert probes(one("a.json", json.dumps([task]))) == {"B2": "follow_up"}
    value["start"] = 10_000
    (problem,) = refused("a.json", json.dumps([task]))
    assert problem.field == "annotations.result[0].start"


def test_label_studio_json_min():
    rows = [
        {
            "id": 17,
            "dialogue": LABEL_STUDIO[0]["data"]["dialogue"],
            "kind": [
                {
                    "start": "0",
                    "end": "0",
                    "startOffset": 0,
                    "endOffset": 3,
                    "text": "Why",
                    "paragraphlabels": ["follow_up"],
                }
            ],
            "annotator": 1,
            "annotation_id": 91,
            "created_at": "2026-03-09T22:16:08.728353Z",
            "updated_at": "2026-03-09T22:16:08.728378Z",
            "lead_time": 4.288,
        }
    ]
    assert detect(put("min.json", json.dumps(rows))) == "label-studio-min"
    dialogue = one("min.json", json.dumps(rows))
    assert len(dialogue.turns) == 4
    assert probes(dialogue) == {"B1": "follow_up"}


def test_of_several_annotations_the_ground_truth_counts():
    task = json.loads(json.dumps(LABEL_STUDIO[0]))
    value = {"start": "0", "end": "0", "paragraphlabels": ["follow_up"]}
    task["annotations"].append({"id": 92, "ground_truth": True, "result": [{"value": value}]})
    (record,) = imported("a.json", json.dumps([task]))
    assert isinstance(record.outcome, Dialogue)
    assert probes(record.outcome) == {"B1": "follow_up"}
    assert "annotations: 2 of them; probes are those of the ground truth" in record.notes


ARGILLA = [
    {
        "id": "0f2d",
        "fields": {
            "chat": [
                {"role": "user", "content": "Why?"},
                {"role": "assistant", "content": "So."},
            ]
        },
        "metadata": {"work": "The Lamp", "language": "en"},
        "suggestions": {"kind": {"value": "good", "score": 0.9, "agent": "model"}},
        "responses": {"kind": [{"value": "good", "user_id": "7c9e"}]},
        "vectors": {},
        "_server_id": "c1f0",
    },
    {
        "id": "0f2e",
        "fields": {"title": "no speaker", "text": "B: Why?\nC: So.\nB: And noon?\nC: Oh."},
        "metadata": {},
        "suggestions": {"probe": {"value": [{"start": 0, "end": 7, "label": "follow_up"}]}},
        "responses": {
            "probe": [
                {"value": [{"start": 18, "end": 26, "label": "counterexample"}], "user_id": "7c9e"},
                {"value": [{"start": 0, "end": 7, "label": "follow_up"}], "user_id": "8d0f"},
            ]
        },
        "vectors": {},
        "_server_id": "c1f1",
    },
    {"id": "0f2f", "fields": {"text": "no dialogue"}, "metadata": {}},
]


@pytest.mark.parametrize("name", ["records.json", "records.jsonl"])
def test_argilla_records_with_a_chat_field_or_a_text(name):
    content = json.dumps(ARGILLA) if name.endswith(".json") else ARGILLA
    assert detect(put(name, content)) == "argilla"
    first, second, third = imported(name, content)
    assert isinstance(first.outcome, Dialogue)
    assert said(first.outcome) == [("B1", "Why?"), ("C1", "So.")]
    assert (first.outcome.id, first.outcome.work) == ("0f2d", "The Lamp")
    assert isinstance(second.outcome, Dialogue)
    assert probes(second.outcome) == {"B2": "counterexample"}
    assert isinstance(third.outcome, list)
    assert third.outcome[0].field == "fields"


def test_argilla_feedback_records_of_version_1():
    row = {
        "fields": {"text": "B: Why?\nC: So."},
        "external_id": "e-1",
        "metadata": {"work": "W"},
        "responses": [
            {"status": "discarded", "values": {"p": {"value": [{"start": 9, "label": "x"}]}}},
            {
                "status": "submitted",
                "values": {"p": {"value": [{"start": 3, "label": "follow-up"}]}},
            },
        ],
    }
    dialogue = one("a.jsonl", [row])
    assert (dialogue.id, probes(dialogue)) == ("e-1", {"B1": "follow_up"})


PRODIGY = [
    {
        "text": "B: Why?\nC: Um, so.\nB: And noon?\nC: Oh.",
        "meta": {"work": "The Lamp", "id": "p-1"},
        "_input_hash": 123456789,
        "_task_hash": -123456789,
        "tokens": [{"text": "B", "start": 0, "end": 1, "id": 0, "ws": False}],
        "_view_id": "spans_manual",
        "spans": [
            {"start": 19, "end": 31, "token_start": 8, "token_end": 11, "label": "COUNTEREXAMPLE"},
            {"start": 0, "end": 3, "label": "ORG"},
        ],
        "answer": "accept",
        "_timestamp": 1690289516,
        "_annotator_id": "2023-07-25_14-50-21",
        "_session_id": "2023-07-25_14-50-21",
    },
    {
        "turns": [
            {"speaker": "B", "text": "Why?", "probe": "follow_up"},
            {"speaker": "C", "text": "So.", "raw": "S- so.", "start": "0:01:02"},
        ],
        "meta": {"work": "The Lamp"},
        "answer": "accept",
    },
    {"turns": ["B: Why?", "C: So."], "answer": "accept"},
    {"text": "B: a\nC: b", "spans": [], "answer": "reject"},
    {"text": "B: a\nC: b", "spans": [{"start": 6, "end": 7, "label": "follow_up"}]},
    {"text": "B: a\nC: b", "spans": [{"start": -1, "end": 7, "label": "follow_up"}]},
    {"turns": [{"speaker": "C", "text": "a"}, {"speaker": "B"}], "answer": "accept"},
]


def test_prodigy_spans_and_turns():
    assert detect(put("p.jsonl", PRODIGY)) == "prodigy"
    spans, turns, strings, *others = imported("p.jsonl", PRODIGY)
    assert isinstance(spans.outcome, Dialogue)
    assert probes(spans.outcome) == {"B2": "counterexample"}
    assert (spans.outcome.id, spans.outcome.work) == ("p-1", "The Lamp")
    assert said(spans.outcome)[1] == ("C1", "Um, so.")
    assert isinstance(turns.outcome, Dialogue)
    assert probes(turns.outcome) == {"B1": "follow_up"}
    # one minute and two seconds
    assert (turns.outcome.turns[1].raw, turns.outcome.turns[1].start_seconds) == ("S- so.", 62)
    assert isinstance(strings.outcome, Dialogue)
    assert said(strings.outcome) == [("B1", "Why?"), ("C1", "So.")]
    assert [(record.line, record.outcome[0].field) for record in others] == [
        (4, "answer"),
        (5, "text, C"),
        (6, "spans[0].start"),
        (7, "turns[1]"),
    ]


DOCCANO = [
    {
        "id": 1,
        "text": "Bo: Why?\nChao: Um, so.\nBo: And noon?\nChao: Oh.",
        "work": "The Lamp",
        "label": [[0, 8, "follow_up"], [23, 36, "counterexample"], [0, 2, "PERSON"]],
        "Comments": ["clear"],
    },
    {
        "id": 2,
        "text": "B: Why?\nC: So.",
        "entities": [{"id": 1662, "label": "follow_up", "start_offset": 3, "end_offset": 7}],
        "relations": [],
        "Comments": [],
    },
    {"id": 3, "text": "B: Why?\nC: So.", "label": ["good"], "meta": {"work": "W", "id": "d-3"}},
    {"id": 4, "data": "B: Why?\nC: So.", "labels": [[0, 7, "follow_up"], [1, 4, "counterexample"]]},
    {"id": 5, "text": "", "label": []},
]


def test_doccano_labels_entities_and_categories():
    assert detect(put("all.jsonl", DOCCANO)) == "doccano"
    labels, entities, categories, twice, empty = imported("all.jsonl", DOCCANO)
    assert isinstance(labels.outcome, Dialogue)
    assert probes(labels.outcome) == {"B1": "follow_up", "B2": "counterexample"}
    assert (labels.outcome.id, labels.outcome.work) == ("1", "The Lamp")
    assert isinstance(entities.outcome, Dialogue)
    assert probes(entities.outcome) == {"B1": "follow_up"}
    assert isinstance(categories.outcome, Dialogue)
    assert (categories.outcome.id, probes(categories.outcome)) == ("d-3", {})
    assert isinstance(twice.outcome, list)
    assert twice.outcome[0].seen == "counterexample and follow_up on one turn"
    assert isinstance(empty.outcome, list)
    assert empty.outcome[0].where == "all.jsonl:5"


def test_two_probes_in_a_row_stay_two_turns():
    turns = [
        {"speaker": "B", "text": "Why?", "probe": "follow_up"},
        {"speaker": "B", "text": "If not?", "probe": "counterfactual_open"},
        {"speaker": "B", "text": "Well?"},
        {"speaker": "C", "text": "So."},
    ]
    dialogue = one("a.jsonl", [{"turns": turns, "answer": "accept"}])
    assert said(dialogue) == [("B1", "Why?"), ("B2", "If not?\nWell?"), ("C1", "So.")]
    assert list(probes(dialogue)) == ["B1", "B2"]


# --- JSON and files --------------------------------------------------------------------------

GOOD = '{"messages": [{"role": "assistant", "content": "So."}]}'


@pytest.mark.parametrize(
    ("bad", "seen"),
    [
        ('{"messages": NaN}', "NaN"),
        ('{"messages": 1e999}', "1e999"),
        ('{"messages": [], "messages": []}', "the key twice"),
        ('{"messages": "\\ud83d"}', r"half of a surrogate pair, '\ud83d'"),
        ('{"messages": %s}' % ("[" * 150 + "]" * 150), "very deep nesting"),
        ("7", "7"),
        ("[7]", "[7]"),
        ('{"messages": %s}' % ("1" * 5000), "Exceeds the limit (4300 digits)"),
    ],
)
@pytest.mark.parametrize("array", [True, False])
def test_json_that_cannot_be_kept_is_refused_and_its_neighbours_are_read(bad, seen, array):
    content = f"[{GOOD},\n{bad},\n{GOOD}]" if array else f"{GOOD}\n{bad}\n{GOOD}\n"
    first, second, third = imported("a.json" if array else "a.jsonl", content)
    assert isinstance(first.outcome, Dialogue)
    assert isinstance(second.outcome, list)
    assert second.outcome[0].where.endswith(":2")
    assert second.outcome[0].seen.startswith(seen)
    assert isinstance(third.outcome, Dialogue)
    assert (second.line, third.line, third.outcome.id) == (2, 3, "a-3")
    json.dumps(second.record, ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize("depth", [20_000, 100_000])
def test_nesting_that_python_itself_refuses_is_refused(depth):
    deep = '{"messages": %s}' % ("[" * depth + "]" * depth)
    _, second, third = imported("a.jsonl", f"{GOOD}\n{deep}\n{GOOD}\n")
    assert [p.seen for p in second.outcome] == ["very deep nesting"]
    assert isinstance(third.outcome, Dialogue)
    _, second = imported("a.json", f"[{GOOD},\n{deep},\n{GOOD}]")
    assert second.outcome[0].where == "a.json:2"


def test_an_array_that_breaks_off_keeps_what_came_before():
    first, second = imported("a.json", f"[\n{GOOD},\n" + '{"messages": [{"role"')
    assert isinstance(first.outcome, Dialogue)
    assert isinstance(second.outcome, list)
    assert (second.outcome[0].where, second.record) == ("a.json:3", None)
    first, second = imported("a.json", f"[\n{GOOD}\n{GOOD}]")
    assert second.outcome[0].where == "a.json:3"
    assert second.outcome[0].expected == "a comma or ] after a record"


def test_json_lines_may_be_called_json_and_may_follow_a_broken_first_line():
    rows = imported("a.json", f"\n{GOOD}\n{{broken\n{GOOD}\n")
    assert [isinstance(row.outcome, Dialogue) for row in rows] == [True, False, True]
    assert rows[1].record == "{broken"
    rows = imported("a.jsonl", f"{{broken\n{GOOD}\n")
    assert [isinstance(row.outcome, Dialogue) for row in rows] == [False, True]


def test_a_large_file_is_refused_unless_it_can_be_read_by_lines(monkeypatch):
    monkeypatch.setattr(strict, "LARGEST", 200)
    for name, text in (("a.txt", LAMP), ("a.vtt", VTT), ("a.json", f"[{', '.join([GOOD] * 9)}]")):
        put(name, text)
        assert Path(name).stat().st_size > 200
        (problem,) = refused(name, text)
        assert "in one piece" in problem.seen
        assert problem.where == name
    rows = imported("a.jsonl", f"{GOOD}\n" * 9 + '{"a": "' + "x" * 700 + '"}\n' + GOOD)
    assert [isinstance(row.outcome, Dialogue) for row in rows] == [True] * 9 + [False, True]
    assert (rows[9].line, rows[10].line) == (10, 11)
    assert rows[9].outcome[0].where == "a.jsonl:10"


def test_what_is_no_dialogue_is_said_to_be_none():
    assert detect(put("a.jsonl", [{"text": "a poem", "meta": {}}])) is None
    (problem,) = refused("a.jsonl", [{"text": "a poem", "meta": {}}])
    assert problem.seen == "an object with the keys 'text, meta'"
    assert refused("a.json", "[]")[0].seen == "no records"
    assert refused("a.json", "")[0].seen == "no records"
    assert refused("a.bin", b"\x00\x01")[0].where == "a.bin"
    assert refused("a.txt", "")[0].seen == "an empty file"
    assert detect(Path("nowhere.txt")) is None
    (missing,) = read(Path("nowhere.txt"))
    assert missing.outcome == [
        Problem("nowhere.txt", "", "No such file or directory", "a file that can be read")
    ]
    Path("folder.vtt").mkdir()
    assert isinstance(next(read(Path("folder.vtt"))).outcome, list)


def test_the_rows_of_cqa_itself_are_left_to_cqa():
    for name in ("founding/dialogues", "founding/annotations", "benchmark/items"):
        assert detect(REPOSITORY / f"annotations/{name}.jsonl") is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("12", 12), ("1:02", 62), ("01:02:03,5", 3723.5), (7, 7), (0.25, 0.25), ("１：０２", 62)],
)
def test_times_in_seconds(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize(
    "no_time", [-1, float("nan"), True, "", "1:2:3:4", "a", None, 10**400, "-1"]
)
def test_what_is_no_time(no_time):
    assert seconds(no_time) is None


@pytest.mark.parametrize("unit", ["(", " ", "00:00 ", "A ", "**", "# ", "<v ", "{\\", "a = ", "- "])
def test_a_long_line_of_one_thing_takes_no_long_time(unit):
    # A pattern that is tried again from every place would take 1e10 steps, minutes, for some.
    run = unit * (100_000 // len(unit)) + "x\nC: b\n"
    began = time.process_time()
    for name, before in (
        ("a.txt", ""),
        ("a.txt", "exit: a"),
        ("a.txt", "B: a\nC: "),
        ("a.vtt", "WEBVTT\n\nNOTE "),
        ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n"),
    ):
        assert imported(name, before + run)
    assert time.process_time() - began < 10


# --- round trips -----------------------------------------------------------------------------


def _vtt(dialogue: dict) -> str:
    cues = [
        f"00:{number // 60:02}:{number % 60:02}.000 --> 00:59:59.000\n"
        f"<v {turn['turn'][0]}>{html.escape(turn['text'], quote=False)}</v>"
        for number, turn in enumerate(dialogue["turns"])
    ]
    return "\n\n".join(["WEBVTT", f"NOTE work: {dialogue['work']}", *cues]) + "\n"


def _srt(dialogue: dict) -> str:
    cues = [
        f"{number}\n00:00:{number:02},000 --> 00:59:59,000\n{turn['turn'][0]}: {turn['text']}"
        for number, turn in enumerate(dialogue["turns"])
    ]
    return "\n\n".join([f"# work: {dialogue['work']}", *cues])


def _lines(dialogue: dict) -> str:
    return "\n".join(f"{turn['turn'][0]}: {turn['text']}" for turn in dialogue["turns"])


def _authors(dialogue: dict) -> list[dict]:
    names = {"B": "Bo", "C": "Chao"}
    return [{"author": names[turn["turn"][0]], "text": turn["text"]} for turn in dialogue["turns"]]


def _chat(dialogue: dict, who: str, what: str, names: tuple[str, str]) -> list[dict]:
    return [
        {who: names["BC".index(turn["turn"][0])], what: turn["text"]} for turn in dialogue["turns"]
    ]


WRITERS: dict[str, tuple[str, Callable[[dict], Any]]] = {
    "transcript": (".txt", lambda d: f"work: {d['work']}\n{_lines(d)}\n"),
    "webvtt": (".vtt", _vtt),
    "srt": (".srt", _srt),
    "label-studio": (
        ".json",
        lambda d: json.dumps(
            [{"id": 1, "data": {"work": d["work"], "dialogue": _authors(d)}, "annotations": []}]
        ),
    ),
    "label-studio-min": (
        ".json",
        lambda d: json.dumps(
            [{"work": d["work"], "talk": _authors(d), "annotation_id": 1, "lead_time": 2.0}]
        ),
    ),
    "argilla": (
        ".json",
        lambda d: json.dumps([{"fields": {"text": _lines(d)}, "metadata": {"work": d["work"]}}]),
    ),
    "prodigy": (
        ".jsonl",
        lambda d: [{"text": _lines(d), "meta": {"work": d["work"]}, "answer": "accept"}],
    ),
    "doccano": (".jsonl", lambda d: [{"text": _lines(d), "work": d["work"], "label": []}]),
    "messages": (
        ".jsonl",
        lambda d: [
            {"work": d["work"], "messages": _chat(d, "role", "content", ("user", "assistant"))}
        ],
    ),
    "conversations": (
        ".json",
        lambda d: json.dumps(
            [{"work": d["work"], "conversations": _chat(d, "from", "value", ("human", "gpt"))}]
        ),
    ),
    "bc": (".jsonl", lambda d: [{"cot_body": _lines(d), "metadata": {"work": d["work"]}}]),
}


def test_there_is_a_writer_for_every_format():
    assert set(WRITERS) == set(FORMATS)


@pytest.mark.parametrize("name", WRITERS)
def test_the_shipped_dialogues_come_back_whole_from_every_format(name):
    suffix, write = WRITERS[name]
    for dialogue in FOUNDING:
        path = put(f"talk{suffix}", write(dialogue))
        assert detect(path) == name
        back = one(path.name, path.read_bytes())
        assert said(back) == [(turn["turn"], turn["text"]) for turn in dialogue["turns"]]
        assert back.work == dialogue["work"]


_WORDS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=40
).filter(lambda text: text.strip())


@given(st.lists(_WORDS.map(str.strip), min_size=1, max_size=6))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_c_says_after_the_colon_comes_back(words):
    turns = [
        {"turn": f"{'CB'[number % 2]}{number // 2 + 1}", "text": text}
        for number, text in enumerate(words)
    ]
    expected = [(turn["turn"], turn["text"]) for turn in turns]
    for name in ("transcript", "messages", "prodigy", "bc"):
        suffix, write = WRITERS[name]
        back = one(f"talk{suffix}", write({"work": "W", "turns": turns}))
        assert said(back) == expected


# --- nothing else comes out ------------------------------------------------------------------


def check(path: Path, **options: Any) -> None:
    """Only dialogues and problems come out, and every record can be written as JSON."""
    assert detect(path) in {None, *FORMATS}
    records = list(read(path, **options))
    assert records, "a file never vanishes without a word"
    for record in records:
        assert record.line >= 1
        json.dumps(record.record, ensure_ascii=False, allow_nan=False).encode()
        if isinstance(record.outcome, Dialogue):
            json.dumps(record.outcome.model_dump(), ensure_ascii=False, allow_nan=False).encode()
        else:
            assert record.outcome
            for problem in record.outcome:
                assert problem.where.startswith(path.name)
                assert problem.seen
                assert problem.expected


_SUFFIXES = st.sampled_from([".txt", ".vtt", ".srt", ".json", ".jsonl", ""])
_FUZZ = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(_SUFFIXES, st.binary(max_size=80))
@_FUZZ
def test_random_bytes_give_dialogues_or_problems(suffix, content):
    check(put(f"fuzz{suffix}", content))


_PIECES = st.sampled_from(
    [
        *("\n", "\r\n", "\r", " ", "\t", "　", ":", "：", "B", "C", "B: ", "C: ", "Ｃ：", "Bo: "),
        *(
            "Chao: ",
            "Host: ",
            "甲：",
            "[00:12] ",
            "00:12 ",
            "（1：02）",
            "---\n",
            "work: ",
            "exit: ",
        ),
        *("exit: C, so", "speakers: ", "Bo = B, Chao = C", "probes: B1 = follow_up", "id: ", "x"),
        *("WEBVTT\n\n", "NOTE ", "00:01.000 --> 00:02.000\n", "1\n", "<v Chao>", "</v>", "&lt;"),
        *("00:00:01,000 --> 00:00:02,000\n", "- ", "**", "[", "]", "{", "}", '"', ",", "\x00"),
        *("\u2028", "\x85", "&#xD800;", "&nbsp;", "<v ", ">", "[music]", "é", "source: y", "="),
    ]
)


@given(_SUFFIXES, st.lists(_PIECES, max_size=25).map("".join))
@_FUZZ
def test_random_lines_give_dialogues_or_problems(suffix, text):
    check(put(f"fuzz{suffix}", text), speakers={"Host": "B"})


_STRINGS = st.one_of(
    st.sampled_from(["B: a\nC: b", "C", "B", "user", "follow_up", "accept", "text", "C, so", ""]),
    st.text(max_size=6),
)
_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 40), st.floats(), _STRINGS, st.just(10**30)
)
_KEYS = st.sampled_from(
    [
        *("messages", "conversations", "prompt", "completion", "role", "content", "from", "value"),
        *("cot_body", "summary", "metadata", "meta", "data", "annotations", "result", "start"),
        *("was_cancelled", "paragraphlabels", "labels", "author", "text", "dialogue", "fields"),
        *("responses", "values", "spans", "label", "answer", "turns", "turn", "speaker", "probe"),
        *("raw", "entities", "start_offset", "id", "work", "language", "preamble", "exit", "by"),
        *("reason", "rights", "probes", "speakers", "exit_by", "annotation_id", "lead_time"),
        *("_task_hash", "time", "external_id"),
    ]
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_KEYS, inner, max_size=5)),
    max_leaves=14,
)
_TRIGGERS = st.sampled_from(
    [
        {"messages": []},
        {"conversations": []},
        {"cot_body": ""},
        {"data": {}, "annotations": []},
        {"annotation_id": 1, "lead_time": 1},
        {"fields": {}},
        {"turns": [], "answer": "accept"},
        {"text": "B: a\nC: b", "spans": []},
        {"text": "B: a\nC: b", "label": []},
    ]
)


@given(
    st.sampled_from([".json", ".jsonl"]),
    _TRIGGERS,
    st.lists(st.dictionaries(_KEYS, _VALUES, max_size=6), min_size=1, max_size=3),
)
@_FUZZ
def test_random_json_gives_dialogues_or_problems(suffix, trigger, rows):
    rows = [trigger, *({**trigger, **row} for row in rows)]
    end = "\n" if suffix == ".jsonl" else ",\n"
    text = end.join(json.dumps(row) for row in rows)
    check(put(f"fuzz{suffix}", text if suffix == ".jsonl" else f"[{text}]"))


_EXPORTS = {
    "l.txt": LAMP,
    "l.vtt": VTT,
    "l.srt": SRT,
    "l.json": json.dumps(LABEL_STUDIO, indent=1),
    "a.json": json.dumps(ARGILLA),
    "p.jsonl": "\n".join(map(json.dumps, PRODIGY)),
    "d.jsonl": "\n".join(map(json.dumps, DOCCANO)),
    "m.jsonl": "\n".join(map(json.dumps, MESSAGES)),
}


@given(
    st.sampled_from(sorted(_EXPORTS)),
    st.integers(0, 10_000),
    st.integers(0, 60),
    st.one_of(st.binary(max_size=4), _PIECES.map(str.encode)),
)
@_FUZZ
def test_exports_that_were_damaged_give_dialogues_or_problems(name, at, cut, instead):
    whole = _EXPORTS[name].encode()
    at %= len(whole)
    check(put(name, whole[:at] + instead + whole[at + cut :]))
