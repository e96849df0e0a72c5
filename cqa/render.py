"""The one way a brief, a context and a text become a page, for training, writing and scoring alike.

`[brief preface] + context + text`. The preface stands before the context, so that the tokens just
before the text are the same under every condition. Everything here is text; ids are joined, never
strings (see conditions.py), so that no token spans a join.
"""

from __future__ import annotations

from collections.abc import Sequence

from cqa.types import Brief, Part

TEMPLATE_VERSION = "1"

LABELS: dict[Part, str] = {"intent": "Intent", "audience": "Audience", "reality": "Reality"}

FILLER = (
    "These lines stand at the head of the page because a page has to begin somewhere. They were "
    "put here before anything else was decided, and they have no bearing on what comes after "
    "them. Whoever reads them may go on at once, or may stay for a while; it is all the same. "
    "Some pages open with a date, some with a name, and some with a few plain words of no "
    "importance, which is the case here. Nothing in them is to be kept in mind. "
)
"""A neutral text, cut or repeated to the token length of the brief that it stands in for."""

JUDGEMENT_CUE = "\n\nJudgement:\n"
"""What stands between a passage and the reasoning about it in the appreciation form."""

DIALOGUE_CUE = "\n\nDialogue:\n"
SOLUTION_CUE = "\n\nSolution:\n"


def preface(brief: Brief, parts: Sequence[Part] | None = None) -> str:
    """The brief as it stands at the head of a page, with only `parts` of it where given.

    An empty string where no part is asked for or there.

    >>> preface(Brief(intent="Frighten her.", reality="It is noon."))
    'Intent: Frighten her.\\nReality: It is noon.\\n\\n'
    """
    wanted = brief.parts if parts is None else [part for part in brief.parts if part in parts]
    lines = [f"{LABELS[part]}: {' '.join(getattr(brief, part).split())}\n" for part in wanted]
    return "".join(lines) + "\n" if lines else ""


def join(context: str | None, text: str, *, continues: bool = False) -> tuple[str, str]:
    """Context and text as they meet on the page: the white space between them belongs to the text.

    A space at the end of a context changes how nearly every tokenizer cuts what follows; at the
    start of a text it changes nothing. A text that begins in mid-air gets one space, unless it
    `continues` its context to the letter, as what a model wrote does.

    >>> join("The kettle sang. ", "He let it.")
    ('The kettle sang.', ' He let it.')
    """
    if not context or not context.strip():
        return "", text
    left = context.rstrip()
    gap = context[len(left) :]
    if continues or text[:1].isspace():
        return left, text
    return left, (gap or " ") + text
