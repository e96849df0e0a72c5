"""One case of a report: an arm, over its seeds, beside the base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cqa.runs import Run


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
    def runs(self) -> tuple[Run, ...]:
        """All of them, the base's first."""
        found = (
            self.base_scores, *self.trained, *self.tuned_scores, self.base_texts,
            *self.tuned_texts, self.base_text_scores, *self.tuned_text_scores,
            self.base_own_scores, *self.tuned_own_scores,
        )  # fmt: skip
        return tuple(run for run in found if run is not None)
