"""The coverage audit: arithmetic by hand, published examples, and simulations with known shares."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqa import agreement, audit
from cqa.audit import (
    CLASSES,
    Basis,
    Mark,
    Predictions,
    calibration,
    quantify,
    reading,
)
from cqa.audit import classifier as teaching
from cqa.audit.classifier import Lesson
from cqa.audit.reading import iter_sentences
from cqa.audit.sentences import sentences as sentences_of
from cqa.errors import DataRefused, UsageRefused

THREE = np.eye(3)


# --- sentences and data sets ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "Mr. Holt came at 3.30 with e.g. two dogs. She left J. R. Brown there... and ran on.",
            [
                "Mr. Holt came at 3.30 with e.g. two dogs.",
                "She left J. R. Brown there... and ran on.",
            ],
        ),
        (
            "'Who on earth is that?' he asked. No. 5 is the last house. So say I. It was late.",
            [
                "'Who on earth is that?' he asked.",
                "No. 5 is the last house.",
                # the other two have three words
            ],
        ),
        (
            "1. Describe the first of them.\n2) Describe the second one\n- and then the third one",
            [
                "Describe the first of them.",
                "Describe the second one",
                "and then the third one",
            ],
        ),
        (
            "The storm had come up in the night and nobody in\nthe house heard it. It went away.",
            [
                "The storm had come up in the night and nobody in the house heard it.",
                # "It went away." has three words
            ],
        ),
        (
            "他说：“我不知道这件事。”然后就走了，没有回头！你知道为什么吗？不。",
            ["他说：“我不知道这件事。”", "然后就走了，没有回头！", "你知道为什么吗？"],
        ),
        (
            "Take it to the bank. 2. Leave it at the bank.",
            ["Take it to the bank.", "Leave it at the bank."],
        ),
        ("a_label_without_any_space", []),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text, found):
    assert sentences_of(text) == found


@given(st.text(alphabet="ab. \n!?。你-1'\"", max_size=80))
def test_cutting_adds_and_reorders_nothing(text):
    rest = "".join(text.split())
    for sentence in sentences_of(text):
        assert sentence == " ".join(sentence.split())
        bare = "".join(sentence.split())
        assert bare in rest
        rest = rest[rest.index(bare) + len(bare) :]


def test_a_key_holds_the_place_and_a_hash_and_not_the_words():
    sentence = audit.Sentence("a.jsonl", 3, "turns[1].text", 2, "The cat sat down.")
    # printf 'The cat sat down.' | sha256sum
    assert sentence.key == "a.jsonl:3:turns[1].text:2:dd8b01c05047d0b1"
    mark = Mark(key=sentence.key, mark_1="none")
    assert (mark.file, mark.row, mark.field) == ("a.jsonl", ("a.jsonl", "3"), "turns[1].text")


def test_every_kind_of_file_gives_the_same_sentences(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = ["The first row has one sentence.", "The second row has two. This one is the second."]
    rows = [{"id": f"row_{n}_of_the_data_set_here", "text": text} for n, text in enumerate(texts)]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "d.csv").write_text(
        "id,text\n" + "".join(f'{r["id"]},"{r["text"]}"\n' for r in rows)
    )
    (tmp_path / "d.txt").write_text("\n\n".join(texts))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    expected = [texts[0], "The second row has two.", "This one is the second."]
    places = {}
    for suffix in reading.SUFFIXES:
        found = list(audit.iter_sentences(tmp_path / f"d{suffix}"))
        assert [sentence.text for sentence in found] == expected
        assert {sentence.field for sentence in found} == {"text"}
        places[suffix] = [sentence.line for sentence in found]
    # lines of the file; of a Parquet file, which has none, rows
    assert places == {
        ".jsonl": [1, 2, 2],
        ".csv": [2, 3, 3],
        ".txt": [1, 3, 3],
        ".parquet": [1, 2, 2],
    }


def test_strings_are_found_at_any_depth_and_short_ones_are_labels(tmp_path):
    row = {
        "messages": [
            {"role": "user", "content": "How do I mend a kettle?"},
            {"content": "a b c d e"},
        ],
        "meta": {"note": "This was written on a Monday.", "n": 3},
    }
    path = tmp_path / "chat.jsonl"
    path.write_text(json.dumps(row))

    def fields(*names, **options):
        return [s.field for s in audit.iter_sentences(path, names, **options)]

    assert fields() == ["messages[0].content", "meta.note"]
    assert fields(longer_than=5) == ["messages[0].content", "messages[1].content", "meta.note"]
    assert fields("content") == fields("messages") == ["messages[0].content"]
    assert fields("messages.content") == ["messages[0].content"]
    assert fields("meta.note", "messages") == fields()
    assert fields("note") == ["meta.note"]
    assert fields("not") == []
    path.write_text(json.dumps({"text": "读者会以为他已经走了。", "label": "读者会以为他已经走"}))
    assert fields() == ["text"]  # 11 characters, 22 columns; 9 are 18


def test_bad_files_are_refused_with_their_place(tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "A sentence that is quite fine."}\n{"text": \n[1]\n')
    with pytest.raises(DataRefused) as refused:
        audit.sample(bad, 10, seed=0)
    assert [problem.where.rsplit(":", 1)[1] for problem in refused.value.problems] == ["2", "3"]
    (tmp_path / "latin.txt").write_bytes("Café crème et un croissant.".encode("latin-1"))
    (tmp_path / "none.parquet").write_bytes(b"no such thing")
    (tmp_path / "data.json").write_text("[]")
    (tmp_path / "empty.csv").write_text("text\n")
    for name in ("latin.txt", "none.parquet", "data.json", "empty.csv", "absent.txt"):
        with pytest.raises(DataRefused, match=re.escape(name)):
            audit.sample(tmp_path / name, 10, seed=0)


def numbered(path: Path, count: int, *, times: int = 1) -> Path:
    rows = [json.dumps({"t": f"This is sentence number {n} here."}) for n in range(count)]
    path.write_text("\n".join(rows * times))
    return path


def test_dates_that_python_does_not_have_are_passed_over_or_refused_by_name(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = tmp_path / "dates.parquet"
    words = "The ferry waited at the quay until the last of them had come."
    for value, kind in [
        (2**31 - 1, pa.date32()),
        (2**62, pa.timestamp("us")),
        (2**50, pa.timestamp("ms", tz="Europe/Paris")),
        (2**60, pa.time64("us")),
    ]:
        column = pa.array([value], pa.int64() if kind.bit_width == 64 else pa.int32()).view(kind)
        pq.write_table(pa.table({"when": column, "text": [words]}), file)
        assert [one.text for one in iter_sentences(file)] == [words], kind
        pq.write_table(pa.table({"when": column}), file)
        with pytest.raises(DataRefused, match="no sentence"):
            audit.sample(file, 10, seed=0)
        inside = pa.StructArray.from_arrays([column, pa.array([words])], ["when", "text"])
        pq.write_table(pa.table({"inside": inside}), file)
        with pytest.raises(DataRefused, match=r"dates\.parquet"):
            list(iter_sentences(file))


def test_a_sample_does_not_depend_on_order_and_counts_a_template_once(tmp_path):
    path = numbered(tmp_path / "a.jsonl", 300, times=3)
    drawn = audit.sample(path, 40, seed=5)
    assert drawn.read == 900
    assert len({s.text for s in drawn.sentences}) == len(drawn.sentences) == 40
    assert drawn.distinct == pytest.approx(300, rel=0.5)  # 1/sqrt(38) is 16 %
    lines = path.read_text().splitlines()
    random.Random(1).shuffle(lines)
    path.write_text("\n".join(lines))
    again = audit.sample(path, 40, seed=5)
    assert [s.text for s in again.sentences] == [s.text for s in drawn.sentences]
    assert {s.text for s in audit.sample(path, 40, seed=6).sentences} != {
        s.text for s in drawn.sentences
    }
    whole = audit.sample(path, 1000, seed=5)
    assert (len(whole.sentences), whole.distinct) == (300, 300)


def test_every_sentence_is_drawn_equally_often(tmp_path):
    path = numbered(tmp_path / "a.jsonl", 20)
    times = Counter(
        s.text for seed in range(400) for s in audit.sample(path, 5, seed=seed).sentences
    )
    # each is drawn in 400 * 5 / 20 = 100 of the samples, give or take sqrt(400 * 1/4 * 3/4) = 8.7
    assert len(times) == 20
    assert max(abs(n - 100) for n in times.values()) < 4 * 8.7


# --- agreement and calibration ------------------------------------------------------------------

KRIPPENDORFF_2011 = [  # four observers, twelve units, nominal: alpha = 0.743
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]


def test_alpha_is_that_of_the_published_example():
    units = [[m for m in unit if m is not None] for unit in zip(*KRIPPENDORFF_2011, strict=True)]
    assert agreement.krippendorffs_alpha(units) == pytest.approx(0.743, abs=0.0005)


def test_alpha_of_two_markers_by_hand():
    # ten units, two markers; the coincidences are aa 2+2, bb 3+3, and ab, ba ten in all
    units = [["a", "a"]] * 2 + [["b", "b"]] * 3 + [["a", "b"]] * 5
    # of 20 values 9 are a and 11 are b: expected 2 * 9 * 11 / 19, observed 10
    assert agreement.krippendorffs_alpha(units) == pytest.approx(1 - 10 / (2 * 9 * 11 / 19))
    assert agreement.krippendorffs_alpha([["a", "a"], ["a"], []]) is None


def test_kappa_by_hand_and_against_sklearn():
    from sklearn.metrics import cohen_kappa_score

    # Both yes 20, both no 15, apart 5 and 10 of 50: observed 0.7, chance 0.5 * 0.6 + 0.5 * 0.4
    one = ["y"] * 25 + ["n"] * 25
    other = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert agreement.cohens_kappa(one, other) == pytest.approx((0.7 - 0.5) / 0.5)
    rng = random.Random(2)
    for _ in range(20):
        pair = [[rng.choice("abcd") for _ in range(30)] for _ in range(2)]
        assert agreement.cohens_kappa(*pair) == pytest.approx(cohen_kappa_score(*pair))
    assert agreement.cohens_kappa(["a", "a"], ["a", "a"]) is None


def test_specific_agreement_is_twice_the_shared_uses_over_all_uses():
    one, other = ["a", "a", "b", "c"], ["a", "b", "b", "c"]
    assert agreement.specific_agreement(one, other, "a") == 2 / 3
    assert agreement.specific_agreement(one, other, "c") == 1
    assert agreement.specific_agreement(one, other, "d") is None


def test_calibration_error_by_hand():
    p = np.array([[0.9, 0.1], [0.85, 0.15], [0.4, 0.6], [0.45, 0.55]])
    truth = np.array([[1, 0], [0, 1], [0, 1], [0.5, 0.5]])  # the last was marked both ways
    bins = calibration.reliability(p, truth)
    # (0.8, 0.9] holds 0.9 and 0.85, half right; (0.5, 0.6] holds 0.6 and 0.55, right 1 and 0.5
    assert [(b.low, b.high, b.weight) for b in bins] == [(0.5, 0.6, 2), (0.8, 0.9, 2)]
    assert [b.confidence for b in bins] == pytest.approx([0.575, 0.875])
    assert [b.accuracy for b in bins] == pytest.approx([0.75, 0.5])
    assert calibration.calibration_error(bins) == pytest.approx((0.175 + 0.375) / 2)


def test_f1_is_that_of_sklearn():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(4)
    true, said = rng.integers(0, 3, 50), rng.integers(0, 3, 50)
    confusion = THREE[true].T @ THREE[said]
    assert calibration.f1_scores(confusion) == pytest.approx(f1_score(true, said, average=None))


# --- shares -------------------------------------------------------------------------------------


def test_the_adjusted_count_undoes_the_confusion_by_hand():
    # Of class 0 one fifth is taken for class 1, of class 1 one tenth for class 0. With shares 0.3
    # and 0.7 the classifier counts 0.3 * 0.8 + 0.7 * 0.1 = 0.31 of class 0.
    rates = np.array([[0.8, 0.1], [0.2, 0.9]])
    assert quantify.adjusted_count([0.31, 0.69], rates) == pytest.approx([0.3, 0.7])
    # 0.05 of class 0 is less than the 0.1 that class 1 alone would give: the nearest is none at all
    assert quantify.adjusted_count([0.05, 0.95], rates) == pytest.approx([0, 1])


def test_the_adjusted_count_is_the_constrained_least_squares_of_an_optimiser():
    from scipy.optimize import minimize

    rng = np.random.default_rng(0)
    naive, rates = rng.dirichlet(np.ones(4), 12), rng.dirichlet(np.ones(4), (12, 4))
    rates = np.swapaxes(rates, 1, 2)  # columns sum to 1
    found = quantify.adjusted_count(naive, rates)
    for p, a, q in zip(naive, rates, found, strict=True):
        best = minimize(
            lambda x, a=a, p=p: ((a @ x - p) ** 2).sum(),
            np.full(4, 0.25),
            bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda x: x.sum() - 1},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert ((a @ q - p) ** 2).sum() <= best.fun + 1e-7
        assert q.sum() == pytest.approx(1)
        assert q.min() >= 0


def test_rates_are_counts_with_one_sentence_of_prior_in_every_column():
    predicted, truth = THREE[[0, 0, 1, 2]], THREE[[0, 0, 0, 2]]
    rates = quantify.misclassification(predicted, truth, np.full((3, 3), 1 / 3))
    third = 1 / 3
    assert rates[:, 0] == pytest.approx([(2 + third) / 4, (1 + third) / 4, third / 4])
    assert rates[:, 1] == pytest.approx([third, third, third])  # never marked: the prior alone
    assert rates[:, 2] == pytest.approx([third / 2, third / 2, (1 + third) / 2])


def test_the_nearest_point_of_the_simplex():
    assert quantify.to_simplex([0.2, 0.8]) == pytest.approx([0.2, 0.8])
    assert quantify.to_simplex([1.2, -0.2]) == pytest.approx([1, 0])
    assert quantify.to_simplex([[0.5, 0.7, -0.1]])[0] == pytest.approx([0.4, 0.6, 0])


def test_em_finds_the_maximum_of_the_likelihood():
    rng = np.random.default_rng(1)
    p = rng.dirichlet([1, 1], 200)
    prior = np.array([0.4, 0.6])
    shares = np.linspace(0.0005, 0.9995, 1999)
    ratio = p / prior
    likelihood = [np.log(s * ratio[:, 0] + (1 - s) * ratio[:, 1]).sum() for s in shares]
    found = quantify.em_shares(p, prior)
    assert found[0] == pytest.approx(shares[int(np.argmax(likelihood))], abs=0.001)
    twice = quantify.em_shares(p[:100], prior, weights=np.full(100, 2.0))
    assert twice == pytest.approx(quantify.em_shares(p[:100], prior), abs=1e-6)


def test_calibration_is_the_maximum_likelihood_of_an_optimiser():
    from scipy.optimize import minimize

    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.ones(3), 80)
    truth = THREE[rng.integers(0, 3, 80)]

    def loss(theta):
        z = theta[0] * np.log(p) + theta[1:]
        log_q = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        return -(truth * log_q).sum() + 0.05 * ((theta - [1, 0, 0, 0]) ** 2).sum()

    fitted = calibration.calibrate(p, truth)
    best = minimize(loss, [1, 0, 0, 0])
    assert [fitted.slope, *fitted.bias] == pytest.approx(best.x, abs=1e-3)


CENTRES = np.array([[0.0, 0.0], [1.6, 0.0], [0.0, 1.6]])
LEARNED_SHARES = np.array([1, 1, 1]) / 3
SHARES = np.array([0.1, 0.2, 0.7])


def classified(rng, shares, n):
    """n sentences of three overlapping clouds, with exact probabilities for equal shares."""
    kinds = rng.choice(3, n, p=shares)
    points = CENTRES[kinds] + rng.normal(size=(n, 2))
    near = np.exp(-((points[:, None] - CENTRES) ** 2).sum(axis=2) / 2) * LEARNED_SHARES
    return kinds, near / near.sum(axis=1, keepdims=True)


def marked(kinds, p, sources=None):
    marks = np.stack([kinds, kinds], axis=1)
    numbers = np.arange(len(kinds))
    return quantify.Marked(p, marks, numbers, numbers if sources is None else sources)


def test_correction_recovers_shares_that_counting_misses():
    rng = np.random.default_rng(0)
    kinds, p = classified(rng, LEARNED_SHARES, 4000)
    _, here = classified(rng, SHARES, 6000)
    counted = quantify.one_hot(here).mean(axis=0)
    assert np.abs(counted - SHARES).max() > 0.1
    found = quantify.point_estimates(here, marked(kinds, p), np.full((3, 3), 1 / 3))
    for share in found.values():
        assert np.abs(share - SHARES).max() < 0.035


def test_em_recovers_shares_from_overconfident_probabilities():
    rng = np.random.default_rng(6)
    kinds, p = classified(rng, LEARNED_SHARES, 8000)
    _, here = classified(rng, SHARES, 8000)

    def sharper(q):
        return q**3 / (q**3).sum(axis=1, keepdims=True)

    raw = quantify.em_shares(sharper(here), LEARNED_SHARES)
    em = quantify.point_estimates(sharper(here), marked(kinds, sharper(p)), np.eye(3))["em"]
    assert np.abs(em - SHARES).max() < 0.03
    assert np.abs(raw - SHARES).max() > 0.07


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(2)
    held = {"adjusted": [], "em": []}
    for trial in range(40):
        kinds, p = classified(rng, [0.3, 0.4, 0.3], 200)
        _, here = classified(rng, SHARES, 300)
        found = quantify.estimate(
            here, np.arange(300) // 3, marked(kinds, p, np.zeros(200, int)), np.full((3, 3), 1 / 3),
            seed=trial, replicates=80,
        )  # fmt: skip
        for method, shares in found.items():
            held[method] += list((shares.low <= SHARES) & (shares.high >= SHARES))
    # 120 intervals each; at 95 % fewer than 104 hold with probability below 0.001
    assert sum(held["adjusted"]) >= 104
    assert sum(held["em"]) >= 104
    assert np.mean([found["em"].high - found["em"].low]) < 0.3  # and they say something


def test_a_data_set_with_marks_of_its_own_needs_no_assumption():
    # Here the classifier is wrong in a way that the marks of other data sets do not show: it calls
    # class 2 class 0. Adjusting goes astray, the marks do not.
    rng = np.random.default_rng(7)
    elsewhere, p = classified(rng, LEARNED_SHARES, 1000)
    estimates, held = [], []
    for trial in range(15):
        kinds, here = classified(rng, SHARES, 2000)
        here = here[:, [2, 1, 0]]
        known = quantify.Marked(
            np.vstack([p, here[:100]]),
            np.repeat(np.concatenate([elsewhere, kinds[:100]])[:, None], 2, axis=1),
            np.arange(1100),
            np.repeat([0, 1], [1000, 100]),
        )
        found = quantify.estimate(
            here, np.arange(2000), known, np.full((3, 3), 1 / 3),
            own=np.arange(1100) >= 1000, seed=trial, replicates=60,
        )  # fmt: skip
        estimates.append(found["marks"].share)
        held += list((found["marks"].low <= SHARES) & (found["marks"].high >= SHARES))
        assert np.abs(found["adjusted"].share - SHARES).max() > 0.3
    # 15 samples of 100: the standard error of the mean is at most sqrt(.7 * .3 / 1500) = 0.012
    assert np.abs(np.mean(estimates, axis=0) - SHARES).max() < 0.04
    assert sum(held) >= 38  # of 45; at 95 % fewer have probability below 0.01


def test_the_classifier_makes_own_marks_more_exact():
    rng = np.random.default_rng(8)
    alone, helped = [], []
    for _ in range(200):
        kinds, here = classified(rng, SHARES, 1000)
        truth = THREE[kinds[:50]]
        alone.append(truth.mean(axis=0))
        share = quantify.difference_shares(here.mean(axis=0), here[:50], truth, 1000)
        helped.append(share)
    errors = [np.abs(np.array(some) - SHARES).mean() for some in (helped, alone)]
    assert errors[0] < 0.85 * errors[1]


def test_a_class_never_marked_is_not_excluded():
    p = np.tile([0.9, 0.1], (40, 1))
    known = marked(np.zeros(40, int), p)
    found = quantify.estimate(
        p, np.arange(40), known, np.eye(2), own=np.ones(40, bool), seed=0, replicates=200
    )["marks"]
    assert found.share == pytest.approx([1, 0])
    # half a mark among 41: the 97.5 % point of Beta(0.5, 40.5) is 0.060
    assert found.high[1] == pytest.approx(0.06, abs=0.02)


def test_marks_that_differ_are_halved_and_drawn():
    marks = np.array([[0, 1], [0, 0], [2, -1]])
    known = quantify.Marked(THREE[[0, 0, 2]], marks, np.arange(3), np.zeros(3, int))
    assert known.weights.tolist() == [[0.5, 0.5, 0], [1, 0, 0], [0, 0, 1]]


# --- the classifier -----------------------------------------------------------------------------

SAYS = {
    "craft": ["rhythm metre stanza verb", "metre verb rhythm clause"],
    "intent": ["purpose aim persuade withhold", "withhold aim purpose hide"],
    "audience": ["reader expects notices laughs", "laughs reader notices hears"],
    "reality": ["gravity water boils because", "because boils gravity rusts"],
    "none": ["garden bench dog sofa", "sofa dog garden lamp"],
}


def taught(works: int = 10) -> list[Lesson]:
    return [
        Lesson(text=f"{text} mark{n}x", kind=kind, work=f"Work {n}" if n % 2 else f"work  {n} ")
        for n in range(works)
        for kind, texts in SAYS.items()
        for text in texts
    ]


def test_no_fold_has_seen_the_work_that_it_judges():
    lessons = taught()
    classifier = teaching.fit(lessons)
    assert len(classifier.by_fold) == 5
    for lesson in lessons:
        fold = classifier.fold_of[" ".join(lesson.work.casefold().split())]
        own_word = lesson.text.split()[-1]
        known = [m[0].transformer_list[0][1].vocabulary_ for m in classifier.by_fold]
        assert [own_word not in words for words in known] == [n == fold for n in range(5)]
        assert own_word in classifier.model[0].transformer_list[0][1].vocabulary_
    assert sorted(Counter(classifier.fold_of.values()).values()) == [2] * 5


def test_one_title_in_two_spellings_is_one_work():
    assert teaching.folds_of(["The Sea", "the  sea", "Land"]).keys() == {"the sea", "land"}


def test_a_sentence_of_a_work_learned_from_is_judged_without_that_work():
    lessons = taught()
    classifier = teaching.fit(lessons, elsewhere={"the dog of work seven": "Work 7"})
    texts = [lesson.text for lesson in lessons]
    assert np.allclose(classifier.probabilities(texts), classifier.held_out)
    fold = classifier.by_fold[classifier.fold_of["work 7"]]
    found = classifier.probabilities(["the dog of work seven"])[0]
    assert found[CLASSES.index("none")] == max(fold.predict_proba(["the dog of work seven"])[0])


def test_nothing_can_be_learned_from_a_single_work():
    with pytest.raises(DataRefused, match="1 works"):
        teaching.fit(taught(works=1))


def test_lessons_are_cut_from_annotations_and_only_b_of_the_dialogues_is_none():
    basis = audit.shipped_basis()
    lessons = teaching.lessons(basis.annotations[:1], basis.dialogues[:1])
    annotation, dialogue = basis.annotations[0], basis.dialogues[0]
    of_kind = {lesson.text: lesson.kind for lesson in lessons}
    step = annotation.reasoning[0]
    assert of_kind[sentences_of(step.claim)[0]] == step.kind
    assert of_kind[sentences_of(annotation.context)[0]] == "none"
    said: dict[str, list[str]] = {"B": [], "C": []}
    for turn in dialogue.turns:
        said[turn.turn[0]] += sentences_of(turn.text)
    assert {of_kind[sentence] for sentence in said["B"]} == {"none"}
    assert said["C"]
    assert not set(said["C"]) & set(of_kind)


# --- marks --------------------------------------------------------------------------------------


def write_marks(path: Path, marks: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps({"key": k, "mark": m}) + "\n" for k, m in marks.items()))
    return path


def test_two_files_of_marks_become_one(tmp_path):
    first = write_marks(tmp_path / "1", {"f:2:t:1:b": "craft", "f:1:t:1:a": "none"})
    second = write_marks(tmp_path / "2", {"f:1:t:1:a": "reality", "f:2:t:1:b": "craft"})
    out = tmp_path / "marks.jsonl"
    audit.merge_marks([first, second], out)
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        {"key": "f:1:t:1:a", "mark_1": "none", "mark_2": "reality"},
        {"key": "f:2:t:1:b", "mark_1": "craft", "mark_2": "craft"},
    ]
    assert [mark.mark_2 for mark in audit.merge_marks([first], out)] == [None, None]


def test_marks_of_different_sentences_are_not_merged(tmp_path):
    first = write_marks(tmp_path / "1", {"f:1:t:1:a": "craft"})
    second = write_marks(tmp_path / "2", {"f:1:t:1:b": "craft"})
    with pytest.raises(DataRefused) as refused:
        audit.merge_marks([first, second], tmp_path / "out")
    assert len(refused.value.problems) == 2
    assert not (tmp_path / "out").exists()
    wrong = write_marks(tmp_path / "3", {"f:1:t:1:a": "style"})
    with pytest.raises(DataRefused, match=r"3:1: mark: saw 'style'"):
        audit.merge_marks([wrong], tmp_path / "out")
    with pytest.raises(UsageRefused):
        audit.merge_marks([], tmp_path / "out")


def test_what_ships_holds_together():
    basis = audit.shipped_basis()
    assert len(basis.marks) >= audit.LEAST_MARKS
    assert all(mark.mark_2 for mark in basis.marks)
    assert {mark.key for mark in basis.marks} == set(basis.predictions.probabilities)
    assert sum(one.sentences for one in basis.drawn) == len(basis.marks)
    # After a change of the annotations: audit.predict_marks writes predictions.json anew.
    assert basis.predictions.classifier == teaching.identity(basis.lessons())


# --- the report ---------------------------------------------------------------------------------


def tiny_basis(**changes) -> Basis:
    """A classifier that cannot err here, and 60 marks of two other data sets that agree with it."""
    lessons = taught()
    marks = [
        Mark(key=f"{file}:{n}:text:1:{n:016x}", mark_1=CLASSES[n % 5], mark_2=CLASSES[n % 5])
        for file in ("one.txt", "two.txt")
        for n in range(30)
    ]
    said = {mark.key: tuple(np.eye(5)[CLASSES.index(mark.mark_1)]) for mark in marks}
    given = {
        "annotations": [],
        "dialogues": [],
        "plain": lessons,
        "marks": marks,
        "predictions": Predictions(classifier=teaching.identity(lessons), probabilities=said),
    }
    return Basis(**given | changes)


@pytest.fixture
def tiny(tmp_path) -> Path:
    """Eight sentences: four of craft, two of audience, two of none; a label and a repetition."""
    texts = [
        "Rhythm metre stanza verb once. Rhythm metre stanza clause twice.",
        "Metre rhythm verb clause thrice. Reader laughs and notices once.",
        "Metre rhythm stanza four times. Reader laughs and expects twice.",
        "Garden dog bench sofa once. Garden dog lamp sofa twice.",
        "Garden dog lamp sofa twice.",
    ]
    path = tmp_path / "tiny.jsonl"
    path.write_text("".join(json.dumps({"kind": "prose", "text": t}) + "\n" for t in texts))
    return path


def test_the_report_of_a_tiny_data_set_by_hand(tiny):
    report = audit.run([tiny], tiny_basis(), least_marks=60, replicates=50)
    json.dumps(report, allow_nan=False)
    (found,) = report["data_sets"]
    assert found["sentences_read"] == 9
    assert found["sentences_distinct"] == found["sentences_sampled"] == 8
    assert (found["rows_sampled"], found["method"], found["reason"]) == (4, "adjusted", None)
    naive = {kind: row["naive"] for kind, row in found["shares"].items()}
    assert naive == {"craft": 0.5, "intent": 0, "audience": 0.25, "reality": 0, "none": 0.25}
    # The classifier never erred: 12 marks a class and one sentence of a prior that is nearly right.
    for kind, row in found["shares"].items():
        assert row["share"] == row["adjusted"]["share"] == pytest.approx(naive[kind], abs=0.01)
        assert 0 <= row["low"] <= row["share"] <= row["high"] <= 1
        assert row["marks"] is None
    assert sum(row["share"] for row in found["shares"].values()) == pytest.approx(1, abs=1e-5)
    craft = next(c for c in found["contrasts"] if c["against"] == "intent")
    assert (craft["difference"], craft["said"]) == (pytest.approx(0.5, abs=0.01), "more than")
    learned = report["classifier"]
    assert learned["macro_f1"] == 1
    assert learned["sentences"] == dict.fromkeys(CLASSES, 20)
    assert learned["confusion"]["craft"] == dict.fromkeys(CLASSES, 0) | {"craft": 20}
    assert report["marks"]["agreement"]["cohens_kappa"] == 1
    assert report["marks"]["by_class"] == dict.fromkeys(CLASSES, 12)


def test_the_report_can_be_repeated_and_shows_no_sentence(tiny):
    one, other = (audit.run([tiny], tiny_basis(), least_marks=60, replicates=20) for _ in range(2))
    assert one == other
    assert "stanza" not in json.dumps(one) + audit.markdown(one)


def test_the_page_has_a_row_for_every_class(tiny):
    report = audit.run([tiny], tiny_basis(), least_marks=60, replicates=20)
    lines = audit.markdown(report).splitlines()
    row = next(line for line in lines if "| craft |" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    share = report["data_sets"][0]["shares"]["craft"]
    assert cells[2] == f"{100 * share['share']:.1f}"
    assert cells[3] == f"{100 * share['low']:.1f} to {100 * share['high']:.1f}"
    assert cells[-2:] == ["50.0", "8"]
    assert sum(f"| {kind} |" in line for line in lines for kind in CLASSES) == 5
    assert "another kind of text" in audit.markdown(report)


def test_without_enough_marks_there_are_only_naive_shares_and_a_reason(tiny):
    report = audit.run([tiny], tiny_basis(), replicates=20)
    (found,) = report["data_sets"]
    assert found["method"] is None
    assert "too few marked sentences" in found["reason"]
    craft = found["shares"]["craft"]
    assert (craft["share"], craft["low"], craft["em"], craft["naive"]) == (None, None, None, 0.5)
    assert found["contrasts"] == []
    assert "too few marked" in audit.markdown(report)


def test_marks_whose_classifier_is_another_need_their_files(tiny, tmp_path):
    sentence = next(iter(audit.iter_sentences(tiny)))
    here = Mark(key=sentence.key, mark_1="craft")
    gone = Mark(key=f"gone.txt:1:text:1:{0:016x}", mark_1="none")
    stale = Predictions(classifier="another", probabilities={gone.key: (1, 0, 0, 0, 0)})
    basis = tiny_basis(marks=[here, gone], predictions=stale)
    report = audit.run([tiny], basis, least_marks=1, replicates=10)
    assert (report["marks"]["used"], report["marks"]["missing"]) == (1, 1)
    assert report["marks"]["agreement"]["reason"] == "no sentence has two marks"
    with pytest.raises(DataRefused, match=r"gone\.txt"):
        audit.predict_marks([tiny], basis, tmp_path / "out.json")
    written = audit.predict_marks([tiny], tiny_basis(marks=[here]), tmp_path / "out.json")
    assert np.argmax(written.probabilities[here.key]) == CLASSES.index("craft")


def test_a_data_set_marked_itself_is_judged_by_its_marks(tmp_path):
    from cqa.files import sha256_of

    # 40 sentences that the classifier calls craft; by hand 30 of them are audience.
    path = tmp_path / "own.jsonl"
    path.write_text(
        "".join(json.dumps({"t": f"Rhythm metre stanza verb {n}."}) + "\n" for n in range(40))
    )
    own = [
        Mark(key=s.key, mark_1="craft" if n < 10 else "audience")
        for n, s in enumerate(audit.iter_sentences(path))
    ]
    base = tiny_basis()
    drawn = audit.Drawn(file=path.name, sha256=sha256_of(path), fields=(), sentences=40, seed=0)
    basis = tiny_basis(marks=[*base.marks, *own], drawn=[drawn])
    report = audit.run([path], basis, least_marks=60, replicates=30)
    (found,) = report["data_sets"]
    assert (found["method"], found["sentences_marked"]) == ("marks", 40)
    assert found["shares"]["craft"]["share"] == pytest.approx(0.25, abs=0.01)
    assert found["shares"]["audience"]["share"] == pytest.approx(0.75, abs=0.01)
    # Treated as unmarked it would have been all craft: three quarters wrong, over two classes of 5.
    (other,) = report["transfer"]["files"]
    assert other["marks"]["audience"] == 0.75
    assert report["transfer"]["mean_absolute_error"]["naive"] == pytest.approx(2 * 0.75 / 5)
    path.write_text(path.read_text() + json.dumps({"t": "Reader laughs and expects it."}) + "\n")
    (changed,) = audit.run([path], basis, least_marks=60, replicates=10)["data_sets"]
    assert changed["method"] == "adjusted"  # the marks were drawn from another file


def test_a_strange_language_is_said_to_be_one(tmp_path):
    path = tmp_path / "zh.txt"
    path.write_text("他不知道这件事情的原因。\n\n读者会以为他已经走了。\n")
    report = audit.run([path], tiny_basis(), least_marks=60, replicates=10)
    assert report["data_sets"][0]["unknown_words"] == 1
    assert any("worth little" in limit for limit in report["limits"])
    assert any("English only" in limit for limit in report["limits"])


@pytest.mark.parametrize("options", [{"at_most": 1}, {"replicates": 0}])
def test_meaningless_sizes_are_refused(tiny, options):
    with pytest.raises(UsageRefused):
        audit.run([tiny], tiny_basis(), **options)
