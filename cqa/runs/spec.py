"""What decides the result of a run, its fingerprint, and where the run lies."""

from __future__ import annotations

import functools
import importlib.metadata
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cqa
from cqa.files import sha256_of_value
from cqa.paths import runs_root


@dataclass(frozen=True)
class Spec:
    """What decides the result of a run."""

    stage: str
    label: str
    """Part of the directory's name only: what a person would call this run."""
    config: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Name of each input -> its hash."""
    parents: Sequence[str] = ()
    """Ids of the runs whose outputs are read."""
    code: str = ""
    """Hash of the modules that compute the result."""
    seed: int | None = None
    budget: str | None = None

    @property
    def fingerprint(self) -> str:
        """Hash of all of the above but the label."""
        return sha256_of_value(
            [
                self.stage,
                dict(self.config),
                dict(self.inputs),
                list(self.parents),
                self.code,
                self.seed,
                self.budget,
            ]
        )

    @property
    def id(self) -> str:
        """Name of the run's directory: stage, label, first digits of the fingerprint."""
        label = re.sub(r"[^A-Za-z0-9]+", "-", self.label).strip("-").lower()[:40]
        return "-".join(part for part in (self.stage, label, self.fingerprint[:10]) if part)


def directory(spec: Spec, root: Path | None = None) -> Path:
    """Where the run of a spec lies, whether it is there yet or not."""
    return (root or runs_root()) / spec.id


@functools.cache  # a study asks for every step, and the code that runs is what was loaded
def code_hash(*modules: str, libraries: tuple[str, ...] = ()) -> str:
    """Hash of these modules of cqa and the versions of these libraries.

    A changed formula makes a new run, and so does a new torch.
    """
    package = Path(cqa.__file__).parent
    found = {name: (package / name).read_text("utf-8") for name in modules}
    found |= {name: importlib.metadata.version(name) for name in libraries}
    return sha256_of_value(found)[:16]
