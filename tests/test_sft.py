"""Training on a tiny model: what is learned, what is kept, what it may spend."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import annotation

from cqa import examples, model_ref
from cqa.config import TrainConfig
from cqa.errors import BudgetTooSmall, DataRefused
from cqa.training.budget import Budget, parse
from cqa.training.order import step_tokens
from cqa.training.pace import Pace
from cqa.types import Annotation


@pytest.fixture(scope="module")
def rows():
    return [Annotation(**annotation(number)) for number in range(6)]


def job(tiny_model, rows, folder: Path, *, limits=None, config=None, seed=0, dev=(), tell=None):
    """A training of 6 annotations in two forms: 12 rows, 3 steps of 4 rows an epoch."""
    from cqa import lm
    from cqa.training import sft

    model = model_ref.find(str(tiny_model))
    tokenizer = lm.load_tokenizer(model)
    config = config or TrainConfig(epochs=3, batch_size=4, micro_batch_size=2, learning_rate=1e-2)
    learn = [
        examples.tokens(example, tokenizer, tokenizer.raw.eos_token_id)
        for example in examples.examples(rows, config.forms)
    ]
    lengths = [len(row.ids) for row in learn]
    pace = Pace(
        limits or Budget(),
        step_tokens=list(step_tokens(lengths, config.batch_size, seed, config.epochs)),
        steps_per_epoch=-(-len(learn) // config.batch_size),
    )
    folder.mkdir(parents=True, exist_ok=True)
    return sft.Job(model, tokenizer, learn, list(dev), config, seed, pace, folder, tell or _silent)


def _silent(done: int, total: int, note: str) -> None:
    pass


def weights(folder: Path) -> dict:
    from safetensors.torch import load_file

    return load_file(next((folder / "result").glob("*.safetensors")))


def same(one: dict, two: dict) -> bool:
    return one.keys() == two.keys() and all((one[k] == two[k]).all() for k in one)


def test_loss_falls_only_the_adapter_is_trained_and_each_epoch_is_kept(tiny_model, rows, tmp_path):
    from cqa.training import sft

    outcome = sft.fit(job(tiny_model, rows, tmp_path))
    assert outcome.steps == 9
    assert outcome.last_loss < outcome.first_loss
    assert 0 < outcome.trained_parameters < outcome.parameters / 2
    kept = sorted(p.name for p in (tmp_path / "checkpoints").glob("checkpoint-*"))
    assert kept == ["checkpoint-3", "checkpoint-6", "checkpoint-9"]
    assert (tmp_path / "result" / "adapter_config.json").exists()
    assert json.loads((tmp_path / "result" / "trainer_state.json").read_text())["global_step"] == 9


def test_two_runs_with_one_seed_are_equal_and_another_seed_is_not(tiny_model, rows, tmp_path):
    from cqa.training import sft

    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        sft.fit(job(tiny_model, rows, tmp_path / name, seed=seed))
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_training_cut_off_after_an_epoch_goes_on_to_the_same_weights(
    tiny_model, rows, tmp_path, method
):
    from cqa.training import sft

    config = TrainConfig(
        method=method, epochs=3, batch_size=4, micro_batch_size=2, learning_rate=1e-2
    )
    sft.fit(job(tiny_model, rows, tmp_path / "whole", config=config))
    # As a kill leaves it: the first epoch's checkpoint, half of the second, no result.
    checkpoints = tmp_path / "cut" / "checkpoints"
    first = tmp_path / "whole" / "checkpoints" / "checkpoint-3"
    shutil.copytree(first, checkpoints / "checkpoint-3")
    (checkpoints / "checkpoint-6").mkdir()
    outcome = sft.fit(job(tiny_model, rows, tmp_path / "cut", config=config))
    assert outcome.steps == 9
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))


def test_a_token_budget_is_a_ceiling_with_a_usable_adapter(tiny_model, rows, tmp_path):
    from cqa import lm
    from cqa.training import sft

    work = job(tiny_model, rows, tmp_path, limits=parse("1500tokens"))
    assert sum(len(row.ids) for row in work.train) * 3 > 1500
    outcome = sft.fit(work)
    assert 0 < outcome.tokens <= 1500
    assert 0 < outcome.steps < 9
    lm.load(work.model, adapter=tmp_path / "result", device="cpu")  # refuses a zero adapter


def test_half_an_epoch_is_what_was_asked_for(tiny_model, rows, tmp_path):
    from cqa.training import sft

    outcome = sft.fit(job(tiny_model, rows, tmp_path, limits=parse("0.7epochs")))
    assert outcome.steps == 2  # of the 3 steps of an epoch, 0.7 are 2.1


def test_a_time_budget_is_kept_and_says_what_was_spent(tiny_model, rows, tmp_path, monkeypatch):
    from cqa.training import keeper, sft

    # on the clock of this process, so that what the machine does beside it is no part of the test
    for module in (keeper, sft):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=time.process_time))
    config = TrainConfig(epochs=2000, batch_size=4, micro_batch_size=2, learning_rate=1e-2)
    work = job(tiny_model, rows, tmp_path, config=config, limits=parse("6s"))
    outcome = sft.fit(work)
    assert outcome.seconds <= 6
    assert 0 < outcome.steps < 6000
    assert outcome.planned_steps == outcome.steps


def test_a_budget_spent_before_the_first_step_is_refused(tiny_model, rows, tmp_path):
    from cqa.training import sft

    work = job(tiny_model, rows, tmp_path, limits=parse("10s"))
    work.pace.wall_before = 60
    with pytest.raises(BudgetTooSmall, match="before the first step"):
        sft.fit(work)
    assert not (tmp_path / "result").exists()


def test_a_zero_adapter_is_refused_when_loaded(tiny_model, rows, tmp_path):
    from peft import LoraConfig, get_peft_model

    from cqa import lm

    model = model_ref.find(str(tiny_model))
    peft = get_peft_model(lm.load_model(model), LoraConfig(target_modules="all-linear"))
    peft.save_pretrained(tmp_path)
    with pytest.raises(DataRefused, match="every B matrix is zero"):
        lm.load(model, adapter=tmp_path, device="cpu")


def test_shuffled_pairing_breaks_every_match_and_keeps_the_amount(rows):
    true = examples.examples(rows, ("generation", "appreciation"))
    placebo = examples.examples(rows, ("generation", "appreciation"), pairing="shuffled", seed=3)
    assert [e.id for e in true] == [e.id for e in placebo]
    by_preface = {e.preface for e in true}
    for one, other in zip(true, placebo, strict=True):
        assert other.preface != one.preface
        assert other.preface in by_preface
    assert sorted(e.learned for e in true) == sorted(e.learned for e in placebo)
    again = examples.examples(rows, ("generation", "appreciation"), pairing="shuffled", seed=3)
    assert again == placebo


def test_trained_ids_are_the_ids_that_are_scored(tiny_model, rows):
    from cqa import lm
    from cqa.conditions import plan
    from cqa.types import Text

    tokenizer = lm.load_tokenizer(model_ref.find(str(tiny_model)))
    row = rows[0]
    (example,) = examples.examples([row], ("generation",))
    trained = examples.tokens(example, tokenizer, tokenizer.raw.eos_token_id)
    text = Text(id="x", text=row.passage, context=row.context, brief=row.brief)
    (piece,) = plan(text, "x", [], tokenizer, 1024).conditions["intent+audience+reality"]
    assert trained.ids[:-1] == (*piece.left, *piece.target)
    assert trained.learned == len(piece.target) + 1  # and the end of text
