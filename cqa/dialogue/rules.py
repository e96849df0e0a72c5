"""The rules behind the protocol signals, one function each. The protocol: annotations/PROTOCOL.md.

The BC Protocol is Zou & Xu's (arXiv 2605.25549); these rules and all their thresholds are ours, and
no recording of theirs was there to set them by.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from cqa.dialogue import speech
from cqa.types import PROBE_KINDS, Annotation, Dialogue, Frozen, Turn

LEAST_C_SHARE = 0.5
LEAST_HESITATION_KEPT = 0.5
"""Of the rate of markers in the raw turns, what is still in their cleaned versions."""
FEW_MARKERS = 0.2
"""Markers per 100 units (words; of Chinese, characters) below which there are next to none."""
EVEN_TURNS = 0.2
"""Coefficient of variation (standard deviation over mean) of the lengths of C's turns."""
MANY_OPENERS = 3
"""Sentences that open as a prepared list does."""
LATE_TURNS = 2
"""One turn that yields nothing is how B learns that it is time to end; two are one too many."""

_COUNTERFACTUALS = PROBE_KINDS[2:]
_FEWEST_TURNS = 3
_FEWEST_UNITS = 100


class Signal(Frozen):
    """One named value; null with a reason where there is none. `where` names turns or records."""

    signal: str
    value: int | float | str | None
    reason: str | None = None
    warning: str | None = None
    where: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """The warning, and where its cause stands."""
        return f"{self.warning} ({', '.join(self.where)})" if self.where else self.warning or ""


def _balance(dialogue: Dialogue, _: Sequence[Annotation]) -> Iterator[Signal]:
    by_c, by_b = (_units(_turns_of(dialogue, speaker)) for speaker in "CB")
    yield _signal("units_by_c", by_c)
    yield _signal("units_by_b", by_b)
    if not by_c + by_b:  # turns of nothing but signs
        yield _signal("c_share", None, reason="there are no words")
        return
    share = by_c / (by_c + by_b)
    warning = None
    if not _turns_of(dialogue, "B"):
        warning = "B says nothing: a monologue, or the questions were not kept"
    elif share < LEAST_C_SHARE:
        warning = f"the expert says {share:.0%} of it, less than {LEAST_C_SHARE:.0%}"
    yield _signal("c_share", share, warning)


def _probes(dialogue: Dialogue, _: Sequence[Annotation]) -> Iterator[Signal]:
    asked = _turns_of(dialogue, "B")
    counts = Counter(turn.probe for turn in asked)
    for probe in PROBE_KINDS:
        yield _signal(probe, counts[probe])
    untyped = counts[None] if counts[None] == len(asked) else 0
    yield _signal(
        "untyped_turns_of_b",
        counts[None],
        "no turn of B says what kind of probe it is" if untyped else None,
    )
    yield _listed(
        "unanswered_probes",
        [
            turn.turn
            for turn, following in zip(dialogue.turns, [*dialogue.turns[1:], None], strict=True)
            if turn.probe and (following is None or following.turn.startswith("B"))
        ],
        "a probe without an answer of C's after it",
    )
    yield _listed(
        "restating_probes",
        [
            turn.turn
            for turn in asked
            if turn.probe == "counterfactual_open" and speech.asks_for_assent(turn.text)
        ],
        "an open counterfactual that only asks for assent",
    )


def _counterfactuals(dialogue: Dialogue, own: Sequence[Annotation]) -> Iterator[Signal]:
    """Both counts stand beside the density, whose denominator is only a heuristic's."""
    answers = _turns_of(dialogue, "C")
    claims = {turn.turn: len(speech.load_bearing_claims(turn.text)) for turn in answers}
    total = sum(claims.values())
    asked = [turn.turn for turn in dialogue.turns if turn.probe in _COUNTERFACTUALS]
    yield _signal("counterfactuals", len(asked), where=asked)
    yield _signal("load_bearing_claims", total, where=[turn for turn in claims if claims[turn]])
    yield _signal("load_bearing_steps", sum(len(set(a.load_bearing)) for a in own))
    if total:
        yield _signal("counterfactual_density", len(asked) / total)
    else:
        reason = "no sentence of C's has a causal connective"
        warning = f"a counterfactual was put, but {reason}" if asked else None
        yield _signal("counterfactual_density", None, warning, asked, reason)
    fullest = max(_segments(dialogue, own), key=len, default=[])
    crowded = fullest if len(fullest) > 1 else []
    warning = f"{len(fullest)} counterfactuals in one reasoning segment" if crowded else None
    yield _signal("counterfactuals_in_a_segment", len(fullest), warning, crowded)


def _segments(dialogue: Dialogue, own: Sequence[Annotation]) -> Iterator[list[str]]:
    """The counterfactuals of each reasoning segment.

    With annotations, a segment is what one step rests on, with the questions its turns answer;
    without, a stretch in which B puts nothing but counterfactuals.
    """
    if not own:
        stretch: list[str] = []
        for turn in _turns_of(dialogue, "B"):
            stretch = [*stretch, turn.turn] if turn.probe in _COUNTERFACTUALS else []
            yield stretch
        return
    of_turn: dict[str, list[str]] = {}
    since: list[str] = []
    for turn in dialogue.turns:
        if turn.turn.startswith("C"):
            of_turn[turn.turn], since = since, []
        elif turn.probe in _COUNTERFACTUALS:
            of_turn[turn.turn] = [turn.turn]
            since = [*since, turn.turn]
    for step in (step for annotation in own for step in annotation.reasoning):
        within = {probe for turn in step.turns for probe in of_turn.get(turn, [])}
        yield [turn.turn for turn in dialogue.turns if turn.turn in within]


def _hesitation(dialogue: Dialogue, _: Sequence[Annotation]) -> Iterator[Signal]:
    both = [turn for turn in _turns_of(dialogue, "C") if turn.raw is not None]
    raw, clean = _rate(turn.raw for turn in both), _rate(turn.text for turn in both)
    reason = "the turns have no words" if both else "no turn of C's has a raw version"
    yield _signal("hesitation_raw", raw, reason=reason if raw is None else None)
    yield _signal("hesitation_clean", clean, reason=reason if clean is None else None)
    if not raw or clean is None:
        reason = "no marker in the raw turns" if raw == 0 else reason
        yield _signal("hesitation_kept", None, reason=reason)
        return
    kept = clean / raw
    warning = f"cleaning left {kept:.0%} of the rate of hesitation: over-edited"
    yield _signal("hesitation_kept", kept, warning if kept < LEAST_HESITATION_KEPT else None)


def _exit(dialogue: Dialogue, own: Sequence[Annotation]) -> Iterator[Signal]:
    if dialogue.exit is None:
        reason = "the dialogue has no exit record"
        warning = "who ended the dialogue, and why, is not recorded"
        yield _signal("exit_by", None, warning, reason=reason)
        yield _signal("exits_that_differ", None, reason=reason)
    else:
        by = dialogue.exit.by
        warning = "C ended it; the protocol leaves the exit to B"
        yield _signal("exit_by", by, warning if by == "C" else None)
        yield _listed(
            "exits_that_differ",
            [annotation.id for annotation in own if annotation.exit.by != by],
            f"the dialogue was ended by {by}, an annotation of it says otherwise",
        )
    if not own:
        yield _signal("late_turns", None, reason="no annotation rests on this dialogue")
        return
    used = {turn for annotation in own for step in annotation.reasoning for turn in step.turns}
    answers = [turn.turn for turn in _turns_of(dialogue, "C")]
    last_used = max((n for n, turn in enumerate(answers, start=1) if turn in used), default=0)
    late = answers[last_used:]
    warning = "no step rests on the last turns of C: a late exit"
    yield _signal("late_turns", len(late), warning if len(late) >= LATE_TURNS else None, late)


def _compilation(dialogue: Dialogue, own: Sequence[Annotation]) -> Iterator[Signal]:
    said = speech.runs(turn.text for turn in _turns_of(dialogue, "C"))
    of_b = [(turn.turn, speech.runs([turn.text]) - said) for turn in _turns_of(dialogue, "B")]
    yield _listed(
        "words_of_b_in_target",
        [
            f"{annotation.id} {place}, {turn}"
            + (f": {run!r}" if _may_be_quoted(dialogue, annotation) else "")
            for annotation in own
            for place, text in _learned(annotation)
            for turn, runs in of_b
            if (run := speech.borrowed_run(text, runs))
        ],
        "B's words, which C never says, stand in what is learned",
    )
    resting = [[set(step.turns) for step in annotation.reasoning] for annotation in own]
    yield _signal("steps_on_one_turn", sum(len(turns) == 1 for steps in resting for turns in steps))
    yield _listed(
        "judgements_on_one_turn",
        [
            f"{annotation.id} on {annotation.reasoning[0].turns[0]}"
            for annotation, steps in zip(own, resting, strict=True)
            if len(steps) > 1 and len(set().union(*steps)) == 1
        ],
        "all steps of a judgement rest on one turn",
    )


def _may_be_quoted(dialogue: Dialogue, annotation: Annotation) -> bool:
    cleared = dialogue.rights is None or dialogue.rights.redistribution
    return cleared and annotation.rights.redistribution


def _learned(annotation: Annotation) -> Iterator[tuple[str, str]]:
    for number, step in enumerate(annotation.reasoning, start=1):
        yield f"step {number}", step.claim
    yield "decision", annotation.decision


def _writing(dialogue: Dialogue, _: Sequence[Annotation]) -> Iterator[Signal]:
    """Three signs of writing that poses as talk; one alone is common in talk, two are warned of."""
    texts = [turn.text for turn in _turns_of(dialogue, "C")]
    lengths = [len(speech.units(text)) for text in texts]
    signs = []
    if sum(lengths) >= _FEWEST_UNITS:
        rate = _rate(texts)
        yield _signal("hesitation_rate", rate)
        signs += ["next to no hesitation"] if rate < FEW_MARKERS else []
    else:
        reason = f"C says fewer than {_FEWEST_UNITS} words"
        yield _signal("hesitation_rate", None, reason=reason)
    if len(lengths) >= _FEWEST_TURNS and any(lengths):
        variation = statistics.pstdev(lengths) / statistics.mean(lengths)
        yield _signal("turn_length_variation", variation)
        signs += ["turns of one length"] if variation < EVEN_TURNS else []
    else:
        reason = f"C has fewer than {_FEWEST_TURNS} turns with words"
        yield _signal("turn_length_variation", None, reason=reason)
    openers = sum(len(speech.support_openers(text)) for text in texts)
    yield _signal("list_openers", openers)
    signs += ["a thesis with its supports in order"] if openers >= MANY_OPENERS else []
    warning = f"may be writing that poses as talk: {', '.join(signs)}"
    yield _signal("signs_of_writing", len(signs), warning if len(signs) > 1 else None)


RULES: tuple[Callable[[Dialogue, Sequence[Annotation]], Iterator[Signal]], ...] = (
    _balance,
    _probes,
    _counterfactuals,
    _hesitation,
    _exit,
    _compilation,
    _writing,
)


def _signal(
    name: str,
    value: int | float | str | None,
    warning: str | None = None,
    where: Sequence[str] = (),
    reason: str | None = None,
) -> Signal:
    return Signal(signal=name, value=value, reason=reason, warning=warning, where=where)


def _listed(name: str, where: Sequence[str], warning: str) -> Signal:
    """A signal that warns of every one it counts."""
    return _signal(name, len(where), warning if where else None, where)


def _turns_of(dialogue: Dialogue, speaker: str) -> list[Turn]:
    return [turn for turn in dialogue.turns if turn.turn.startswith(speaker)]


def _units(turns: Sequence[Turn]) -> int:
    return sum(len(speech.units(turn.text)) for turn in turns)


def _rate(texts: Iterable[str]) -> float | None:
    """Markers per 100 units; None where there are no units."""
    texts = list(texts)
    length = sum(len(speech.units(text)) for text in texts)
    return 100 * sum(len(speech.hesitations(text)) for text in texts) / length if length else None
