"""A LoRA as it is before its first step: the control that must score as the base does."""

from __future__ import annotations

import time

import torch

from cqa import quiet

quiet.libraries()

from peft import get_peft_model  # noqa: E402
from transformers import TrainerState, set_seed  # noqa: E402

from cqa.lm import load_model  # noqa: E402
from cqa.training.job import Job, Outcome  # noqa: E402
from cqa.training.sft import peak_memory  # noqa: E402
from cqa.training.size import lora_config  # noqa: E402


def fit(job: Job) -> Outcome:
    """Leave a fresh adapter in `result/`; its trainer_state.json says that no step was asked for.

    By that file the scorer tells it from an adapter whose training came to nothing.
    """
    started = time.monotonic()
    set_seed(job.seed)
    model = get_peft_model(load_model(job.model, dtype=job.config.dtype), lora_config(job.config))
    result = job.folder / "result"
    model.save_pretrained(result, safe_serialization=True)
    job.tokenizer.raw.save_pretrained(result)
    TrainerState(max_steps=0).save_to_json(str(result / "trainer_state.json"))
    cuda = torch.cuda.is_available()
    peak, of = peak_memory(cuda)
    return Outcome(
        steps=0, asked_steps=0, planned_steps=0, epochs=0.0, tokens=0,
        seconds=time.monotonic() - started, first_loss=None, last_loss=None, dev_loss_by_epoch=[],
        trained_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        parameters=sum(p.numel() for p in model.parameters()),
        cut_short=False, devices=job.pace.devices,
        device=torch.cuda.get_device_name() if cuda else "cpu, counted as one device",
        micro_batch_size=job.config.micro_batch_size,
        accumulation=job.config.batch_size // job.config.micro_batch_size,
        stepping_seconds=0.0, stepped_tokens=0, peak_memory_bytes=peak, peak_memory_of=of,
        energy_source="not available: no step was taken", matmul_flop_per_second=None,
    )  # fmt: skip
