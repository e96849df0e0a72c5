"""What a training leaves: epochs, the chosen one, side effects, folders that others load."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import json
import os

import numpy as np
import pytest
import yaml
from conftest import NEUTRAL_TEXTS, read_rows, write_rows
from samples import TRAIN_CONFIG, TRAINED

from cqa import export, runs
from cqa.runs import Spec
from cqa.training.card import Result, card


@pytest.fixture
def trained(cqa, batch, benchmark, tiny_model, monkeypatch):
    """A training of two epochs that is scored and reported; its record."""
    monkeypatch.setattr("cqa.paths.NEUTRAL_TEXTS", NEUTRAL_TEXTS)
    words = ["--model", str(tiny_model), "--epochs", "2", "--batch-size", "4"]
    made = cqa("train", str(batch), *words, "--learning-rate", "1e-2", "--json")
    assert made.exit_code == 0, made.stderr
    return json.loads(made.stdout)


def header(folder) -> dict:
    _, front, _ = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(front)


def test_a_training_leaves_every_epoch_its_side_effects_and_where_its_settings_came_from(
    trained, tiny_model
):
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from cqa import lm, model_ref
    from cqa.paths import runs_root
    from cqa.training import side_effects

    run = runs_root() / trained["id"]
    assert trained["settings_from"]["epochs"] == "flag"
    assert trained["settings_from"]["lora_rank"] == "default"
    assert trained["checkpoint"] == {
        "rule": "last epoch",
        "stated": "before the training",
        "epoch": None,
    }
    weights = [load_file(run / f"epoch-{n}" / "adapter_model.safetensors") for n in (1, 2)]
    assert any((weights[0][name] != weights[1][name]).any() for name in weights[0])
    result = load_file(run / "adapter" / "adapter_model.safetensors")
    assert all((result[name] == weights[1][name]).all() for name in result)
    assert not list((run / "epoch-1").glob("optimizer*"))
    for folder in ("adapter", "epoch-1"):  # plain PEFT, nothing of ours
        base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
        model = PeftModel.from_pretrained(base, run / folder).eval()
        assert AutoTokenizer.from_pretrained(run / folder).eos_token == "<|endoftext|>"

    # Bits per byte again, from the whole logits of the adapter of epoch 1, for five passages.
    tokenizer = lm.load_tokenizer(model_ref.find(str(tiny_model)))
    texts = ["A door.", "Two doors were open, and one was shut.", "Salt melts at 801 degrees."]
    ours = lm.load(model_ref.find(str(tiny_model)), adapter=run / "epoch-1", device="cpu")
    for text, found in zip(texts, side_effects.bits(ours, texts), strict=True):
        ids = [tokenizer.start_id, *tokenizer.encode(text)]
        with torch.inference_mode():
            logp = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0], -1)
        nats = -sum(float(logp[i - 1, ids[i]]) for i in range(1, len(ids)))
        assert found == pytest.approx(nats / np.log(2), rel=1e-4)
    for genre in ("fiction", "factual"):
        effect = trained["side_effects"][genre]
        assert effect["bytes"] >= 20_000
        assert effect["change"] == pytest.approx(effect["after"] - effect["before"])
        assert effect["change_low"] < effect["change"] < effect["change_high"]
        assert effect["change"] != 0


def test_the_interval_of_a_rate_covers_as_often_as_it_says():
    from cqa.training.side_effects import changed

    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        sizes = rng.integers(200, 500, 60).astype(float)
        before = 1.5 * sizes + rng.normal(0, 30, 60)
        after = before + 0.02 * sizes + rng.normal(0, 10, 60)
        found = changed(before, after, sizes)
        covered += found["change_low"] <= 0.02 <= found["change_high"]
    assert 0.93 < covered / 2000 < 0.965


def test_the_epoch_is_chosen_by_specific_gain_on_the_development_side(tmp_path, monkeypatch):
    from cqa.training import checkpoint

    gains = {1: 0.01, 2: 0.07, 3: 0.03}
    monkeypatch.setattr(checkpoint, "mean_specific_gain", lambda base, epoch, *_: gains[epoch])
    dev, epochs = checkpoint.Development((), ()), {n: n for n in gains}
    found = checkpoint.choose("development", epochs, None, dev, "float32")
    assert found["epoch"] == 2
    assert found["dev_specific_gain_bits_per_token_by_epoch"] == gains
    assert checkpoint.choose("epoch 3", epochs, None, None, "float32")["epoch"] == 3
    assert checkpoint.choose("last epoch", epochs, None, None, "float32")["epoch"] is None
    cut = checkpoint.choose("epoch 5", epochs, None, None, "float32")
    assert cut["epoch"] is None
    assert "budget ended" in cut["reason"]


def test_specific_gain_on_the_development_side_is_that_of_the_scorer(
    tiny_model, batch, workplace, tmp_path
):
    from cqa import ingest, lm, model_ref
    from cqa.judge import Judge
    from cqa.training import checkpoint

    base = model_ref.find(str(tiny_model))
    data = ingest.load(ingest.run([batch]))
    dev = checkpoint.development(data, lm.load_tokenizer(base))
    judge = Judge("tiny", "0", lm.load(base, device="cpu"), dev.pool)
    scores = [marked.score for marked in judge.mark(dev.texts)]
    expected = np.mean([one.quantities["specific_gain_bits_per_token"] for one in scores])
    found = checkpoint.mean_specific_gain(base, tiny_model, dev, "float32")
    assert found == pytest.approx(expected, abs=1e-5)


def test_what_is_exported_loads_elsewhere_and_carries_the_results(
    trained, cqa, benchmark, tiny_model, workplace, monkeypatch
):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from cqa.training import merge

    run = trained["id"]
    early = cqa("export", run, "early")
    assert early.exit_code == 0, early.stderr
    assert "model-index" not in header(workplace / "early")
    judge = ["--judge", str(tiny_model)]
    kept = ("id", "text", "context", "brief", "group", "work")
    texts = [{name: row[name] for name in kept} for row in read_rows(benchmark)]
    write_rows(workplace / "texts.jsonl", texts)
    words = ["score", "texts.jsonl", *judge, "--pool", "items.jsonl"]
    for more in ([], ["--adapter", run]):
        assert (scored := cqa(*words, *more)).exit_code == 0, scored.stderr
    report = cqa("report", "--json")
    assert report.exit_code == 0, report.stderr

    merged = cqa("export", run, "merged", "--merge", "--json")
    assert merged.exit_code == 0, merged.stderr
    assert "no logit differs" in json.loads(merged.stdout)["merged"]
    folder = workplace / "merged"
    entry = header(folder)["model-index"][0]["results"]
    metric = entry[0]["metrics"][0]
    assert metric["type"] == "change_of_specific_gain_bits_per_token"
    low, high = metric["confidence_interval"]
    assert low <= metric["value"] <= high
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    ids = tokenizer("The kettle", return_tensors="pt").input_ids
    assert not torch.allclose(model(ids).logits, base(ids).logits, atol=1e-3)
    again = cqa("export", run, "merged")
    assert again.exit_code == 2
    assert "is there already" in again.stderr

    # A merge that is another model is refused, and leaves nothing.
    monkeypatch.setattr(merge, "TOLERANCE", -1.0)
    other = cqa("export", run, "other", "--merge")
    assert other.exit_code == 1
    assert "the merged model is another one" in other.stderr
    assert not list(workplace.glob("other*"))


@pytest.fixture
def training(workplace):
    """A finished training by its record, with the smallest adapter there is."""
    from safetensors.numpy import save_file

    spec = Spec(
        "train",
        "x",
        TRAIN_CONFIG,
        {"model": "0", "data": "1"},
        parents=["ingest-founding-0"],
        seed=0,
    )
    with runs.execute(spec) as run:
        folder = run.file("adapter")
        folder.mkdir()
        (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 1}')
        save_file({"lora_A": np.ones((1, 2), "f")}, folder / "adapter_model.safetensors")
        (folder / "tokenizer.json").write_text("{}")
        run.tell(**TRAINED)
    return run


def test_an_export_deletes_nothing_that_it_did_not_make(training, cqa, workplace):
    beside = workplace / "given.part"
    beside.mkdir()
    (beside / "thesis.txt").write_text("precious")
    assert cqa("export", training.id, "given").exit_code == 0
    assert (beside / "thesis.txt").read_text() == "precious"
    assert sorted(path.name for path in workplace.iterdir()) == ["given", "given.part", "runs"]


def test_an_export_fills_an_empty_folder_the_one_we_are_in_too(training, cqa, workplace):
    for folder, typed in ((workplace, "empty"), (workplace / "here", ".")):
        (folder / "empty" if typed == "empty" else folder).mkdir()
        with contextlib.chdir(folder):
            assert cqa("export", training.id, typed).exit_code == 0
    names = {
        "README.md", "adapter_config.json", "adapter_model.safetensors", "tokenizer.json"
    }  # fmt: skip
    assert {path.name for path in (workplace / "empty").iterdir()} == names
    assert {path.name for path in (workplace / "here").iterdir()} == names
    assert cqa("export", training.id, "new/deep").exit_code == 0
    usual = workplace / "usual"
    usual.mkdir()
    assert (workplace / "new/deep").stat().st_mode == usual.stat().st_mode
    assert not list(workplace.rglob("*.part"))


def test_what_a_killed_export_leaves_is_harmless(training, cqa, workplace):
    child = os.fork()
    if not child:
        try:
            export.write_text = lambda *_: os._exit(9)
            export.run(training, workplace / "given")
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert not (workplace / "given").exists()
    (left,) = workplace.glob(".given.*.part")
    assert cqa("export", training.id, "given").exit_code == 0
    assert left.is_dir()


def test_only_weights_configuration_and_tokenizer_are_exported(training, cqa, workplace):
    private = workplace / "private.txt"
    private.write_text("secret")
    folder = training.file("adapter")
    for name in ("modeling_evil.py", "optimizer.pt", "adapter_model.bin", "tokenizer_notes.txt"):
        (folder / name).write_text("x")
    (folder / "notes.txt").symlink_to(private)
    assert cqa("export", training.id, "given").exit_code == 0
    assert {path.name for path in (workplace / "given").iterdir()} == {
        "README.md", "adapter_config.json", "adapter_model.safetensors", "tokenizer.json"
    }  # fmt: skip


def test_an_export_follows_no_link_and_gives_no_pickle(training, cqa, workplace):
    folder = training.file("adapter")
    (workplace / "private.txt").write_text("secret")
    link = folder / "tokenizer_config.json"
    link.symlink_to(workplace / "private.txt")
    refused = cqa("export", training.id, "given")
    assert refused.exit_code == 3
    assert "tokenizer_config.json is a link" in " ".join(refused.stderr.split())
    link.unlink()
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    refused = cqa("export", training.id, "given")
    assert refused.exit_code == 3
    assert "no adapter_model.safetensors" in " ".join(refused.stderr.split())
    folder.rename(workplace / "elsewhere")
    folder.symlink_to(workplace / "elsewhere")
    assert cqa("export", training.id, "given").exit_code == 3
    assert not (workplace / "given").exists()


@pytest.mark.parametrize(
    "text",
    [
        'good", trust_remote_code=True); import os; os.system("id"); ("',
        "good'); import os; os.system('id'); ('",
        "org/m@x'\"\n```\n# Heading\n<img src=x onerror=alert(1)>\n[free](http://example.org)",
        "a\u2028---\n# b | c",
    ],
)
def test_nothing_of_a_record_is_code_or_markup_in_the_card(training, text):
    from markdown_it import MarkdownIt

    def seen(record, results):
        _, head, page = card(record, results, "better").split("---\n", 2)
        tokens = MarkdownIt("js-default", {"html": True}).parse(page)
        return yaml.safe_load(head), tokens

    result = Result("literary", "gain", 0.0, 1.0, 1.0, 0.5, 1.5, 0.95, 3, 3)
    good = seen(training.record, [result])[1]
    hostile = training.record | {
        "config": training.record["config"] | {"model": text, text: text},
        "data": {"licences": [text], "sources": [text, text]},
        "headline": {"rows": text},
        "spent": {text: text},
        "settings_from": {"model": text, text: text},
        "inputs": {"model": text},
    }
    head, tokens = seen(hostile, [dataclasses.replace(result, group=text)])
    assert head["base_model"] == " ".join(text.splitlines())
    kinds = [token.type for token in tokens]
    recipe = len(training.record["config"]) + 1
    rows = [token for token in tokens if token.type == "tr_open"]
    assert len(rows) == 2 + (1 + recipe + 2) + 2 + 2  # results, recipe, bill, side effects
    assert [k for k in kinds if k[:2] not in ("tr", "td", "in")] == [
        token.type for token in good if token.type[:2] not in ("tr", "td", "in")
    ]
    inner = {part.type for token in tokens for part in token.children or ()}
    assert inner <= {"text", "text_special", "softbreak", "code_inline"}, inner
    (code,) = [token.content for token in tokens if token.type == "fence"]
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    assert [node.func.attr for node in calls] == ["from_pretrained"] * 3
    assert {word.arg for node in calls for word in node.keywords} <= {"dtype", "revision"}


def test_of_the_reports_of_a_training_the_comparison_is_taken_or_refused(training, cqa):
    with runs.execute(Spec("score", "x", {}, parents=[training.id])) as scored:
        pass
    made = []
    compared = {"sentence": "It improved.", "verdict": "improved"}
    for label, headline in (("compared", compared), ("ratings", {"judge": "j"})):
        with runs.execute(Spec("report", label, {"of": label}, parents=[scored.id])) as run:
            run.tell(headline=headline)
        made.append(run)
    assert export.report_of(training).id == made[0].id  # ratings are no comparison
    head = "model,group,quantity,base,tuned,change,low,high,items,works\n"
    for row, said in (("x,g,gain_bits_per_token,0,1,one,,,3,3\n", 3), ("", 0)):
        made[0].file("results.csv").write_text(head + row)
        assert cqa("export", training.id, "given").exit_code == said, row
