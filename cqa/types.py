"""The words of the project as frozen types. What is written to disk has exactly these shapes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

PARTS = ("intent", "audience", "reality")
Part = Literal["intent", "audience", "reality"]
Kind = Literal["craft", "intent", "audience", "reality"]
Group = Literal["literary", "factual"]
ProbeKind = Literal["follow_up", "counterexample", "counterfactual_open", "counterfactual_decoy"]
PROBE_KINDS: tuple[ProbeKind, ...] = get_args(ProbeKind)

Prose = Annotated[str, StringConstraints(pattern=r"\S")]
"""A string with at least one character that is not white space; its own white space is kept."""
Name = Annotated[str, StringConstraints(pattern=r"\S", max_length=300)]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$")]
TurnLabel = Annotated[str, StringConstraints(pattern=r"^[BC][1-9][0-9]*$")]


class Frozen(BaseModel):
    """Immutable; an unknown key is an error, so that a misspelt one is never silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Brief(Frozen):
    """The constraints under which a text is written or judged. Every part is optional."""

    intent: Prose | None = None
    audience: Prose | None = None
    reality: Prose | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The names of the parts that are there, in the order of PARTS."""
        return tuple(part for part in PARTS if getattr(self, part) is not None)


class Turn(Frozen):
    """One turn of a dialogue, labelled by speaker (B elicits, C is the expert) and number."""

    turn: TurnLabel
    text: Prose
    raw: Prose | None = None
    """As it was heard, hesitations and slips included, where `text` is a cleaned version of it."""
    start_seconds: Annotated[float, Field(ge=0)] | None = None
    """Where the turn begins in the recording."""
    probe: ProbeKind | None = None

    @model_validator(mode="after")
    def _only_b_probes(self) -> Turn:
        if self.probe is not None and self.turn.startswith("C"):
            raise ValueError("a probe on a turn of B (C is the expert and is the one probed)")
        return self


class Exit(Frozen):
    """Who ended the dialogue, and why."""

    by: Literal["B", "C"]
    reason: Prose


class Rights(Frozen):
    """Who contributed a record, where it comes from and what may be done with it.

    Where `redistribution` is false, reports and cards show a placeholder instead of the words.
    """

    contributor: Name
    source: Name
    licence: Name
    consent: Prose | None = None
    """What the contributor agreed to, and when; none is needed where nobody else contributed."""
    redistribution: bool


class Dialogue(Frozen):
    """One BC-protocol transcript as recorded.

    What an import does not carry (an exit record, the questions of B) is absent and is warned of by
    the protocol signals; without a turn of C, the expert, there is nothing to learn from.
    """

    id: Identifier
    work: Name
    language: str = "en"
    preamble: Prose | None = None
    """What a reader has to know first: the passage or situation that the dialogue is about."""
    turns: Annotated[tuple[Turn, ...], Field(min_length=1)]
    exit: Exit | None = None
    rights: Rights | None = None

    @model_validator(mode="after")
    def _turns_are_a_dialogue(self) -> Dialogue:
        labels = [turn.turn for turn in self.turns]
        for speaker in "BC":
            numbers = [int(label[1:]) for label in labels if label[0] == speaker]
            if not numbers and speaker == "C":
                raise ValueError("at least one turn of C, the expert; there is none")
            if numbers != list(range(1, len(numbers) + 1)):
                raise ValueError(f"turns of {speaker} numbered 1, 2, 3 ... in order, got {numbers}")
        return self


class ReasoningStep(Frozen):
    """One reason of the expert: its kind, the claim, and the turns it was taken from."""

    kind: Kind
    claim: Prose
    turns: Annotated[tuple[TurnLabel, ...], Field(min_length=1)]


class Rejected(Frozen):
    """An alternative that was considered, and why it was not taken."""

    choice: Prose
    reason: Prose


class Annotation(Frozen):
    """One traceable judgement taken from a dialogue. `load_bearing` numbers steps from 1."""

    id: Identifier
    corrects: Identifier | None = None
    """The earlier record that this one replaces; the earlier line stays in the file."""
    dialogue: Identifier
    work: Name
    author: Name
    genre: Name
    context: Prose
    brief: Brief
    passage: Prose
    foil: Prose
    reasoning: Annotated[tuple[ReasoningStep, ...], Field(min_length=1)]
    load_bearing: Annotated[tuple[int, ...], Field(min_length=1)]
    decision: Prose
    rejected: tuple[Rejected, ...]
    exit: Exit
    rights: Rights

    @model_validator(mode="after")
    def _is_one_judgement(self) -> Annotation:
        beyond = [step for step in self.load_bearing if not 1 <= step <= len(self.reasoning)]
        if beyond:
            raise ValueError(
                f"load_bearing numbers between 1 and {len(self.reasoning)}, got {beyond}"
            )
        if missing := [part for part in PARTS if part not in self.brief.parts]:
            raise ValueError(f"a brief with all three parts; {', '.join(missing)} missing")
        if self.passage.split() == self.foil.split():
            raise ValueError("a foil that differs from the passage")
        return self


def current(annotations: Iterable[Annotation]) -> list[Annotation]:
    """The annotations that no later one corrects, in their order."""
    annotations = list(annotations)
    corrected = {annotation.corrects for annotation in annotations}
    return [annotation for annotation in annotations if annotation.id not in corrected]


class Marks(Frozen):
    """What another annotator takes the steps of an annotation for, without having seen its kinds.

    The annotation itself holds the first opinion; where a batch has marks, their agreement is told.
    """

    annotation: Identifier
    annotator: Name
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)]
    """One for each step, in order."""
    load_bearing: tuple[int, ...] | None = None
    """The steps, numbered from 1, without which the judgement falls; null if not asked."""

    @property
    def id(self) -> str:
        """Who marked what: one line each."""
        return f"{self.annotation} by {self.annotator}"


class Item(Frozen):
    """One benchmark entry: a text that answers its brief, and a foil that does not."""

    id: Identifier
    group: Group
    work: Name
    author: Name
    context: Prose
    brief: Brief
    text: Prose
    foil: Prose
    source: Name
    licence: Name
    redistribution: bool = True
    """Whether its words may be shown in reports; see Rights."""

    @model_validator(mode="after")
    def _can_be_scored(self) -> Item:
        if not self.brief.parts:
            raise ValueError("a brief with at least one part")
        if self.text.split() == self.foil.split():
            raise ValueError("a foil that differs from the text")
        return self


class Text(BaseModel):
    """A piece of writing to be scored, a person's or a model's alike.

    Only `text` is required, and it may be empty: a model that wrote nothing is an outcome, counted
    and not scored. Unlike the other types this one keeps keys it does not know in `meta`, since an
    `outputs.jsonl` may come from any tool.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: Name | None = None
    text: str
    context: str | None = None
    brief: Brief | None = None
    foil: Prose | None = None
    group: Group | None = None
    work: Name | None = None
    source: str | None = None
    item: Name | None = None
    sample: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    model: str | None = None
    """Hash of the model and adapter that wrote it, as `cqa generate` gives it."""
    continues: bool = False
    """The text goes on from its context to the letter: no white space is put between them."""
    redistribution: bool = True
    """Whether its words may be shown in reports."""
    meta: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _keep_unknown_keys(cls, row: Any) -> Any:
        if not isinstance(row, dict):
            return row
        known = {key: value for key, value in row.items() if key in cls.model_fields}
        unknown = {key: value for key, value in row.items() if key not in cls.model_fields}
        meta = known.get("meta", {})
        if unknown and isinstance(meta, dict):
            known["meta"] = meta | unknown
        return known


Quadrant = Literal["cliché", "calibrated surprise", "noise", "contradiction"]


class Score(Frozen):
    """The quantities of one text by one judge. A quantity is null where `reasons` says why."""

    id: Name
    judge: str
    group: Group | None
    work: Name | None
    source: str | None
    item: Name | None
    sample: int | None
    quantities: dict[str, float | None]
    reasons: dict[str, str]
    tokens: int
    characters: int
    utf8_bytes: int
    pieces: int
    quadrant: Quadrant | None = None
    flags: tuple[str, ...] = ()
