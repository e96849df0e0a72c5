"""What every attempt at one training has spent, on disk, so that a kill hides nothing of it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

from cqa.files import read_json, write_json

_SECONDS_BETWEEN_WRITES = 1.0


@dataclass
class Attempt:
    """One attempt. Device-seconds are over all devices, from the first use of the device."""

    from_step: int = 0
    steps: int = 0
    """Optimiser steps of this attempt, those that no checkpoint kept among them."""
    from_tokens: int = 0
    """Tokens that the checkpoint it went on from had seen."""
    tokens: int = 0
    wall_seconds: float = 0.0
    device_seconds: float = 0.0
    energy_wh: float | None = None
    peak_memory_bytes: int | None = None
    micro_batch_size: int | None = None
    out_of_memory: bool = False


class Ledger:
    """The attempts so far and the one under way."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.earlier = [Attempt(**one) for one in read_json(path)] if path.exists() else []
        self.now = Attempt()
        self._written = 0.0

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """The attempts that are on disk, the last of them as the one under way."""
        ledger = cls(path)
        if ledger.earlier:
            ledger.now = ledger.earlier.pop()
        return ledger

    @property
    def wall_before(self) -> float:
        """Seconds of wall time of earlier attempts."""
        return sum(one.wall_seconds for one in self.earlier)

    @property
    def device_before(self) -> float:
        """Device-seconds of earlier attempts."""
        return sum(one.device_seconds for one in self.earlier)

    @property
    def energy_before(self) -> float:
        """Measured watt-hours of earlier attempts; 0 where none was measured."""
        return sum(one.energy_wh or 0.0 for one in self.earlier)

    @property
    def energy_wh(self) -> float | None:
        """Measured watt-hours of all attempts; None where one of them was not measured."""
        measured = [one.energy_wh for one in (*self.earlier, self.now)]
        return None if None in measured else sum(measured)

    @property
    def tokens(self) -> int:
        """Tokens through the model, over all attempts."""
        return sum(one.tokens for one in (*self.earlier, self.now))

    @property
    def attempts(self) -> list[Attempt]:
        """All of them, oldest first."""
        return [*self.earlier, self.now]

    def lost_before(self, tokens_kept: int) -> int:
        """Tokens of earlier attempts that are not in a checkpoint of so many tokens."""
        return max(0, sum(one.tokens for one in self.earlier) - tokens_kept)

    def next_attempt(self) -> None:
        """Close the attempt under way and begin another in the same process."""
        self.write()
        self.earlier.append(self.now)
        self.now = Attempt()

    def write_now_and_then(self) -> None:
        """Write, unless it was written a moment ago."""
        if time.monotonic() - self._written >= _SECONDS_BETWEEN_WRITES:
            self.write()

    def write(self) -> None:
        """Write all attempts, whole or not at all."""
        write_json(self._path, [asdict(one) for one in self.attempts])
        self._written = time.monotonic()
