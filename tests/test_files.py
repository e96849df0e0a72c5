"""Files in and out: every fault is named with its line; what is written is whole or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from conftest import annotation, items, write_rows

from cqa import files
from cqa.errors import DataRefused, Problem
from cqa.types import Annotation, Item, Text


def read(path: Path, content: bytes, kind=Text) -> list:
    path.write_bytes(content)
    return files.read_rows(path, kind)


def problems(path: Path, content: bytes, kind=Text) -> tuple[Problem, ...]:
    with pytest.raises(DataRefused) as caught:
        read(path, content, kind)
    assert str(caught.value).encode("utf-8"), "what is said can be printed"
    return caught.value.problems


@pytest.fixture
def file(workplace) -> Path:
    return workplace / "rows.jsonl"


def test_a_byte_order_mark_windows_line_ends_and_blank_lines_are_no_fault(file):
    content = b'\xef\xbb\xbf{"text": "one"}\r\n\r\n{"text": "two"}\r\n   \n{"text": "three"}'
    assert [row.text for row in read(file, content)] == ["one", "two", "three"]


def test_a_byte_order_mark_on_a_later_line_is_a_fault_of_that_line(file):
    (problem,) = problems(file, b'{"text": "one"}\n\xef\xbb\xbf{"text": "two"}\n')
    assert problem.where == "rows.jsonl:2"


def test_a_byte_that_is_not_utf_8_is_named_with_its_place(file):
    # {"text": " is ten bytes, so the eleventh, number 10 from 0, is the bad one
    (problem,) = problems(file, b'{"text": "fine"}\n{"text": "\xff"}\n')
    assert problem == Problem("rows.jsonl:2", "", "byte 0xff at 10", "UTF-8 text")


def test_half_a_surrogate_pair_is_refused_and_a_whole_one_is_a_character(file):
    (problem,) = problems(file, rb'{"text": "\ud83d"}')
    assert problem.seen == r"half of a surrogate pair, '\ud83d'"
    assert read(file, rb'{"text": "\ud83d\ude00"}')[0].text == "😀"


def test_half_a_surrogate_pair_in_a_key_that_stands_twice_can_still_be_told(file):
    assert len(problems(file, rb'{"\ud800": 1, "\ud800": 2}')) == 1  # problems() prints it


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_number_that_json_cannot_write_is_refused(file, number):
    # 1e999 is good JSON, but no double is so large: it would be written back as Infinity
    (problem,) = problems(file, b'{"text": "one"}\n{"text": "two", "x": %s}' % number.encode())
    assert problem.where == "rows.jsonl:2"
    assert number in problem.seen


def test_an_integer_of_many_digits_is_refused_like_any_other_fault(file):
    # Python gives up at 4300 digits, with an error that is not one of JSON
    (problem,) = problems(file, b'{"text": "one", "x": %s}' % (b"1" * 5000))
    assert problem.where == "rows.jsonl:1"


def test_a_key_that_stands_twice_is_refused_at_any_depth(file):
    content = b'{"text": "a", "text": "b"}\n{"text": "", "brief": {"intent": "d", "intent": "e"}}\n'
    assert problems(file, content) == (
        Problem("rows.jsonl:1", "text", "the key twice", "each key once"),
        Problem("rows.jsonl:2", "intent", "the key twice", "each key once"),
    )


def test_an_id_that_stands_twice_names_the_line_that_had_it_first(file):
    content = (
        b'{"id": "a", "text": ""}\n\n{"id": "b", "text": ""}\n' + 2 * b'{"id": "a", "text": ""}\n'
    )
    expected = "an id of its own (line 1 has it already)"
    assert problems(file, content) == (
        Problem("rows.jsonl:4", "id", "'a'", expected),
        Problem("rows.jsonl:5", "id", "'a'", expected),
    )


def test_rows_without_an_id_do_not_have_the_same_id(file):
    assert len(read(file, b'{"text": "1"}\n{"text": "2"}\n')) == 2


@pytest.mark.parametrize("depth", [*range(100, 1100, 20), 100_000])
def test_deep_nesting_never_crashes(file, depth):
    # Somewhere on the way the interpreter has had enough, and not at the same depth in reading,
    # writing and printing; wherever it is, the row is read or refused.
    row = b'{"text": "a", "id": ' + b"[" * depth + b"]" * depth + b"}\n"
    (problem,) = problems(file, row)
    assert problem.where == "rows.jsonl:1"


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (b"[1, 2]", "[1, 2]"),
        (b'"text"', "'text'"),
        (b"null", "None"),
        (b'{"text": "a"} {"text": "b"}', "Extra data at column 15"),
        (b'{"text": "a"', "Expecting ',' delimiter at column 13"),
    ],
)
def test_a_line_that_is_not_one_object_is_shown(file, content, seen):
    (problem,) = problems(file, content)
    assert problem.seen.startswith(seen)
    assert "JSON object" in problem.expected


def test_a_misspelt_key_suggests_the_right_one(file):
    row = items()[0]
    row["licnece"] = row.pop("licence")
    missing, misspelt = problems(file, json.dumps(row).encode(), Item)
    assert (missing.field, missing.seen) == ("licence", "nothing")
    assert misspelt.field == "licnece"
    assert misspelt.expected == "no such key; did you mean 'licence'?"


def test_a_misspelt_key_inside_another_suggests_the_right_one(file):
    row = items()[0]
    row["brief"]["realty"] = row["brief"].pop("reality")
    (problem,) = problems(file, json.dumps(row).encode(), Item)
    assert problem.field == "brief.realty"
    assert problem.expected == "no such key; did you mean 'reality'?"

    row = annotation(0)
    row["reasoning"][1]["clam"] = row["reasoning"][1].pop("claim")
    _, problem = problems(file, json.dumps(row).encode(), Annotation)
    assert problem.field == "reasoning[1].clam"
    assert problem.expected == "no such key; did you mean 'claim'?"


def test_a_key_that_resembles_none_suggests_nothing(file):
    row = items()[0] | {"zzz": 1}
    (problem,) = problems(file, json.dumps(row).encode(), Item)
    assert problem.expected == "no such key here"


def test_keys_of_another_tool_are_kept_where_texts_are_read(file):
    (row,) = read(file, b'{"text": "a", "score": 3, "meta": {"seed": 1}}')
    assert row.meta == {"seed": 1, "score": 3}


def test_every_problem_of_every_line_is_told_at_once(file):
    good, bad = items()[0], items()[1]
    bad |= {"group": "poetic", "text": "  ", "id": "no blanks"}
    lines = [json.dumps(good), "{", "", json.dumps(bad), json.dumps(good)]
    told = problems(file, "\n".join(lines).encode(), Item)
    assert [(problem.where, problem.field) for problem in told] == [
        ("rows.jsonl:2", ""),
        ("rows.jsonl:4", "id"),
        ("rows.jsonl:4", "group"),
        ("rows.jsonl:4", "text"),
        ("rows.jsonl:5", "id"),
    ]
    assert told[1].expected == "an id of letters, digits and . _ : / @ + -"
    assert told[2] == Problem("rows.jsonl:4", "group", "'poetic'", "one of 'literary' or 'factual'")
    assert told[3].expected == "some text (not empty, not only white space)"


def test_of_very_many_problems_twenty_are_shown_and_the_rest_counted(file):
    with pytest.raises(DataRefused) as caught:
        read(file, b"{\n" * 25)
    assert len(caught.value.problems) == 25
    lines = str(caught.value).splitlines()
    # twenty problems, the count of the other 25 - 20 = 5, and what to do next
    assert len(lines) == 22
    assert lines[20] == "... and 5 more problems"


@pytest.mark.parametrize("content", [b"", b"\n \r\n\n"])
def test_a_file_without_rows_is_refused(file, content):
    with pytest.raises(DataRefused, match=r"rows\.jsonl: no rows"):
        read(file, content)


def test_a_folder_and_a_missing_file_are_refused_by_name(workplace):
    with pytest.raises(DataRefused, match=r"nowhere\.jsonl: no such file"):
        files.read_rows(workplace / "nowhere.jsonl", Text)
    (workplace / "folder").mkdir()
    with pytest.raises(DataRefused, match="folder: cannot be read"):
        files.read_rows(workplace / "folder", Text)


def test_what_was_read_and_written_again_is_the_same(file):
    # line separators of Unicode and characters beyond 16 bits stay inside their line
    content = '\u2028 \x85 \u00a0 😀 \\ " \t é e\u0301'
    rows = [Text(id=str(number), text=content * number) for number in range(4)]
    files.write_rows(file, rows)
    assert files.read_rows(file, Text) == rows
    assert file.read_bytes().count(b"\n") == 4


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt])
def test_writing_that_fails_leaves_what_was_there_and_nothing_else(workplace, fault):
    path = workplace / "result.txt"
    path.write_text("the old one")
    with pytest.raises(fault):  # noqa: PT012, SIM117
        with files.whole(path) as out:
            out.write("half of the n")
            out.flush()
            raise fault
    assert path.read_text() == "the old one"
    assert os.listdir(workplace) == ["result.txt"]


def test_a_file_appears_under_its_name_only_when_it_is_whole(workplace):
    path = workplace / "new" / "result.bin"
    with files.whole(path, mode="wb") as out:
        out.write(b"\x00\xff")
        out.flush()
        assert not path.exists()
    assert path.read_bytes() == b"\x00\xff"
    assert os.listdir(path.parent) == ["result.bin"]


def test_text_that_cannot_be_encoded_and_values_that_json_lacks_leave_no_file(workplace):
    with pytest.raises(UnicodeEncodeError):
        files.write_text(workplace / "a", "\ud800")
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(workplace / "b", {"x": float("nan")})
    assert os.listdir(workplace) == []


def test_a_file_is_as_readable_as_any_other(workplace):
    (workplace / "plain").write_text("")
    files.write_text(workplace / "whole", "")
    assert (workplace / "whole").stat().st_mode == (workplace / "plain").stat().st_mode


def test_the_hash_of_a_folder_knows_names_and_contents_and_no_dates(workplace):
    def folder(name: str, **contents: str) -> str:
        for inner, text in contents.items():
            files.write_text(workplace / name / inner, text)
        return files.sha256_of(workplace / name)

    one = folder("one", a="1", b="2")
    assert folder("two", b="2", a="1") == one
    assert len({one, folder("3", a="2", b="1"), folder("4", a="12"), folder("5", a="1")}) == 4


def test_the_hash_of_a_folder_does_not_know_in_which_order_the_system_lists_it(
    workplace, monkeypatch
):
    for name in "abc":
        files.write_text(workplace / name, name)
    straight, listed = files.sha256_of(workplace), list(workplace.rglob("*"))
    monkeypatch.setattr(Path, "rglob", lambda self, pattern: reversed(listed))
    assert files.sha256_of(workplace) == straight


def test_the_hash_of_a_value_does_not_know_the_order_of_keys(workplace):
    one = files.sha256_of_value({"a": 1, "b": [1, 2]})
    assert files.sha256_of_value({"b": [1, 2], "a": 1}) == one
    assert files.sha256_of_value({"a": 1, "b": [2, 1]}) != one


def test_rows_of_this_project_survive_the_road_through_a_file(file):
    write_rows(file, items())
    assert [row.model_dump(mode="json") for row in files.read_rows(file, Item)] == items()
