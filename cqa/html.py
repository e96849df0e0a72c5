"""The report as one HTML file that opens from disk without network. Every text is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cqa import __version__
from cqa.analysis import Comparison
from cqa.figures import forest
from cqa.markdown import number, p_value
from cqa.types import Score


def page(
    results: Mapping[str, Any],
    compared: Sequence[Comparison],
    base: Sequence[Score],
    texts: Sequence[Mapping[str, Any]],
) -> str:
    """The whole page. The only markup that is not escaped is the figure that was drawn here."""
    environment = Environment(
        loader=PackageLoader("cqa"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"n": number, "p": p_value}
    return environment.get_template("report.html").render(
        results=results,
        figure=Markup(forest(compared, results["analysis"]["margin"])),
        base={score.id: score for score in base},
        texts=texts,
        version=__version__,
    )
