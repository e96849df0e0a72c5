"""What finished runs say of themselves, in short: sections of records as each stage writes them."""

from __future__ import annotations

SPENT = {
    "device_seconds": 1.5, "wall_seconds": 2.0, "tokens": 1825, "tokens_repeated": 3,
    "epochs": 1.0, "steps": 2, "attempts": 2, "rows_read_twice": 1,
    "plan": [{"after_step": 1, "steps": 4}, {"after_step": 2, "steps": 2}], "flops": 4e8,
    "achieved_flop_per_second": 4.8e9, "share_of_matmul_peak": 0.05, "peak_memory_bytes": 588320768,
    "peak_memory_of": "memory of the whole process", "energy_wh": 0.1, "energy_source": "measured",
    "money": 0.5, "currency": "USD", "price": "2 USD an hour", "price_source": "--price",
    "device_seconds_per_token": 4.6e-05, "micro_batch_size": 4, "accumulation": 2,
    "out_of_memory": 1, "devices": 1, "device": "cpu, counted as one device", "device_kind": "cpu",
}  # fmt: skip
_EFFECT = {"before": 6.4, "after": 6.5, "change": 0.1, "change_low": 0.0, "change_high": 0.2}
TRAINED = {
    "data": {"licences": ["CC0-1.0"], "sources": ["written for a test"]},
    "headline": {"steps": 2, "rows": 5},
    "spent": SPENT,
    "planned": {"device_seconds": 0.2, "device_seconds_low": 0.1, "device_seconds_high": 0.3},
    "side_effects": {"unit": "bits per byte", "fiction": _EFFECT, "seconds": 0.7},
    "settings_from": {"method": "default"},
    "checkpoint": {"rule": "last epoch", "epoch": None},
}
TRAIN_CONFIG = {"model": "org/base@abc", "method": "lora", "dtype": "float32"}
_QUANTITIES = ("surprise", "residual", "gain", "specific_gain")
_MEANS = {
    name: value
    for quantity in _QUANTITIES
    for name, value in (
        (f"{quantity}_bits_per_token", 0.5),
        (f"{quantity}_bits_per_token_scored", 3),
    )
}
SCORED = {
    "headline": {
        "texts": 4,
        "dtype": "float32",
        "thresholds": {"surprise": 9.5, "residual": 9.4},
        "noise_floor": {
            "texts": 2,
            "largest_difference": {"specific_gain_bits_per_token": 1e-6},
        },
        "groups": [
            {"source": "s", "group": group, "texts": 4, **_MEANS, "flags": {"short": 1}}
            for group in ("factual", "literary")
        ],
    }
}
