"""Run directories: one execution of one stage, its provenance, and whether it is done.

A run's name ends in its fingerprint: the hash of everything that decides its result. So a stage
that would produce what is already there finds it, and one that was interrupted finds its own
beginnings. `run.json`, written last, says how the run ended; without it a run is not whole.
"""

from cqa.runs.clock import now
from cqa.runs.holding import Held, is_held
from cqa.runs.making import execute, machine, reason_of, versions, when_free
from cqa.runs.record import Run, all_runs, find, read
from cqa.runs.sections import AGAIN, refuse_unreadable
from cqa.runs.spec import Spec, code_hash, directory

__all__ = [
    "AGAIN",
    "Held",
    "Run",
    "Spec",
    "all_runs",
    "code_hash",
    "directory",
    "execute",
    "find",
    "is_held",
    "machine",
    "now",
    "read",
    "reason_of",
    "refuse_unreadable",
    "versions",
    "when_free",
]
