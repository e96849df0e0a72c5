"""Energy of the devices: measured by NVML, estimated from a stated power, or not available."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from cqa.training.rates import Power

_MILLIJOULES = 3.6e6
"""In a watt-hour."""


class Meter(Protocol):
    """What can read the energy that the devices have drawn since it was made."""

    def wh(self) -> float:
        """Watt-hours so far, over all devices."""
        ...


@dataclass(frozen=True)
class Energy:
    """An amount with how it was found; None with the reason."""

    wh: float | None
    source: str


class Nvml:
    """The energy counters of NVIDIA GPUs (Volta and later), in whole devices."""

    def __init__(self, nvml: Any, handles: list[Any]) -> None:
        self._nvml, self._handles = nvml, handles
        self._start = self._read()

    def _read(self) -> float:
        return sum(self._nvml.nvmlDeviceGetTotalEnergyConsumption(one) for one in self._handles)

    def wh(self) -> float:
        return (self._read() - self._start) / _MILLIJOULES


def meter(uuids: list[str]) -> tuple[Meter | None, str]:
    """A meter of the GPUs with these ids, or None and why there is none."""
    if not uuids:
        return None, "no GPU, and what a CPU draws is not measured"
    try:
        import pynvml
    except ImportError:
        return None, "nvidia-ml-py is not installed (pip install 'cqa[energy]')"
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByUUID(one) for one in uuids]
        return Nvml(pynvml, handles), "measured by NVML, whole GPU"
    except pynvml.NVMLError as error:
        return None, f"NVML: {error}"


def gpu_uuids(devices: int) -> list[str]:
    """The ids of the first GPUs that this process sees, as NVML names them."""
    import torch

    seen = min(devices, torch.cuda.device_count()) if torch.cuda.is_available() else 0
    return [f"GPU-{torch.cuda.get_device_properties(i).uuid}" for i in range(seen)]


def spent(measured: float | None, why: str, power: Power | None, device_seconds: float) -> Energy:
    """What to call the energy of so many device-seconds. It is never 0 for want of a meter."""
    if measured is not None:
        return Energy(measured, why)
    if power is not None:
        return Energy(
            power.wh(device_seconds), f"estimated from {power} a device ({power.source}); {why}"
        )
    return Energy(None, f"not available: {why}; --power 300W gives an estimate")
