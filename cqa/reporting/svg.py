"""A figure as an <svg> element that may stand in a page whose policy forbids style attributes."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from cqa.reporting import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_FONT = re.compile(r"(?:(?P<weight>bold|\d00) )?(?P<size>[\d.]+)px")


def inline(figure: Figure, name: str, said: str) -> str:
    """The figure as markup; `name` parts its ids from those of others, `said` describes it.

    Every style becomes presentation attributes, black becomes the colour of the text around it.
    """
    out = io.StringIO()
    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set_alpha(0)
    figures.save(figure, out, "svg")
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(out.getvalue())  # nosec B314 - matplotlib wrote it
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    written = ElementTree.tostring(root, encoding="unicode")
    referred = set(re.findall(r'(?:href="#|url\(#)([^")]+)', written))
    for element in root.iter():
        _attributes(element, referred, name)
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.attrib |= {
        "role": "img",
        "aria-label": said,
        "fill": "currentColor",
        "stroke-linejoin": "round",
        "class": name,
    }
    return ElementTree.tostring(root, encoding="unicode")


def _attributes(element: ElementTree.Element, referred: set[str], name: str) -> None:
    for declaration in (element.attrib.pop("style", "") or "").split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key == "font":
            found = _FONT.search(value)
            assert found, value
            element.set("font-size", found["size"])
            if found["weight"]:
                element.set("font-weight", found["weight"])
        elif key:
            element.set(key, value)
    if (own := element.attrib.pop("id", None)) in referred:
        element.set("id", f"{name}-{own}")
    for key, value in element.attrib.items():
        if value == "#000000":
            element.set(key, "currentColor")
        elif value.startswith("url(#"):
            element.set(key, f"url(#{name}-{value[5:]}")
        elif key == f"{{{_XLINK}}}href" and value[1:] in referred and element.tag.endswith("use"):
            element.set(key, f"#{name}-{value[1:]}")
