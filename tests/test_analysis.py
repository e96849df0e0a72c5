"""From two sets of scores to effects and the sentence; every number is worked out beside it."""

from __future__ import annotations

import pytest

from cqa import analysis, pairing, stats
from cqa.measures import ALL
from cqa.reporting import sentence
from cqa.types import Score

PRIMARY = "specific_gain_bits_per_token"


def score(number: int, group: str = "literary", work: str | None = None, **values) -> Score:
    """A score whose quantities are null but for the given ones."""
    quantities = dict.fromkeys(ALL) | values
    return Score(
        id=f"{group}-{number:02d}",
        judge="j",
        group=group,
        work=work or f"{group} work {number}",
        source="benchmark",
        item=f"{group}-{number:02d}",
        sample=None,
        quantities=quantities,
        reasons={},
        tokens=10,
        characters=50,
        utf8_bytes=50,
        pieces=1,
    )


def scores(shift: float, control: float = 0.0, residual: float = 5.0) -> list[Score]:
    """24 literary and 24 factual items whose primary quantity is spread a little and shifted."""
    rows = []
    for group, moved in (("literary", shift), ("factual", control)):
        for number in range(24):
            spread = 0.002 * ((number * 7) % 11 - 5) if moved or shift else 0.0
            values = {PRIMARY: 0.1 + moved + spread, "residual_bits_per_token": residual}
            rows.append(score(number, group, **values))
    return rows


def compare(base, tuned, **changes):
    settings = {"primary": PRIMARY, "margin": 0.01, "noise_floor": 1e-6} | changes
    return analysis.compare("tuned", base, tuned, **settings)


def test_pairs_are_joined_by_id_and_nulls_are_counted_not_zeroed():
    base = [score(1, **{PRIMARY: 0.5}), score(2, **{PRIMARY: 0.1}), score(3)]
    tuned = [score(3, **{PRIMARY: 9.0}), score(1, **{PRIMARY: 0.75}), score(2, **{PRIMARY: 0.1})]
    paired = pairing.pair(base, tuned, quantity=PRIMARY)
    assert paired.ids == ("literary-01", "literary-02")
    assert paired.delta.tolist() == [0.25, 0.0]
    assert paired.dropped == 1
    with pytest.raises(ValueError, match="1 ids are scored on one side only"):
        pairing.pair(base, tuned[:2], quantity=PRIMARY)


def test_the_brackets_add_up_to_the_effect():
    # residual 5 -> 4.9: the text with its brief became 0.1 bits per token likelier; the effect is
    # +0.03, so with mismatched briefs it became 0.07 likelier
    found = compare(scores(0.0), scores(0.03, residual=4.9))
    own, other = found.brackets["own brief"], found.brackets["mismatched briefs"]
    effect = found.change(PRIMARY, "literary").interval.estimate
    assert own.estimate == pytest.approx(0.1)
    assert own.estimate - other.estimate == pytest.approx(effect)


def test_an_effect_on_literary_items_alone_is_improved_and_selective():
    # own brief spread out a little, so that its bracket has an interval
    tuned = [
        s.model_copy(
            update={
                "quantities": s.quantities | {"residual_bits_per_token": 4.9 - 0.001 * (number % 5)}
            }
        )
        for number, s in enumerate(scores(0.05))
    ]
    found = compare(scores(0.0), tuned)
    assert found.verdict.word == "improved"
    assert found.selective.holds
    assert found.control.holds
    said = sentence.of(found, "12 s of one CPU")
    assert said.startswith("Improved and selective: specific gain on literary items +0.0")
    assert "control unmoved within ±0.01" in said
    assert said.endswith("cost 12 s of one CPU.")


def test_an_effect_without_a_likelier_text_is_decay():
    tuned = [
        s.model_copy(
            update={
                "quantities": s.quantities | {"residual_bits_per_token": 5.1 + 0.001 * (number % 5)}
            }
        )
        for number, s in enumerate(scores(0.05))
    ]
    found = compare(scores(0.0), tuned)
    assert found.verdict.word == "inconclusive"
    assert found.verdict.decay
    assert "decay" in sentence.of(found, "nothing")


def test_a_control_is_called_unmoved_by_the_interval_that_stands_in_the_sentence():
    # spread so that the 95 % interval reaches over the margin and the 90 % one does not
    tuned = scores(0.05, control=0.0)
    base = scores(0.0)
    found = compare(base, tuned, margin=0.0026)
    wide = found.change(PRIMARY, "factual").interval
    assert found.control.holds
    assert wide.low < -0.0026 < found.control.interval.low
    said = sentence.of(found, "nothing")
    low, wide_low = (f"{one.low:+.4f}" for one in (found.control.interval, wide))
    assert (
        f"control unmoved within ±0.0026, {found.control.interval.estimate:+.4f} (90 % int" in said
    )
    assert low in said
    assert wide_low not in said
    assert found.tost_p < 0.05


def test_a_control_that_moves_is_not_called_unmoved():
    found = compare(scores(0.0), scores(0.05, control=0.05))
    assert not found.control.holds
    assert not found.selective.holds
    said = sentence.of(found, "nothing")
    assert "control moved, +0.0498 (95 % interval +0.0469" in said
    assert "unmoved" not in said


def test_a_control_whose_interval_holds_0_and_reaches_over_the_margin_is_left_open():
    found = compare(scores(0.0), scores(0.05, control=0.0), margin=0.0005)
    assert not found.control.holds
    said = sentence.of(found, "nothing")
    assert "control moved" not in said
    assert "not shown to be unmoved" in said


def test_the_primary_stands_alone_and_everything_else_is_corrected():
    main, placebo = analysis.corrected(
        [compare(scores(0.0), scores(shift, control=0.05)) for shift in (0.05, 0.001)]
    )
    assert main.change(PRIMARY, "literary").adjusted_p is None
    for change in (main.change(PRIMARY, "factual"), placebo.change(PRIMARY, "literary")):
        assert change.adjusted_p >= change.sign_flip.p


def test_two_tuned_models_are_compared_item_by_item():
    main, placebo = (compare(scores(0.0), scores(shift)) for shift in (0.05, 0.02))
    literary, factual = analysis.against(main, placebo)
    assert literary.interval.estimate == pytest.approx(0.03)
    assert factual.interval.estimate == pytest.approx(0.0)


def test_an_item_that_one_of_two_models_lacks_does_not_end_their_comparison():
    base = scores(0.0)
    one = compare(base, scores(0.05))
    lacking = scores(0.02)
    lacking[0] = lacking[0].model_copy(update={"quantities": dict.fromkeys(ALL)})
    literary, factual = analysis.against(one, compare(base, lacking))
    assert (literary.interval.items, literary.dropped) == (23, 1)
    assert literary.interval.estimate == pytest.approx(0.03)
    assert factual.interval.items == 24


def test_works_are_the_resampling_unit():
    # 24 items of 4 works that moved as one: four observations, not twenty-four
    def clustered(shifts):
        return [
            score(n, work=f"w{n % 4}", **{PRIMARY: shifts[n % 4], "residual_bits_per_token": 5.0})
            for n in range(24)
        ]

    found = compare(clustered([0.0] * 4), clustered([0.04, 0.01, 0.03, 0.02]))
    change = found.change(PRIMARY, "literary")
    assert (change.interval.items, change.interval.works) == (24, 4)
    assert change.sign_flip.p == pytest.approx(2 / 2**4)  # all four up, of 16 patterns, two-sided


def test_generated_texts_are_paired_by_item_and_sample():
    base = [
        score(n, **{PRIMARY: 0.1}).model_copy(update={"id": f"b{n}", "sample": 0}) for n in range(5)
    ]
    tuned = [
        score(n, **{PRIMARY: 0.1 + n}).model_copy(update={"id": f"t{n}", "sample": 0})
        for n in range(5)
    ]
    (change,) = analysis.changes_of_writing(base, tuned)
    assert change.interval.estimate == pytest.approx(2.0)  # mean of 0 1 2 3 4


def test_an_interval_is_said_in_words_or_its_absence_explained():
    interval = stats.Interval(0.0312, 0.0081, 0.0553, 0.95, "m", 24, 24)
    assert sentence.said(interval) == "+0.0312 (95 % interval +0.0081 to +0.0553)"
    none = stats.Interval(0.1, None, None, 0.95, "m", 2, 2, "fewer than 3 works")
    assert sentence.said(none) == "+0.1000 (no interval: fewer than 3 works)"
