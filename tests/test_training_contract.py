"""`cqa train` as a person has it: processes of its own, which are stopped, starved and killed."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import annotation, dialogue, write_rows

from cqa.files import read_json


@pytest.fixture(scope="module")
def words(tiny_model, tmp_path_factory) -> list[str]:
    """A training of 2 epochs of 5 steps of 2 rows."""
    batch = tmp_path_factory.mktemp("batch")
    write_rows(batch / "annotations.jsonl", [annotation(number) for number in range(6)])
    write_rows(batch / "dialogues.jsonl", [dialogue(number) for number in range(6)])
    settings = ["--epochs", "2", "--batch-size", "2", "--learning-rate", "1e-2"]
    return ["train", str(batch), "--model", str(tiny_model), *settings]


@pytest.fixture(scope="module")
def whole(words, tmp_path_factory) -> Path:
    """The run of that training, undisturbed; in this process, so that those that are begun from it
    import nothing again."""
    import torch
    from typer.testing import CliRunner

    from cqa.cli import app

    root, threads = tmp_path_factory.mktemp("whole"), torch.get_num_threads()
    torch.set_num_threads(1)
    made = CliRunner().invoke(app, words, env={"CQA_RUNS": str(root)}, catch_exceptions=False)
    torch.set_num_threads(threads)
    assert made.exit_code == 0, made.stderr
    return run_of(root)


def begin(words: list[str], root: Path, prepare: Callable | None = None, **environment: str) -> int:
    """`cqa` in a process of its own; a fork, so that nothing is imported twice. Its number."""
    process = os.fork()
    if process:
        return process
    code = 70  # of a defect
    try:
        import torch

        from cqa.cli import main

        torch.set_num_threads(1)
        os.environ |= {"CQA_RUNS": str(root), **environment}
        out = (root / f"said{environment.get('RANK', '')}").open("a", buffering=1)
        sys.stdout = sys.stderr = out
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        sys.argv = ["cqa", *words]
        sys.modules["cqa.cli.train"].PROCESS_STARTED = time.monotonic()
        if prepare:
            prepare()
        main()
    except SystemExit as ended:
        code = ended.code or 0
    finally:
        os._exit(code)


def end(process: int) -> int:
    """Wait for it, not for ever; its exit code, or minus the signal that killed it."""
    patience = time.monotonic() + 200
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > patience:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            pytest.fail("the process does not end")
        time.sleep(0.02)


def said(root: Path, rank: str = "") -> str:
    return (root / f"said{rank}").read_text()


def run_of(root: Path) -> Path:
    (run,) = root.glob("train-*")
    return run


def weights(folder: Path) -> dict:
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def equal(one: dict, two: dict) -> bool:
    return one.keys() == two.keys() and all((one[name] == two[name]).all() for name in one)


def at_step(step: int, act: Callable) -> Callable:
    """What makes the trainer of a process do something before it takes a step."""

    def prepare() -> None:
        from cqa.training import sft

        before = sft._Trainer.training_step

        def acting(self, *given, **named):
            if self.state.global_step == step:
                act()
            return before(self, *given, **named)

        sft._Trainer.training_step = acting

    return prepare


def test_a_full_disk_and_a_second_ctrl_c_lose_nothing(whole, words, cqa, tmp_path):
    root, reached = tmp_path / "runs", tmp_path / "reached"
    root.mkdir()

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))

    def hang() -> None:
        reached.touch()
        time.sleep(120)

    assert end(begin(words, root, at_step(7, fill))) == 1
    assert "the disk is full, so a checkpoint could not be written" in said(root)
    assert "make room, then repeat the command" in said(root)
    run = run_of(root)
    assert read_json(run / "run.json")["status"] == "failed"

    process = begin(words, root, at_step(8, hang))
    while not reached.exists():
        time.sleep(0.02)
    # the same training, started a second time meanwhile
    second = cqa(*words)
    assert second.exit_code == 1
    assert f"another process (pid {process} on" in second.stderr
    assert "is at work on this run" in second.stderr
    os.kill(process, signal.SIGINT)
    time.sleep(0.3)
    assert os.waitpid(process, os.WNOHANG) == (0, 0), "the first Ctrl-C waits for the step"
    asked = time.monotonic()
    os.kill(process, signal.SIGINT)
    assert end(process) == 130
    assert time.monotonic() - asked < 60, "the second does not"
    assert "stopped; the same command goes on" in said(root)
    assert read_json(run / "run.json")["reason"] == "stopped by the user"
    assert [one.name for one in (run / "checkpoints").glob("checkpoint-*")] == ["checkpoint-5"]

    assert end(begin(words, root)) == 0
    assert "Traceback" not in said(root)
    assert equal(weights(run / "adapter"), weights(whole / "adapter"))
    spent = read_json(run / "run.json")["spent"]
    # 5 steps of the first attempt were lost with its disk, 3 of the second with its Ctrl-C
    assert (spent["attempts"], spent["steps"], spent["steps_repeated"]) == (3, 10, 8)


@pytest.fixture(scope="module")
def pair(whole, words, tmp_path_factory) -> Path:
    """The root of that training in two processes, one of them killed, then both again."""
    root = tmp_path_factory.mktemp("pair")

    def both(prepare: Callable | None = None) -> list[int]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        started = [
            begin(
                [*words, "--devices", "2", "--checkpoint", "development"],
                root,
                prepare if rank else None,
                RANK=str(rank),
                LOCAL_RANK=str(rank),
                WORLD_SIZE="2",
                MASTER_ADDR="127.0.0.1",
                MASTER_PORT=port,
            )
            for rank in (0, 1)
        ]
        return [end(process) for process in started]

    assert both(at_step(7, lambda: os.kill(os.getpid(), signal.SIGKILL))) == [1, -signal.SIGKILL]
    assert both() == [0, 0], said(root, "0") + said(root, "1")
    return root


def test_a_lost_process_is_told_by_the_other_and_the_same_command_goes_on(whole, pair):
    import torch

    assert "another process of this training was lost" in said(pair, "0")
    assert "repeat the command: it goes on from the last checkpoint" in said(pair, "0")
    assert "Traceback" not in said(pair, "0")
    one, two = weights(whole / "epoch-2"), weights(run_of(pair) / "epoch-2")
    assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in one)
    spent = read_json(run_of(pair) / "run.json")["spent"]
    assert (spent["devices"], spent["attempts"], spent["steps"]) == (2, 2, 10)
    assert spent["device_seconds"] > spent["wall_seconds"]  # both are counted


def test_the_result_is_the_epoch_that_gains_most_on_the_development_side(pair):
    run = run_of(pair)
    chosen = read_json(run / "run.json")["checkpoint"]
    assert (chosen["rule"], chosen["stated"]) == ("development", "before the training")
    gains = {int(e): g for e, g in chosen["dev_specific_gain_bits_per_token_by_epoch"].items()}
    assert set(gains) == {1, 2}
    assert gains[1] != gains[2]
    assert chosen["epoch"] == max(gains, key=gains.get)
    for epoch in gains:
        kept = weights(run / f"epoch-{epoch}")
        assert equal(weights(run / "adapter"), kept) == (epoch == chosen["epoch"])


def test_a_budget_that_cannot_hold_one_step_is_refused_from_the_estimate(words, cqa):
    from cqa.paths import runs_root

    refused = cqa(*words, "--budget", "0.00001gpu-seconds")
    assert refused.exit_code == 4
    assert "does not hold one step: at twice this machine's fastest matrix" in refused.stderr
    run = run_of(runs_root())
    assert not (run / "checkpoints").exists()
    assert not (run / "attempts.json").exists()  # the device was not touched


def test_a_budget_that_one_step_outran_is_refused_after_it_was_measured(words, cqa, monkeypatch):
    from cqa.paths import runs_root
    from cqa.training import keeper, sft

    clock = SimpleNamespace(late=0.0)
    clock.monotonic = lambda: time.monotonic() + clock.late
    before = sft._Trainer.training_step  # twice a step

    def slow(self, *given, **named):
        clock.late += 500.0
        return before(self, *given, **named)

    monkeypatch.setattr(keeper, "time", clock)
    monkeypatch.setattr(sft._Trainer, "training_step", slow)
    asked = [*words, "--budget", "600gpu-seconds", "--keep", "0"]
    refused = cqa(*asked)
    assert refused.exit_code == 4
    assert re.search(r"does not hold one step: the first took 10\d\d s and ended", refused.stderr)
    run = run_of(runs_root())
    assert not (run / "adapter").exists()
    (attempt,) = read_json(run / "attempts.json")
    assert attempt["steps"] == 1
    assert 1000 <= attempt["device_seconds"] < 1200
    # what that step took is spent: the same command takes no other one
    again = cqa(*asked)
    assert again.exit_code == 4
    assert "was spent before the first step" in again.stderr


class FakeNvml:
    """Counters of two GPUs in millijoules; a third has none, as GPUs before Volta."""

    class NVMLError(Exception):
        pass

    def __init__(self) -> None:
        self.millijoules = {"GPU-a": 7e6, "GPU-b": 9e6}

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> float:
        if handle not in self.millijoules:
            raise self.NVMLError("Not Supported")
        return self.millijoules[handle]


def test_energy_is_measured_or_estimated_or_not_available_and_never_nothing(
    whole, words, cqa, monkeypatch
):
    from cqa import table
    from cqa.training import energy, rates, sft

    spent = read_json(whole / "run.json")["spent"]
    assert spent["energy_wh"] is None
    assert spent["energy_source"].startswith("not available: no GPU")
    estimated = energy.spent(None, "no GPU", rates.power("300W", "--power"), 60.0)
    assert (estimated.wh, estimated.source[:19]) == (5.0, "estimated from 300W")  # 300 W for 1/60 h

    nvml = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    meter, why = energy.meter(["GPU-a", "GPU-c"])
    assert (meter, why) == (None, "NVML: Not Supported")
    monkeypatch.setattr(energy, "gpu_uuids", lambda devices: ["GPU-a", "GPU-b"])
    before = sft._Trainer.training_step

    def drawing(self, model, inputs, *given):
        for uuid in nvml.millijoules:
            nvml.millijoules[uuid] += 1800.0 * inputs["input_ids"].numel()  # 0.001 Wh a token
        return before(self, model, inputs, *given)

    monkeypatch.setattr(sft._Trainer, "training_step", drawing)
    budget_wh = round(0.6 * 0.001 * spent["tokens"], 3)
    made = cqa(*words, "--budget", f"{budget_wh}Wh", "--keep", "0", "--json")
    assert made.exit_code == 0, made.stderr
    record = json.loads(made.stdout)
    spent = record["spent"]
    assert spent["energy_source"] == "measured by NVML, whole GPU"
    assert spent["energy_wh"] == pytest.approx(0.001 * spent["tokens"])
    assert 0.6 * budget_wh <= spent["energy_wh"] <= budget_wh
    (fit,) = spent["plan"]
    assert fit["steps"] == spent["steps"]

    # the plan beside what was spent, in the results table
    row = table.read().set_index("id").loc[record["id"]]
    assert row["planned_device_seconds_low"] <= row["planned_device_seconds"]
    assert row["planned_device_seconds"] <= row["planned_device_seconds_high"]
    assert row["planned_device_seconds"] == record["planned"]["device_seconds"]
    assert row["device_seconds"] == spent["device_seconds"]
    assert row["planned_memory_bytes"] > 0 < row["peak_memory_bytes"]
    assert row["energy_wh"] == spent["energy_wh"]
    assert row["budget_asked"] == f"{budget_wh}Wh,keep=0"
