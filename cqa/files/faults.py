"""The faults of a row in the words of the project: field, what was seen, what is expected."""

from __future__ import annotations

import difflib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from cqa.errors import Problem

_SEEN_CHARACTERS = 60
_EXPECTED_CHARACTERS = 300
_FAULTS = 1000
"""Of one row; more are only counted, since each takes more memory than what it is about."""


def explain(error: ValidationError, kind: type[BaseModel], where: str) -> list[Problem]:
    """What pydantic has found against a row of this kind."""
    if error.error_count() > _FAULTS:
        seen = f"{error.error_count()} faults in one row"
        return [Problem(where, "", seen, f"a row as {kind.__name__} has it")]
    problems = []
    for found in error.errors():
        field = _dotted(found["loc"])
        seen = brief(found["input"])
        expected = found["msg"].removeprefix("Input should be ")
        match found["type"]:
            case "too_short" if len(found["input"]) >= found["ctx"]["min_length"]:
                continue  # too short only without the members that were refused already
            case "too_short":
                expected = f"at least {found['ctx']['min_length']} of them"
            case "missing":
                seen, expected = "nothing", "a value (the field is required)"
            case "extra_forbidden":
                expected = _did_you_mean(found["loc"], kind)
            case "string_pattern_mismatch":
                pattern = found["ctx"]["pattern"]
                expected = _PATTERNS.get(pattern, f"text of the form {pattern}")
            case "value_error":
                expected = str(found["ctx"]["error"])
                if isinstance(found["input"], dict):
                    seen = "none of that"
            case "literal_error":
                expected = f"one of {found['ctx']['expected']}"
        if len(expected) > _EXPECTED_CHARACTERS:
            expected = expected[: _EXPECTED_CHARACTERS - 3] + "..."
        problems.append(Problem(where, field, seen, expected))
    return problems


def brief(value: Any) -> str:
    """A value as it is shown in a message."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, deep nesting
        return f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= _SEEN_CHARACTERS else text[: _SEEN_CHARACTERS - 3] + "..."


def _dotted(location: tuple[int | str, ...]) -> str:
    dotted = ""
    for step in location:
        dotted += f"[{step}]" if isinstance(step, int) else f".{step}" if dotted else str(step)
    return dotted


def _did_you_mean(location: tuple[int | str, ...], kind: type[BaseModel]) -> str:
    known = _fields_at(kind, location[:-1])
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f"no such key; did you mean {close[0]!r}?" if close else "no such key here"


def _fields_at(kind: Any, location: tuple[int | str, ...]) -> list[str]:
    """The keys that are known at a place inside a model; none where that is not to be told."""
    for step in location:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(step))
            kind = field.annotation if field else None
        else:  # inside a list, tuple or mapping: the type of its members
            kind = next(iter(_models_in(kind)), None)
    models = _models_in(kind)
    return list(models[0].model_fields) if models else []


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation such as `tuple[Turn, ...] | None` speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


_PATTERNS = {
    r"\S": "some text (not empty, not only white space)",
    r"^[BC][1-9][0-9]*$": "a turn label such as B1 or C12",
    r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$": "an id of letters, digits and . _ : / @ + -",
}
