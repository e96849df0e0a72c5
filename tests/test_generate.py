"""Texts: the same in any company, with the same seeds for every model, delivered with care."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import items, read_rows, write_rows

WORDS = ("--max-new-tokens", "12")


@pytest.fixture(scope="session")
def lm(tiny_model):
    """The tiny model, ready to write."""
    from cqa import lm, model_ref

    return lm.load(model_ref.find(str(tiny_model)))


@pytest.fixture(scope="session")
def tiny_adapter(tiny_model, tmp_path_factory) -> Path:
    """A LoRA on the tiny model whose matrices are random, so that it changes what is written."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen2ForCausalLM

    torch.manual_seed(1)
    config = LoraConfig(
        r=2, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"
    )
    tuned = get_peft_model(Qwen2ForCausalLM.from_pretrained(tiny_model), config)
    folder = tmp_path_factory.mktemp("adapters") / "tuned"
    tuned.save_pretrained(folder)
    return folder


@pytest.fixture
def generate(cqa, tiny_model, benchmark):
    """`cqa generate` with the tiny model for twelve items: gives the rows of its output file."""

    def run(*words: str, items: str = "items.jsonl", code: int = 0) -> list[dict]:
        result = cqa("generate", items, *words, "--model", str(tiny_model), *WORDS)
        assert result.exit_code == code, result.output
        return read_rows(Path("outputs.jsonl"))

    return run


@pytest.fixture
def prompts(lm):
    """Prompts of very different lengths, each with its seed."""
    from cqa.sampling import Prompt, seed_of

    return [
        Prompt((lm.tokenizer.start_id, *lm.tokenizer.encode("kettle " * n)), seed_of(0, str(n), 0))
        for n in (1, 40, 3, 17, 2, 8, 30)
    ]


def write(lm, prompts, **more):
    from cqa import sampling

    settings = {"max_new_tokens": 16, "temperature": 1.0, "min_p": 0.1} | more
    return sampling.write(lm, prompts, **settings)


def texts(rows: list[dict]) -> dict[str, str]:
    return {row["id"]: row["text"] for row in rows}


def test_a_text_is_the_same_alone_and_in_any_batch(lm, prompts):
    alone = [write(lm, [prompt])[0] for prompt in prompts]
    assert len({one.text for one in alone}) == len(prompts)
    assert write(lm, prompts) == alone
    assert write(lm, prompts[::-1])[::-1] == alone
    assert write(lm, prompts[:2]) + write(lm, prompts[2:]) == alone


def test_another_seed_writes_another_text_and_the_same_seed_the_same(lm, prompts):
    from cqa.sampling import Prompt

    ids = prompts[0].ids
    one, again, other = write(lm, [Prompt(ids, 1), Prompt(ids, 1), Prompt(ids, 2)])
    assert one == again
    assert one.text != other.text


def test_settings_of_the_draw_change_the_text(lm, prompts):
    usual = write(lm, prompts)
    assert write(lm, prompts, temperature=3.0) != usual
    assert write(lm, prompts, min_p=0.0) != usual
    # with min_p near 1 only the likeliest token is left: no seed changes anything
    from cqa.sampling import Prompt

    greedy = write(lm, [Prompt(prompts[1].ids, seed) for seed in range(3)], min_p=0.999999)
    assert len({one.text for one in greedy}) == 1


def test_the_seed_of_a_text_depends_on_run_item_and_sample_and_is_unmistakable():
    from cqa.sampling import seed_of

    cases = [(0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1), (0, "a1", 1), (0, "a", 11)]
    assert len({seed_of(*case) for case in cases}) == len(cases)
    assert all(0 <= seed_of(*case) < 2**63 for case in cases)
    assert seed_of(0, "item-00", 0) == seed_of(0, "item-00", 0)


def test_gumbel_noise_draws_from_the_softmax():
    """Three tokens of probability 0.6, 0.3 and 0.1, drawn 4000 times."""
    import torch

    from cqa.sampling import GumbelNoise

    probabilities = torch.tensor([0.6, 0.3, 0.1])
    logits = probabilities.log().expand(4000, 3)
    drawn = GumbelNoise(range(4000))(torch.zeros(4000, 1), logits).argmax(dim=1)
    shares = torch.bincount(drawn, minlength=3) / 4000
    # four standard errors of a share of 0.6: 4 · √(0.6 · 0.4 / 4000) = 0.031
    assert (shares - probabilities).abs().max() < 0.031


def test_the_end_of_text_ends_it_and_does_not_stand_in_it(tiny_model):
    from cqa.lm import load_tokenizer
    from cqa.model_ref import find
    from cqa.sampling import _continuation

    tokenizer = load_tokenizer(find(str(tiny_model)))
    end = tokenizer.raw.eos_token_id
    ids = tokenizer.encode(" It rained.")
    ended = _continuation([*ids, end, *ids], end, tokenizer.raw)
    assert (ended.text, ended.tokens, ended.ended) == (" It rained.", len(ids), True)
    cut = _continuation(ids, end, tokenizer.raw)
    assert (cut.text, cut.tokens, cut.ended) == (" It rained.", len(ids), False)


def test_a_file_gives_the_same_texts_in_any_order_and_each_item_alone(generate, workplace):
    together = texts(generate())
    assert len(together) == 12
    write_rows(workplace / "turned.jsonl", items()[::-1])
    assert texts(generate(items="turned.jsonl")) == together
    write_rows(workplace / "one.jsonl", items()[5:6])
    alone = texts(generate(items="one.jsonl"))
    assert alone == {"item-05/base/0": together["item-05/base/0"]}


def test_batches_of_any_size_give_the_same_texts(lm, tiny_model, workplace):
    from cqa import generate, model_ref
    from cqa.config import GenerateConfig
    from cqa.types import Item

    rows = [Item.model_validate(row) for row in items()]
    model = model_ref.find(str(tiny_model))
    written = []
    for size in (1, 5, 12):
        config = GenerateConfig(batch_size=size, max_new_tokens=8, samples=2)
        what = generate.spec(config, model, None, rows, seed=3, label="base")
        run = generate.run(what, config, rows, load=lambda: lm, tell=lambda *said: None)
        written.append(texts(read_rows(run.file("texts.jsonl"))))
    assert len(written[0]) == 24
    assert written[0] == written[1] == written[2]


def test_a_writing_that_was_cut_off_goes_on_to_the_same_texts(lm, tiny_model, workplace):
    from cqa import generate, model_ref
    from cqa.config import GenerateConfig
    from cqa.types import Item

    rows = [Item.model_validate(row) for row in items()]
    config = GenerateConfig(batch_size=4, max_new_tokens=8)
    what = generate.spec(config, model_ref.find(str(tiny_model)), None, rows, seed=0, label="base")

    def run(root: str, tell=lambda *said: None):
        return generate.run(what, config, rows, load=lambda: lm, tell=tell, root=workplace / root)

    def stop_at_the_second_batch(done, total, note):
        if done == 8:
            raise KeyboardInterrupt

    whole = run("whole").file("texts.jsonl").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        run("cut", stop_at_the_second_batch)
    part = workplace / "cut" / what.id / "texts.jsonl.part"
    assert part.read_bytes() == b"".join(whole.splitlines(keepends=True)[:8])
    with part.open("ab") as file:  # and the last line was only half on disk
        file.write(b'{"id": "item-08/base/0", "te')
    assert run("cut").file("texts.jsonl").read_bytes() == whole
    assert not part.exists()


def test_base_and_adapter_write_for_the_same_briefs_with_the_same_seeds(generate, tiny_adapter):
    rows = generate("--adapter", str(tiny_adapter), "--samples", "2", "--seed", "5")
    base = [row for row in rows if row["source"] == "base"]
    tuned = [row for row in rows if row["source"] == "tuned"]
    assert len(base) == len(tuned) == 24
    for one, other in zip(base, tuned, strict=True):
        for key in ("item", "sample", "context", "brief", "group", "work"):
            assert one[key] == other[key]
        assert one["meta"]["seed"] == other["meta"]["seed"]
    assert len({row["meta"]["seed"] for row in base}) == 24
    assert len({row["id"] for row in rows}) == 48
    assert len({row["model"] for row in rows}) == 2
    assert [row["text"] for row in base] != [row["text"] for row in tuned]


def test_another_run_seed_writes_other_texts(generate):
    first = texts(generate())
    assert texts(generate("--seed", "1")) != first


def test_a_file_of_somebody_else_is_not_replaced_unless_asked(generate, cqa, workplace):
    out = workplace / "outputs.jsonl"
    out.write_text('{"text": "I wrote this myself."}\n', "utf-8")
    generate(code=3)
    assert out.read_text("utf-8") == '{"text": "I wrote this myself."}\n'
    assert not (workplace / "runs").exists(), "nothing is generated in vain"
    assert len(generate("--overwrite")) == 12


def test_its_own_file_is_replaced_as_long_as_every_row_can_be_had_again(generate, workplace):
    out = workplace / "outputs.jsonl"
    first = generate()
    assert generate() == first
    rows = generate("--seed", "1")
    write_rows(out, rows[3:5])  # fewer rows are still all in their run
    assert len(generate("--seed", "1")) == 12

    write_rows(out, [{**rows[0], "text": rows[0]["text"] + " And then?"}, *rows[1:]])
    changed = out.read_bytes()
    generate("--seed", "1", code=3)
    assert out.read_bytes() == changed, "a text that was edited by hand is somebody's work"

    write_rows(out, rows)
    shutil.rmtree(workplace / "runs")
    generate("--seed", "1", code=3)  # the runs are gone: these texts are the only copy


def test_what_generate_writes_score_reads(generate, cqa, tiny_model, benchmark, tiny_adapter):
    generate("--adapter", str(tiny_adapter))
    result = cqa(
        "score", "outputs.jsonl", "--judge", str(tiny_model), "--pool", "items.jsonl",
        "--mismatched", "2", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    rows = read_rows(Path(record["path"]) / "scores.jsonl")
    assert len(rows) == 24
    # the judge is the base model, and says so where it marks what it wrote itself
    own = {row["source"] for row in rows if "the judge marks its own text" in row["flags"]}
    assert own == {"base"}


def test_a_prompt_that_does_not_fit_the_window_is_refused(cqa, tiny_model, workplace):
    # The tiny model was made for 1024 tokens; what it says beyond them means nothing. Four hundred
    # times three words are at least 1200 tokens.
    row = items()[0] | {"context": "kettle and ladder " * 400}
    write_rows(workplace / "long.jsonl", [items()[1], row])
    result = cqa("generate", "long.jsonl", "--model", str(tiny_model), *WORDS)
    assert result.exit_code == 3, result.output
    assert "item-00" in result.stderr
    assert "1024" in result.stderr
    assert not (workplace / "outputs.jsonl").exists()


def test_an_adapter_called_base_is_not_mistaken_for_the_base(generate, tiny_adapter, workplace):
    shutil.copytree(tiny_adapter, workplace / "base")
    rows = generate("--adapter", "base")
    assert len({row["id"] for row in rows}) == len(rows) == 24
