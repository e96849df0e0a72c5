"""What a set of annotations or items is like: size, variety, sameness of shape, balance.

Counts for a README or a report, no verdicts and no thresholds. Words are compared as in
`leaks.normal_words`; what tells function words from content words is an English list, so that the
measures of shape and of the brief's words are for English sets.
"""

from cqa.quality.page import markdown
from cqa.quality.sets import quality_of_annotations, quality_of_items
from cqa.quality.shape import skeleton

__all__ = ["markdown", "quality_of_annotations", "quality_of_items", "skeleton"]
