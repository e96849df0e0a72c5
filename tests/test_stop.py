"""What ends a training from outside: nothing is lost."""

# ruff: noqa: F811  (rows is a fixture of another file)
from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from test_sft import job, rows, same, weights  # noqa: F401

from cqa.config import TrainConfig
from cqa.files import read_json
from cqa.training.stop import smaller


@pytest.fixture(scope="module")
def whole(tiny_model, rows, tmp_path_factory) -> Path:
    """The folder of a training that nothing disturbs."""
    from cqa.training import sft

    folder = tmp_path_factory.mktemp("whole")
    sft.fit(job(tiny_model, rows, folder))
    return folder


@pytest.mark.parametrize(
    ("micro", "rows_a_step", "next_one"),
    [(8, 8, 4), (4, 8, 2), (3, 6, 1), (6, 12, 3), (1, 8, None)],
)
def test_half_of_a_micro_batch_still_divides_the_step(micro, rows_a_step, next_one):
    assert smaller(micro, rows_a_step) == next_one


def test_out_of_memory_halves_the_micro_batch_and_changes_no_weight(
    whole,
    tiny_model,
    rows,
    tmp_path,
    monkeypatch,
):
    import torch

    from cqa.training import sft

    before, failed = sft._Trainer.training_step, []

    def once(self, *given, **named):
        if self.state.global_step == 4 and not failed:
            failed.append(True)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return before(self, *given, **named)

    monkeypatch.setattr(sft._Trainer, "training_step", once)
    outcome = sft.fit(job(tiny_model, rows, tmp_path / "short"))
    assert (outcome.micro_batch_size, outcome.accumulation, outcome.steps) == (1, 4, 9)
    first, second = read_json(tmp_path / "short" / "attempts.json")
    assert (first["micro_batch_size"], first["out_of_memory"]) == (2, True)
    # it went on from the checkpoint of the first epoch, not from nothing
    assert (second["micro_batch_size"], second["from_step"]) == (1, 3)
    undisturbed, short = weights(whole), weights(tmp_path / "short")
    assert all(torch.allclose(undisturbed[name], short[name], atol=1e-4) for name in short)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_stop_waits_for_the_step_saves_and_goes_on_to_the_same_weights(
    tiny_model,
    rows,
    tmp_path,
    method,
):
    from cqa.training import sft

    config = TrainConfig(
        method=method, epochs=3, batch_size=4, micro_batch_size=2, learning_rate=1e-2
    )
    dev = job(tiny_model, rows, tmp_path).train[:2]
    whole = sft.fit(job(tiny_model, rows, tmp_path / "whole", config=config, dev=dev))

    def stop_at_four(step: int, *_) -> None:
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = job(tiny_model, rows, tmp_path / "stopped", config=config, dev=dev, tell=stop_at_four)
    with pytest.raises(KeyboardInterrupt):
        sft.fit(stopped)
    kept = {path.name for path in (tmp_path / "stopped" / "checkpoints").glob("checkpoint-*")}
    assert kept == {"checkpoint-3", "checkpoint-5"}  # in the middle of the second epoch
    assert not (tmp_path / "stopped" / "result").exists()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "the handler is given back"
    outcome = sft.fit(job(tiny_model, rows, tmp_path / "stopped", config=config, dev=dev))
    assert outcome.steps == 9
    assert outcome.dev_loss_by_epoch == whole.dev_loss_by_epoch
    kept = {path.name for path in (tmp_path / "stopped" / "checkpoints").glob("checkpoint-*")}
    assert kept == {"checkpoint-3", "checkpoint-6", "checkpoint-9"}
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))
