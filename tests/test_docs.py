"""The pages of docs/ say what the code says."""

from __future__ import annotations

import importlib.util

import pytest
from conftest import REPOSITORY

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
