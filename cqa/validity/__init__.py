"""Does the metric agree with people? Scores beside human ratings of the same texts."""

from cqa.validity.agreement import Agreement, agreements
from cqa.validity.ratings import Rating, read_ratings
from cqa.validity.stage import run

__all__ = ["Agreement", "Rating", "agreements", "read_ratings", "run"]
