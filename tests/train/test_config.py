import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from elman.errors import UserError
from elman.models.configuration import RecurrentSettings, TransformerSettings
from elman.synonyms import OTHERS
from elman.tasks import TASKS
from elman.tasks.configuration import NOT_SETTABLE, build, read_yaml, sections, set_values
from elman.tasks.language_modelling.settings import TextTraining
from elman.tasks.remedies import OPTIONS

BUDGET = {"amount": 10, "unit": "steps"}


@pytest.mark.parametrize("kind", TASKS["language-modelling"].models)
def test_what_is_written_is_read_again(kind: str, tmp_path: Path) -> None:
    settings = build({"kind": kind, "budget": BUDGET, "train": {"k1": 5, "k2": 9, "learning_rate": 1e-3}})
    (tmp_path / "config.yaml").write_text(settings.to_yaml())
    assert build(read_yaml(tmp_path / "config.yaml")) == settings


def test_only_what_was_asked_for_counts_as_set() -> None:
    settings = build({"budget": BUDGET, "train": {"k1": 64}})
    assert settings.train.model_fields_set == {"k1"}
    assert settings.model.model_fields_set == set()


@pytest.mark.parametrize("task", TASKS)
def test_a_bare_name_is_that_of_one_setting(task: str) -> None:
    """Or `--set` would not know which is meant; `window` is that of the data, and `model.window` that of attention."""
    for kind in TASKS[task].models:
        names = Counter(key for section in sections(TASKS[task], kind).values() for key in section.model_fields)
        assert {name for name, times in names.items() if times > 1} <= {"window"}
        if names["window"] > 1:
            tree = set_values({"task": task, "kind": kind}, ["window=3", "model.window=5"])
            assert (tree["data"], tree["model"]) == ({"window": 3}, {"window": 5})


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"kind": "lstn"}, "no kind called 'lstn'; did you mean 'lstm'?"),
        ({"train": {"learning_rat": 1}}, "no setting called 'learning_rat'; did you mean 'learning_rate'?"),
        ({"model": {"hiden_size": 1}}, "no setting called 'hiden_size'; did you mean 'hidden_size'?"),
        ({"kind": "transformer", "model": {"embedding_size": 1}}, "no setting called 'embedding_size'"),
        ({"trian": {}}, "no setting called 'trian'; did you mean 'train'?"),
        ({"train": {"clip": "nrom"}}, "clip: expected 'norm', 'value', 'adaptive' or 'none', got 'nrom'"),
        ({"train": {"learning_rate": 0}}, "learning_rate: expected greater than 0, got 0"),
        ({"train": {"lanes": 0}}, "lanes: expected greater than or equal to 1, got 0"),
        ({"train": {"seed": 2**63}}, "seed: expected less than"),
        ({"train": {"lanes": 2.5}}, "lanes: expected a valid integer"),
        ({"train": {"k1": 8, "k2": 7}}, "k2: expected at least k1 = 8, got 7"),
        ({"train": {"k2": "ful"}}, "k2: expected"),
        ({"train": {1: 2}}, "no setting called 1; write a name"),
        (
            {"kind": "transformer", "model": {"hidden_size": 100, "num_heads": 3}},
            "num_heads: expected heads of an even",
        ),
        ({"train": {"schedule": "inverse_sqrt", "warmup": 0}}, "warmup: expected more than 0 for the schedule"),
        ({"kind": "transformer", "model": {"hidden_size": 12, "num_heads": 5}}, "num_heads: expected heads"),
        (
            {"budget": {"amount": 0, "unit": "steps"}},
            "budget: expected more than 0 and at most 1,000,000,000,000 steps, got 0",
        ),
        ({"budget": {"amount": 5, "unit": "moons"}}, "expected 'steps', 'epochs' or 'seconds', got 'moons'"),
        ({"budget": {"amount": 5}}, "budget.unit: expected a value, got none"),
        ({"budget": None}, "budget: expected"),
    ],
)
def test_mistakes_are_named_in_one_line(tree: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        build({"budget": BUDGET} | tree)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("assignment", "section", "value"),
    [
        ("hidden_size=64", "model", 64),
        ("learning_rate=1e-3", "train", 0.001),
        ("train.k2=full", "train", "full"),
        ("data.vocab_size=null", "data", None),
        ("tied=true", "model", True),
        ("recompute=true", "model", True),
        ("valid=a=b.txt", "data", "a=b.txt"),
    ],
)
def test_set(assignment: str, section: str, value: object) -> None:
    key = assignment.partition("=")[0].rpartition(".")[2]
    assert set_values({}, [assignment]) == {section: {key: value}}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("hidden_size", "expected key=value, got 'hidden_size'"),
        ("hiden_size=3", "no setting called 'hiden_size' for model=\"lstm\"; did you mean 'hidden_size'?"),
        ("train.hidden_size=3", "no setting called 'train.hidden_size'"),
        ("k1=[", "expected a YAML value, got '['"),
        ("=3", "no setting called ''"),
        ("source=a.txt", "no setting called 'source'"),
        ("data.fingerprint=0", "no setting called 'data.fingerprint'"),
        ("seed.x=1", "no setting called 'seed.x'"),
    ],
)
def test_set_mistakes(assignment: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        set_values({}, [assignment])
    assert message in str(error.value)
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("tree", "key", "remedy"),
    [
        ({}, "lr", "did you mean 'learning_rate'?"),
        ({}, "train.lr", "did you mean 'learning_rate'?"),
        ({}, "batch-size", "did you mean 'lanes'?"),
        ({"task": "translation"}, "batch_size", "did you mean 'batch_tokens'?"),
        ({}, "wd", "did you mean 'weight_decay'?"),
        (
            {},
            "dropout",
            "did you mean 'dropout_embedding', 'dropout_hidden', 'dropout_input' or 'dropout_output'?",
        ),
        ({}, "n_layers", "did you mean 'num_layers'?"),
        (
            {"task": "translation", "kind": "transformer"},
            "layers",
            "did you mean 'decoder_layers' or 'encoder_layers'?",
        ),
        ({}, "hidden_dim", "did you mean 'hidden_size'?"),
        ({"kind": "transformer"}, "n_head", "did you mean 'num_heads'?"),
        ({"kind": "transformer"}, "context", "did you mean 'k1' or 'window'?"),
        ({}, "n_head", 'num_heads is one of model="transformer"'),
        ({}, "embedding_dim", "did you mean 'embedding_size'?"),
        ({}, "max_norm", "did you mean 'clip_threshold'?"),
        ({}, "bptt", "did you mean 'k1'?"),
        ({}, "epochs", 'it is the argument budget="N epochs"'),
        ({}, "max_iters", 'it is the argument budget="N steps"'),
        ({}, "train.seconds", 'it is the argument budget="2m"'),
        ({}, "model", "it is the argument model=..."),
        ({}, "source", "it is the argument DATA"),
    ],
)
def test_other_tools_words_for_a_setting(tree: dict[str, Any], key: str, remedy: str) -> None:
    with pytest.raises(UserError) as error:
        set_values(tree, [f"{key}=1"])
    assert str(error.value).partition("; ")[2] == remedy


@pytest.mark.parametrize(
    ("tree", "remedy"),
    [
        *(({"kind": kind}, "did you mean 'elman'?") for kind in ("rnn", "RNN", "tanh", "simple-rnn", "SimpleRNN")),
        *(({"kind": kind}, "did you mean 'transformer'?") for kind in ("gpt", "attention", "Transformers")),
        ({"kind": "seq2seq"}, 'it is task="translation", with model="elman", gru, lstm, mingru, slstm, transformer'),
        ({"task": "seq2seq"}, "did you mean 'translation'?"),
        ({"train": {"device": "gpu"}}, "did you mean 'cuda'?"),
        ({"train": {"optimizer": "adam"}}, "did you mean 'adamw'?"),
        ({"train": {"precision": "fp16"}}, "did you mean 'bfloat16'?"),
        ({"kind": "transformer", "model": {"positions": "rope"}}, "did you mean 'rotary'?"),
        ({"train": {"optimizer": "lion"}}, ""),
        ({"train": {"lr": 1}}, "did you mean 'learning_rate'?"),
        ({"train": {"epochs": 1}}, 'it is the argument budget="N epochs"'),
    ],
)
def test_other_tools_words_for_a_value(tree: dict[str, Any], remedy: str) -> None:
    with pytest.raises(UserError) as error:
        build({"budget": BUDGET} | tree)
    assert str(error.value).partition("; ")[2] == remedy


def test_other_tools_words_lead_to_what_there_is() -> None:
    """And none of them hides a setting of that name."""
    every = [section for task in TASKS.values() for kind in task.models for section in sections(task, kind).values()]
    settings = {name for section in every for name in section.model_fields}
    annotations = str([field.annotation for section in every for field in section.model_fields.values()])
    values = set(re.findall(r"'(\w+)'", annotations)) | {"parameters", "time"}  # of --match
    kinds = {kind for task in TASKS.values() for kind in task.models}
    assert OTHERS.keys() <= settings | values | kinds | TASKS.keys()
    assert not OPTIONS.keys() & settings - NOT_SETTABLE


def test_the_given_tree_is_not_changed() -> None:
    tree: dict[str, Any] = {"train": {"k1": 3}}
    set_values(tree, ["k1=4"])
    assert tree == {"train": {"k1": 3}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"- a\n- b\n", "expected a YAML mapping of settings, got list"),
        (b"", "expected a YAML mapping of settings"),
        (b"train: [1]", r"train: expected a mapping, got \[1\]"),
        (b"budget: 3", "budget: expected a mapping, got 3"),
        (b"kind: [gru]", "kind: expected a name"),
        (b"a: [", "not readable as YAML"),
        (b"\xff\xfe", "is damaged"),
        (b"model: " + b"[" * 9999, "not readable as YAML"),
        (b"model: " + b"[" * 30 + b"]" * 30, "too deeply nested"),
        (b"model: {hidden_size: &a 3, embedding_size: *a}", "aliases are not understood here"),
        (b"model: {hidden_size: 2001-99-99}", "not readable as YAML"),
        (b"model: {hidden_size: 0x_}", "not readable as YAML"),
    ],
)
def test_files_that_hold_no_settings(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "settings.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_yaml(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"kind: gru\n", b"\xff", b""])
def test_settings_come_through_a_pipe_where_a_person_names_one(content: bytes) -> None:
    """As a shell's `<(...)` and `/dev/stdin` do; a pipe in place of a run's own file is never waited for."""
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    path = Path(f"/dev/fd/{reading}")
    try:
        with pytest.raises(UserError, match="expected a file, got a device or pipe"):
            read_yaml(path)
        if content == b"kind: gru\n":
            assert read_yaml(path, streams=True) == {"kind": "gru"}
        else:
            with pytest.raises(UserError, match=r"cannot read /dev/fd/|expected a YAML mapping|is not UTF-8 text"):
                read_yaml(path, streams=True)
    finally:
        os.close(reading)


@pytest.mark.parametrize("kind", ["elman", "gru", "lstm", "transformer"])
def test_recomputation_is_a_setting(kind: str) -> None:
    model = build({"kind": kind, "budget": BUDGET, "model": {"recompute": True}}).model
    assert isinstance(model, RecurrentSettings | TransformerSettings)
    assert model.recompute
    with pytest.raises(UserError, match="recompute: expected a valid boolean"):
        build({"kind": kind, "budget": BUDGET, "model": {"recompute": 7}})


@pytest.mark.parametrize("kind", ["elman", "gru", "lstm"])
def test_variations_are_settings_of_recurrent_models(kind: str) -> None:
    asked = {"zoneout": 0.1, "recurrent_dropout": 0.2, "layer_norm": True}
    settings = build({"kind": kind, "budget": BUDGET, "model": asked})
    assert asked.items() <= settings.model_dump()["model"].items()
    assert build(settings.model_dump()) == settings
    with pytest.raises(UserError, match="zoneout: expected less than 1, got 1"):
        build({"kind": kind, "budget": BUDGET, "model": {"zoneout": 1}})


def test_what_the_lstm_alone_has() -> None:
    asked = {"zoneout_cell": 0.5, "peepholes": True}
    settings = build({"kind": "lstm", "budget": BUDGET, "model": asked})
    assert asked.items() <= settings.model_dump()["model"].items()
    assert build(yaml.safe_load(settings.to_yaml())) == settings
    with pytest.raises(UserError) as error:
        build({"kind": "gru", "budget": BUDGET, "model": {"peepholes": True}})
    assert str(error.value) == "no setting called 'peepholes'; it is one of model=\"lstm\""
    with pytest.raises(UserError) as error:
        set_values({"kind": "elman"}, ["model.zoneout_cell=0.1"])
    message = '--set: no setting called \'model.zoneout_cell\' for model="elman"; it is one of model="lstm"'
    assert str(error.value) == message
    with pytest.raises(UserError) as error:
        set_values({"kind": "transformer"}, ["zoneout=0.1"])
    assert str(error.value).endswith('; it is one of model="elman", gru, lstm, mingru, slstm')


def test_backward_steps() -> None:
    assert TextTraining(k1=7).backward_steps == 7
    assert TextTraining(k1=7, k2="full").backward_steps is None
    assert TextTraining(k1=7, k2="auto").backward_steps == 7
    assert TextTraining(k1=7, k2=9).backward_steps == 9


def test_every_setting_survives_yaml() -> None:
    text = build({"budget": BUDGET}).to_yaml()
    assert yaml.safe_load(text)["train"].keys() == TextTraining.model_fields.keys()


def test_an_empty_section_is_none(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("kind: gru\ntrain:\n")
    assert set_values(read_yaml(tmp_path / "settings.yaml"), ["k1=3"]) == {"kind": "gru", "train": {"k1": 3}}


def test_heads_that_are_not_asked_for_are_left_to_follow_from_the_size() -> None:
    assert build({"kind": "transformer", "budget": BUDGET, "model": {"hidden_size": 100}}).model.hidden_size == 100
