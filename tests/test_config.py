"""Experiment files and settings: whatever is not understood is refused, all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import REPOSITORY, experiment

from cqa.config import ArmConfig, GenerateConfig, TrainConfig, read_experiment, validated
from cqa.errors import DataRefused

WHOLE = """
name = "small"
question = "Does it hold?"
[[arms]]
name = "annotations"
[analysis]
arm = "annotations"
margin = 0.05
"""


def refused(folder: Path, text: str) -> list[tuple[str, str, str]]:
    """(field, seen, expected) of every problem of an experiment file of this content."""
    path = folder / "small.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(DataRefused) as caught:
        read_experiment(path)
    assert caught.value.next_step
    assert {problem.where for problem in caught.value.problems} == {"small.toml"}
    return [(problem.field, problem.seen, problem.expected) for problem in caught.value.problems]


def test_the_shipped_experiment_is_understood_and_does_not_depend_on_defaults():
    found = read_experiment(REPOSITORY / "experiments" / "reproduce.toml")
    assert found.model == "embedded"
    assert [found.train_config(arm).pairing for arm in found.arms] == ["true", "shuffled"]
    assert found.analysis.arm == found.arms[0].name


@pytest.mark.parametrize("said", ["", "[score]\nmismatched = 2", "[score]\nnoise_floor = false"])
def test_a_study_measures_its_noise_unless_told_not_to(workplace, said):
    path = workplace / "small.toml"
    path.write_text(WHOLE + said, "utf-8")
    assert read_experiment(path).score.noise_floor == ("false" not in said)


def test_what_is_not_said_has_its_default(workplace):
    path = workplace / "small.toml"
    path.write_text(WHOLE, "utf-8")
    found = read_experiment(path)
    assert (found.model, found.judge, found.seeds, found.budget) == (
        "embedded",
        "embedded",
        (0,),
        None,
    )
    assert found.train == TrainConfig()


@pytest.mark.parametrize(
    ("wrong", "field", "meant"),
    [
        ('jugde = "embedded"\n' + WHOLE, "jugde", "judge"),
        (WHOLE + "[train]\nlearing_rate = 1e-3\n", "train.learing_rate", "learning_rate"),
        (WHOLE + "[generate]\nmax_tokens = 8\n", "generate.max_tokens", "max_new_tokens"),
        (WHOLE + "sidednes = 'two-sided'\n", "analysis.sidednes", "sidedness"),
        (WHOLE + "[[arms]]\nname = 'b'\nparing = 'true'\n", "arms[1].paring", "pairing"),
        (WHOLE + "[expected]\nx = { value = 1, tolerence = 1, tolerance = 1 }\n",
         "expected.x.tolerence", "tolerance"),
    ],
)  # fmt: skip
def test_an_unknown_key_is_refused_with_a_suggestion(workplace, wrong, field, meant):
    ((seen_field, _, expected),) = refused(workplace, wrong)
    assert (seen_field, expected) == (field, f"no such key; did you mean {meant!r}?")


def test_all_problems_are_told_at_once(workplace):
    text = WHOLE.replace("margin = 0.05", "margin = -1\nprimary = 'gain'") + (
        "[train]\nmethod = 'lorra'\nepochs = 0\nlearning_rate = nan\nwarmup = 1\n"
        "[score]\nmismatched = 16\n"
    )
    assert [field for field, _, _ in refused(workplace, text)] == [
        "train.method",
        "train.epochs",
        "train.learning_rate",
        "train.warmup",
        "score.mismatched",
        "analysis.primary",
        "analysis.margin",
    ]


def test_missing_sections_are_named(workplace):
    assert [problem[:2] for problem in refused(workplace, 'name = "x"\n')] == [
        ("question", "nothing"),
        ("arms", "nothing"),
        ("analysis", "nothing"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (WHOLE + "[[arms]]\nname = 'annotations'\n", "arms with a name each"),
        (WHOLE.replace("arm = ", "arm = 'other' # "), "analysis.arm to be one of ['annotations']"),
        ("seeds = [0, 1, 0]\n" + WHOLE, "seeds that differ, got [0, 1, 0]"),
        ("budget = '2 parsecs'\n" + WHOLE, "a budget such as 2gpu-hours"),
        ("budget = ''\n" + WHOLE, "a budget such as 2gpu-hours"),
        (WHOLE + "[train]\nbatch_size = 6\n", "batch_size 6 to be a multiple of micro_batch"),
        (WHOLE + "[train]\nmicro_batch_size = 16\n", "batch_size 8 to be a multiple of"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(workplace, text, told):
    ((_, _, expected),) = refused(workplace, text)
    assert told in expected


def test_every_arm_has_to_fit_the_rest_and_each_that_does_not_is_named(workplace):
    arms = (
        "[[arms]]\nname = 'whole'\nmethod = 'full'\n"
        "[[arms]]\nname = 'short'\nepochs = 2\nforms = ['generation']\n"
        "[[arms]]\nname = 'long'\nepochs = 7\n"
    )
    locked = WHOLE.replace("margin", "checkpoint = 'epoch 5'\nmargin")
    text = locked.replace("[analysis]", arms + "[analysis]") + "[train]\ndtype = 'bfloat16'\n"
    assert refused(workplace, text) == [
        (
            "arms[1] (whole)",
            "method = 'full'",
            "dtype 'float32' with method 'full' (bf16 weights lose most small updates), got "
            "'bfloat16'",
        ),
        (
            "arms[2] (short)",
            "forms = ('generation',), epochs = 2",
            "a checkpoint among the epochs (epochs = 2), got 'epoch 5'",
        ),
    ]
    assert refused(workplace, locked + "[train]\nepochs = 4\n") == [
        (
            "arms[0] (annotations)",
            "the settings of [train]",
            "a checkpoint among the epochs (epochs = 4), got 'epoch 5'",
        )
    ]


@pytest.mark.parametrize("seed", ["-1", "4294967296", "1.5"])
def test_a_seed_that_some_generator_cannot_take_is_refused(workplace, seed):
    # numpy takes 0 to 2^32 − 1 = 4294967295; what it refuses must not be found out in training
    ((field, _, _),) = refused(workplace, f"seeds = [{seed}]\n" + WHOLE)
    assert field == "seeds[0]"


@pytest.mark.parametrize("section", ["[train]\nforms = []\n", "[[arms]]\nname = 'b'\nforms = []\n"])
def test_no_form_at_all_is_refused_not_ignored(workplace, section):
    ((field, seen, _),) = refused(workplace, WHOLE + section)
    assert field in ("train.forms", "arms[1].forms")
    assert seen == "[]"


@pytest.mark.parametrize("content", [b"name = ", b"\xff", b"name = 'a'\nname = 'b'\n"])
def test_a_file_that_is_not_toml_is_refused(workplace, content):
    (workplace / "small.toml").write_bytes(content)
    with pytest.raises(DataRefused, match="expected a TOML file"):
        read_experiment(workplace / "small.toml")


def test_a_missing_file_and_a_folder_are_refused_by_name(workplace):
    with pytest.raises(DataRefused, match=r"nowhere\.toml: no such experiment file"):
        read_experiment(workplace / "nowhere.toml")
    with pytest.raises(DataRefused, match="expected a TOML file"):
        read_experiment(workplace)


def test_the_file_of_the_other_tests_is_understood(workplace, tmp_path):
    found = read_experiment(experiment(workplace, tmp_path))
    assert [arm.name for arm in found.arms] == ["annotations", "shuffled"]


def test_an_arm_changes_what_it_says_and_nothing_else(workplace):
    path = workplace / "small.toml"
    path.write_text(WHOLE + "[train]\nepochs = 3\nforms = ['generation']\n", "utf-8")
    found = read_experiment(path)
    plain = found.train_config(ArmConfig(name="a"))
    assert plain == found.train
    other = found.train_config(ArmConfig(name="b", pairing="shuffled", forms=("appreciation",)))
    assert (other.pairing, other.forms, other.epochs) == ("shuffled", ("appreciation",), 3)
    changed = {"pairing": "true", "forms": ("generation",)}
    assert other.model_copy(update=changed) == plain


def test_every_setting_of_training_and_writing_makes_another_run():
    # a setting that is validated and then read by nothing would leave the configuration as it is
    other = {
        "method": "full", "forms": ("generation",), "pairing": "shuffled", "split": "all",
        "epochs": 6, "learning_rate": 1e-3, "warmup_ratio": 0.2, "weight_decay": 0.1,
        "batch_size": 16, "micro_batch_size": 2, "lora_rank": 8, "lora_alpha": 8,
        "lora_dropout": 0.1, "dtype": "bfloat16", "material": "generic", "kinds": ("craft",),
        "rows": 10, "checkpoint": "epoch 2",
    }  # fmt: skip
    assert set(other) == set(TrainConfig.model_fields)
    for name, value in other.items():
        assert validated(TrainConfig, {name: value}, "options") != TrainConfig()


def test_settings_cannot_be_changed_afterwards():
    config = GenerateConfig()
    with pytest.raises(ValueError, match="frozen"):
        config.samples = 2
