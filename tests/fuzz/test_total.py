"""How many cases `make fuzz` was; the last file by name, so that all others have been counted."""

from __future__ import annotations

import pytest
from fuzzing import COUNTED, FULL


@pytest.mark.skipif(not FULL, reason="a sample; `make fuzz` runs all")
def test_there_were_ten_thousand_cases(capsys):
    with capsys.disabled():
        print(f"\n{COUNTED[0]:,} cases")  # noqa: T201
    assert COUNTED[0] >= 10_000
