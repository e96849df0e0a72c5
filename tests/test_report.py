"""The report as a file that strangers' texts cannot break out of."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import experiment, items, write_rows

from cqa import writing

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> {{ 7 * 7 }} \" ' </style>"


class Tags(HTMLParser):
    """The elements of a page, their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def page(cqa, workplace, tiny_model, batch) -> str:
    """A report over items whose every text is hostile."""
    rows = items()
    for row in rows:
        row["work"] += HOSTILE
        row["context"] = HOSTILE + row["context"]
        row["brief"]["intent"] += HOSTILE
    write_rows(workplace / "items.jsonl", rows)
    results = json.loads(cqa("run", str(experiment(workplace, tiny_model)), "--json").stdout)
    return (Path(results["path"]) / "report.html").read_text("utf-8")


def test_a_story_runs_no_script_and_the_file_needs_no_network(page):
    found = Tags(page)
    assert not {"script", "img", "iframe", "object", "link"} & set(found.names)
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert not [value for name, value in found.attributes if name in ("src", "href") and value]
    assert "default-src 'none'" in page
    shown = "".join(found.text)
    assert HOSTILE in shown  # there, as text
    assert "49" not in HOSTILE.replace("{{ 7 * 7 }}", "")
    assert "{{ 7 * 7 }}" in shown


def test_the_page_opens_with_the_sentence_and_shows_every_model(page):
    text = "".join(Tags(page).text)
    first = text.index("specific gain on literary items")
    assert first < text.index("Change of specific gain")
    assert "annotations-s0" in text
    assert "shuffled-s0" in text
    assert "<svg" in page


def test_facts_about_writing_are_counts_that_can_be_checked_by_hand():
    found = writing.describe(
        ["a b a b", "", "Craft: it is short.", "the grey cat sat on the mat today"],
        [True, True, False, False],
        ["Once the grey cat sat on the red mat."],
    )
    assert (found.texts, found.empty, found.ended_by_itself, found.lock_in) == (4, 1, 2, 1)
    # a b, b a, a b · craft it, it is, is short · 7 pairs of the last: 13 pairs, a b twice
    assert found.distinct_2 == pytest.approx(12 / 13)
    assert found.longest_copy_words == 6  # the grey cat sat on the
    assert found.mean_words == pytest.approx((4 + 0 + 4 + 8) / 4)


def test_what_is_not_cleared_for_redistribution_is_shown_nowhere(cqa, workplace, tiny_model, batch):
    rows = items()
    secret = "an unpublished daughter of the ferryman"
    for row in rows[:2]:
        row["redistribution"] = False
        row["context"] = f"Here comes {secret}."
        row["brief"]["intent"] = f"Say nothing of {secret}."
    write_rows(workplace / "items.jsonl", rows)
    results = json.loads(cqa("run", str(experiment(workplace, tiny_model)), "--json").stdout)
    folder = Path(results["path"])
    for name in ("report.html", "report.md", "report.json", "results.csv"):
        assert secret not in (folder / name).read_text("utf-8"), name
    shown = "".join(Tags((folder / "report.html").read_text("utf-8")).text)
    assert shown.count("not cleared for redistribution") == 2
    assert rows[2]["context"] in shown
