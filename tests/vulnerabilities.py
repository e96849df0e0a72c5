"""`make check`: known vulnerabilities of the pinned packages, or plainly that nobody was asked.

pip-audit asks a service on the network, and ends well where that does not answer. So it is counted
how many packages were looked up. Without a service this ends with 0, since the network is nobody's
fault, unless AUDIT=required is in the environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PINNED = Path(__file__).parent.parent / "constraints.txt"
COMMAND = [sys.executable, "-m", "pip_audit", "--requirement", str(PINNED), "--no-deps"]
COMMAND += ["--disable-pip", "--progress-spinner", "off", "--format", "json", "--timeout", "10"]


def told(output: str) -> tuple[int, str]:
    """(exit code, what to say) of what pip-audit writes on stdout."""
    try:
        packages = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        packages = []
    looked_up = [one for one in packages if "skip_reason" not in one]
    if not looked_up:
        required = os.environ.get("AUDIT") == "required"
        return int(required), (
            "pip-audit: NOT DONE. No vulnerability service answers from here, so nothing is known "
            "of the packages; run `make check` where https://pypi.org can be reached."
        )
    lines = [
        f"{one['name']} {one['version']}: {found['id']}, mended in {found['fix_versions'] or '-'}"
        for one in looked_up
        for found in one["vulns"]
    ]
    missed = [one["name"] for one in packages if "skip_reason" in one]
    lines.append(f"pip-audit: {len(looked_up)} packages looked up, {len(lines)} vulnerabilities")
    if missed:
        lines.append(f"not looked up: {', '.join(missed)}")
    return int(any(one["vulns"] for one in looked_up)), "\n".join(lines)


def main() -> int:
    """Exit code of the check."""
    done = subprocess.run(COMMAND, capture_output=True, text=True, check=False)
    code, said = told(done.stdout)
    print(said)  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main())
