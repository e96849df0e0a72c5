"""What people write after --model: `embedded`, a local folder, or a Hub id with a revision.

Naming a model and hashing it needs no torch, so that a run can be recognised as done before
anything heavy is imported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from cqa import quiet, untrusted, untrusted_adapter
from cqa.errors import DataRefused
from cqa.files import sha256_of, sha256_of_value
from cqa.paths import EMBEDDED_MODEL, shown

_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w./-]+)?$")
_FIRST = ["config.json", "adapter_config.json", "*.safetensors.index.json"]
_MATTERS = re.compile(
    r"(\.safetensors|config\.json|tokenizer.*|vocab.*|merges\.txt|\.model|\.tiktoken|tekken\.json)$"
)


@dataclass(frozen=True)
class Model:
    """A model that was found. `source` and `revision` are what `from_pretrained` is given."""

    name: str
    source: str
    revision: str | None
    sha256: str
    """Of the weights, configuration and tokenizer files, or of a Hub id and its commit."""


def find(reference: str) -> Model:
    """The model behind a reference, or DataRefused saying what was looked for."""
    if reference == "embedded":
        return _folder("embedded", EMBEDDED_MODEL)
    folder = at_home(reference)
    if folder.is_dir():
        return _folder(folder.resolve().name, folder)
    if _HUB_ID.match(reference) and not reference.startswith((".", "/", "~")):
        return _hub(reference)
    raise DataRefused(
        f"model {reference!r}: neither `embedded`, nor a folder that is there, nor a Hub id",
        next_step="use --model embedded, a folder with config.json, or org/name@revision",
    )


def at_home(reference: str) -> Path:
    """The path that was written, with ~ for a home; as it stands where nobody has that name."""
    try:
        return Path(reference).expanduser()
    except RuntimeError:
        return Path(reference)


@dataclass(frozen=True)
class Subject:
    """A model with or without an adapter on top of it."""

    model: Model
    adapter: Path | None = None
    adapter_sha256: str | None = None


@dataclass(frozen=True)
class Tuned:
    """A model to be used, what it is called, and the runs it came from."""

    label: str
    subject: Subject
    parents: tuple[str, ...] = ()


def subject(base: Model, tuned: Path | None) -> Subject:
    """What a tuned folder makes of a base model: PEFT adapter, or model that stands on its own.

    A run directory of `train` is understood as well as the folder inside it.
    """
    if tuned is None:
        return Subject(base)
    for candidate in (tuned, tuned / "adapter"):
        if (candidate / "adapter_config.json").is_file():
            untrusted_adapter.check(candidate)
            return Subject(base, candidate, _hash_adapter(candidate))
    for candidate in (tuned, tuned / "model"):
        if (candidate / "config.json").is_file():
            return Subject(_folder(tuned.resolve().name, candidate))
    raise DataRefused(
        f"adapter {shown(tuned)}: no adapter_config.json there",
        next_step="give a PEFT adapter folder or a run directory that `cqa train` made",
    )


def _folder(name: str, folder: Path) -> Model:
    if not (folder / "config.json").is_file():
        raise DataRefused(
            f"model {name}: {shown(folder)} has no config.json",
            next_step="give the folder that save_pretrained wrote",
        )
    if not any(folder.glob("*.safetensors")):
        raise DataRefused(
            f"model {name}: {shown(folder)} has no safetensors weights (pickles are not loaded)",
            next_step="save the weights with save_pretrained(..., safe_serialization=True)",
        )
    untrusted.check_model(folder)
    return Model(name, str(folder), None, _hash_folder(folder))


def _hash_folder(folder: Path) -> str:
    files = sorted(p for p in folder.iterdir() if p.is_file() and _MATTERS.search(p.name))
    return sha256_of_value({path.name: sha256_of(path) for path in files})


def _hash_adapter(folder: Path) -> str:
    """As `_hash_folder`, without the place where the base model lay when it was trained."""
    config = untrusted.read_object(folder / "adapter_config.json")
    config.pop("base_model_name_or_path", None)
    for name, value in config.items():
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            config[name] = sorted(value)  # sets to PEFT, written in the order of this process
    weights = {path.name: sha256_of(path) for path in sorted(folder.glob("*.safetensors"))}
    return sha256_of_value({"config": config} | weights)


def _hub(reference: str) -> Model:
    quiet.libraries()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    name, _, revision = reference.partition("@")
    try:
        # Of the whole repository only the configuration: its folder is named after the commit, and
        # without network the cache answers.
        folder = snapshot_download(name, revision=revision or None, allow_patterns=_FIRST)
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise DataRefused(
            f"model {reference!r}: the Hub does not answer or does not know it, and it is not "
            f"in the cache ({type(error).__name__})",
            next_step="check the id and the network, or use --model embedded or a folder",
        ) from error
    untrusted.check_no_adapter(Path(folder))
    config = Path(folder) / "config.json"
    untrusted.check_config(untrusted.read_object(config), config)
    untrusted.check_indexes(Path(folder))
    commit = Path(folder).name
    return Model(f"{name}@{commit}", name, commit, sha256_of_value({"hub": name, "commit": commit}))
