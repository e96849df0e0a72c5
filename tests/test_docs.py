"""The pages of docs/ say what the code says."""

from __future__ import annotations

import importlib.util

import pytest
import yaml
from conftest import REPOSITORY

import cqa
from cqa import measures

_spec = importlib.util.spec_from_file_location("generate", REPOSITORY / "docs" / "generate.py")
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)


def test_every_quantity_has_a_definition_and_a_unit_or_says_that_it_has_none():
    known = generate.definitions()
    for name in {generate.re.sub(r"_bits_per_\w+$", "", name) for name in measures.ALL}:
        assert known[name], name
        assert any(word in known[name] for word in ("bits", "unit", "log2", "rank", "Rank")), name


@pytest.mark.parametrize("page", ["COMMANDS.md", "EXPERIMENTS.md", "QUANTITIES.md"])
def test_a_page_is_what_the_code_would_write(page):
    written = {path.name: text for path, text in generate.pages()}
    is_now = (REPOSITORY / "docs" / page).read_text("utf-8")
    assert is_now == written[page], f"docs/{page} is stale: make docs"


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text("utf-8"))
    assert str(cited["version"]) == cqa.__version__


def test_no_page_shows_the_limits_of_a_machine_word_or_names_a_source_file():
    page = generate.experiments()
    for noise in ("e+09", "2,147,483,648", "lock.py", "selection.", "studyscore", "matching `"):
        assert noise not in page, noise
