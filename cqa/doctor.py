"""`cqa doctor`: is everything here that a study needs?"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cqa import __version__, model_ref
from cqa.errors import CqaError
from cqa.paths import BENCHMARK_ITEMS, FOUNDING_BATCH, runs_root, shipped

_STACK = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "scipy", "statsmodels")
_LEAST_FREE = 2e9


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `ok` is None where it is only information."""

    name: str
    ok: bool | None
    found: str
    remedy: str = ""


def examine() -> list[Check]:
    """Every check, in the order in which a study would stumble."""
    return [
        Check("cqa", None, f"{__version__}, Python {platform.python_version()}"),
        *[_package(name) for name in _STACK],
        _device(),
        _writable("runs", runs_root()),
        _cache(),
        _try("embedded model", lambda: f"sha256 {model_ref.find('embedded').sha256[:16]}"),
        _try("annotations", lambda: str(shipped(FOUNDING_BATCH))),
        _try("benchmark", lambda: str(shipped(BENCHMARK_ITEMS))),
    ]


def _package(name: str) -> Check:
    try:
        return Check(name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name, False, "not installed", "pip install -c constraints.txt -e .")


def _device() -> Check:
    import torch

    threads = f"{torch.get_num_threads()} threads"
    if not torch.cuda.is_available():
        return Check("device", None, f"cpu, {threads}, counted as one device in budgets")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Check("device", None, f"{', '.join(names)}; {threads}")


def _writable(name: str, folder: Path) -> Check:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"cqa")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Check(name, False, f"{folder}: {error.strerror}", "set CQA_RUNS to another folder")
    enough = free > _LEAST_FREE
    return Check(
        name, enough, f"{folder}, {free / 1e9:.1f} GB free", "" if enough else "make some room"
    )


def _cache() -> Check:
    folder = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    if not folder.exists():
        return Check("Hub cache", None, f"{folder} (none yet; only Hub ids need it)")
    remedy = "" if (ok := os.access(folder, os.W_OK)) else "set HF_HOME to a writable folder"
    return Check("Hub cache", ok, str(folder), remedy)


def _try(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except CqaError as error:
        return Check(name, False, error.what, error.next_step)
