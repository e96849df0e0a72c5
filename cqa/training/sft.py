"""Examples and a budget -> an adapter or a model, through TRL's SFTTrainer."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from cqa import quiet

quiet.libraries()

import datasets  # noqa: E402
from peft import LoraConfig, PeftModel  # noqa: E402
from torch.optim.lr_scheduler import LambdaLR  # noqa: E402
from transformers import PrinterCallback, TrainerCallback, TrainerState, set_seed  # noqa: E402
from transformers.trainer_utils import get_last_checkpoint  # noqa: E402
from trl import SFTConfig, SFTTrainer  # noqa: E402

from cqa.config import TrainConfig  # noqa: E402
from cqa.errors import BudgetTooSmall, DataRefused  # noqa: E402
from cqa.examples import Tokens  # noqa: E402
from cqa.files import read_json, write_json  # noqa: E402
from cqa.heap import keep_freed_memory  # noqa: E402
from cqa.lm import HubTokenizer, is_zero_adapter, load_model, window_of  # noqa: E402
from cqa.model_ref import Model  # noqa: E402
from cqa.training import head  # noqa: E402
from cqa.training.order import LikeLengths  # noqa: E402
from cqa.training.pace import Pace  # noqa: E402

datasets.disable_progress_bars()


@dataclass(frozen=True)
class Job:
    """One training: what, on what, how, and where it is written."""

    model: Model
    tokenizer: HubTokenizer
    train: Sequence[Tokens]
    dev: Sequence[Tokens]
    config: TrainConfig
    seed: int
    pace: Pace
    folder: Path
    """checkpoints/ and plan.json live here while the training lasts, and after it."""
    tell: Callable[[int, int, str], None]
    """Called with (step, total steps, note)."""


@dataclass(frozen=True)
class Outcome:
    """What a training did. Losses are nats per learned token, in the mean of a step; those of the
    development side in the mean over its batches."""

    steps: int
    asked_steps: int
    planned_steps: int
    """Fewer than asked where the budget did not reach; the schedule was fitted to them."""
    epochs: float
    tokens: int
    seconds: float
    first_loss: float | None
    """None, and `last_loss` too, where no step was asked for."""
    last_loss: float | None
    dev_loss_by_epoch: list[float]
    trained_parameters: int
    parameters: int
    cut_short: bool
    devices: int
    device: str


def fit(job: Job) -> Outcome:
    """Train, or go on from the last checkpoint in the folder; leaves the result in `result/`.

    Every epoch leaves a checkpoint. Raises BudgetTooSmall where not one step was possible.
    """
    started = time.monotonic()
    config, pace = job.config, job.pace
    asked_steps = config.epochs * pace.steps_per_epoch
    set_seed(job.seed)
    keep_freed_memory()
    model = load_model(job.model, dtype=config.dtype)
    _refuse_long([*job.train, *job.dev], window_of(model))
    tokenizer = _with_pad(job.tokenizer)
    model.config.pad_token_id = tokenizer.pad_token_id
    cuda = torch.cuda.is_available()
    keeper = _Keeper(job, started)
    arguments = SFTConfig(
        output_dir=str(job.folder / "checkpoints"),
        max_steps=pace.total_steps,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        per_device_train_batch_size=config.micro_batch_size,
        per_device_eval_batch_size=config.micro_batch_size,
        gradient_accumulation_steps=config.batch_size // config.micro_batch_size,
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
        peft_config=lora_config(config) if config.method == "lora" else None,
        callbacks=[keeper],
    )
    trainer.remove_callback(PrinterCallback)
    last = _last_whole_checkpoint(job.folder)
    if last and keeper.is_over(last):
        # Nothing more fits: what the checkpoint holds is the result, not one step more.
        trainer._load_from_checkpoint(last)
        trainer.state = TrainerState.load_from_json(str(Path(last) / "trainer_state.json"))
    else:
        trainer.train(resume_from_checkpoint=last)
    _save(trainer, job)

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
        device=torch.cuda.get_device_name() if cuda else "cpu, counted as one device",
    )


def lora_config(config: TrainConfig) -> LoraConfig:
    """The adapter that a configuration asks for, on every linear layer."""
    return LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


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

    def _get_train_sampler(self, train_dataset=None) -> LikeLengths:
        arguments = self.args
        per_step = self._train_batch_size * arguments.gradient_accumulation_steps
        return LikeLengths(self._lengths, per_step * arguments.world_size, arguments.data_seed)

    def create_scheduler(self, num_training_steps: int, optimizer=None):
        if self.lr_scheduler is None:
            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, self._share)
        return self.lr_scheduler


class _Keeper(TrainerCallback):
    """Lowers the plan where the budget does not reach, and stops before it is overrun."""

    def __init__(self, job: Job, started: float) -> None:
        self._job, self._pace, self._started = job, job.pace, started
        self._plan = job.folder / "plan.json"
        self._first_step = 0.0
        self.cut_short = False

    def is_over(self, checkpoint: str) -> bool:
        """Whether the plan ends at this checkpoint, or the budget allows no step beyond it."""
        done = read_json(Path(checkpoint) / "trainer_state.json")
        self._read_plan()
        tokens = self._pace.budget.tokens
        left = float("inf") if tokens is None else tokens - done["num_input_tokens_seen"]
        spent = (
            self._pace.seconds_left(self._elapsed()) <= 0 or left < self._pace.largest_step_tokens
        )
        over = done["global_step"] >= self._pace.total_steps
        self.cut_short = spent and not over
        return spent or over

    def _read_plan(self) -> None:
        if self._plan.exists():
            planned = read_json(self._plan)["total_steps"]
            self._pace.total_steps = min(self._pace.total_steps, planned)

    def on_train_begin(self, args, state, control, **kwargs):
        self._read_plan()
        state.max_steps = self._pace.total_steps
        self._first_step = time.monotonic()
        if self._pace.total_steps < 1:
            raise BudgetTooSmall(
                f"the budget ({self._pace.budget.understood()}) does not hold one step, of up to "
                f"{self._pace.largest_step_tokens:,} tokens and 1/{self._pace.steps_per_epoch} "
                "of an epoch",
                next_step="give more, or a smaller batch size",
            )
        if self._pace.seconds_left(self._elapsed()) <= 0:
            raise BudgetTooSmall(
                f"the budget ({self._pace.budget.understood()}) was spent before the first step",
                next_step="give more: loading the model alone takes part of it",
            )

    def on_step_end(self, args, state, control, **kwargs):
        pace, now = self._pace, time.monotonic()
        planned = pace.total_steps
        tokens = int(state.num_input_tokens_seen)
        stepping = now - self._first_step
        pace.lower_to_fit(state.global_step, self._elapsed(), stepping, tokens)
        if pace.total_steps < planned:
            write_json(self._plan, {"total_steps": pace.total_steps})
            state.max_steps = pace.total_steps
            # A plan lowered at the very step that ends it leaves no room for the decay.
            self.cut_short = pace.total_steps == state.global_step
        if state.global_step >= pace.total_steps:
            control.should_training_stop = True

    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs and "loss" in logs:
            self._job.tell(state.global_step, self._pace.total_steps, f"loss {logs['loss']:.3f}")

    def _elapsed(self) -> float:
        return time.monotonic() - self._started


def _refuse_long(rows: Sequence[Tokens], window: int) -> None:
    """Nothing is truncated: rows that do not fit the model's window are refused."""
    lengths = [len(row.ids) for row in rows]
    if long := [length for length in lengths if length > window]:
        raise DataRefused(
            f"{len(long)} of {len(rows)} examples are longer than the model's window of {window} "
            f"tokens (the longest has {max(long)})",
            next_step="shorten them or choose a model with a longer window; nothing is truncated",
        )


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


def _with_pad(tokenizer: HubTokenizer):
    """A tokenizer that can pad, with a token other than the end of text where it has one.

    Where it has none, end of text pads and is learned all the same: labels are given with the ids
    and padded with −100, never derived from them.
    """
    raw = tokenizer.raw
    if raw.pad_token_id is None or raw.pad_token_id == raw.eos_token_id:
        unused = [t for t in raw.all_special_tokens if t not in (raw.eos_token, raw.bos_token)]
        raw.pad_token = unused[0] if unused else raw.eos_token
    return raw


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
    trainer.state.save_to_json(str(part / "trainer_state.json"))
    part.rename(result)
