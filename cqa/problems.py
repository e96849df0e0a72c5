"""Worked problems about nothing literary, from a seed: the material of the generic placebo.

It teaches to reason in steps and to end, as the annotations do, and nothing about writing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

_THINGS = ("crates", "bolts", "tiles", "litres", "tickets", "bricks", "sheets", "pallets")
_PLACES = ("store", "yard", "plant", "depot", "workshop", "warehouse", "harbour", "mill")
_OPERATIONS = ("arrive", "leave", "double", "share", "compare")


def worked(seed: str, problem_words: int, solution_words: int) -> tuple[str, str]:
    """A problem, and its solution step by step; all sums are true.

    The solution has at least `solution_words` words, by less than a sentence more. The problem has
    at least `problem_words`, filled up with facts that do not matter, and more where the events of
    the solution need more.
    """
    rng = random.Random(f"problem:{seed}")
    place, thing = rng.choice(_PLACES), rng.choice(_THINGS)
    start = rng.randint(20, 400)
    events: list[str] = []
    solution = [f"At the start there are {start} {thing}."]
    steps = _steps(rng, thing, start)
    while _words(solution) < solution_words:
        told, reckoned = next(steps)
        events.append(told)
        solution.append(reckoned)
    opening = [f"A {place} begins the week with {start} {thing}."]
    question = [f"How many {thing} are there in the end?"]
    while _words([*opening, *events, *question]) < problem_words:
        opening.append(_fact(rng, place))
    return " ".join([*opening, *events, *question]), " ".join(solution)


def _fact(rng: random.Random, place: str) -> str:
    return rng.choice(
        (
            f"The {place} opens at {rng.randint(5, 9)} in the morning.",
            f"It has {rng.randint(2, 30)} doors and {rng.randint(2, 9)} gates.",
            f"The nearest road is {rng.randint(2, 90)} metres away.",
            f"Its roof was mended {rng.randint(2, 20)} years ago.",
            f"There are {rng.randint(2, 60)} people on its list.",
        )
    )


def _steps(rng: random.Random, thing: str, now: int) -> Iterator[tuple[str, str]]:
    """Endless pairs of what happens and what it makes of the number."""
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    for turn in range(10_000):
        day = days[turn % len(days)]
        kind = rng.choice(_OPERATIONS)
        before = now
        if kind == "arrive":
            more = rng.randint(3, 90)
            now += more
            told = f"On {day} {more} more are delivered."
            reckoned = f"{before} and {more} make {now}."
        elif kind == "leave" and now > 10:
            less = rng.randint(1, now - 1)
            now -= less
            told = f"On {day} {less} of them are taken away."
            reckoned = f"{before} less {less} leaves {now}."
        elif kind == "double" and now < 2000:
            now *= 2
            told = f"By the evening of {day} their number has doubled."
            reckoned = f"Twice {before} is {now}."
        elif kind == "share" and now % 2 == 0:
            now //= 2
            told = f"On {day} one half of the {thing} is sent to another site."
            reckoned = f"Half of {before} is {now}, and {now} stay."
        else:
            other = rng.randint(1, 500)
            told = f"On {day} another site reports {other}, which changes nothing here."
            reckoned = f"{other} elsewhere are not counted, so it is still {now}."
        yield told, reckoned


def _words(sentences: list[str]) -> int:
    return sum(len(sentence.split()) for sentence in sentences)
