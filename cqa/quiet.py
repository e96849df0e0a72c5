"""Libraries that speak only when spoken to: no telemetry, no progress bars of their own."""

from __future__ import annotations

import os
import warnings

_SETTINGS = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}


def libraries() -> None:
    """Set the environment that the libraries read when they are imported, and what they warn of."""
    for name, value in _SETTINGS.items():
        os.environ[name] = value
    # Threads that wait by spinning starve each other where another program needs the cores: on two
    # busy cores training ran five times as fast without, for a tenth less on idle ones.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # TRL sets the old name of this setting to True, so it has to be set back under that name.
    warnings.filterwarnings("ignore", r"`(is_)?gradient_checkpointing`", FutureWarning)
