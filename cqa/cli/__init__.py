"""The commands: one file each. The only place that wires, and the only door to heavy modules.

Every command body imports what it needs; nothing at the top of a file here may import torch.
"""

# Importing a command registers it; this is the order in which --help shows them.
# isort: off
from cqa.cli import (  # noqa: F401
    ingest,
    plan,
    train,
    generate,
    score,
    report,
    export,
    run,
    table,
    doctor,
)
# isort: on

from cqa.cli.app import app, main

__all__ = ["app", "main"]
