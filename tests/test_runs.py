from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

import elman
from elman import run_folders
from elman.cli import run as command
from elman.data.tokenizers import CharTokenizer
from elman.errors import UserError
from elman.models import build
from elman.models.weights import load_weights

TEXT = "the cat sat on a mat and the dog ran.\n" * 20


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "run")


def test_load(run: Path) -> None:
    loaded = elman.load(run)
    assert not loaded.model.training
    tokens = torch.tensor([loaded.tokenizer.encode("the cat").tolist()])
    logits, state = loaded.model(tokens)
    assert logits.shape == (1, 7, loaded.tokenizer.vocab_size)
    assert loaded.model(tokens[:, :1], state)[0].shape == (1, 1, loaded.tokenizer.vocab_size)
    assert loaded.tokenizer.decode(tokens[0]) == "the cat"


def test_the_model_folder_is_all_that_is_needed(run: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(run / "model", tmp_path / "elsewhere")
    a, b = elman.load(run).model, elman.load(str(moved)).model
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_tied_weights_are_written_once_and_loaded_twice(tmp_path: Path) -> None:
    config = {"model": "gru", "vocab_size": 9, "hidden_size": 4, "embedding_size": 4, "tied": True}
    model = build(config)
    weights = {name: tensor for name, tensor in model.state_dict().items() if name != "decoder.weight"}
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors")
    other = build(config)
    load_weights(other, tmp_path / "model.safetensors")
    assert torch.equal(other.get_parameter("decoder.weight"), model.get_parameter("embedding.weight"))
    untied = build(config | {"tied": False})
    with pytest.raises(UserError, match=r"holds another model's weights \(see decoder.weight\)"):
        load_weights(untied, tmp_path / "model.safetensors")


def change_config(run: Path, **change: object) -> None:
    path = run / "model" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"model": config["model"] | change}))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "no such run"),
    "no model": (lambda run: shutil.rmtree(run / "model"), "holds no model"),
    "no config": (lambda run: (run / "model/config.json").unlink(), "holds no model"),
    "a torn config": (lambda run: cut(run / "model/config.json"), "config.json is damaged"),
    "a config of something else": (lambda run: (run / "model/config.json").write_text("[1]"), "is damaged"),
    "an unknown model": (lambda run: change_config(run, model="lstn"), "did you mean 'lstm'?"),
    "an unknown setting": (lambda run: change_config(run, hiden_size=3), "did you mean 'hidden_size'?"),
    "a setting of the wrong type": (
        lambda run: change_config(run, hidden_size="big"),
        "config.json: hidden_size: expected a valid integer, got 'big'",
    ),
    "a setting that is a mapping": (
        lambda run: change_config(run, dropout_hidden={}),
        "expected a valid number, got {}",
    ),
    "a size beyond all memory": (lambda run: change_config(run, hidden_size=2**16), "holds another model's weights"),
    "a size beyond its limit": (lambda run: change_config(run, hidden_size=10**6), "less than or equal to 65536"),
    "a size beyond all numbers": (lambda run: change_config(run, vocab_size=10**30), "config.json is damaged"),
    "layers without end": (lambda run: change_config(run, num_layers=10**9), "holds another model's weights"),
    "another size": (lambda run: change_config(run, hidden_size=9), "holds another model's weights"),
    "another vocabulary": (lambda run: change_config(run, vocab_size=9), "holds another model's weights"),
    "another tokenizer": (
        lambda run: CharTokenizer("abc").save(run / "model/tokenizer.json"),
        "tokenizer.json is another model's",
    ),
    "no weights": (lambda run: (run / "model/model.safetensors").unlink(), "not there yet"),
    "torn weights": (lambda run: cut(run / "model/model.safetensors"), "is damaged"),
    "no tokenizer": (lambda run: (run / "model/tokenizer.json").unlink(), "tokenizer"),
    "a torn tokenizer": (lambda run: cut(run / "model/tokenizer.json"), "tokenizer"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_what_cannot_be_loaded(run: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(run)
    with pytest.raises(UserError) as error:
        elman.load(run)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_task_it_does_not_know(run: Path) -> None:
    path = run / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"task": "painting"}))
    with pytest.raises(UserError, match=r"expected language-modelling or .* or translation, got the task .painting."):
        elman.load(run)


def test_a_lock_that_led_to_nothing_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        with run_folders.lock(folder):
            (folder / "cache").mkdir(exist_ok=True)
            (folder / "cache" / "train.bin").write_text("")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path / "a" / "b")
    assert names(tmp_path) == []

    (tmp_path / "mine" / "cache").mkdir(parents=True)
    (tmp_path / "mine" / "notes.txt").write_text("")
    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path / "mine")
    assert names(tmp_path / "mine") == ["cache", "notes.txt"]


def test_a_lock_is_for_one(tmp_path: Path) -> None:
    with run_folders.lock(tmp_path / "run"):
        with pytest.raises(UserError, match="another process is training"), run_folders.lock(tmp_path / "run"):
            pass
        (tmp_path / "run" / "config.yaml").touch()
    with run_folders.lock(tmp_path / "run"):
        pass
    assert (tmp_path / "run" / "config.yaml").exists()


def test_a_lock_where_no_folder_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"), run_folders.lock(tmp_path / "file" / "run"):
        pass


# The uses of a run


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> elman.Run:
    pairs = [(f"{a} {b}", f"{b} {a}") for a in "abcd" for b in "efgh"]
    return elman.fit(
        pairs, budget="3 steps", progress=False, hidden_size=8, embedding_size=6, optimizer="adamw",
        out=tmp_path_factory.mktemp("pairs") / "run",
    )  # fmt: skip


def said(arguments: list[object], capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    capsys.readouterr()
    assert command([str(argument) for argument in arguments]) == code
    return capsys.readouterr().out


def test_evaluate_gives_what_the_command_prints(
    run: Path, plain_text: Path, translator: elman.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    for loaded, data, options in (
        (elman.load(run), plain_text, {"lanes": 4}),
        (translator, translator.path / "given" / "data.jsonl", {"beam": 2}),
    ):
        given = [f"--{name}={value}" for name, value in options.items()]
        printed = json.loads(said(["evaluate", loaded.path, data, "--json", *given], capsys))
        report = loaded.evaluate(data, **options)
        times = {"seconds", "translating_seconds"}
        assert {k: v for k, v in report.items() if k not in times} == {
            k: v for k, v in printed.items() if k not in times
        }
        assert report.keys() == printed.keys()
    text = plain_text.read_text(encoding="utf-8")
    assert elman.load(run).evaluate(text)["loss"] == elman.load(run).evaluate(plain_text)["loss"]
    assert elman.load(run).evaluate(text)["data"] is None


def test_predict_gives_a_text_for_a_text_and_a_list_for_a_list(
    translator: elman.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = ["a e", "", "b\tf", "d h"]
    found = translator.predict(inputs, beam=2, max_length=5)
    assert len(found) == 4
    assert all(isinstance(text, str) for text in found)
    (tmp_path / "lines").write_text("\n".join(inputs) + "\n", encoding="utf-8")
    options = ["--beam=2", "--max-length=5", "--json"]
    printed = said(["predict", translator.path, tmp_path / "lines", *options], capsys).splitlines()
    assert found == [json.loads(line)["text"] for line in printed]
    assert translator.predict("d h", beam=2, max_length=5) == found[3]
    assert translator.predict([]) == []
    assert len(translator.predict("a e", beam=2, nbest=2)) == 2


def test_an_input_without_an_answer(translator: elman.Run) -> None:
    with pytest.warns(UserWarning, match="input 2: "):
        found = translator.predict(["a e", "a " * 40, "d h"], max_source=9)
    assert found[1] is None
    assert isinstance(found[2], str)
    with pytest.raises(UserError, match="9"):
        translator.predict("a " * 40, max_source=9)
    with pytest.raises(UserError, match=r"inputs: expected a text or texts, .* got int"):
        translator.predict([3])  # type: ignore[list-item]


def test_uses_that_a_task_does_not_have(run: Path, translator: elman.Run) -> None:
    with pytest.raises(UserError, match="elman generate"):
        elman.load(run).predict("the")
    with pytest.raises(UserError, match="elman predict"):
        translator.generate("a")
    with pytest.raises(UserError, match="beam is an option of `elman evaluate` for a translation model: got"):
        elman.load(run).evaluate(TEXT, beam=3)
    with pytest.raises(UserError, match=r"beam is an option of .*`elman predict` for a translation model: got"):
        elman.load(run).generate("t", beam=3)


@pytest.mark.parametrize("tokenizer", ["char", "byte", "word"])
@pytest.mark.parametrize("prompt", ["", "the c"])
@pytest.mark.parametrize("model", ["lstm", "transformer"])
@pytest.mark.parametrize("drawing", [{"temperature": 0}, {"seed": 3, "temperature": 2, "top_p": 0.9}])
def test_generation_goes_on_exactly(tokenizer: str, prompt: str, model: str, drawing: dict[str, float]) -> None:
    text = "the cat sät ön a mät and the dög ran — é.\n" * 20
    loaded = elman.fit(
        text, model=model, budget="4 steps", progress=False, tokenizer=tokenizer, hidden_size=8, lanes=4, k1=8
    )
    whole, end = loaded.generate(prompt, tokens=30, **drawing)
    written, state = "", None
    for number, tokens in enumerate((7, 1, 0, 22)):
        more, state = loaded.generate("" if number else prompt, state, tokens=tokens, **drawing)
        written += more
    assert written == whole
    assert (state.last, state.unfinished, state.drawn) == (end.last, end.unfinished, 30)


def test_characters_of_several_tokens_are_written_once() -> None:
    """A model of bytes, taught to write two-byte characters alone."""
    loaded = elman.fit("é" * 900, budget="60 steps", progress=False, tokenizer="byte", hidden_size=16, lanes=2, k1=16,
                       learning_rate=0.02)  # fmt: skip
    one, state = loaded.generate("é", tokens=5, temperature=0)
    two, _ = loaded.generate("", state, tokens=5, temperature=0)
    assert one == "éé"
    assert state.unfinished == "é".encode()[:1]
    assert one + two == "é" * 5


def test_a_prompt_that_nothing_follows_is_read(run: Path) -> None:
    loaded = elman.load(run)
    text, state = loaded.generate("the cat", tokens=0)
    assert text == ""
    assert (
        loaded.generate("", state, tokens=9, temperature=0)[0] == loaded.generate("the cat", tokens=9, temperature=0)[0]
    )
    again, _ = loaded.generate(" sat", state, tokens=9, temperature=0)
    assert again == loaded.generate("the cat sat", tokens=9, temperature=0)[0]
    assert again == loaded.generate(" sat", state, tokens=9, temperature=0)[0]  # the state is as it was


def test_metrics(run: Path) -> None:
    loaded = elman.load(run)
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [record for record in records if "validation" not in record]
    found = loaded.metrics
    for name in ("step", "loss", "learning_rate", "gradient_norm", "clipped", "skipped"):
        np.testing.assert_array_equal(getattr(found, name), [record[name] for record in steps])
    validations = [record for record in records if "validation" in record]
    np.testing.assert_array_equal(found.validations["step"], [record["step"] for record in validations])
    np.testing.assert_array_equal(found.validations["loss"], [record["validation"]["loss"] for record in validations])
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(steps[-1] | {"step": 13, "loss": None}) + "\n")
    assert np.isnan(loaded.metrics.loss[-1])
    with pytest.raises(UserError, match=r"metrics\.jsonl is missing"):
        _ = elman.load(run / "model").metrics


def test_inspect(run: Path) -> None:
    found = elman.load(run).inspect(TEXT, parts=["gates"])
    assert "gates" in found.numbers
    assert "<html" in found.html()


def test_save(run: Path, tmp_path: Path, plain_text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for source in (run, run / "model"):
        saved = elman.load(source).save(tmp_path / "new" / source.name)
        assert json.loads(said(["evaluate", saved.path, plain_text, "--json"], capsys))["loss"] > 0
        said(["generate", saved.path, "the", "--tokens", "3"], capsys)
        with pytest.raises(UserError, match="expected a new folder, or an empty one"):
            saved.save(saved.path)
    assert command(["train", str(plain_text), "-o", str(tmp_path / "new" / "run"), "--steps", "14", "--resume"]) == 0
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="expected a new folder"):
        saved.save(tmp_path / "file")


def test_save_takes_the_weights_of_now(tmp_path: Path) -> None:
    loaded = elman.fit(
        TEXT, budget="2 steps", progress=False, hidden_size=8, embedding_size=8, tied=True, lanes=4, k1=8
    )
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter.add_(1)
    saved = loaded.save(tmp_path / "run")
    del loaded
    again = elman.load(saved.path)
    assert all(map(torch.equal, again.model.state_dict().values(), saved.model.state_dict().values()))
    assert again.inspect(parts=["gates"]).numbers["gates"]


def test_a_run_says_what_it_is(run: Path, translator: elman.Run) -> None:
    loaded = elman.load(shutil.copytree(run, run.with_name("<b>")))
    for text in (repr(loaded), loaded._repr_html_()):
        for words in ("language-modelling", "lstm", "hidden_size", "parameters", "12 steps", "best validation loss"):
            assert words in text
    page = loaded._repr_html_()
    assert "&lt;b&gt;" in page
    assert "<b>" in page  # the name of the run is bold
    assert page.count("<b>") == 1
    assert "run.generate" in page
    assert "run.predict" in translator._repr_html_()
    assert "tokenizer" in dir(loaded)
    assert "parameters" in repr(elman.load(run / "model"))


def test_info(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(["info", run, "--json"], capsys))
    parameters = sum(parameter.numel() for parameter in elman.load(run).model.parameters())
    assert (found["task"], found["model"]["model"], found["parameters"]) == ("language-modelling", "lstm", parameters)
    assert (found["steps"], found["budget"], found["state"]) == (12, "12 steps", "at rest")
    assert found["best"]["loss"] == elman.load(run).metrics.validations["loss"].min()
    assert found["damaged"] == []
    lines = said(["info", run], capsys)
    assert "12 steps" in lines
    assert "lstm" in lines
    alone = json.loads(said(["info", run / "model", "--json"], capsys))
    assert (alone["state"], alone["parameters"]) == ("a model alone", parameters)
    assert "steps" not in alone
    with run_folders.lock(run):
        assert json.loads(said(["info", run, "--json"], capsys))["state"] == "in training"


def test_info_of_a_training_that_has_just_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = elman.training(TEXT, budget="9 steps", out=tmp_path / "run", hidden_size=8, lanes=4, k1=8)
    next(events)
    next(events)
    found = json.loads(said(["info", tmp_path / "run", "--json"], capsys))
    assert (found["state"], found["best"], found["damaged"]) == ("in training", {}, [])
    events.close()
    found = json.loads(said(["info", tmp_path / "run", "--json"], capsys, 1))
    assert "model.safetensors: not there yet" in found["damaged"][0]


@pytest.mark.parametrize("name", [name for name in DAMAGE if name != "no folder"])
def test_info_says_what_is_damaged(name: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    DAMAGE[name][0](run)
    found = json.loads(said(["info", run, "--json"], capsys, 1))
    assert found["damaged"]
    assert found["steps"] == 12  # the rest is still said


def test_info_of_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["info", str(tmp_path / "nowhere")]) == 1
    assert "no such run" in capsys.readouterr().err
    assert command(["info", str(tmp_path)]) == 1
    assert "is no run" in capsys.readouterr().err


def test_info_of_data_in_memory_and_of_a_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    elman.fit(TEXT, budget="1 step", seed=12345, out=tmp_path / "run", progress=False, hidden_size=8)
    lines = said(["info", tmp_path / "run"], capsys).splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines if line.startswith("seed")] == ["12345"]
    assert "trained on    data in memory" in lines
    assert "budget        1 step" in lines


def test_checkpoints_in_parts_are_cleared(tmp_path: Path) -> None:
    """With what a killed write has left; a file of somebody's own, and what a link points to, stay."""
    checkpoints, elsewhere = tmp_path / "run" / "checkpoints", tmp_path / "elsewhere"
    for folder in (checkpoints / "step-000000010", checkpoints / ".step-000000020.tmp", elsewhere):
        folder.mkdir(parents=True)
        (folder / "values.json").write_text("{}")
        (folder / "shard-00001-model-00001-of-00001.safetensors").write_bytes(b"")
    (checkpoints / "step-000000030").symlink_to(elsewhere)
    (checkpoints / "step-000000010" / "notes.txt").write_text("mine")
    run_folders.clear(tmp_path / "run")
    assert sorted(path.name for path in checkpoints.rglob("*")) == ["notes.txt", "step-000000010", "step-000000030"]
    assert len(list(elsewhere.iterdir())) == 2
