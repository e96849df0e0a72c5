"""Results on stdout, for people or as one JSON object. Nothing is computed here."""

from cqa.show.data import ingested
from cqa.show.listing import run, runs, table, texts
from cqa.show.plain import as_json_object, facts, hint, print_line
from cqa.show.plans import doctor, foresight, plan
from cqa.show.reports import expected, failures, outcome, report, reports, validity
from cqa.show.scoring import scores

__all__ = [
    "as_json_object",
    "doctor",
    "expected",
    "facts",
    "failures",
    "foresight",
    "hint",
    "ingested",
    "outcome",
    "plan",
    "print_line",
    "report",
    "reports",
    "run",
    "runs",
    "scores",
    "table",
    "texts",
    "validity",
]
