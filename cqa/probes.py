"""Texts made to fool a metric: each is what a good score must not reward.

Every probe is made from a real text and keeps its id, brief and context, so that it can be set
beside it. Pure; randomness comes from the text's id.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from cqa.overlap import words
from cqa.texts import row_id
from cqa.types import Score, Text

_WORD = re.compile(r"[^\W\d_]+")
_SENTENCE = re.compile(r"[^.!?]+[.!?]*[\"'”’)]*\s*")
_LONG = 4
"""Words of at least so many letters are replaced by rare ones."""

Probe = Callable[[Text, random.Random, Sequence[str]], str]
"""(text, its randomness, all words of the set with the rarest first) -> the probe's text"""


def random_words(text: Text, rng: random.Random, vocabulary: Sequence[str]) -> str:
    """As many words as the text has, drawn from the set's vocabulary: surprise without sense."""
    return _WORD.sub(lambda _: rng.choice(vocabulary), text.text)


def shuffled_words(text: Text, rng: random.Random, vocabulary: Sequence[str]) -> str:
    """The text's own words in another order."""
    found = _WORD.findall(text.text)
    rng.shuffle(found)
    return _WORD.sub(lambda _: found.pop(), text.text)


def shuffled_sentences(text: Text, rng: random.Random, vocabulary: Sequence[str]) -> str:
    """Context and text as one passage with its sentences in another order; the last third of it."""
    sentences = [s.strip() for s in _SENTENCE.findall(f"{text.context or ''} {text.text}")]
    rng.shuffle(sentences)
    wanted, kept = len(words(text.text)), []
    while sentences and sum(len(words(s)) for s in kept) < wanted:
        kept.append(sentences.pop())
    return " " + " ".join(kept)


def rare_words(text: Text, rng: random.Random, vocabulary: Sequence[str]) -> str:
    """Every longer word replaced by a rare word of the set of about its length."""

    def rarer(match: re.Match[str]) -> str:
        word = match.group()
        if len(word) < _LONG:
            return word
        near = [w for w in vocabulary if abs(len(w) - len(word)) <= 1] or list(vocabulary)
        return rng.choice(near[: max(1, len(near) // 4)])

    return _WORD.sub(rarer, text.text)


def copied_brief(text: Text, rng: random.Random, vocabulary: Sequence[str]) -> str:
    """The brief itself, set down where the text should be."""
    assert text.brief is not None
    return " " + " ".join(getattr(text.brief, part) for part in text.brief.parts)


def repeated_text(text: Text, rng: random.Random, vocabulary: Sequence[str]) -> str:
    """The text three times over."""
    return text.text + (" " + text.text.strip()) * 2


PROBES: dict[str, Probe] = {
    "random words": random_words,
    "shuffled words": shuffled_words,
    "shuffled sentences": shuffled_sentences,
    "rare words": rare_words,
    "copied brief": copied_brief,
    "repeated text": repeated_text,
}


def probed(texts: Sequence[Text]) -> list[Text]:
    """Every text that has a brief, and every probe of it; `source` says which is which."""
    counted = Counter(word for text in texts for word in words(text.text))
    vocabulary = sorted(counted, key=lambda word: (counted[word], word))
    rows = []
    for text in texts:
        if text.brief is None or not text.brief.parts or not text.text.strip():
            continue
        name = row_id(text)
        rows.append(text.model_copy(update={"id": f"{name}/text", "source": "the text itself"}))
        for probe, make in PROBES.items():
            written = make(text, random.Random(f"{probe}:{name}"), vocabulary)
            rows.append(
                text.model_copy(
                    update={"id": f"{name}/{probe}", "source": probe, "text": written, "foil": None}
                )
            )
    return rows


@dataclass(frozen=True)
class Treatment:
    """How a metric treats one probe, against the texts it was made from."""

    probe: str
    texts: int
    mean: float | None
    """None where no text could be scored."""
    mean_of_texts: float | None
    beats_its_text: int
    flagged_as_copy: int


def treatments(scores: Sequence[Score], quantity: str) -> list[Treatment]:
    """One row a probe, in the order of PROBES; texts where either is null are left out."""
    by_source: dict[str, dict[str, Score]] = {}
    for score in scores:
        name = score.id.rsplit("/", 1)[0]
        by_source.setdefault(score.source or "", {})[name] = score
    own = by_source["the text itself"]
    rows = []
    for probe in PROBES:
        pairs = [
            (made.quantities[quantity], own[name].quantities[quantity], made)
            for name, made in by_source[probe].items()
        ]
        pairs = [pair for pair in pairs if pair[0] is not None and pair[1] is not None]
        rows.append(
            Treatment(
                probe,
                len(pairs),
                fmean(a for a, _, _ in pairs) if pairs else None,
                fmean(b for _, b, _ in pairs) if pairs else None,
                sum(a > b for a, b, _ in pairs),
                sum("copies the brief" in made.flags for _, _, made in pairs),
            )
        )
    return rows
