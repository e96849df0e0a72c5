"""The report as HTML that opens from disk without network. Every text is escaped.

The page's policy allows the one style sheet and the one script that stand in it, by their hashes,
and nothing else: no network, no images, no style attributes, no other script.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cqa import __version__, render
from cqa.reporting.markdown import noise, number, p_said, p_value
from cqa.reporting.sheets import Sheet
from cqa.style import MEASURES
from cqa.types import PARTS, Text

_ENVIRONMENT = Environment(
    loader=PackageLoader("cqa"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"} | {
    0x7F: 0x2421
}
"""Control characters, and lone halves of surrogate pairs, are shown as the signs that stand for
them, one for one, so that places counted in the text stay right."""
_CONTROLS |= dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)


def pages(
    results: Mapping[str, Any],
    *,
    figures: Mapping[str, Any],
    sheets: Sequence[Sheet],
    heat: Callable[[Sequence[Mapping[str, Any]]], str],
    models: Sequence[str],
) -> Iterator[tuple[str, str]]:
    """(file, page) of the report with the first of the sheets, then of every other.

    The only markup that is not escaped is what was made here: `figures` (name -> an <svg> element,
    and `curves`, a list of such with what they say), `heat` (of some items, JSON of numbers), the
    style sheet and the script. `models` names the columns of `heat`.
    """
    style, script = (_source(name) for name in ("report.css", "report.js"))
    for sheet in sheets:
        template = "report.html" if sheet.number == 1 else "sheet.html"
        yield (
            sheet.file,
            _ENVIRONMENT.get_template(template).render(
                results=results,
                figures=figures,
                sheet=sheet,
                sheets=sheets,
                heat=Markup(heat(sheet.items)),  # nosec B704 - numbers
                models=models,
                measures=MEASURES,
                parts=PARTS,
                style=Markup(style),  # nosec B704 - ours
                script=Markup(script),  # nosec B704 - ours
                policy=_policy(style, script),
                version=__version__,
            ),
        )


def visible(text: str) -> Markup:
    """A text as it stands, escaped; carriage returns kept, which a parser would else drop."""
    return Markup(str(Markup.escape(text.translate(_CONTROLS))).replace("\r", "&#13;"))  # nosec B704


def as_scored(text: Text, side: str) -> str:
    """The text or its foil with the white space that the scorer put before it."""
    words = text.text if side == "text" else text.foil or ""
    return render.join(text.context, words, continues=text.continues)[1]


def _source(name: str) -> str:
    assert _ENVIRONMENT.loader
    return _ENVIRONMENT.loader.get_source(_ENVIRONMENT, name)[0]


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(source: str) -> str:
    digest = hashlib.sha256(source.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _signed(value: float | None, digits: int = 4) -> str:
    return number(value, digits, sign=True)


_ENVIRONMENT.filters |= {
    "n": number,
    "noise": noise,
    "signed": _signed,
    "p": p_value,
    "p_said": p_said,
    "visible": visible,
    "as_scored": as_scored,
}
