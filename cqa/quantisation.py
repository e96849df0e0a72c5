"""Weights in 4 bits (QLoRA, Dettmers et al. 2023, arXiv 2305.14314), an extra: cqa[qlora].

A base in 4 bits is another model than the same base in 16 or 32: its log-probabilities differ. So
`nf4` is a dtype like others here, it stands in every result, and an adapter that was trained on it
is scored on it, beside a base in the same.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from cqa.errors import UsageRefused


def four_bits() -> dict[str, Any]:
    """What `from_pretrained` is given: NF4, double quantisation, products in bf16.

    Raises UsageRefused where bitsandbytes is not installed or there is no CUDA GPU.
    """
    import torch

    if importlib.util.find_spec("bitsandbytes") is None:
        raise UsageRefused(
            "weights in 4 bits need bitsandbytes, which is not installed",
            next_step="pip install 'cqa[qlora]', or leave --qlora (--dtype nf4) out",
        )
    if not torch.cuda.is_available():
        raise UsageRefused(
            "weights in 4 bits need a CUDA GPU, and there is none here",
            next_step="leave --qlora (--dtype nf4) out",
        )
    from transformers import BitsAndBytesConfig

    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        ),
        "device_map": {"": torch.cuda.current_device()},
    }
