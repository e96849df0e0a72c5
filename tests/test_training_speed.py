"""What makes training on a CPU fast changes nothing that is trained: plain TRL is the oracle."""

from __future__ import annotations

import pytest
from conftest import annotation
from test_sft import job, weights

from cqa.config import TrainConfig
from cqa.training.pace import Pace
from cqa.types import Annotation


@pytest.fixture(scope="module")
def rows():
    return [Annotation(**annotation(number)) for number in range(7)]


def plain_trl(work):
    """The same training in a bare script: only what TRL offers, nothing of ours."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    config = work.config
    torch.manual_seed(work.seed)
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(work.model.source, dtype=torch.float32),
        args=SFTConfig(
            output_dir=str(work.folder / "trl"),
            max_steps=work.pace.total_steps,
            learning_rate=config.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=0,
            per_device_train_batch_size=config.micro_batch_size,
            gradient_accumulation_steps=config.batch_size // config.micro_batch_size,
            save_strategy="no",
            logging_steps=1,
            max_length=None,
            gradient_checkpointing=False,
            use_cpu=True,
            bf16=False,
            disable_tqdm=True,
            report_to="none",
            seed=work.seed,
            data_seed=work.seed,
            dataset_kwargs={"skip_prepare_dataset": True},
        ),
        train_dataset=Dataset.from_list(
            [
                {
                    "input_ids": list(row.ids),
                    "labels": [-100] * (len(row.ids) - row.learned) + list(row.ids[-row.learned :]),
                }
                for row in work.train
            ]
        ),
        processing_class=AutoTokenizer.from_pretrained(work.model.source),
        peft_config=lora if config.method == "lora" else None,
    )
    trainer.train()
    return trainer


@pytest.mark.parametrize("method", ["lora", "full"])
def test_weights_and_losses_are_those_of_plain_trl(tiny_model, rows, tmp_path, monkeypatch, method):
    import torch
    from peft import get_peft_model_state_dict

    from cqa.training import sft

    # The schedule is the one thing that is meant to differ: ours warms up in a step or more.
    monkeypatch.setattr(Pace, "learning_rate_share", lambda pace, n, _: 1 - n / pace.total_steps)

    # 14 rows in steps of 4: the last step of an epoch has two.
    config = TrainConfig(
        method=method,
        epochs=2,
        batch_size=4,
        micro_batch_size=2,
        learning_rate=1e-3,
    )
    work = job(tiny_model, rows, tmp_path, config=config)
    oracle = plain_trl(work)
    outcome = sft.fit(job(tiny_model, rows, tmp_path, config=config))
    ours = weights(tmp_path)
    theirs = get_peft_model_state_dict(oracle.model) if method == "lora" else None
    theirs = theirs or oracle.model.state_dict()
    before = plain_weights(tiny_model)
    for name, value in ours.items():
        assert torch.allclose(value, theirs[name], atol=2e-5), name
        if name in before:
            assert not torch.equal(value, before[name]), name
    log = [entry["loss"] for entry in oracle.state.log_history if "loss" in entry]
    assert outcome.first_loss == pytest.approx(log[0], rel=1e-5)
    assert outcome.last_loss == pytest.approx(log[-1], rel=1e-4)


def plain_weights(folder) -> dict:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_the_head_gives_value_and_gradients_of_the_whole_logits():
    import torch

    from cqa.training.head import LogProb

    torch.manual_seed(0)
    hidden = torch.randn(150, 12, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(40_000, 12, dtype=torch.float64, requires_grad=True)  # chunks of 104
    targets = torch.randint(0, 40_000, (150,))
    share = torch.rand(150, dtype=torch.float64)
    logp = torch.log_softmax(hidden @ weight.t(), -1)
    own = logp.gather(-1, targets[:, None])[:, 0]
    expected = torch.autograd.grad((own * share).sum(), (hidden, weight))
    found, entropy, led = LogProb.apply(hidden, weight, targets)
    got = torch.autograd.grad((found * share).sum(), (hidden, weight))
    assert torch.allclose(found.double(), own, atol=1e-5)
    assert torch.allclose(entropy.double(), -(logp.exp() * logp).sum(-1), atol=1e-5)
    assert (led == (logp.argmax(-1) == targets)).all()
    for one, other in zip(got, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_a_model_with_capped_logits_keeps_the_head_of_trl(tiny_model):
    import torch
    from transformers import AutoModelForCausalLM

    from cqa.training import head

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    plain = model.forward

    def capped(*args, **kwargs):
        found = plain(*args, **kwargs)
        found.logits = 30 * torch.tanh(found.logits / 30)
        return found

    model.forward = capped
    assert not head.install(model)
    assert model.forward is capped
    del model.forward
    assert head.install(model)


def test_a_step_keeps_its_rows_and_sorts_them():
    from accelerate.data_loader import SeedableRandomSampler

    from cqa.training.order import LikeLengths

    lengths = [7, 3, 9, 1, 8, 2, 6]
    for epoch in (0, 3):
        drawn = SeedableRandomSampler(lengths, data_seed=5)
        sampler = LikeLengths(lengths, 4, 5)
        drawn.set_epoch(epoch)
        sampler.set_epoch(epoch)
        theirs, ours = list(drawn), list(sampler)
        assert len(sampler) == 7
        for step in (slice(0, 4), slice(4, 7)):
            assert sorted(ours[step]) == sorted(theirs[step])
            mine = [lengths[i] for i in ours[step]]
            assert mine == sorted(mine, reverse=True)
