"""A scoring carried out in a place: one job for each share, and one that joins what they wrote.

The jobs are `cqa score` with `--shard 3/100` and without, which find each other's blocks in the run
directory. To join takes the model as well, so it is no work for the machine that only waits.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cqa import blocks, runs
from cqa.cluster import carry, places, work
from cqa.errors import CqaError
from cqa.parallel import Share
from cqa.progress import progress, say


@dataclass(frozen=True)
class Part:
    """A share of a scoring, or the joining of all; to its place a chain of one step."""

    label: str
    words: tuple[str, ...]
    """Of the command that does it, after `cqa score`."""
    share: Share | None = None
    training = ()

    @property
    def steps(self) -> tuple[str, ...]:
        """Its one step."""
        return (self.label,)

    rest = steps


@dataclass
class Command(work.Job):
    """The command of a part."""

    words: tuple[str, ...]
    threads: int | None = None

    def commands(self) -> Iterator[list[str]]:
        """One, in one process."""
        yield [sys.executable, "-m", "cqa", "score", *self.words]


class Request(places.Request):
    """What the job of a part is to have."""

    def work(self, part: Part, steps: Sequence[str], threads: int | None = None) -> Command:
        """The job that does this part."""
        return Command(part.words, threads)


class Scoring:
    """Runs that one command makes of the same rows, and what there is of them."""

    def __init__(self, asked: Sequence[runs.Spec], rows: int, words: Sequence[str]) -> None:
        self._open, self._blocks = list(asked), -(-rows // blocks.ROWS)
        self.join = Part("join", tuple(words))

    def parts(self, shards: int) -> list[Part]:
        """The shares that lack a block, whoever may have written the others."""
        shares = [Share(rank, shards) for rank in range(shards)]
        return [
            Part(
                f"share-{share.rank + 1}-of-{shards}",
                ("--shard", share.written, *self.join.words),
                share,
            )
            for share in shares
            if self.lacks(share)
        ]

    def lacks(self, share: Share | None) -> bool:
        """Whether a block of a share is in none of its files, or a run is not joined (None)."""
        for what in list(self._open):
            folder = runs.directory(what)
            if share:
                numbers = range(share.rank, self._blocks, share.processes)
                there = all(blocks.file(folder, number).exists() for number in numbers)
                # Who joins holds the run, and takes the blocks away in the end.
                if there or runs.is_held(folder):
                    continue
            if runs.find(what):
                self._open.remove(what)
            else:
                return True
        return False


def carry_out(scoring: Scoring, shards: int, request: Request, on: str) -> None:
    """Score there what is missing, and join it. CqaError where something is missing in the end."""
    place = carry.place(on, request)

    def not_done(part: Part) -> dict[Part, str | None]:
        return {part: _said(place.logs[part.label])} if scoring.lacks(part.share) else {}

    if parts := scoring.parts(shards):
        logs = request.folder / "jobs"
        say(f"{len(parts)} of {shards} shares go to {on}; logs in {logs}")
        lost: list[str] = []
        with progress(f"shares on {on}") as tell:
            over = carry.settled(place.over(parts, scoring.join), not_done, on)
            for done, (_, left) in enumerate(over, shards - len(parts) + 1):
                if left:
                    lost.append(_told(left, place))
                    say(lost[-1])
                tell(done, shards, f"{len(lost)} of them not whole" if lost else "")
        if lost:
            more = [f"... and {len(lost) - _SHOWN} more"] if len(lost) > _SHOWN else []
            raise CqaError("\n".join([*lost[:_SHOWN], *more]), next_step=_AGAIN)
    for _, left in carry.settled(place.over([scoring.join]), not_done, on):
        if left:
            raise CqaError(_told(left, place), next_step=_AGAIN)


_SHOWN = 10
_AGAIN = "when that is mended the same command does what is missing, and nothing else"


def _told(left: dict[Part, str | None], place: places.Place) -> str:
    ((part, reason),) = left.items()
    return f"{part.label}: {reason or 'its job ended'}; see {place.logs[part.label]}"


def _said(log: Path) -> str | None:
    """The last error that a command told in its log. To be stopped is none: then it is repeated."""
    try:
        lines = log.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:  # the job was ended before it began
        return None
    told = [line.removeprefix("cqa: ") for line in lines if line.startswith("cqa: ")]
    return next((one for one in reversed(told) if not one.startswith("stopped;")), None)
