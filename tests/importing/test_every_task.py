"""A model of torch.nn becomes a run of each task, by the command and in Python, and is used as any other run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import elman
from elman.cli import run as command
from elman.state import State, concatenate, select_rows
from foreign_models import FOREIGN, Foreign, Reader


@pytest.fixture(params=FOREIGN)
def foreign(request: pytest.FixtureRequest) -> Foreign:
    return FOREIGN[request.param]


@pytest.fixture
def module(foreign: Foreign, tmp_path: Path) -> Reader:
    """The module, whose state dict is in model.pt, with files of its vocabulary and labels."""
    torch.manual_seed(3)
    made = foreign.make().eval()
    torch.save(made.state_dict(), tmp_path / "model.pt")
    for name, lines in (("vocabulary", foreign.tokens), ("labels", foreign.labels)):
        if lines is not None:
            (tmp_path / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return made


def arguments(foreign: Foreign, folder: Path) -> list[str]:
    """Those of `elman import`, without -o."""
    given = [str(folder / "model.pt"), "--task", foreign.task]
    given += ["--tokenizer", str(folder / "vocabulary.txt")] if foreign.tokens else []
    given += ["--labels", str(folder / "labels.txt")] if foreign.labels else []
    return given + (["--window", "12"] if foreign.task == "forecasting" else [])


@pytest.fixture
def imported(foreign: Foreign, module: Reader, tmp_path: Path) -> Path:
    assert command(["import", *arguments(foreign, tmp_path), "-o", str(tmp_path / "run")]) == 0
    return tmp_path / "run"


def test_output_is_the_frameworks(foreign: Foreign, module: Reader, imported: Path) -> None:
    run = elman.load(imported)
    assert run.task.name == foreign.task
    x = foreign.inputs()
    with torch.no_grad():
        expected = module(x)
        torch.testing.assert_close(run.model(x)[0], expected, rtol=0, atol=1e-6)
        lengths = torch.tensor([7, 3, 5])
        expected, found = module(x, lengths), run.model(x, lengths=lengths)[0]
    there = torch.ones(3, 7, 1) if module.whole else torch.arange(7)[:, None] < lengths[:, None, None]
    torch.testing.assert_close(
        *(made if module.whole else made.masked_fill(~there.bool(), 0) for made in (found, expected)), rtol=0, atol=1e-6
    )


def test_reading_in_pieces_is_reading_whole(foreign: Foreign, module: Reader, imported: Path) -> None:
    model, x = elman.load(imported).model, foreign.inputs()
    if foreign.task in ("forecasting", "language-modelling"):
        model = model.network
    if not model.causal:
        with pytest.raises(elman.UserError, match=r"both directions|whole sequence|backwards"):
            model(x[:, 3:], state=({},))
        return
    with torch.no_grad():
        whole, after = model(x)
        first, state = model(x[:, :3])
        second, end = model(x[:, 3:], state=state)
    made = second if module.whole else torch.cat((first, second), 1)
    torch.testing.assert_close(made, whole, rtol=0, atol=1e-6)
    assert_states_equal(end, after)


def assert_states_equal(state: State, other: State) -> None:
    both = concatenate([state, other])
    torch.testing.assert_close(select_rows(both, torch.arange(3)), select_rows(both, torch.arange(3, 6)))


def test_fine_tuning_lowers_the_loss_and_resumes(
    foreign: Foreign, imported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, trained = foreign.write(tmp_path), tmp_path / "trained"

    def loss(run: Path) -> float:
        capsys.readouterr()
        assert command(["evaluate", str(run), str(data), "--json"]) == 0
        return float(json.loads(capsys.readouterr().out)["loss"])

    before = loss(imported)
    settings = [part for name, value in foreign.steps.items() for part in ("--set", f"{name}={value}")]
    given = ["train", str(data), "--from", str(imported), "-o", str(trained), *settings]
    assert command([*given, "--steps", "20"]) == 0
    assert command(["train", str(data), "--resume", "-o", str(trained), "--steps", "40"]) == 0
    assert command(["info", str(trained)]) == 0
    after = loss(trained)
    assert after < 0.9 * before
    fresh = [sys.executable, "-m", "elman", "evaluate", str(trained), str(data), "--json"]
    found = subprocess.run(fresh, capture_output=True, text=True, check=True)
    assert json.loads(found.stdout)["loss"] == after
    if foreign.task != "forecasting":
        assert elman.load(trained).model.network.config["nodes"] == elman.load(imported).model.network.config["nodes"]


def test_answers(foreign: Foreign, module: Reader, imported: Path, tmp_path: Path) -> None:
    run = elman.load(imported)
    with torch.no_grad():
        if foreign.task == "language-modelling":
            text, _ = run.generate("the cat", tokens=4, temperature=0)
            ids = [2, 3]
            for _ in range(4):
                logits = module(torch.tensor([ids]))[0, -1]
                logits[1] = -torch.inf  # <unk> is never written
                ids.append(int(logits.argmax()))
            assert text.split() == [foreign.tokens[token] for token in ids[2:]]
        elif foreign.task == "tagging":
            said = module(torch.tensor([[2, 3, 4]]))[0].argmax(-1).tolist()
            assert run.predict(["the cat sat"]) == [[foreign.labels[tag] for tag in said]]
        elif foreign.task == "classification":
            said = int(module(torch.tensor([[2, 3, 4]]))[0].argmax())
            assert run.predict("the cat sat") == foreign.labels[said]
            [answer] = run.answers(["the cat sat"])
            probability = float(module(torch.tensor([[2, 3, 4]])).softmax(-1)[0, said])
            assert answer.record["probabilities"][foreign.labels[said]] == pytest.approx(probability, abs=1e-6)
        else:
            series = [float(n % 5) for n in range(40)]
            expected = module(torch.tensor(series[-12:])[None, :, None])[0].tolist()
            rows = run.predict([series])[0]
            assert [row["mean"] for row in rows] == pytest.approx(expected, abs=1e-4)
            assert [row["q10"] for row in rows] == [row["mean"] for row in rows]


def test_the_microscope_looks_at_it(
    foreign: Foreign, imported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = foreign.write(tmp_path)
    capsys.readouterr()
    assert command(["inspect", str(imported), str(data), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    gated = foreign.task != "forecasting"
    assert ("gates" in report) == gated
    if foreign.task == "language-modelling":
        assert {"input", "layer 1 h", "layer 2 c"} <= report["gradients"]["trained"]["gradients"].keys()
        assert [one["layer"] for one in report["gradients"]["trained"]["jacobians"]] == [1, 2]


def test_a_run_is_saved_and_described(
    foreign: Foreign, module: Reader, imported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = elman.load(imported)
    copy = run.save(tmp_path / "copy")
    x = foreign.inputs()
    assert torch.equal(elman.load(copy.path).model(x)[0], run.model(x)[0])
    capsys.readouterr()
    assert command(["info", str(tmp_path / "copy"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["damaged"] == []
    assert report["parameters"] == sum(p.numel() for p in module.parameters())
    assert (imported / "model" / "README.md").read_text(encoding="utf-8").startswith("# run\n\nA model of torch")


def test_in_python_as_by_the_command(foreign: Foreign, module: Reader, imported: Path, tmp_path: Path) -> None:
    said: list[str] = []
    run = elman.import_model(
        tmp_path / "model.pt",
        task=foreign.task,
        tokenizer=tmp_path / "vocabulary.txt" if foreign.tokens else None,
        labels=foreign.labels,
        window=12 if foreign.task == "forecasting" else None,
        say=said.append,
    )
    assert run.config == elman.load(imported).config
    assert any("guessed from names and shapes" in line for line in said)
    folder = run.path
    assert folder.is_dir()
    del run
    assert not folder.exists()
