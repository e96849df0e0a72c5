"""The traps of fine-tuning on a hundred rows, one test each."""

from __future__ import annotations

import json
import shutil

import pytest
from conftest import annotation, experiment
from test_sft import job, weights

from cqa import model_ref
from cqa.config import TrainConfig, read_experiment
from cqa.errors import BudgetTooSmall, DataRefused
from cqa.examples import Tokens
from cqa.types import Annotation


@pytest.fixture(scope="module")
def rows():
    return [Annotation(**annotation(number)) for number in range(7)]


@pytest.fixture
def model_that_disagrees(tiny_model, tmp_path):
    """As some Qwen2.5 base models: the configuration ends at another token than the tokenizer."""
    folder = tmp_path / "disagrees"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text())
    config["eos_token_id"] = 7
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [7, 8]}))
    return folder


def quick(**changes) -> TrainConfig:
    settings = {"epochs": 1, "batch_size": 4, "micro_batch_size": 2, "learning_rate": 1e-3}
    return TrainConfig(**(settings | changes))


def test_end_of_text_is_the_last_trained_token_of_every_row(tiny_model, rows, tmp_path):
    from cqa.training import rows as checks
    from cqa.training.sft import _dataset

    work = job(tiny_model, rows, tmp_path, config=quick())
    batch = checks.collator(work.tokenizer)([dict(row) for row in _dataset(work.train)])
    end = work.tokenizer.raw.eos_token_id
    for labels in batch["labels"]:
        assert labels[labels != -100][-1] == end
    cut = Tokens(work.train[0].ids[:-1], work.train[0].learned - 1)
    with pytest.raises(DataRefused, match="not the end of text"):
        refuse(tiny_model, [cut])


def refuse(folder, made, *, frozen=True):
    from cqa import lm
    from cqa.training import rows as checks

    model = model_ref.find(str(folder))
    checks.refuse_unfit(made, lm.load_tokenizer(model), lm.load_model(model), frozen=frozen)


def test_padding_is_never_the_end_of_text(tiny_model):
    from cqa import lm
    from cqa.training import rows as checks

    tokenizer = lm.load_tokenizer(model_ref.find(str(tiny_model)))
    short = {"input_ids": [5, 0], "labels": [-100, 0]}
    long = {"input_ids": [5, 6, 7, 0], "labels": [-100, 6, 7, 0]}
    for pad in ("<|pad|>", "<|endoftext|>", None):
        tokenizer.raw.pad_token = pad
        batch = checks.collator(tokenizer)([dict(short), dict(long)])
        padded = batch["input_ids"][0, 2:].tolist()
        assert tokenizer.raw.eos_token_id not in padded
        assert batch["labels"][0].tolist() == [-100, 0, -100, -100]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_tokenizer_model_and_generation_end_at_one_token(
    model_that_disagrees, rows, tmp_path, method
):
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    from cqa.training import sft

    work = job(model_that_disagrees, rows[:2], tmp_path / "run", config=quick(method=method))
    assert {row.ids[-1] for row in work.train} == {0}
    sft.fit(work)
    result = tmp_path / "run" / "result"
    assert AutoTokenizer.from_pretrained(result).eos_token_id == 0
    assert GenerationConfig.from_pretrained(result).eos_token_id == 0
    if method == "full":
        assert AutoConfig.from_pretrained(result).eos_token_id == 0


def test_no_chat_template_is_applied(tiny_model, rows, tmp_path):
    from cqa.training import sft

    folder = tmp_path / "chat"
    shutil.copytree(tiny_model, folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["chat_template"] = "{% for m in messages %}CHAT {{ m['content'] }}{% endfor %}"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    plain = job(tiny_model, rows[:2], tmp_path / "a", config=quick())
    chat = job(folder, rows[:2], tmp_path / "b", config=quick())
    assert chat.tokenizer.raw.chat_template
    assert chat.train == plain.train
    seen = []
    trainer = sft.SFTTrainer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "training_step", spy(trainer.training_step, seen))
        sft.fit(chat)
    fed = {tuple(ids[mask.bool()].tolist()) for ids, mask in seen}
    assert fed == {row.ids for row in plain.train}


def spy(step, seen):
    """A training step that notes ids and attention mask of every row it is given."""

    def spied(self, model, inputs, *args):
        seen.extend(zip(inputs["input_ids"], inputs["attention_mask"], strict=True))
        return step(self, model, inputs, *args)

    return spied


def test_no_row_is_cut_or_dropped(tiny_model, rows, tmp_path):
    from cqa.training import sft

    work = job(tiny_model, rows, tmp_path / "a", config=quick())
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sft.SFTTrainer, "training_step", spy(sft.SFTTrainer.training_step, seen))
        sft.fit(work)
    fed = sorted(tuple(ids[mask.bool()].tolist()) for ids, mask in seen)
    assert fed == sorted(row.ids for row in work.train)
    long = rows[0].model_copy(update={"passage": " word" * 2000})
    with pytest.raises(DataRefused, match="window of 1024 tokens"):
        sft.fit(job(tiny_model, [long, *rows[1:]], tmp_path / "b", config=quick()))


@pytest.mark.parametrize("learned", [0, 4])
def test_a_row_with_nothing_to_learn_or_to_read_is_refused(tiny_model, learned):
    with pytest.raises(DataRefused, match=f"{learned} of its 4 tokens are to be learned"):
        refuse(tiny_model, [Tokens((0, 5, 6, 0), 2), Tokens((0, 5, 6, 0), learned)])


@pytest.mark.parametrize("method", ["lora", "full"])
def test_accumulation_gives_the_same_weights_also_in_a_last_partial_window(
    tiny_model, rows, tmp_path, method
):
    import torch

    from cqa.training import sft

    for micro in (1, 8):  # 14 rows: a step of eight, and one of six
        config = quick(method=method, batch_size=8, micro_batch_size=micro)
        outcome = sft.fit(job(tiny_model, rows, tmp_path / str(micro), config=config))
        assert outcome.steps == 2
    one, eight = weights(tmp_path / "1"), weights(tmp_path / "8")
    for name in one:
        assert torch.allclose(one[name], eight[name], atol=2e-5), name


def test_packing_is_refused_because_it_would_mix_rows(tiny_model, tmp_path):
    path = experiment(tmp_path, tiny_model)
    path.write_text(path.read_text().replace("epochs = 2", "epochs = 2\npacking = true"))
    with pytest.raises(DataRefused, match="rows of one sequence read each other"):
        read_experiment(path)


def test_a_new_special_token_is_trained_or_refused(tiny_model, tmp_path):
    import torch

    from cqa import lm

    with pytest.raises(DataRefused, match="embeddings: it was added"):
        refuse(tiny_model, [Tokens((0, 5, 4000, 0), 2)])
    model = lm.load_model(model_ref.find(str(tiny_model)))
    with torch.no_grad():
        model.get_input_embeddings().weight[0] *= 1e-3
    folder = tmp_path / "blank"
    shutil.copytree(tiny_model, folder)
    model.save_pretrained(folder)
    row = [Tokens((0, 5, 6, 0), 2)]
    with pytest.raises(DataRefused, match="its embedding was never trained"):
        refuse(folder, row)
    refuse(folder, row, frozen=False)


def test_the_adapter_that_is_loaded_is_the_one_that_was_trained(tiny_model, rows, tmp_path):
    """Not zero, not the base: plain PEFT gives the losses that the training ended with."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from cqa.training import sft

    work = job(tiny_model, rows, tmp_path, config=quick(epochs=3, learning_rate=1e-2), dev=())
    work = type(work)(**{**work.__dict__, "dev": work.train})
    outcome = sft.fit(work)
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    losses = [mean_loss(base, work.train)]
    tuned = PeftModel.from_pretrained(base, tmp_path / "result").eval()
    assert any(p.detach().any() for name, p in tuned.named_parameters() if "lora_B" in name)
    losses.append(mean_loss(tuned, work.train))
    assert losses[1] < losses[0] - 0.1
    # TRL's mean is over batches, this one over tokens.
    assert outcome.dev_loss_by_epoch[-1] == pytest.approx(losses[1], rel=0.02)


def mean_loss(model, made) -> float:
    """Nats per learned token, computed here in fp32, row by row, from the whole logits."""
    import torch

    total, count = 0.0, 0
    for row in made:
        with torch.inference_mode():
            logp = torch.log_softmax(model(input_ids=torch.tensor([row.ids])).logits[0].float(), -1)
        for place in range(len(row.ids) - row.learned, len(row.ids)):
            total -= float(logp[place - 1, row.ids[place]])
            count += 1
    return total / count


def test_the_first_loss_is_that_of_an_independent_computation(tiny_model, rows, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM

    from cqa.training import sft

    config = quick(batch_size=14, micro_batch_size=7, learning_rate=1e-9)
    work = job(tiny_model, rows, tmp_path, config=config)
    outcome = sft.fit(work)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    assert outcome.first_loss == pytest.approx(mean_loss(model, work.train), rel=1e-5)


def test_dtype_and_revision_are_always_said(tiny_model, monkeypatch):
    from cqa import lm
    from cqa.model_ref import Model

    asked = []

    def refuse_to_load(source, **options):
        asked.append((source, options))
        raise OSError("not here")

    for kind in (lm.AutoModelForCausalLM, lm.AutoTokenizer):
        monkeypatch.setattr(kind, "from_pretrained", refuse_to_load)
    pinned = Model("org/name@abc", "org/name", "abc", "0")
    for load in (lm.load_model, lm.load_tokenizer):
        with pytest.raises(DataRefused):
            load(pinned)
    (_, model), (_, tokenizer) = asked
    assert model["dtype"] is lm.torch.float32
    assert model["revision"] == tokenizer["revision"] == "abc"
    assert model["trust_remote_code"] is tokenizer["trust_remote_code"] is False


def test_telemetry_is_off(tiny_model, rows, tmp_path, monkeypatch):
    import socket

    from huggingface_hub import constants

    from cqa.training import sft

    assert constants.HF_HUB_DISABLE_TELEMETRY

    def no_network(*args, **kwargs):
        raise AssertionError("a training spoke to the network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    sft.fit(job(tiny_model, rows[:2], tmp_path, config=quick()))


def test_four_bits_are_refused_with_the_reason_where_they_cannot_be(cqa, monkeypatch):
    import sys
    from types import ModuleType

    import torch

    installed = ModuleType("bitsandbytes")
    installed.__spec__ = object()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for module, reason in ((None, "pip install 'cqa[qlora]'"), (installed, "need a CUDA GPU")):
        monkeypatch.setitem(sys.modules, "bitsandbytes", module)
        refused = cqa("train", "--qlora")
        assert refused.exit_code == 2
        assert reason in refused.stderr


def test_a_training_in_four_bits_is_planned_at_the_speed_of_its_products(
    tiny_model, rows, tmp_path, monkeypatch
):
    import torch

    from cqa.training import budget, estimate, probe, size

    timed = []

    def matmul(dtype: str = "float32", seconds: float = 0.15) -> float:
        timed.append(getattr(torch, dtype))  # torch has no nf4
        return 1e9

    monkeypatch.setattr(probe, "matmul_flop_per_second", matmul)
    monkeypatch.setattr(probe, "MOST_PARAMETERS", {"cpu": 0, "cuda": 0})
    config = quick(dtype="nf4")
    model, learn = (work := job(tiny_model, rows, tmp_path, config=config)).model, work.train
    counted = size.of(model, config)
    estimate.refuse_hopeless(budget.parse("2gpu-hours"), counted, config, learn, 1)
    with pytest.raises(BudgetTooSmall, match="does not hold one step"):
        estimate.refuse_hopeless(budget.parse("0.001gpu-seconds"), counted, config, learn, 1)
    planned = estimate.estimate(model, config, learn, root=tmp_path)
    assert planned.time_basis.startswith("matrix products timed now (1e+09 FLOP/s)")
    assert timed == [torch.bfloat16] * 3


def test_an_adapter_of_a_four_bit_base_is_not_scored_on_another(tiny_model, rows, tmp_path):
    from cqa import lm
    from cqa.training import sft

    work = job(tiny_model, rows[:2], tmp_path, config=quick())
    sft.fit(work)
    recipe = tmp_path / "result" / lm.RECIPE
    recipe.write_text(json.dumps({"base": "tiny", "dtype": "nf4"}))
    with pytest.raises(DataRefused, match="trained on a base in nf4"):
        lm.load(work.model, adapter=tmp_path / "result", device="cpu")
