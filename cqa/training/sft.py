"""Examples and a budget -> an adapter or a model, through TRL's SFTTrainer."""

from __future__ import annotations

import resource
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from cqa import quiet

quiet.libraries()

import datasets  # noqa: E402
from peft import PeftModel  # noqa: E402
from torch.optim.lr_scheduler import LambdaLR  # noqa: E402
from transformers import PrinterCallback, TrainerState, set_seed  # noqa: E402
from transformers.trainer_utils import get_last_checkpoint  # noqa: E402
from trl import SFTConfig, SFTTrainer  # noqa: E402

from cqa.device_faults import is_out_of_memory  # noqa: E402
from cqa.errors import BudgetTooSmall  # noqa: E402
from cqa.examples import Tokens  # noqa: E402
from cqa.files import write_json  # noqa: E402
from cqa.heap import keep_freed_memory  # noqa: E402
from cqa.lm import RECIPE, is_zero_adapter, load_model  # noqa: E402
from cqa.training import devices, energy, head, order, probe, rows  # noqa: E402
from cqa.training.job import Job, Outcome  # noqa: E402
from cqa.training.keeper import Keeper  # noqa: E402
from cqa.training.ledger import Ledger  # noqa: E402
from cqa.training.pace import Pace  # noqa: E402
from cqa.training.size import lora_config  # noqa: E402
from cqa.training.stop import (  # noqa: E402
    Stop,
    gently,
    smaller,
    told_of_full_disk,
    told_of_lost_process,
    told_of_more_than_tensors,
)

datasets.disable_progress_bars()


def fit(job: Job) -> Outcome:
    """Train, or go on from the last checkpoint in the folder; leaves the result in `result/`.

    Every epoch leaves a checkpoint. A first Ctrl-C waits for the step and saves. Where memory is
    too small, half the micro-batch and twice the accumulation are tried, from the last checkpoint.
    Raises BudgetTooSmall where not one step was possible.
    """
    ledger = Ledger(job.folder / "attempts.json")
    per_process = devices.rows_per_process(job.config.batch_size)
    tried = [one.micro_batch_size for one in ledger.earlier if one.micro_batch_size]
    micro = min([*tried, devices.dividing(job.config.micro_batch_size, per_process)])
    pace, began = replace(job.pace), time.monotonic() - job.probed_seconds
    with (
        gently() as stop,
        told_of_full_disk(job.folder),
        told_of_lost_process(),
        told_of_more_than_tensors(job.folder),
    ):
        while True:
            try:
                return _attempt(job, pace, ledger, stop, micro, began)
            except RuntimeError as error:
                less = smaller(micro, per_process)
                if not is_out_of_memory(error) or less is None or devices.processes() > 1:
                    raise
            ledger.now.out_of_memory = True
            ledger.next_attempt()
            job.tell(0, pace.total_steps, f"out of memory with {micro} rows at once, now {less}")
            micro, began = less, time.monotonic()
            pace = replace(
                job.pace, wall_before=ledger.wall_before, device_before=ledger.device_before
            )
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def _attempt(
    job: Job, pace: Pace, ledger: Ledger, stop: Stop, micro: int, started: float
) -> Outcome:
    config = job.config
    ledger.now.micro_batch_size = micro
    asked_steps = config.epochs * pace.steps_per_epoch
    set_seed(job.seed)
    keep_freed_memory()
    model = load_model(job.model, dtype=config.dtype)
    rows.refuse_unfit([*job.train, *job.dev], job.tokenizer, model, frozen=config.method == "lora")
    tokenizer = rows.with_pad(job.tokenizer)
    rows.agree_on_end(model, job.tokenizer)
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    meter, energy_source = energy.meter(energy.gpu_uuids(pace.devices))
    keeper = Keeper(
        pace,
        ledger,
        stop,
        folder=job.folder,
        started=started,
        warmup_ratio=config.warmup_ratio,
        tell=job.tell,
        meter=meter,
    )
    accumulation = devices.rows_per_process(config.batch_size) // micro
    arguments = SFTConfig(
        output_dir=str(job.folder / "checkpoints"),
        max_steps=pace.total_steps,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        save_strategy="epoch",
        eval_strategy="epoch" if job.dev else "no",
        logging_strategy="steps",
        logging_steps=1,
        include_num_input_tokens_seen="non_padding",
        max_length=None,
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        gradient_checkpointing=False,
        use_cpu=not cuda,
        bf16=False,
        fp16=False,
        dataloader_pin_memory=cuda,
        disable_tqdm=True,
        report_to="none",
        seed=job.seed,
        data_seed=job.seed,
        ddp_find_unused_parameters=False,
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # else DataParallel would multiply the batch
    trainer = _Trainer(
        pace,
        config.warmup_ratio,
        model=model,
        args=arguments,
        train_dataset=_dataset(job.train),
        eval_dataset=_dataset(job.dev) if job.dev else None,
        processing_class=tokenizer,
        data_collator=rows.collator(job.tokenizer),
        peft_config=lora_config(config) if config.method == "lora" else None,
        callbacks=[keeper],
    )
    trainer.remove_callback(PrinterCallback)
    last = _last_whole_checkpoint(job.folder)
    try:
        if last and keeper.is_over(last):
            # Nothing more fits: what the checkpoint holds is the result, not one step more.
            trainer._load_from_checkpoint(last)
            trainer.state = TrainerState.load_from_json(str(Path(last) / "trainer_state.json"))
        else:
            trainer.train(resume_from_checkpoint=last)
        if keeper.stopped:
            raise KeyboardInterrupt
        if trainer.is_world_process_zero():
            _save(trainer, job)
        peak, peak_of = peak_memory(cuda)
        ledger.now.peak_memory_bytes = peak
        speed = probe.matmul_flop_per_second(config.compute_dtype)
    finally:
        if trainer.is_world_process_zero():
            keeper.count()

    logs = trainer.state.log_history
    losses = [entry["loss"] for entry in logs if "loss" in entry]
    return Outcome(
        steps=trainer.state.global_step,
        asked_steps=asked_steps,
        planned_steps=pace.total_steps,
        epochs=trainer.state.global_step / pace.steps_per_epoch,
        tokens=int(trainer.state.num_input_tokens_seen),
        seconds=pace.device_before / pace.devices + time.monotonic() - started,
        first_loss=losses[0],
        last_loss=losses[-1],
        dev_loss_by_epoch=[entry["eval_loss"] for entry in logs if "eval_loss" in entry],
        trained_parameters=sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        parameters=sum(p.numel() for p in trainer.model.parameters()),
        cut_short=keeper.cut_short,
        devices=pace.devices,
        device=torch.cuda.get_device_name() if cuda else _cpu(pace.devices),
        micro_batch_size=micro,
        accumulation=accumulation,
        stepping_seconds=keeper.stepping_seconds,
        stepped_tokens=ledger.now.tokens,
        peak_memory_bytes=max(one.peak_memory_bytes or 0 for one in ledger.attempts),
        peak_memory_of=peak_of,
        energy_source=energy_source,
        matmul_flop_per_second=speed,
        fits=tuple(pace.fits),
        rows_read_twice=order.read_twice(
            len(job.train), devices.rows_at_once(micro, config.batch_size)
        ),
    )


def _cpu(processes: int) -> str:
    several = f"cpu, {processes} processes, each counted as one device"
    return several if processes > 1 else "cpu, counted as one device"


def peak_memory(cuda: bool) -> tuple[int, str]:
    """Bytes at the widest moment, and of what."""
    if cuda:
        return torch.cuda.max_memory_reserved(), "GPU memory that torch reserved"
    kilo = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilo
    return peak, "memory of the whole process"


class _Trainer(SFTTrainer):
    """SFTTrainer whose learning rate follows the pace, so that a lowered plan still decays to 0.

    Its steps are those of SFTTrainer; what differs is how long they take on a CPU.
    """

    def __init__(self, pace: Pace, warmup_ratio: float, **kwargs) -> None:
        self._share = lambda step: pace.learning_rate_share(step, warmup_ratio)
        self._lengths = [len(ids) for ids in kwargs["train_dataset"]["input_ids"]]
        super().__init__(**kwargs)
        core = self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model
        head.install(core)

    def _get_train_sampler(self, train_dataset=None) -> order.LikeLengths:
        arguments = self.args
        per_step = self._train_batch_size * arguments.gradient_accumulation_steps
        return order.LikeLengths(
            self._lengths, per_step * arguments.world_size, arguments.data_seed
        )

    def create_scheduler(self, num_training_steps: int, optimizer=None):
        if self.lr_scheduler is None:
            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, self._share)
        return self.lr_scheduler


def _dataset(rows: Sequence[Tokens]) -> datasets.Dataset:
    """Ids and labels; −100 marks what is read but not learned."""
    return datasets.Dataset.from_list(
        [
            {
                "input_ids": list(row.ids),
                "labels": [-100] * (len(row.ids) - row.learned) + list(row.ids[-row.learned :]),
            }
            for row in rows
        ]
    )


def _last_whole_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint whose trainer_state.json, its last file, was written."""
    checkpoints = folder / "checkpoints"
    if not checkpoints.is_dir():
        return None
    while last := get_last_checkpoint(str(checkpoints)):
        if (Path(last) / "trainer_state.json").is_file():
            return last
        shutil.rmtree(last)
    return None


def _save(trainer: SFTTrainer, job: Job) -> None:
    """Write the result beside its final name and rename it, so that it is whole or not there."""
    if job.config.method == "lora" and is_zero_adapter(trainer.model):
        raise BudgetTooSmall(
            "the adapter is still zero after training: no step had a learning rate above 0",
            next_step="give a larger budget or more epochs",
        )
    part, result = job.folder / "result.part", job.folder / "result"
    shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(result, ignore_errors=True)
    trainer.model.save_pretrained(part, safe_serialization=True)
    job.tokenizer.raw.save_pretrained(part)
    trainer.model.generation_config.save_pretrained(part)
    write_json(part / RECIPE, {"base": job.model.name, "dtype": job.config.dtype})
    trainer.state.save_to_json(str(part / "trainer_state.json"))
    part.rename(result)
