"""A real Slurm on this machine alone: munged, slurmctld and two slurmd in a scratch folder."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch")

_CONF = """
ClusterName=cqa
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
# A job that is queued again waits as long as a credential lasts: 120 s unless told otherwise.
AuthInfo=socket={folder}/munge.socket,cred_expire=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=120
SchedulerParameters=sched_interval=2
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


def absent() -> str | None:
    """Why there can be no Slurm here, or None."""
    os.environ["PATH"] += os.pathsep + "/usr/sbin"
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing:
        return f"{', '.join(missing)}: not installed (Debian: apt-get install slurm-wlm munge)"
    return None if os.geteuid() == 0 else "the daemons of this test run as root"


@contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """While this lasts, sbatch and squeue speak to a Slurm with two nodes of two processors."""
    folder.chmod(0o755)
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    conf = folder / "slurm.conf"
    conf.write_text(_CONF.format(folder=folder, host=socket.gethostname(), ports=_ports(3)))
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(conf)
    commands = [
        ["munged", "--foreground", "--force", "--key-file", key, "--socket",
         folder / "munge.socket", "--pid-file", folder / "munged.pid", "--seed-file",
         folder / "munge.seed", "--log-file", folder / "munged.log"],
        ["slurmctld", "-D"],
        ["slurmd", "-D", "-N", "n1"],
        ["slurmd", "-D", "-N", "n2"],
    ]  # fmt: skip
    daemons = []
    try:
        for number, command in enumerate(commands):
            with (folder / f"{number}-{command[0]}.out").open("wb") as log:
                words = [str(word) for word in command]
                daemons.append(subprocess.Popen(words, stdout=log, stderr=log))
            time.sleep(1.0)
        _wait_for_nodes(folder)
        try:
            yield
        finally:
            # What a failed test has left: slurmd ends without its jobs.
            subprocess.run(["scancel", "--signal=KILL", "--full", "--user", "root"], check=False)
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(60)
        if before is None:
            del os.environ["SLURM_CONF"]
        else:
            os.environ["SLURM_CONF"] = before


def _wait_for_nodes(folder: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        command = ["sinfo", "--noheader", "--format", "%T %D"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        if asked.stdout.split() == ["idle", "2"]:
            return
        time.sleep(1)
    raise RuntimeError(f"the nodes did not come up: {asked.stdout}{asked.stderr}; see {folder}")


def _ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
