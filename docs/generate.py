"""Writes the pages of docs/ that come from the code: commands, experiment files, quantities.

Command: make docs    (tests/test_docs.py fails while a page is not what this would write)
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from cqa import config, materials, measures
from cqa.cli import app
from cqa.importers import FORMATS

HERE = Path(__file__).parent
TABLES = {
    "Experiment": "The file itself",
    "ArmConfig": "[[arms]]",
    "TrainConfig": "[train]",
    "GenerateConfig": "[generate]",
    "StudyScoreConfig": "[score]",
    "AnalysisConfig": "[analysis]",
    "Expected": "[expected.NUMBER]",
}
"""Class in config.py -> its table in an experiment file."""
PATTERNS = {
    r"\S": "text",
    r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$": "name: letters, digits and `. _ : / @ + -`",
    r"^(last epoch|epoch [1-9][0-9]*|development)$": "`last epoch`, `epoch N`, `development`",
}
"""Pattern of a text -> the same in words."""
_NOTE = "<!-- written by docs/generate.py: change the code, then `make docs` -->"


def commands() -> str:
    """Every command with its options, as its --help has them."""
    lines = ["# Commands", "", _NOTE, "", "`cqa COMMAND --help` says the same."]
    bodies = {one.callback.__name__: one.callback for one in app.registered_commands}
    for name, command in typer.main.get_command(app).commands.items():
        types = typing.get_type_hints(bodies[name])
        lines += ["", f"## cqa {name}", "", inspect.cleandoc(command.help or "")]
        lines += ["", f"    {(command.epilog or '').removeprefix('Example: ')}", ""]
        lines += ["| option | value | default | |", "| --- | --- | --- | --- |"]
        for one in command.params:
            if one.name == "help":
                continue
            option = one.opts[0].startswith("-")
            written = _code(*one.opts) if option else one.name.upper()
            help_text = getattr(one, "help", None) or ""
            lines.append(_row(written, _value(types[one.name]), _default(one), help_text))
    lines += ["", "## Files that `cqa ingest` reads besides its own", ""]
    lines += [f"- `{name}`: {about}" for name, about in FORMATS.items()]
    return "\n".join(lines) + "\n"


def experiments() -> str:
    """Every key of an experiment file, with what it may be and what it is otherwise."""
    lines = ["# Experiment files", "", _NOTE, "", inspect.cleandoc(config.__doc__ or "")]
    told = _attribute_docs()
    for title, model in ((title, getattr(config, name)) for name, title in TABLES.items()):
        lines += ["", f"## {title}", "", inspect.cleandoc(model.__doc__ or ""), ""]
        lines += ["| key | value | default | |", "| --- | --- | --- | --- |"]
        schema = model.model_json_schema()
        for key, entry in schema["properties"].items():
            required = key in schema.get("required", ())
            default = "required" if required else _json(entry.get("default"))
            about = next(
                (told[c.__name__, key] for c in model.__mro__ if (c.__name__, key) in told), ""
            )
            lines.append(_row(f"`{key}`", _kind(entry), default, about))
    lines += ["", "## Materials", "", "What `material` may be besides `annotations`:", ""]
    for name, make in materials.MATERIALS.items():
        lines.append(f"- `{name}`: {inspect.cleandoc(make.__doc__ or '')}")
    return "\n".join(lines) + "\n"


def quantities() -> str:
    """Every quantity with its formula."""
    lines = ["# Quantities", "", _NOTE, "", inspect.cleandoc(measures.__doc__ or "")]
    lines += ["", "A quantity that a text cannot have is null, with the reason."]
    known = definitions()
    for base, names in _by_base(measures.ALL).items():
        also = [name for name in names if name != base]
        lines += ["", f"## {base}", "", known[base]]
        lines += ["", f"Also as {', '.join(_code(name) for name in also)}."] if also else []
    return "\n".join(lines) + "\n"


def definitions() -> dict[str, str]:
    """Name of a quantity -> its definition: the docstring of its function, or measures.DERIVED."""
    found = dict(measures.DERIVED)
    for base in _by_base(measures.ALL):
        function = measures.MEASURES.get(base) or getattr(measures, base, None)
        if base not in found and callable(function):
            found[base] = inspect.cleandoc(function.__doc__ or "")
    return found


def _by_base(names: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(re.sub(r"_bits_per_(token|character|byte)$", "", name), []).append(name)
    return found


def _attribute_docs() -> dict[tuple[str, str], str]:
    """(class, field) -> the string that stands below the field."""
    found = {}
    for node in ast.parse(inspect.getsource(config)).body:
        if isinstance(node, ast.ClassDef):
            for field, text in zip(node.body, node.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and _is_string(text):
                    found[node.name, field.target.id] = inspect.cleandoc(text.value.value)
    return found


def _is_string(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _kind(entry: dict[str, Any]) -> str:
    """What a key may be, from its JSON schema; a limit that no one meets (2³¹) is left out."""
    if "$ref" in entry:
        return f"see {TABLES[entry['$ref'].rpartition('/')[2]]}"
    if "anyOf" in entry:
        return " or ".join(_kind(one) for one in entry["anyOf"] if one != {"type": "null"})
    if "enum" in entry:
        return ", ".join(_code(_json(one)) for one in entry["enum"])
    if "const" in entry:
        return _code(_json(entry["const"]))
    if entry["type"] == "array":
        items = entry["items"]
        return _kind(items) if "$ref" in items else f"a list of: {_kind(items)}"
    if entry["type"] == "object":
        of = entry.get("additionalProperties") or {}
        return _kind(of) if "$ref" in of else "a table"
    if entry["type"] == "string":
        return PATTERNS[entry["pattern"]] if "pattern" in entry else "text"
    limits = {
        "minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"
    }  # fmt: skip
    said = [
        f"{sign} {entry[name]:,}" for name, sign in limits.items() if entry.get(name, 2**31) < 2**31
    ]
    return " ".join([entry["type"], " and ".join(said)]).strip()


def _json(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return "its own defaults" if value else ""
    if isinstance(value, list | tuple):
        return f"[{', '.join(_json(one) for one in value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(kind: Any) -> str:
    kinds = [one for one in typing.get_args(kind) or [kind] if one is not type(None)]
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(_code(str(one)) for one in kinds)
    if typing.get_origin(kind) is list:
        return f"{_value(kinds[0])}, several"
    if len(kinds) == 1 and kinds[0] is not kind:
        return _value(kinds[0])
    names = {bool: "", str: "text", int: "integer", float: "number", Path: "path"}
    return names.get(kind, str(kind))


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required:
        return "required"
    return "" if value is None or value is False or callable(value) else str(value)


def _row(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"


def _code(*names: str) -> str:
    return ", ".join(f"`{name}`" for name in names)


def pages() -> Iterator[tuple[Path, str]]:
    """Every page with what it has to hold."""
    yield HERE / "COMMANDS.md", commands()
    yield HERE / "EXPERIMENTS.md", experiments()
    yield HERE / "QUANTITIES.md", quantities()


if __name__ == "__main__":
    for path, text in pages():
        path.write_text(text, "utf-8")
        sys.stdout.write(f"wrote {path.name}\n")
