"""How many words, how many different ones, and which of them are function words."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cqa.leaks import normal_words
from cqa.types import PARTS, Brief

MATTR_WINDOW = 100
"""Words in the moving window of the type-token ratio."""


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


def joined(brief: Brief) -> str:
    """The parts of a brief that are there, one below the other."""
    return "\n".join(words for part in PARTS if (words := getattr(brief, part)))


def counted(names: Iterable[str]) -> dict[str, int]:
    """Name -> how often, the most frequent first."""
    return dict(sorted(Counter(names).items(), key=lambda pair: (-pair[1], pair[0])))


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, standard deviation (n − 1), least and most."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {
        "mean": float(np.mean(values)),
        "sd": deviation,
        "least": min(values),
        "most": max(values),
    }


def word_counts(texts: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Name -> the `spread` of the number of words in a text."""
    return {
        name: spread([len(normal_words(text)) for text in told]) for name, told in texts.items()
    }


def vocabulary(texts: Sequence[str]) -> dict[str, Any]:
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
