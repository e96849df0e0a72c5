"""What a set of annotations or items is like: size, variety, sameness of shape, balance.

Counts for a README or a report, no verdicts and no thresholds. Words are compared as in
`leaks.normal_words`; what tells function words from content words is an English list, so that the
measures of shape and of the brief's words are for English sets.
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cqa import stats
from cqa.errors import DataRefused
from cqa.leaks import Placed, near_duplicates, normal_words
from cqa.markdown import number
from cqa.overlap import longest_shared_run
from cqa.stats.interval import bca
from cqa.stats.works import no_spread, too_few
from cqa.types import PARTS, Annotation, Brief, Dialogue, Item

MATTR_WINDOW = 100
"""Words in the moving window of the type-token ratio."""
OPENING_WORDS = 4
FRAME_TOKENS = 8
SHAPE_GRAM = 4

_LEAST_KEPT = 2
"""Words that are not masked in a gram of a skeleton; with fewer it is hardly a shape."""
_COMPARED = 2000
"""Records whose shapes are compared with one another; of a larger set, as many, evenly spaced."""
_SHOWN_FRAMES = 5
_RESAMPLES = 1999
_SEED = 20260525
_MASK = "_"

_CLOSED_CLASSES = """
a an the this that these those some any no every each either neither both all half such what
which whose another other others same own much many more most less least few fewer several
enough one ones i me my mine myself you your yours yourself yourselves he him his himself she
her hers herself it its itself we us our ours ourselves they them their theirs themselves who
whom somebody someone something anybody anyone anything nobody noone nothing everybody everyone
everything none there here where when why how then now so too very quite rather just only even
still yet already again ever never always not also as than if unless because since while though
although whether until till once and or but nor for of in on at by to from with without into
onto upon out up down off over under above below between among through across along against
about around before after behind beside besides beyond during within toward towards per via
except despite am is are was were be been being have has had having do does did doing done will
would shall should can could may might must ought let lets dont doesnt didnt isnt arent wasnt
werent hasnt havent hadnt wont wouldnt shouldnt cant cannot couldnt mustnt im youre hes shes
theyre ive youve weve theyve youll theyll youd hed theyd thats theres whats whos
"""
FUNCTION_WORDS = frozenset(_CLOSED_CLASSES.split())
"""The closed classes of English, without apostrophes; contractions that would be another word then
(hell, shell, ill, wed, id) are left out."""

_TOKEN = re.compile(r"[^\W_][\w'’]*|[^\w\s]")


def quality_of_annotations(
    annotations: Sequence[Annotation], dialogues: Sequence[Dialogue]
) -> dict[str, Any]:
    """The measures of a set of annotations with their dialogues, as JSON.

    Annotations that a later one corrects are left out and counted. `reasons` says why a
    value is null.

    Raises
    ------
    DataRefused
        Without a single annotation.
    """
    if not annotations:
        raise DataRefused("no annotations to be measured", next_step="give at least one")
    corrected = {annotation.corrects for annotation in annotations}
    rows = [annotation for annotation in annotations if annotation.id not in corrected]
    texts = {
        "context": [row.context for row in rows],
        "brief": [_joined(row.brief) for row in rows],
        "passage": [row.passage for row in rows],
        "foil": [row.foil for row in rows],
        "reasoning": ["\n".join(step.claim for step in row.reasoning) for row in rows],
        "decision": [row.decision for row in rows],
    }
    ids = [row.id for row in rows]
    spoken = {"turns of C": [_turns(dialogue, "C") for dialogue in dialogues]}
    pairs = _pairs(rows)
    return _finished(
        {
            "kind": "annotations",
            "size": {
                "records": len(rows),
                "corrected": len(annotations) - len(rows),
                "works": len({row.work for row in rows}),
                "genres": _counted(row.genre for row in rows),
                "dialogues": len(dialogues),
                "words": _word_counts(texts | (spoken if dialogues else {})),
            },
            "vocabulary": {name: _vocabulary(texts[name]) for name in ("passage", "foil")}
            | {name: _vocabulary(said) for name, said in spoken.items() if said},
            "near_duplicates": _near_duplicates(rows),
            "shape": {name: _shape(ids, told) for name, told in texts.items()}
            | {name: _shape([d.id for d in dialogues], said) for name, said in spoken.items()},
            "overlap_with_brief": _overlap(ids, pairs, "passage"),
            "balance": {"passage against foil": _paired_balance(pairs)},
            "reasoning": _reasoning(rows),
            "dialogues": _probes(dialogues) if dialogues else None,
        },
        {} if dialogues else {"dialogues": "no dialogues given"},
    )


def quality_of_items(items: Sequence[Item]) -> dict[str, Any]:
    """The measures of a benchmark, as JSON; literary and factual items are compared.

    `reasons` says why a value is null.

    Raises
    ------
    DataRefused
        Without a single item.
    """
    if not items:
        raise DataRefused("no items to be measured", next_step="give at least one")
    texts = {
        "context": [item.context for item in items],
        "brief": [_joined(item.brief) for item in items],
        "text": [item.text for item in items],
        "foil": [item.foil for item in items],
    }
    ids = [item.id for item in items]
    pairs = _pairs(items)
    groups = sorted({item.group for item in items}, reverse=True)
    by_group = {name: [pair for pair in pairs if pair.group == name] for name in groups}
    balance = {"text against foil": _paired_balance(pairs)}
    balance |= {f"text against foil, {g}": _paired_balance(of) for g, of in by_group.items()}
    if len(groups) == 2:
        one, other = groups
        balance[f"{one} against {other}"] = _group_balance(by_group[one], by_group[other])
    return _finished(
        {
            "kind": "items",
            "size": {
                "records": len(items),
                "works": len({item.work for item in items}),
                "groups": _counted(item.group for item in items),
                "parts_of_brief": _counted(part for item in items for part in item.brief.parts),
                "words": _word_counts(texts),
            },
            "vocabulary": {
                name if group is None else f"{name}, {group}": _vocabulary(
                    [
                        t
                        for t, item in zip(texts[name], items, strict=True)
                        if group in (None, item.group)
                    ]
                )
                for group in (None, *groups)
                for name in ("text", "foil")
            },
            "near_duplicates": _near_duplicates(items),
            "shape": {name: _shape(ids, told) for name, told in texts.items()},
            "overlap_with_brief": _overlap(ids, pairs, "text"),
            "balance": balance,
        },
        {} if len(groups) == 2 else {"balance": f"only {groups[0]} items: no groups to compare"},
    )


def _joined(brief: Brief) -> str:
    return "\n".join(words for part in PARTS if (words := getattr(brief, part)))


def _turns(dialogue: Dialogue, speaker: str) -> str:
    return "\n".join(turn.text for turn in dialogue.turns if turn.turn[0] == speaker)


def _counted(names: Iterable[str]) -> dict[str, int]:
    """Name -> how often, the most frequent first."""
    return dict(sorted(Counter(names).items(), key=lambda pair: (-pair[1], pair[0])))


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, standard deviation (n − 1), least and most."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {
        "mean": float(np.mean(values)),
        "sd": deviation,
        "least": min(values),
        "most": max(values),
    }


def _word_counts(texts: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    return {
        name: _spread([len(normal_words(text)) for text in told]) for name, told in texts.items()
    }


def _vocabulary(texts: Sequence[str]) -> dict[str, Any]:
    """Variety of words. All but the moving average fall as texts are added.

    distinct-n: different n-grams ÷ n-grams, none across texts (Li et al. 2016); distinct-1 is the
    type-token ratio. mattr: the mean type-token ratio of every stretch of 100 words, the texts in
    a row (Covington & McFall 2010).
    """
    written = [normal_words(text) for text in texts]
    pairs = [pair for words in written for pair in itertools.pairwise(words)]
    words = [word for told in written for word in told]
    return {
        "words": len(words),
        "types": len(set(words)),
        "mattr": _mattr(words),
        "distinct_1": len(set(words)) / len(words) if words else None,
        "distinct_2": len(set(pairs)) / len(pairs) if pairs else None,
    }


def _mattr(words: Sequence[str]) -> float | None:
    windows = len(words) - MATTR_WINDOW + 1
    if windows < 1:
        return None
    inside = Counter(words[:MATTR_WINDOW])
    types = len(inside)
    for left, entered in zip(words, words[MATTR_WINDOW:], strict=False):
        inside[left] -= 1
        if not inside[left]:
            del inside[left]
        inside[entered] += 1
        types += len(inside)
    return types / (windows * MATTR_WINDOW)


def _near_duplicates(rows: Sequence[Annotation | Item]) -> list[list[Any]]:
    return [list(pair) for pair in near_duplicates([Placed(row.id, row) for row in rows])]


def skeleton(text: str, frequent: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """A text without its content: function words and punctuation stay, the rest is masked.

    Words of `frequent` stay as well. A run of masked words is one mask, so that a slot filled with
    three words looks like one filled with a single word.
    """
    tokens: list[str] = []
    for match in _TOKEN.finditer(text):
        sign = match.group()
        if not sign[0].isalnum():
            tokens += [sign] if unicodedata.category(sign)[0] == "P" else []
            continue
        for word in normal_words(sign):
            kept = word in FUNCTION_WORDS or word in frequent
            if kept or tokens[-1:] != [_MASK]:
                tokens.append(word if kept else _MASK)
    return tuple(tokens)


def _shape(ids: Sequence[str], texts: Sequence[str]) -> dict[str, Any]:
    """How alike texts are apart from what they are about; a template that is refilled shows here.

    The skeletons keep function words, punctuation and every word that stands in at least half of
    the texts. `mean_cosine` is over all pairs of skeletons as bags of 4-grams; `nearest_cosine` is
    the mean over texts of the highest one, which also rises with several templates; a
    frame is a stretch of 8 tokens of a skeleton, and `repeated_frames` the share of frames that
    stand in another text too. Openings: the share of texts that begin with the same four words,
    or the same eight tokens of the skeleton, as another one.
    """
    written = [normal_words(text) for text in texts]
    holding = Counter(word for words in written for word in set(words))
    frequent = frozenset(w for w, n in holding.items() if n >= 3 and 2 * n >= len(texts))
    bones = [skeleton(text, frequent) for text in texts]
    frames = [set(_grams(bone, FRAME_TOKENS)) for bone in bones]
    standing = Counter(frame for of_text in frames for frame in of_text)
    repeated = sorted(
        ((frame, n) for frame, n in standing.items() if n > 1), key=lambda pair: (-pair[1], pair[0])
    )
    every = sum(map(len, frames))
    mean, nearest, pair = _cosines(ids, bones)
    return {
        "texts": len(texts),
        "repeated_openings": _repeated(tuple(words[:OPENING_WORDS]) for words in written),
        "repeated_skeleton_openings": _repeated(bone[:FRAME_TOKENS] for bone in bones),
        "mean_cosine": mean,
        "nearest_cosine": nearest,
        "most_alike": pair,
        "repeated_frames": sum(n for _, n in repeated) / every if every else None,
        "frames": [[" ".join(frame), n] for frame, n in repeated[:_SHOWN_FRAMES]],
    }


def _grams(tokens: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    """The stretches of a skeleton in which enough words are left to be a shape."""
    for start in range(len(tokens) - length + 1):
        gram = tuple(tokens[start : start + length])
        if sum(token != _MASK and token[0].isalnum() for token in gram) >= _LEAST_KEPT:
            yield gram


def _repeated(openings: Iterable[tuple[str, ...]]) -> float | None:
    """The share of texts whose opening is that of another text; empty ones do not count."""
    counts = Counter(opening for opening in openings if opening)
    texts = counts.total()
    return sum(n for n in counts.values() if n > 1) / texts if texts > 1 else None


def _cosines(
    ids: Sequence[str], bones: Sequence[tuple[str, ...]]
) -> tuple[float | None, float | None, list[Any] | None]:
    """Mean over pairs, mean over texts of the highest, and the most alike pair with its cosine."""
    from scipy import sparse

    chosen = np.unique(np.linspace(0, len(ids) - 1, min(len(ids), _COMPARED)).astype(int))
    columns: dict[tuple[str, ...], int] = {}
    rows, places = [], []
    for row, number_of in enumerate(chosen):
        for gram in _grams(bones[number_of], SHAPE_GRAM):
            rows.append(row)
            places.append(columns.setdefault(gram, len(columns)))
    if len(chosen) < 2 or not rows:
        return None, None, None
    counts = sparse.csr_array((np.ones(len(rows)), (rows, places)))
    counts.resize(len(chosen), len(columns))
    lengths = np.sqrt(counts.multiply(counts).sum(axis=1))
    unit = sparse.diags_array(1 / np.where(lengths == 0, 1, lengths)) @ counts
    cosines = np.asarray((unit @ unit.T).todense())
    np.fill_diagonal(cosines, 0)
    n = len(chosen)
    one, other = np.unravel_index(np.argmax(cosines), cosines.shape)
    pair = [ids[chosen[one]], ids[chosen[other]], min(1.0, float(cosines[one, other]))]
    return float(cosines.sum() / (n * (n - 1))), float(cosines.max(axis=1).mean()), pair


@dataclass(frozen=True)
class _Pair:
    """What is compared of one record: quantity -> value of the text, and of its foil.

    A value is NaN where there is none (a frequency without words).
    """

    work: str
    group: str | None
    text: Mapping[str, float]
    foil: Mapping[str, float]
    around: Mapping[str, float]
    """Of what stands around them: words of context and brief."""


def _pairs(rows: Sequence[Annotation | Item]) -> list[_Pair]:
    written = [
        {
            "text": normal_words(row.text if isinstance(row, Item) else row.passage),
            "foil": normal_words(row.foil),
            "context": normal_words(row.context),
            "brief": normal_words(_joined(row.brief)),
        }
        for row in rows
    ]
    table = Counter(word for fields in written for words in fields.values() for word in words)
    return [_pair(row, fields, table) for row, fields in zip(rows, written, strict=True)]


def _pair(row: Annotation | Item, fields: Mapping[str, list[str]], table: Counter[str]) -> _Pair:
    own = Counter(word for words in fields.values() for word in words)
    text = row.text if isinstance(row, Item) else row.passage

    def measured(written: str, words: list[str]) -> dict[str, float]:
        return {
            "characters": len(written.strip()),
            "words": len(words),
            **_frequency(words, own, table),
            "jaccard_with_brief": _content_jaccard(words, fields["brief"]),
            "run_shared_with_brief": longest_shared_run(" ".join(words), " ".join(fields["brief"])),
        }

    return _Pair(
        row.work,
        row.group if isinstance(row, Item) else None,
        measured(text, fields["text"]),
        measured(row.foil, fields["foil"]),
        {f"words of {name}": len(fields[name]) for name in ("context", "brief")},
    )


def _frequency(words: Sequence[str], own: Counter[str], table: Counter[str]) -> dict[str, float]:
    """Mean log2 frequency of the words among all other records, and the share not found there.

        log2 (c(w) − c_own(w) + 1) / (N − N_own + V)        V: types of the whole set

    Leaving the own record out keeps a word from vouching for itself. The table is small: most
    content words are not found, and all of those look equally rare.
    """
    if not words:
        return {"log2_frequency": math.nan, "unseen_words": math.nan}
    everything = table.total() - own.total() + len(table)
    elsewhere = [table[word] - own[word] for word in words]
    return {
        "log2_frequency": sum(math.log2((n + 1) / everything) for n in elsewhere) / len(words),
        "unseen_words": sum(n == 0 for n in elsewhere) / len(words),
    }


def _content_jaccard(one: Iterable[str], other: Iterable[str]) -> float:
    """Shared ÷ all different content words; 0 where neither has any."""
    first, second = (set(words) - FUNCTION_WORDS for words in (one, other))
    return len(first & second) / len(first | second) if first | second else 0.0


def _overlap(ids: Sequence[str], pairs: Sequence[_Pair], name: str) -> dict[str, Any]:
    """What the brief shares with the text, and with the foil: mean, and the highest with its id."""
    told = {}
    for side, values in ((name, [p.text for p in pairs]), ("foil", [p.foil for p in pairs])):
        told[side] = {}
        for quantity in ("jaccard_with_brief", "run_shared_with_brief"):
            column = [value[quantity] for value in values]
            highest = int(np.argmax(column))
            told[side][quantity] = {
                "mean": float(np.mean(column)),
                "most": column[highest],
                "id": ids[highest],
            }
    return told


def _paired_balance(pairs: Sequence[_Pair]) -> dict[str, Any]:
    """Quantity -> text against foil.

    `higher` is the share of records in which the text has more than its foil (ties half): how often
    a rule that looks at nothing else would tell them apart. Interval: Wilson 1927, by works.
    """
    told = {}
    for quantity in pairs[0].text:
        of_text, of_foil = (
            np.array([getattr(pair, side)[quantity] for pair in pairs], dtype=float)
            for side in ("text", "foil")
        )
        known = np.isfinite(of_text) & np.isfinite(of_foil)
        works = [pair.work for pair, there in zip(pairs, known, strict=True) if there]
        one, other = of_text[known], of_foil[known]
        share = stats.by_work((np.sign(one - other) + 1) / 2, works)
        told[quantity] = {
            "one": _mean(one),
            "other": _mean(other),
            "difference": _standardised(
                stats.by_work(one, works), stats.by_work(other, works), paired=True
            ),
            "higher": _wilson(share.item_mean, len(share)),
            "records": int(known.sum()),
        }
    return told


def _group_balance(ones: Sequence[_Pair], others: Sequence[_Pair]) -> dict[str, Any]:
    """Quantity -> the texts, contexts and briefs of one group against those of the other."""
    told = {}
    for quantity in (*ones[0].text, *ones[0].around):
        columns = []
        for group in (ones, others):
            values = [(pair.text | pair.around)[quantity] for pair in group]
            known = [(v, p.work) for v, p in zip(values, group, strict=True) if math.isfinite(v)]
            columns.append(stats.by_work([v for v, _ in known], [work for _, work in known]))
        one, other = columns
        told[quantity] = {
            "one": one.item_mean,
            "other": other.item_mean,
            "difference": _standardised(one, other, paired=False),
            "records": one.items + other.items,
        }
    return told


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _standardised(one: stats.Works, other: stats.Works, *, paired: bool) -> dict[str, Any]:
    """Difference of the means of works in units of their standard deviation, with its interval.

        d = (mean_1 − mean_2) / √((s_1² + s_2²) / 2)        s: between works, ddof 1

    The same for pairs (Cumming 2012, d_av), so that a difference of one character does not
    look large because it is always the same one. BCa bootstrap by work, pairs kept together.
    """
    reason = too_few(one) or too_few(other)
    if reason is None and no_spread(one) and no_spread(other):
        reason = "no spread between works"
    if reason:
        return {"estimate": None, "low": None, "high": None, "reason": reason}
    a, b = one.means, other.means

    def statistic(in_a: np.ndarray, in_b: np.ndarray | None = None, axis: int = -1) -> np.ndarray:
        x, y = a[in_a], b[in_a if in_b is None else in_b]
        variance = (x.var(axis=axis, ddof=1) + y.var(axis=axis, ddof=1)) / 2
        return (x.mean(axis=axis) - y.mean(axis=axis)) / np.sqrt(variance)

    every = [np.arange(len(values)) for values in ((a,) if paired else (a, b))]
    shared = sorted(set(one.labels) & set(other.labels))
    if shared and not paired:
        ends = None
        reason = f"works in both groups ({len(shared)}), such as {shared[0]!r}"
    else:
        sizes = [len(each) for each in every]
        ends = bca(sizes, statistic, level=0.95, resamples=_RESAMPLES, seed=_SEED)
        reason = None if ends else "the BCa correction is undefined for these data"
    low, high = ends or (None, None)
    return {"estimate": float(statistic(*every)), "low": low, "high": high, "reason": reason}


def _wilson(share: float | None, count: int) -> dict[str, Any]:
    """A share of `count` with its 95 % interval (Wilson 1927)."""
    if share is None:
        return {"estimate": None, "low": None, "high": None, "reason": "no records"}
    z = 1.959963984540054
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = (
        z
        / (1 + z * z / count)
        * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    )
    return {"estimate": share, "low": middle - half, "high": middle + half, "reason": None}


def _reasoning(rows: Sequence[Annotation]) -> dict[str, Any]:
    """Steps, kinds and their order.

    `order_bits` is the entropy of the whole order of kinds, at most log2 of the records;
    `next_kind_bits` that of a kind given the one before it, at most 2. From few records both come
    out lower than in truth.
    """
    orders = Counter(" > ".join(step.kind for step in row.reasoning) for row in rows)
    kinds = Counter(step.kind for row in rows for step in row.reasoning)
    follow: dict[str, Counter[str]] = {}
    for row in rows:
        for one, other in itertools.pairwise(step.kind for step in row.reasoning):
            follow.setdefault(one, Counter())[other] += 1
    steps_that_follow = sum(after.total() for after in follow.values())
    commonest, times = orders.most_common(1)[0]
    return {
        "steps": _spread([len(row.reasoning) for row in rows]),
        "records_by_steps": {
            str(steps): n
            for steps, n in sorted(Counter(len(row.reasoning) for row in rows).items())
        },
        "kinds": {kind: n / kinds.total() for kind, n in sorted(kinds.items())},
        "records_without": {
            kind: sum(all(step.kind != kind for step in row.reasoning) for row in rows)
            for kind in ("craft", "intent", "audience", "reality")
        },
        "first_kinds": _counted(row.reasoning[0].kind for row in rows),
        "orders": len(orders),
        "commonest_order": [commonest, times],
        "order_bits": _bits(orders),
        "most_order_bits": math.log2(len(rows)),
        "next_kind_bits": sum(after.total() * _bits(after) for after in follow.values())
        / steps_that_follow
        if steps_that_follow
        else None,
        "load_bearing": _spread([len(set(row.load_bearing)) for row in rows]),
        "rejected": _spread([len(row.rejected) for row in rows]),
    }


def _bits(counts: Counter[str]) -> float:
    """Entropy of the shares in bits."""
    total = counts.total()
    return sum(n / total * math.log2(total / n) for n in counts.values())


def _probes(dialogues: Sequence[Dialogue]) -> dict[str, Any]:
    by_dialogue = [[turn.probe for turn in d.turns if turn.probe] for d in dialogues]
    return {
        "turns": _spread([len(dialogue.turns) for dialogue in dialogues]),
        "probes": _spread([len(probes) for probes in by_dialogue]),
        "probes_by_kind": _counted(probe for probes in by_dialogue for probe in probes),
        "without_probe": sum(not probes for probes in by_dialogue),
        "first_speakers": _counted(dialogue.turns[0].turn[0] for dialogue in dialogues),
        "exits": _counted(d.exit.by if d.exit else "missing" for d in dialogues),
    }


def _finished(report: dict[str, Any], reasons: Mapping[str, str]) -> dict[str, Any]:
    """The report with `reasons`: dotted path of each null -> why it is null."""
    why = {
        "sd": "a single value has no spread",
        "mattr": f"fewer than {MATTR_WINDOW} words",
        "distinct_1": "no words",
        "distinct_2": "no text of two words",
        "repeated_openings": "fewer than two texts with words",
        "repeated_skeleton_openings": "fewer than two texts with words",
        "mean_cosine": "fewer than two texts, or none with a skeleton",
        "nearest_cosine": "fewer than two texts, or none with a skeleton",
        "most_alike": "fewer than two texts, or none with a skeleton",
        "repeated_frames": f"no text with a skeleton of {FRAME_TOKENS} tokens",
        "next_kind_bits": "no record with a second step",
        "one": "no text with words",
        "other": "no text with words",
    }
    found = dict(reasons)
    for path, key in _nulls(report):
        if path not in found and key in why:
            found[path] = why[key]
    return report | {"reasons": found}


def _nulls(value: Any, path: str = "", key: str = "") -> Iterator[tuple[str, str]]:
    if value is None:
        yield path, key
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _nulls(inner, f"{path}.{name}" if path else str(name), str(name))


def markdown(report: Mapping[str, Any]) -> str:
    """The report as Markdown: one small table for each question."""
    sections: list[Callable[[Mapping[str, Any]], list[str]]] = [
        _size_page,
        _vocabulary_page,
        _shape_page,
        _overlap_page,
        _balance_page,
        _reasoning_page,
    ]
    return "\n".join(line for section in sections for line in [*section(report), ""]).strip() + "\n"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [headings, ["---"] * len(headings), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]


def _size_page(report: Mapping[str, Any]) -> list[str]:
    size = report["size"]
    counts = [f"{size['records']} {report['kind']} of {size['works']} works"]
    for name in ("genres", "groups"):
        if name in size:
            most = list(size[name].items())[:6]
            listed = ", ".join(f"{key} {n}" for key, n in most)
            counts.append(
                f"{len(size[name])} {name} ({listed}{', ...' if len(size[name]) > 6 else ''})"
            )
    if size.get("corrected"):
        counts.append(f"{size['corrected']} corrected by others and left out")
    pairs = report["near_duplicates"]
    said = "; ".join(f"{one} and {other} ({number(j, 2)})" for one, other, j in pairs[:5])
    counts.append(f"near-duplicates: {len(pairs)}" + (f" ({said})" if said else ""))
    rows = [[name, *_spread_cells(spread)] for name, spread in size["words"].items()]
    return [
        "; ".join(counts) + ".",
        "",
        *_table(("words of", "mean", "sd", "least", "most"), rows),
    ]


def _spread_cells(spread: Mapping[str, Any]) -> list[str]:
    ends = [number(spread[end], 0) for end in ("least", "most")]
    return [number(spread["mean"], 1), number(spread["sd"], 1), *ends]


def _vocabulary_page(report: Mapping[str, Any]) -> list[str]:
    rows = [
        [name, str(of["words"]), str(of["types"])]
        + [number(of[key], 3) for key in ("mattr", "distinct_1", "distinct_2")]
        for name, of in report["vocabulary"].items()
    ]
    headings = ("vocabulary of", "words", "types", f"MATTR ({MATTR_WINDOW})")
    return _table((*headings, "distinct-1 (type-token ratio)", "distinct-2"), rows)


def _shape_page(report: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, of in report["shape"].items():
        one = of["most_alike"]
        rows.append(
            [
                name,
                _percent(of["repeated_openings"]),
                _percent(of["repeated_skeleton_openings"]),
                number(of["mean_cosine"], 3),
                number(of["nearest_cosine"], 3),
                f"{one[0]}, {one[1]} ({number(one[2], 2)})" if one else number(None),
                _percent(of["repeated_frames"]),
                f"`{of['frames'][0][0]}` in {of['frames'][0][1]}" if of["frames"] else number(None),
            ]
        )
    headings = (
        "shape of",
        f"same {OPENING_WORDS} first words",
        "same skeleton of the opening",
        "mean cosine",
        "nearest",
        "most alike",
        "repeated frames",
        "most frequent frame",
    )
    return _table(headings, rows)


def _overlap_page(report: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, of in report["overlap_with_brief"].items():
        jaccard, run = of["jaccard_with_brief"], of["run_shared_with_brief"]
        rows.append(
            [
                name,
                number(jaccard["mean"], 3),
                f"{number(jaccard['most'], 2)} ({jaccard['id']})",
                number(run["mean"], 2),
                f"{run['most']} ({run['id']})",
            ]
        )
    headings = ("with the brief", "content-word Jaccard", "most", "longest shared run", "most")
    return _table(headings, rows)


def _balance_page(report: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for title, quantities in report["balance"].items():
        one, other = title.split(",")[0].split(" against ")
        paired = "higher" in next(iter(quantities.values()))
        rows = [
            [
                quantity.replace("_", " "),
                number(of["one"], 2),
                number(of["other"], 2),
                _interval(of["difference"], sign=True),
                *([_interval(of["higher"], sign=False)] if paired else []),
            ]
            for quantity, of in quantities.items()
        ]
        headings = [title, one, other, "d [95 % interval]", *([f"{one} higher"] if paired else [])]
        lines += [*_table(headings, rows), *_why_no_interval(quantities), ""]
    return lines[:-1]


def _reasoning_page(report: Mapping[str, Any]) -> list[str]:
    if "reasoning" not in report:
        return []
    of, dialogues = report["reasoning"], report["dialogues"]
    spreads = {"steps per record": of["steps"], "rejected per record": of["rejected"]}
    if dialogues:
        spreads |= {"turns per dialogue": dialogues["turns"]}
        spreads |= {"probes per dialogue": dialogues["probes"]}
    commonest, times = of["commonest_order"]
    kinds = ", ".join(f"{kind} {_percent(share)}" for kind, share in of["kinds"].items())
    said = [
        f"Kinds of steps: {kinds}.",
        f"{of['orders']} orders of kinds, entropy {number(of['order_bits'], 2)} of at most "
        f"{number(of['most_order_bits'], 2)} bits (commonest: {commonest}, {times} times); "
        f"next kind given the last {number(of['next_kind_bits'], 2)} of at most 2 bits.",
    ]
    if dialogues:
        listed = ", ".join(f"{kind} {n}" for kind, n in dialogues["probes_by_kind"].items())
        said.append(
            f"Probes: {listed or 'none'}; {dialogues['without_probe']} dialogues without one."
        )
    rows = [[name, *_spread_cells(spread)] for name, spread in spreads.items()]
    return [*_table(("", "mean", "sd", "least", "most"), rows), "", " ".join(said)]


def _percent(share: float | None) -> str:
    return number(share) if share is None else f"{number(100 * share, 1)} %"


def _interval(of: Mapping[str, Any], *, sign: bool) -> str:
    ends = [number(of[end], 2, sign=sign) for end in ("estimate", "low", "high")]
    return f"{ends[0]} [{ends[1]}, {ends[2]}]" if of["low"] is not None else ends[0]


def _why_no_interval(quantities: Mapping[str, Any]) -> list[str]:
    reasons = sorted({of["difference"]["reason"] for of in quantities.values()} - {None})
    return ["", f"No interval of d: {'; '.join(reasons)}."] if reasons else []
