"""What SECURITY.md promises: what strangers' data, models and experiments cannot do here."""

from __future__ import annotations

import ast
import csv
import importlib.util
import io
import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import vulnerabilities
from conftest import REPOSITORY, annotation, items, write_rows
from rich.console import Console
from test_sft import job

from cqa import lm, model_ref, progress, show, untrusted
from cqa.audit.reading import iter_sentences
from cqa.config import Experiment, TrainConfig
from cqa.errors import DataRefused
from cqa.files import no_formula, read_rows, write_csv
from cqa.paths import EMBEDDED_MODEL
from cqa.show import plain
from cqa.types import Annotation, Text


class Trap:
    """Whoever unpickles it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture
def mark(workplace) -> Path:
    """A file that is there only if somebody's code ran."""
    return workplace / "mark"


@pytest.fixture
def folder(workplace, tiny_model) -> Path:
    """A copy of a good model."""
    return Path(shutil.copytree(tiny_model, workplace / "model"))


@pytest.fixture
def adapter(workplace) -> Path:
    """An adapter of no weights but a good configuration."""
    made = workplace / "adapter"
    made.mkdir()
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
    (made / "adapter_config.json").write_text(json.dumps(config | {"task_type": "CAUSAL_LM"}))
    return made


@pytest.fixture
def tuned(workplace, folder) -> Path:
    """A good LoRA of that model."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    wanted = LoraConfig(
        r=2, init_lora_weights=False, target_modules=["q_proj"], task_type="CAUSAL_LM"
    )
    bare = AutoModelForCausalLM.from_pretrained(folder)
    get_peft_model(bare, wanted).save_pretrained(workplace / "tuned")
    return workplace / "tuned"


def loaded(folder: Path, adapter: Path | None = None) -> lm.LanguageModel:
    subject = model_ref.subject(model_ref.find(str(folder)), adapter)
    return lm.load(subject.model, adapter=subject.adapter, device="cpu")


def change(path: Path, **values) -> None:
    """Other values in a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values))


# --- no pickle -------------------------------------------------------------------------------


PICKLES = (
    "pytorch_model.bin",
    "optimizer.pt",
    "scheduler.pt",
    "training_args.bin",
    "rng_state.pth",
)


def test_the_trap_works(mark):
    pickle.loads(pickle.dumps(Trap(mark)))
    assert mark.exists()


def test_pickles_beside_good_weights_are_not_opened(folder, mark):
    for name in PICKLES:
        (folder / name).write_bytes(pickle.dumps(Trap(mark)))
    assert loaded(folder).tokenizer.encode("a")
    assert not mark.exists()


def test_a_model_that_is_a_pickle_is_refused(folder, mark):
    (folder / "model.safetensors").unlink()
    for name in PICKLES:
        (folder / name).write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(DataRefused, match="pickles are not loaded"):
        loaded(folder)
    assert not mark.exists()


@pytest.mark.parametrize(
    "shard", ["evil.bin", "../evil.safetensors", "/tmp/evil.safetensors", "a\\b.safetensors"]
)
def test_an_index_that_names_a_pickle_or_a_file_elsewhere_is_refused(folder, mark, shard):
    (folder / "evil.bin").write_bytes(pickle.dumps(Trap(mark)))
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    index = {"metadata": {}, "weight_map": {"model.norm.weight": shard}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(DataRefused, match="it names"):
        loaded(folder)
    assert not mark.exists()


def test_an_adapter_that_is_a_pickle_is_refused(folder, adapter, mark):
    (adapter / "adapter_model.bin").write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(DataRefused, match="pickles are not loaded"):
        loaded(folder, adapter)
    assert not mark.exists()


def test_a_checkpoint_that_is_a_pickle_is_not_opened(workplace, tiny_model, mark):
    import torch

    from cqa.training import sft

    rows = [Annotation(**annotation(number)) for number in range(2)]
    config = TrainConfig(epochs=2, batch_size=4, learning_rate=1e-2)
    begun = workplace / "begun"
    with pytest.raises(KeyboardInterrupt):  # one epoch of one step, and then a kill
        sft.fit(job(tiny_model, rows, begun, config=config, tell=_interrupted_at_step_2))
    for name in PICKLES[1:]:
        resumed = Path(shutil.copytree(begun, workplace / name))
        file = resumed / "checkpoints" / "checkpoint-1" / name
        assert file.exists(), "a training leaves a file of this name"
        torch.save({"state": Trap(mark)}, file)
        torch.load(file, weights_only=False)
        assert mark.exists(), "whoever opens it without care runs what it says"
        mark.unlink()
        again = job(tiny_model, rows, resumed, config=config)
        if name == "training_args.bin":
            assert sft.fit(again).steps == 2  # nobody reads it
        else:
            with pytest.raises(DataRefused) as refused:
                sft.fit(again)
            assert refused.value.what.startswith(f"{name}: a checkpoint holds more than tensors")
            assert "checkpoints" in refused.value.next_step
        assert not mark.exists(), name


def _interrupted_at_step_2(done: int, total: int, note: str) -> None:
    if done == 2:
        raise KeyboardInterrupt


_UNPICKLE = ("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")
_UNPICKLERS = {"torch.load", "torch.jit.load", "torch.hub.load", "numpy.load", "yaml.load"}


def unpickling(source: str) -> set[str]:
    """Names that a source refers to and that unpickle, whatever it calls them."""
    nodes, called = list(ast.walk(ast.parse(source))), {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for one in node.names:
                first = one.name.partition(".")[0]
                called[one.asname or first] = one.name if one.asname else first
        elif isinstance(node, ast.ImportFrom) and not node.level:
            called |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    names = set(called.values())
    for node in nodes:
        if isinstance(node, ast.Name | ast.Attribute):
            first, dot, rest = ast.unparse(node).partition(".")
            names.add(called.get(first, first) + dot + rest)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ("import_module", "__import__")
        ):
            names |= {ast.literal_eval(a) for a in node.args if isinstance(a, ast.Constant)}
    return {
        name
        for name in names
        if (name in _UNPICKLERS or name.endswith(".read_pickle") or name.split(".")[0] in _UNPICKLE)
        if name != "pickle.UnpicklingError"
    }


def test_no_source_of_ours_unpickles():
    for path in (REPOSITORY / "cqa").rglob("*.py"):
        assert not unpickling(path.read_text("utf-8")), path


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.load(f)",
        "from torch import load\nload(f)",
        "from torch import load as read\nread(f)",
        "import torch as t\nt.load(f)",
        "def f():\n    import torch.nn\n    torch.load(f)",
        "import torch\nopen_it = torch.load",
        "import numpy\nnumpy.load(f, allow_pickle=True)",
        "import numpy as anything\nanything.load(f)",
        "import pandas as pd\npd.read_pickle(f)",
        "from pandas import read_pickle",
        "from joblib import load",
        "import dill as json",
        "import shelve\nshelve.open(f)",
        "import marshal",
        "import importlib\nimportlib.import_module('pickle')",
        "from yaml import load",
    ],
)
def test_a_source_that_unpickles_is_seen(source):
    assert unpickling(source)


def test_a_source_that_does_not_unpickle_is_none():
    harmless = "import json, torch, yaml\nfrom pickle import UnpicklingError\njson.load(f)\n"
    assert not unpickling(harmless + "torch.loads\nyaml.safe_load(f)\nself.load(f)\nload(f)")


@pytest.mark.parametrize("name", ["evil.bin", "sub/y.safetensors", "adapter_model.bin"])
@pytest.mark.parametrize("within", [False, True])
def test_weights_under_another_name_are_refused(folder, mark, name, within):
    (folder / "sub").mkdir()
    shutil.copy(folder / "model.safetensors", folder / "sub/y.safetensors")
    for pickled in ("evil.bin", "adapter_model.bin"):
        (folder / pickled).write_bytes(pickle.dumps(Trap(mark), protocol=2))
    (folder / "adapter_model.bin").unlink(missing_ok=name != "adapter_model.bin")
    more = {"transformers_weights": name}
    change(folder / "config.json", **({"text_config": more} if within else more))
    with pytest.raises(DataRefused, match=r"transformers_weights names|is of an adapter"):
        loaded(folder)
    assert not mark.exists()


# --- no code ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["qwen2", "a-kind-of-its-own"])
def test_code_in_a_model_folder_is_never_run(folder, mark, kind):
    (folder / "modeling_evil.py").write_text(
        f"from pathlib import Path\nPath({str(mark)!r}).touch()\n"
    )
    auto = {f"Auto{what}": f"modeling_evil.{what}" for what in ("Config", "ModelForCausalLM")}
    change(folder / "config.json", auto_map=auto, model_type=kind)
    auto = {"AutoTokenizer": ["modeling_evil.Slow", "modeling_evil.Fast"]}
    change(folder / "tokenizer_config.json", auto_map=auto)
    if kind == "qwen2":
        loaded(folder)  # our libraries know this kind without its code
    else:
        with pytest.raises(DataRefused, match="cannot be loaded"):
            loaded(folder)
    assert not mark.exists()


@pytest.mark.parametrize(
    "name", ["attn_implementation", "_attn_implementation", "experts_implementation"]
)
def test_a_kernel_from_the_hub_is_refused(folder, name):
    change(folder / "config.json", **{name: "somebody/kernel"})
    with pytest.raises(DataRefused, match="code of somebody"):
        loaded(folder)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"megatron_config": {"a": 1}, "megatron_core": "evil"},
            "asks for a module to be imported",
        ),
        ({"peft_type": "XLORA"}, "'XLORA', which is not loaded here"),
        ({"peft_type": "PROMPT_TUNING"}, "tokens of its own"),
    ],
)
def test_an_adapter_that_imports_or_reads_more_is_refused(folder, adapter, more, said):
    change(adapter / "adapter_config.json", **more)
    with pytest.raises(DataRefused, match=said):
        loaded(folder, adapter)


def test_a_chat_template_is_never_rendered(folder, monkeypatch):
    from transformers import PreTrainedTokenizerBase

    def rendered(*_, **__):
        raise AssertionError("a template was rendered")

    monkeypatch.setattr(PreTrainedTokenizerBase, "apply_chat_template", rendered)
    bomb = "{% for a in range(999999999) %}{{ self.__init__.__globals__ }}{% endfor %}"
    change(folder / "tokenizer_config.json", chat_template=bomb)
    (folder / "chat_template.jinja").write_text(bomb)
    ours = loaded(folder)
    assert ours.tokenizer.encode("{{ 7 * 7 }}") == loaded(folder).tokenizer.encode("{{ 7 * 7 }}")
    used = [p for p in (REPOSITORY / "cqa").rglob("*.py") if "apply_chat_template" in p.read_text()]
    assert not used


def test_no_shell_is_ever_asked():
    for path in (REPOSITORY / "cqa").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("os.system", "os.popen", "eval", "exec", "compile"), path
                assert all(word.arg != "shell" for word in node.keywords), path
                if called.startswith("subprocess.") or called == "Popen":
                    assert not isinstance(node.args[0], ast.Constant | ast.JoinedStr), path


@pytest.mark.skipif(
    not importlib.util.find_spec("submitit"), reason="cqa[cluster] is not installed"
)
def test_a_file_name_is_one_word_of_the_command_that_sky_is_given():
    from cqa.cluster import sky

    name = 'a"; touch mark; $(touch mark) `touch mark`.toml'
    written = sky.task(Path(name), "n", [], 1)
    import shlex

    import yaml

    run = yaml.safe_load(written)["run"].split("||")[0]
    assert name in shlex.split(run)


# --- no word to the terminal -----------------------------------------------------------------


HOSTILE_TEXT = "a\x1b[2J\x1b]0;owned\x07b\x9b31mc\x7f\r\ud800"
SEEN = "a␛[2J␛]0;owned␇b\N{REPLACEMENT CHARACTER}31mc␡␍\\ud800"


def test_lines_tables_and_objects_hold_nothing_that_a_terminal_obeys(capsys):
    show.print_line(HOSTILE_TEXT)
    assert capsys.readouterr().out == f"{SEEN}\n"
    show.print_line(HOSTILE_TEXT, style="bold")
    assert capsys.readouterr().out == f"{SEEN}\n"
    plain.print_table([HOSTILE_TEXT], [HOSTILE_TEXT], [[HOSTILE_TEXT] * 2], title=HOSTILE_TEXT)
    title, *rows = capsys.readouterr().out.splitlines()
    assert title.strip() == SEEN
    assert [row.split() for row in rows] == [[SEEN, SEEN]] * 2
    show.as_json_object({HOSTILE_TEXT: HOSTILE_TEXT})
    told = capsys.readouterr().out
    assert not set(told) & set("\x1b\x07\x9b\x7f\r")
    assert json.loads(told) == {HOSTILE_TEXT: HOSTILE_TEXT}


def test_a_bar_holds_nothing_that_a_terminal_obeys(monkeypatch):
    into = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=into, force_terminal=True, width=200))
    with progress.progress(HOSTILE_TEXT) as tell:
        tell(1, 2, HOSTILE_TEXT)
    assert into.getvalue().count(SEEN) >= 2
    assert "\x07" not in into.getvalue()


def test_all_that_is_printed_goes_through_it():
    printers = {
        path.relative_to(REPOSITORY / "cqa").as_posix()
        for path in (REPOSITORY / "cqa").rglob("*.py")
        if re.search(
            r"\b(print|echo|Console|stdout\.write|stderr\.write)\(", path.read_text("utf-8")
        )
    }
    # cli/run.py: the YAML of a SkyPilot task, which has its own escapes
    assert printers == {"show/plain.py", "progress.py", "cli/app.py", "cli/run.py"}


# --- no path ---------------------------------------------------------------------------------


HOSTILE = ("../../evil", "a/../../../evil", "/tmp/evil", "..\\evil", "C:\\evil", "a/b", "~/evil")


def test_ids_and_names_make_no_paths(cqa, workplace, tiny_model):
    rows = items()[:4]
    for number, (row, name) in enumerate(zip(rows, HOSTILE, strict=False)):
        row["work"] = name
        row["id"] = f"i{number}/../../../{number}"
    write_rows(workplace / "deep/er/items.jsonl", rows)
    texts = [{"id": name, "text": "So it goes.", "source": name, "item": name} for name in HOSTILE]
    write_rows(workplace / "deep/er/outputs.jsonl", texts)
    before = set(workplace.rglob("*"))
    assert cqa("ingest", "deep/er/items.jsonl").exit_code == 0
    scored = cqa("score", "deep/er/outputs.jsonl", "--judge", str(tiny_model), "--out", "o.csv")
    assert scored.exit_code == 0, scored.output
    made = set(workplace.rglob("*")) - before
    assert {path.relative_to(workplace).parts[0] for path in made} == {"runs", "o.csv"}
    assert not any("evil" in path.name for path in made)


@pytest.mark.parametrize("name", ["a/../../../evil", "..", "/evil", "a\\evil"])
def test_an_arm_and_an_experiment_name_make_no_paths(name, workplace):
    from cqa.reporting.outputs import _file_name
    from cqa.runs import Spec, directory
    from cqa.study import lock

    for path in (
        lock.path_of(name, None, workplace / "runs"),
        directory(Spec("train", name, {}), workplace / "runs"),
        workplace / "runs" / f"results_{_file_name(name)}.json",
    ):
        assert (workplace / "runs").resolve() in path.resolve().parents


def test_a_run_whose_parents_are_paths_is_refused(cqa, workplace):
    from cqa import runs
    from cqa.runs import Spec

    with runs.execute(Spec("score", "x", {}, inputs={"data": "d"})) as run:
        pass
    change(run.file("run.json"), parents=["../../etc"])
    refused = cqa("report", run.id, run.id)
    assert refused.exit_code == 3, refused.output
    assert "no record of a run (parents)" in refused.stderr


# --- no formula ------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_what_a_spreadsheet_would_run_becomes_text(first):
    assert no_formula(f"{first}1+1") == f"'{first}1+1"
    assert no_formula(-1.5) == -1.5
    assert no_formula("a=1") == "a=1"


def test_every_csv_that_is_written_goes_through_it(workplace):
    import pandas as pd

    write_csv(workplace / "t.csv", pd.DataFrame({"a": ["=1", "b"], "n": [-1.0, 2.0]}))
    assert [row["a"] for row in csv.DictReader((workplace / "t.csv").open())] == ["'=1", "b"]
    writers = {
        path.relative_to(REPOSITORY / "cqa").as_posix(): path.read_text("utf-8")
        for path in (REPOSITORY / "cqa").rglob("*.py")
        if re.search(r"csv\.(Dict)?[wW]riter|\.to_csv", path.read_text("utf-8"))
    }
    assert set(writers) == {"files/writing.py", "columns.py", "validity/stage.py"}
    assert all("no_formula" in source for source in writers.values())


def test_scores_of_hostile_texts_are_a_table_without_formulas(cqa, workplace, tiny_model):
    judge = Path(shutil.copytree(tiny_model, workplace / "=judge"))
    formula = '=HYPERLINK("http://example.org")'
    rows = [
        {"id": formula, "text": "So it goes.", "source": "@a\x1b[2J", "work": "+b", "item": "-c"}
    ]
    write_rows(workplace / "o.jsonl", rows)
    told = cqa("score", "o.jsonl", "--judge", str(judge), "--out", "o.csv")
    assert told.exit_code == 0, told.output
    (row,) = csv.DictReader((workplace / "o.csv").open(encoding="utf-8", newline=""))
    assert [row[name] for name in ("id", "source", "work", "item")] == [
        f"'{formula}", "'@a\x1b[2J", "'+b", "'-c",
    ]  # fmt: skip
    assert "@a␛[2J" in told.stdout


# --- nothing made up ---------------------------------------------------------------------------


def weights(file: Path, change_them) -> None:
    """Change the weights of a safetensors file."""
    from safetensors.torch import load_file, save_file

    known = load_file(file)
    change_them(known)
    save_file(known, file, metadata={"format": "pt"})


def test_weights_that_are_not_there_are_not_made_up(folder):
    gone = "model.layers.0.mlp.down_proj.weight"
    weights(folder / "model.safetensors", lambda known: known.pop(gone))
    with pytest.raises(DataRefused, match=re.escape(gone)):
        loaded(folder)


LORA_A = "base_model.model.model.layers.{}.self_attn.q_proj.lora_A.weight"


@pytest.mark.filterwarnings("ignore::UserWarning")  # of PEFT, which goes on
def test_weights_of_an_adapter_that_are_not_there_are_not_made_up(folder, tuned):
    assert loaded(folder, tuned)
    file = tuned / "adapter_model.safetensors"
    whole = file.read_bytes()
    weights(file, lambda known: known.pop(LORA_A.format(1)))
    with pytest.raises(DataRefused, match=r"1 of its weights are not in its file.*layers\.1"):
        loaded(folder, tuned)
    file.write_bytes(whole)
    weights(file, lambda known: known.update({LORA_A.format(2): known[LORA_A.format(1)].clone()}))
    with pytest.raises(DataRefused, match=r"1 of the weights in its file have no place.*layers\.2"):
        loaded(folder, tuned)
    file.write_bytes(whole)
    change(tuned / "adapter_config.json", peft_type="LOHA", alpha=2)
    with pytest.raises(DataRefused, match="of its weights are not in its file"):
        loaded(folder, tuned)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_adapter_inside_a_model_is_not_put_on(folder, tuned, name):
    shutil.copy(tuned / name, folder / name)
    with pytest.raises(DataRefused, match=f"{name} is of an adapter") as told:
        loaded(folder)
    assert "--adapter" in told.value.next_step


@pytest.mark.parametrize("left", [None, "vocab.txt"])
def test_a_tokenizer_that_is_not_there_is_not_made_up(folder, left):
    (folder / "tokenizer.json").unlink()
    if left:
        (folder / left).write_text("x")
    with pytest.raises(DataRefused, match="tokens of 'It was late" if left else "no tokenizer"):
        loaded(folder)


def test_a_tokenizer_of_words_and_merges_is_one(folder):
    before = loaded(folder).tokenizer.encode("So it goes.")
    made = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(made["vocab"]))
    merges = "\n".join(" ".join(pair) for pair in made["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", "utf-8")
    change(folder / "tokenizer_config.json", tokenizer_class="Qwen2Tokenizer")
    assert loaded(folder).tokenizer.encode("So it goes.") == before


# --- nothing that loads and then breaks --------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"bos_token_id": -3}, "start of a page has the id -3, and the model has 375"),
        ({"bos_token_id": 10**6}, "start of a page has the id 1000000"),
        ({"max_position_embeddings": -5}, "max_position_embeddings is -5; expected"),
        ({"max_position_embeddings": 15}, "at least 16"),
        ({"layer_types": ["sliding_attention"] * 2, "sliding_window": None}, "cannot be computed"),
    ],
)
def test_a_configuration_that_would_break_later_is_refused(folder, more, said):
    change(folder / "config.json", **more)
    with pytest.raises(DataRefused, match=said):
        loaded(folder)


def test_the_tokenizer_of_another_model_is_refused(folder):
    shutil.copy(EMBEDDED_MODEL / "tokenizer.json", folder)
    with pytest.raises(DataRefused, match="last token has the id 8191, and the model has 375"):
        loaded(folder)


def test_a_tokenizer_that_ends_no_text_is_refused(folder):
    change(folder / "tokenizer_config.json", eos_token=None, bos_token="<|endoftext|>")
    with pytest.raises(DataRefused, match="no EOS token"):
        loaded(folder)


@pytest.mark.parametrize("place", ["model.layers.1.self_attn.q_proj.weight", "table", "adapter"])
def test_weights_that_are_no_numbers_are_refused(folder, tuned, place):
    def spoil(known):
        known[LORA_A.format(0) if place == "adapter" else place][-1, 0] = float("nan")

    if place == "table":  # the row of one token alone, with a head of its own
        place = "model.embed_tokens.weight"
        change(folder / "config.json", tie_word_embeddings=False)
        weights(
            folder / "model.safetensors",
            lambda known: known.update({"lm_head.weight": known[place].clone()}),
        )
    at_adapter = place == "adapter"
    file = tuned / "adapter_model.safetensors" if at_adapter else folder / "model.safetensors"
    assert loaded(folder, tuned if at_adapter else None)
    weights(file, spoil)
    said = "adapter .*not finite" if at_adapter else "model .*not finite"
    with pytest.raises(DataRefused, match=said):
        loaded(folder, tuned if at_adapter else None)


# --- no bomb ---------------------------------------------------------------------------------


def header(folder: Path, told: dict, size: int = 0, length: int | None = None) -> None:
    text = json.dumps(told).encode()
    content = struct.pack("<Q", len(text) if length is None else length) + text + b"\0" * size
    (folder / "model.safetensors").write_bytes(content)


def test_a_header_of_gigabytes_is_not_read(folder):
    header(folder, {}, length=8_000_000_000)
    with pytest.raises(DataRefused, match="cut off"):
        model_ref.find(str(folder))
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(9_000_000_000)  # a file of holes, as large as it says
    with pytest.raises(DataRefused, match="a header of 8000 MB"):
        model_ref.find(str(folder))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"num_hidden_layers": 10**9}, "layers"),
        ({"vocab_size": 10**12}, "vocabulary"),
        ({"intermediate_size": 10**10}, "inner"),
        ({"hidden_size": 2**70}, "hidden_size"),
        ({"num_attention_heads": 10**8, "head_dim": 10**4}, "heads"),
        ({"hidden_size": -1}, "above 0"),
        ({"text_config": {"vocab_size": 10**12, "hidden_size": 32}}, "vocabulary"),
        ({"intermediate_size": [64, 10**10]}, "inner"),
        ({"vocab_size": "many"}, "above 0"),
    ],
)
def test_a_model_is_no_larger_than_its_weights(folder, more, said):
    change(folder / "config.json", **more)
    with pytest.raises(DataRefused, match=said):
        model_ref.find(str(folder))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"r": 10**9}, "r is 1000000000, and the largest in its weights is 2"),
        ({"rank_pattern": {"q_proj": 3}}, "q_proj is 3, and the largest in its weights is 2"),
        ({"peft_type": "LOHA", "r": 33}, "r is 33, and nothing in its weights is longer than 32"),
        ({"peft_type": "VERA", "r": 4_000_000}, "r is 4000000"),
        ({"peft_type": "LOKR", "rank_pattern": {"alpha": 33}}, "alpha is 33"),
        ({"loftq_config": {"loftq_iter": 33}}, "loftq_iter is 33"),
        ({"layer_replication": [[0, 2]] * 3000}, "layer_replication"),
    ],
)
def test_an_adapter_is_no_larger_than_its_weights(folder, tuned, more, said):
    change(tuned / "adapter_config.json", **more)
    with pytest.raises(DataRefused, match=said):
        model_ref.subject(model_ref.find(str(folder)), tuned)


def test_numbers_that_make_an_adapter_no_larger_are_left(folder, tuned):
    more = {"lora_alpha": 64, "alpha_pattern": {"q_proj": 640}}
    change(tuned / "adapter_config.json", **more)
    assert loaded(folder, tuned)


@pytest.mark.parametrize(
    "more",
    [
        {"num_labels": 1001},
        {"id2label": dict.fromkeys(map(str, range(1001)), "a")},
        {"text_config": {"num_labels": 500_000}},
    ],
)
def test_a_configuration_of_endless_labels_is_refused(folder, more):
    change(folder / "config.json", **more)
    with pytest.raises(DataRefused, match="labels; at most 1000"):
        model_ref.find(str(folder))


def bomb(rows: int, text: str) -> bytes:
    """One text many times: a dictionary of one word, and a row is less than a bit."""
    into = io.BytesIO()
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))
    pq.write_table(pa.table({"text": column}), into, compression="zstd", store_schema=False)
    return into.getvalue()


def test_a_small_file_of_very_many_rows_is_refused(workplace):
    path = workplace / "bomb.parquet"
    path.write_bytes(bomb(3_000_000, "one"))
    assert path.stat().st_size < 10_000
    with pytest.raises(DataRefused, match="bytes for 3,000,000 rows"):
        list(iter_sentences(path))


LIMITED = """
import resource, sys
from pathlib import Path
import pyarrow.parquet
from cqa.audit.reading import _rows
from cqa.files import iter_rows
from cqa.types import Annotation, Text
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name in sys.argv[1:]:
    path = Path(name)
    for _ in iter_rows(path, Text) if path.suffix == ".jsonl" else _rows(path):
        pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_bombs_do_not_eat_the_memory(workplace):
    # 400 rows that share one text of 2 MB are 800 MB where each is a text of its own
    (workplace / "bomb.parquet").write_bytes(bomb(400, "a" * 2_000_000))
    (workplace / "deep.jsonl").write_bytes(b'{"text": ' + b"[" * 1_000_000 + b"\n")
    (workplace / "long.jsonl").write_bytes(b"x" * 60_000_000)
    names = ("bomb.parquet", "deep.jsonl", "long.jsonl")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *names],
        capture_output=True, text=True, check=True, cwd=workplace,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert int(done.stdout) < 300, "megabytes"


def test_a_line_of_many_faults_is_told_in_one(workplace):
    path = workplace / "faults.jsonl"
    path.write_text(
        json.dumps({"text": "a", "id": 1, "brief": dict.fromkeys(map(str, range(9000)))})
    )
    with pytest.raises(DataRefused, match=r"900\d faults in one row"):
        read_rows(path, Text)


def test_an_experiment_of_a_million_seeds_is_refused():
    with pytest.raises(ValueError, match="at most 10000 scorings"):
        Experiment.model_validate(
            {
                "name": "n", "question": "q", "arms": [{"name": "a"}],
                "seeds": list(range(1_000_000)),
                "analysis": {"arm": "a", "margin": 0.1},
            }
        )  # fmt: skip


def test_a_header_that_is_no_header_is_refused(workplace):
    file = workplace / "model.safetensors"
    file.write_bytes(b"\x05\0\0\0\0\0\0\0" + b"[[[[[")
    with pytest.raises(DataRefused, match="no safetensors file"):
        untrusted.header(file)


# --- what make check says ---------------------------------------------------------------------


def audited(*packages: dict) -> str:
    return json.dumps({"dependencies": [{"name": "p", "version": "1", **one} for one in packages]})


def test_an_audit_that_nobody_answered_is_called_not_done(monkeypatch):
    for output in ("", "{}", audited({"skip_reason": "not found"})):
        code, said = vulnerabilities.told(output)
        assert (code, said[:20]) == (0, "pip-audit: NOT DONE.")
    monkeypatch.setenv("AUDIT", "required")
    assert vulnerabilities.told("")[0] == 1


def test_a_known_vulnerability_fails_the_check():
    hole = {"id": "CVE-1", "fix_versions": ["2"]}
    code, said = vulnerabilities.told(audited({"vulns": [hole]}, {"skip_reason": "local"}))
    assert code == 1
    assert "p 1: CVE-1" in said
    assert "1 packages looked up, 1 vulnerabilities" in said
    assert "not looked up: p" in said
    assert vulnerabilities.told(audited({"vulns": []}))[0] == 0


# --- the page that promises this -------------------------------------------------------------


def test_every_test_that_security_md_names_is_there():
    page = (REPOSITORY / "SECURITY.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page)
    assert len(named) > 20
    for file, test in named:
        source = (REPOSITORY / file).read_text("utf-8")
        assert not test or f"def {test}(" in source, (file, test)


def test_a_link_in_a_batch_leads_nowhere(cqa, workplace, batch):
    private = workplace / "private.jsonl"
    private.write_text('{"diary": "nobody is to read this"}\n', "utf-8")
    kept = (batch / "annotations.jsonl").rename(workplace / "kept.jsonl")
    (batch / "annotations.jsonl").symlink_to(private)
    for words in (["--drop"], []):
        refused = cqa("ingest", "batch", *words)
        assert refused.exit_code == 3, refused.output
        assert "a link to a file outside the folder" in refused.stderr
    written = [file for file in workplace.glob("runs/**/*") if file.is_file()]
    assert not any(b"nobody is to read" in file.read_bytes() for file in written)
    # A link within the folder, to the folder and one named on the command line are the user's own.
    kept.rename(batch / "mine.jsonl")
    (batch / "annotations.jsonl").unlink()
    (batch / "annotations.jsonl").symlink_to("mine.jsonl")
    (workplace / "linked").symlink_to(batch)
    assert cqa("ingest", "linked").exit_code == 0
    (workplace / "annotations.jsonl").symlink_to(batch / "mine.jsonl")
    assert cqa("ingest", "annotations.jsonl", "batch/dialogues.jsonl").exit_code == 0
