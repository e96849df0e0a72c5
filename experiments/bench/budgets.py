"""Asked against spent: the same training under budgets from 20 s to 10 min of device time.

    python experiments/bench/budgets.py [--seconds 20 40 90 180 600]

Each line is a process of its own, with far more epochs asked for than the budget holds. A tenth of
each budget is kept for scoring and generation, so 0.9 of it is what training may spend.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile

HEAD = ("asked s", "may spend", "spent s", "share", "steps", "epochs", "planned steps", "exit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, nargs="+", default=[20, 40, 90, 180, 600])
    parser.add_argument("--epochs", type=int, default=200)
    asked = parser.parse_args()
    print("| " + " | ".join(HEAD) + " |\n|" + " --: |" * len(HEAD))  # noqa: T201
    with tempfile.TemporaryDirectory() as runs:
        for seconds in asked.seconds:
            print(row(seconds, asked.epochs, runs), flush=True)  # noqa: T201


def row(seconds: int, epochs: int, runs: str) -> str:
    """One training; a line of the table."""
    command = [sys.executable, "-m", "cqa", "train", "--json", "--epochs", str(epochs)]
    command += ["--budget", f"{seconds}gpu-seconds"]
    environment = os.environ | {"CQA_RUNS": runs}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    if "spent" not in told:
        return f"| {seconds} | refused: {told.get('error')} | exit {done.returncode} |"
    spent, may = told["spent"], 0.9 * seconds
    cells = (seconds, f"{may:g}", spent["device_seconds"])
    cells += (f"{spent['device_seconds'] / may:.2f}", spent["steps"], spent["epochs"])
    plan = ", ".join(f"{fit['steps']} after {fit['after_step']}" for fit in spent["plan"])
    cells += (plan, done.returncode)
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
