"""One case of a report: an arm, over its seeds, beside the base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cqa.runs import Run
from cqa.score import PRIMARY


@dataclass(frozen=True)
class Case:
    """What is known of one arm (or one of its epochs): its runs, and the runs of the base.

    The tuples hold one run for each seed, in the order of `seeds`; those of the texts may be empty.
    """

    label: str
    base_scores: Run
    tuned_scores: tuple[Run, ...]
    trained: tuple[Run, ...] = ()
    arm: str = ""
    seeds: tuple[int, ...] = ()
    epoch: int | None = None
    """None for the checkpoint that the experiment chooses."""
    rows: int | None = None
    """Annotations that it was trained on, where the arm says how many."""
    base_texts: Run | None = None
    base_text_scores: Run | None = None
    tuned_texts: tuple[Run, ...] = ()
    tuned_text_scores: tuple[Run, ...] = ()
    base_own_scores: Run | None = None
    """Of the base's texts by the base; the fixed judge's where they are the same model."""
    tuned_own_scores: tuple[Run | None, ...] = ()
    """Of each tuned model's texts by itself; None where that is not done."""
    on: Literal["benchmark", "writing"] = "benchmark"
    """What `base_scores` and `tuned_scores` are of."""

    @property
    def noise_floor(self) -> float | None:
        """Of the primary's change: it carries the noise of both scorings, of the noisiest seed.

        A side that did not measure it is taken to be like the other; None where neither did.
        """
        tuned = [noise for run in self.tuned_scores if (noise := _noise(run)) is not None]
        sides = [_noise(self.base_scores), max(tuned, default=None)]
        known = [side for side in sides if side is not None]
        return 2 * sum(known) / len(known) if known else None

    @property
    def runs(self) -> tuple[Run, ...]:
        """All of them, the base's first."""
        found = (
            self.base_scores, *self.trained, *self.tuned_scores, self.base_texts,
            *self.tuned_texts, self.base_text_scores, *self.tuned_text_scores,
            self.base_own_scores, *self.tuned_own_scores,
        )  # fmt: skip
        return tuple(run for run in found if run is not None)


def _noise(scored: Run) -> float | None:
    measured = scored.record["headline"].get("noise_floor")
    return measured["largest_difference"].get(PRIMARY) if measured else None
