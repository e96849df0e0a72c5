"""What is trained on in the place of the annotations: placebos, each of as many examples.

A material is one function with `@material` above it: it is given an example as the annotations make
it, the annotation behind it and the seed, and gives what stands in its place. Its name can then be
said in an experiment file (`material = "generic"`) and to `--material`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from cqa import problems, render

if TYPE_CHECKING:
    from cqa.examples import Example
    from cqa.types import Annotation

Make = Callable[["Example", "Annotation", int], "Example"]

MATERIALS: dict[str, Make] = {}
"""Name -> what makes an example of it."""


def material(make: Make) -> Make:
    """Enter a material under the name of its function, `_` written as `-`."""
    MATERIALS[make.__name__.replace("_", "-")] = make
    return make


def names() -> list[str]:
    """Everything that can be trained on."""
    return ["annotations", *MATERIALS]


@material
def continuation(like: Example, record: Annotation, seed: int) -> Example:
    """The contexts and passages, without briefs or judgements."""
    context, passage = render.join(record.context, record.passage)
    return replace(like, preface="", given=(context,), learned=passage)


@material
def generic(like: Example, record: Annotation, seed: int) -> Example:
    """Worked problems about nothing literary, each as long as the example it stands for."""
    length = sum(len(part.split()) for part in (like.preface, *like.given, like.learned))
    learned = len(like.learned.split())
    problem, solution = problems.worked(f"{seed}:{like.id}:{like.form}", length - learned, learned)
    return replace(like, preface="", given=(problem, render.SOLUTION_CUE), learned=solution)
