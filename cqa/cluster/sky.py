"""A study as a SkyPilot task file: one chain a job on a spot machine, the runs in a bucket."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml

from cqa.cluster.chains import chains
from cqa.errors import UsageRefused
from cqa.study.steps import Step


def task(file: Path, name: str, steps: Sequence[Step], devices: int) -> str:
    """The file, with the commands that use it as comments. Fields: SkyPilot's YAML specification.

    Each job writes its own run directories, so that one bucket can hold those of all. It is mounted
    through a cache (MOUNT_CACHED), since the other ways of mounting cannot rename.
    """
    several = ["--on local", f"--devices {devices}"] if devices > 1 else []
    if not file.as_posix().isprintable():
        raise UsageRefused(
            f"{file.as_posix()!r}: characters in the file name that cannot stand in a command",
            next_step="rename the file without line breaks and control characters",
        )
    named = shlex.quote(file.as_posix())
    run = " ".join(["cqa run", named, '--only "$ONLY"', *several])
    fields = {
        "name": f"cqa-{name}",
        "workdir": ".",
        "num_nodes": 1,
        "resources": {
            "accelerators": f"H100:{devices}",
            "use_spot": True,
            "disk_size": 256,
            "job_recovery": {"max_restarts_on_errors": 1},
        },
        "envs": {"ONLY": "*", "CQA_RUNS": "/cqa-runs"},
        "file_mounts": {
            "/cqa-runs": {"name": "CHANGE-ME-cqa-runs", "store": "s3", "mode": "MOUNT_CACHED"}
        },
        "setup": "pip install -q -c constraints.txt .",
        "run": run,
    }
    patterns = [f"{chain.name}/*" for chain in chains(steps)]
    head = [
        "# Typed in a checkout of cqa, after `cqa lock` (all jobs have to find the same lock):",
        f"#   cqa run {named} --on sky > task.yaml    then name the bucket and the GPU",
        *(f"#   sky jobs launch -y -d task.yaml --env ONLY='{one}'" for one in patterns),
        "# When all are over, copy the bucket to ./runs and repeat `cqa run` here for the report.",
    ]
    return "\n".join(head) + "\n" + yaml.safe_dump(fields, sort_keys=False, width=1000)
