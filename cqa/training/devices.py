"""Several devices at one training: this very command again, once for each, by accelerate."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from cqa.errors import CqaError, UsageRefused


def rank() -> int:
    """The number of this process among those that work together, from 0."""
    return _number("RANK", 0, below=processes() if launched() else _MOST)


def processes() -> int:
    """Processes that work together, one device each."""
    return _number("WORLD_SIZE", 1, least=1)


def local_rank() -> int:
    """The number of this process among those of its machine, from 0."""
    return _number("LOCAL_RANK", 0)


_MOST = 1_000_000


def _number(variable: str, default: int, *, least: int = 0, below: int = _MOST) -> int:
    """What a launcher says in the environment; UsageRefused where it can be no launcher's."""
    said = os.environ.get(variable, str(default))
    if said.isascii() and said.isdecimal() and len(said) < 10 and least <= int(said) < below:
        return int(said)
    raise UsageRefused(
        f"{variable}={said} in the environment: not a number from {least} to {below - 1}",
        next_step=f"unset {variable}, or start the processes with accelerate launch",
    )


def rows_per_process(batch_size: int) -> int:
    """Rows of an optimiser step that each process has."""
    rows, left_over = divmod(batch_size, processes())
    if left_over or not rows:
        raise CqaError(
            f"a batch of {batch_size} rows cannot be shared by {processes()} processes",
            next_step="choose --batch-size as a multiple of --devices",
        )
    return rows


def dividing(micro: int, rows: int) -> int:
    """The largest micro-batch up to this one that divides the rows of a step."""
    return next(size for size in range(min(micro, rows), 0, -1) if rows % size == 0)


def rows_at_once(micro: int, batch_size: int) -> int:
    """Rows that all processes read together; 1 where there is only one process."""
    if processes() == 1:
        return 1
    return processes() * dividing(micro, rows_per_process(batch_size))


def launched() -> bool:
    """Whether this process was started by `accelerate launch`, by hand or by `launch`."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def launcher(processes: int, *, machine: int = 0, machines: int = 1, meet: str = "") -> list[str]:
    """The beginning of a command that runs `-m MODULE ...` in so many processes.

    On several machines each runs the same with its own number; they meet at host:port `meet`.
    """
    command = [sys.executable, "-m", "accelerate.commands.launch", "--mixed_precision", "no"]
    command += ["--dynamo_backend", "no", "--num_processes", str(processes)]
    command += ["--num_machines", str(machines), "--machine_rank", str(machine)]
    host, _, port = meet.rpartition(":")
    command += ["--main_process_ip", host] if host else []
    # With --cpu it would start one process whatever their number; it is torch that finds the GPUs.
    return [*command, "--main_process_port", port or "0", "--multi_gpu"]


def launch(devices: int) -> int:
    """Run this command line in so many processes and wait for them; their exit code, 0 or not.

    They are a session of their own, so that a Ctrl-C reaches each of them once: by way of this
    process and the launcher. The first one saves and writes the record; it also says what is wrong.
    """
    command = [*launcher(devices), "-m", "cqa", *sys.argv[1:]]
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // devices))
    environment = os.environ | {"OMP_NUM_THREADS": threads}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    asked = False

    def forward(signum: int, frame: object) -> None:
        nonlocal asked
        asked = True
        process.send_signal(signum)

    before = {one: signal.signal(one, forward) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = process.wait()
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    if asked:
        raise KeyboardInterrupt
    return code
