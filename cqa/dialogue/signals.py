"""Protocol signals: what a dialogue and its annotations show of how they were made.

Counts and warnings, not verdicts: each may have a good reason, and none is a score of a person or
of how natural a text sounds.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable

from cqa.dialogue.rules import RULES, Signal
from cqa.types import PROBE_KINDS, Annotation, Dialogue, Frozen, current


class Signals(Frozen):
    """The signals of one dialogue, by name: `signals["c_share"].value`."""

    dialogue: str
    signals: tuple[Signal, ...]

    def __getitem__(self, name: str) -> Signal:
        return {signal.signal: signal for signal in self.signals}[name]

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for each warning: dialogue, signal, what it warns of, where."""
        return tuple(
            f"{self.dialogue}: {signal.signal}: {signal.told}"
            for signal in self.signals
            if signal.warning
        )


def dialogue_signals(dialogue: Dialogue, annotations: Iterable[Annotation]) -> Signals:
    """The signals of a dialogue with the annotations taken from it.

    Annotations of other dialogues are passed over, and so are those that a later one corrects.
    """
    own = [a for a in current(annotations) if a.dialogue == dialogue.id]
    return Signals(
        dialogue=dialogue.id,
        signals=tuple(signal for rule in RULES for signal in rule(dialogue, own)),
    )


def batch_signals(dialogues: Iterable[Dialogue], annotations: Iterable[Annotation]) -> dict:
    """The signals of a batch in sums, as JSON: counts, the spread of C's share, who is warned of.

    `warnings` has for each signal the ids of the dialogues that it warns of, `examples` the first
    of its warnings in words. The density is that of all counterfactuals over all load-bearing
    claims. What is null has its reason in `reasons`.
    """
    dialogues, annotations = list(dialogues), current(annotations)
    found = [dialogue_signals(dialogue, annotations) for dialogue in dialogues]
    shares = [share for s in found if (share := s["c_share"].value) is not None]
    raw = [signals["hesitation_raw"].value for signals in found]
    annotated = {annotation.dialogue for annotation in annotations}
    warned: dict[str, list[str]] = {}
    examples: dict[str, str] = {}
    for signals in found:
        for signal in signals.signals:
            if signal.warning:
                warned.setdefault(signal.signal, []).append(signals.dialogue)
                examples.setdefault(signal.signal, signal.told)

    def total(name: str) -> int:
        return sum(signals[name].value for signals in found)

    claims = total("load_bearing_claims")
    reasons = {}
    if not shares:
        reasons["c_share"] = "no dialogue with words in it"
    if not claims:
        reasons["counterfactual_density"] = "no sentence of C's has a causal connective"
    return {
        "dialogues": len(dialogues),
        "annotations": len(annotations),
        "dialogues_without_annotation": [d.id for d in dialogues if d.id not in annotated],
        "languages": dict(sorted(Counter(d.language for d in dialogues).items())),
        "c_share": {
            "least": min(shares),
            "median": statistics.median(shares),
            "most": max(shares),
        }
        if shares
        else None,
        "probes": {name: total(name) for name in (*PROBE_KINDS, "untyped_turns_of_b")},
        "counterfactuals": total("counterfactuals"),
        "load_bearing_claims": claims,
        "counterfactual_density": total("counterfactuals") / claims if claims else None,
        "dialogues_without_counterfactual": sum(not s["counterfactuals"].value for s in found),
        "dialogues_with_raw_turns": sum(rate is not None for rate in raw),
        "exits": dict(Counter(s["exit_by"].value or "missing" for s in found)),
        "reasons": reasons,
        "warnings": warned,
        "examples": examples,
        "dialogues_with_warnings": sum(bool(signals.warnings) for signals in found),
    }
