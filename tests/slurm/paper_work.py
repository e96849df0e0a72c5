"""Works that take no torch: what is asked of Slurm is whether it does with them what it should."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from submitit import JobEnvironment

from cqa.cluster import work
from cqa.training.devices import launcher

_SLOW = """
import json, os, pathlib, signal, sys, time
state, failures, name = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
log = state / (name.replace("/", "-") + ".log")

def note(what):
    with log.open("a") as out:
        out.write(what + "\\n")

def stop(*_):
    note("saved")
    sys.exit(130)

signal.signal(signal.SIGTERM, stop)
again = log.exists()
note("begun")
if name == "bad-s0/train":
    failures.write_text(json.dumps({name: "the device fell off"}))
    sys.exit(1)
if name.endswith("/train") and not again:
    time.sleep(120)
note("done")
"""
_WHO = """
import os, pathlib, sys
seen = [os.environ[name] for name in ("WORLD_SIZE", "SLURMD_NODENAME")]
pathlib.Path(sys.argv[1], "rank-" + os.environ["RANK"]).write_text(" ".join(seen))
"""


class Slow(work.StudyJob):
    """Writes down what happens to it; a training waits for its end the first time."""

    def command(self, names: Sequence[str], *, alone: bool) -> list[str]:
        return [sys.executable, "-c", _SLOW, str(self.file), str(self.failures), *names]


class Who(work.StudyJob):
    """Each of its processes says which of how many it is, and on which node."""

    def command(self, names: Sequence[str], *, alone: bool) -> list[str]:
        job = JobEnvironment()
        module = self.file / "who_is_it.py"
        module.write_text(_WHO)
        os.environ["PYTHONPATH"] += os.pathsep + str(self.file)
        meet = work._meet(self.failures.parent, job)
        started = launcher(job.num_nodes, machine=job.node, machines=job.num_nodes, meet=meet)
        return [*started, "-m", "who_is_it", str(self.file)]
