"""Numbers that are none: in words for people, null in JSON, and exit code 1 where a loss is not a number."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch

from elman.cli import run as command
from elman.tasks.exchange import ValidationScores
from elman.tasks.language_modelling import LanguageModelling
from elman.tasks.language_modelling.objective import NextToken

SMALL = ["--steps", "2", "--set", "hidden_size=8", "--set", "lanes=4", "--set", "k1=8"]
TWO = ["--models", "gru,lstm", "--match", "tokens", *SMALL]


def strict(text: str) -> Any:
    """JSON without the NaN and Infinity that Python's reader takes too."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "pairs.tsv").write_text("".join(f"a{n} b\tb a{n}\n" for n in range(60)))
    assert command(["train", str(folder / "pairs.tsv"), "-o", str(folder / "run"), "--steps", "2"]) == 0
    return folder


def spoil(run: Path, to: Path, value: float) -> Path:
    """A copy of a run with one weight of its output layer changed."""
    shutil.copytree(run, to)
    place = to / "model" / "model.safetensors"
    weights = safetensors.torch.load_file(place)
    name = "decoder.bias" if "decoder.bias" in weights else "output_layer.bias"
    weights[name][0] = value
    safetensors.torch.save_file(weights, place)
    return to


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path, code: int) -> tuple[str, str]:
    capsys.readouterr()
    assert command([str(argument) for argument in arguments]) == code
    out, err = capsys.readouterr()
    assert "own fault" not in err
    return out, err


def test_a_language_models_loss_that_is_not_a_number(
    trained: Path, plain_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = spoil(trained, tmp_path / "run", math.nan)
    out, err = said(capsys, "evaluate", run, plain_text, "--json", code=1)
    report = strict(out)
    assert report["loss"] is report["perplexity"] is report["bits_per_character"] is None
    assert err.startswith(f"elman: the loss is not a number: 1 of the weights of {run} are not; train it anew")
    assert err.count("\n") == 1
    assert said(capsys, "evaluate", run, plain_text, code=1) == ("", err)


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_nothing_is_written_without_probabilities(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    run = spoil(trained, tmp_path / "run", math.nan)
    for more in ([], ["--temperature", "0"]):
        _, err = said(capsys, "generate", run, "the", *more, *option, code=1)
        assert "the model gives no token a probability" in err
        assert err.count("\n") == 1


def test_inspect_prints_json_whatever_the_numbers_are(
    trained: Path, plain_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = spoil(trained, tmp_path / "run", 1e38)  # finite, but not what the model makes of them
    assert strict(said(capsys, "inspect", run, plain_text, "--json", "--parts", "gradients", code=0)[0])
    run = spoil(trained, tmp_path / "other", math.nan)
    assert "finite weights" in said(capsys, "inspect", run, plain_text, "--json", code=1)[1]


def test_an_infinite_perplexity_has_a_word(
    trained: Path, plain_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = spoil(trained, tmp_path / "run", 1e4)
    report = strict(said(capsys, "evaluate", run, plain_text, "--json", code=0)[0])
    assert report["loss"] > 1000
    assert report["perplexity"] is None
    assert "perplexity          infinite\n" in said(capsys, "evaluate", run, plain_text, code=0)[0]


def test_a_huge_perplexity_can_be_read(
    trained: Path, plain_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = spoil(trained, tmp_path / "run", 100.0)
    value = strict(said(capsys, "evaluate", run, plain_text, "--json", code=0)[0])["perplexity"]
    assert 1e30 < value < 1e50
    assert f"perplexity          {value:.1e}\n" in said(capsys, "evaluate", run, plain_text, code=0)[0]


def test_translations(translator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = translator / "pairs.tsv"
    run = spoil(translator / "run", tmp_path / "nan", math.nan)
    out, err = said(capsys, "evaluate", run, pairs, "--json", code=1)
    assert strict(out)["loss"] is None
    assert "the loss is not a number" in err
    (tmp_path / "lines").write_text("a1 b\n")
    for option in ([], ["--sample"]):
        assert "no token a probability" in said(capsys, "predict", run, tmp_path / "lines", *option, code=1)[1]
    run = spoil(translator / "run", tmp_path / "large", 1e4)
    report = strict(said(capsys, "evaluate", run, pairs, "--json", code=0)[0])
    assert report["loss"] > 1000
    assert report["perplexity"] is None


def test_a_training_without_a_finite_validation(
    plain_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = {"loss": math.nan, "perplexity": math.nan, "bits_per_character": math.nan, "tokens": 1}
    monkeypatch.setattr(NextToken, "validate", lambda self, model: dict(nothing))
    out, err = said(capsys, "train", plain_text, "-o", tmp_path / "run", *SMALL, "--json", code=1)
    assert strict(out)["loss"] is None
    assert "valid not a number nats a token" in err
    assert err.splitlines()[-1].startswith(f"elman: no validation of {tmp_path / 'run'} had a loss that is a finite")
    out, err = said(capsys, "compare", plain_text, "-o", tmp_path / "c", *TWO, "--trials", "1", code=0)
    assert strict((tmp_path / "c" / "comparison.json").read_text())["trials"]["gru"][0]["loss"] is None


def test_a_comparison_with_a_loss_that_is_not_a_number(
    plain_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = ValidationScores(np.array([math.nan, 1.0]), np.array([1.0, 1.0]))
    monkeypatch.setattr(LanguageModelling, "measure", lambda *_: read)
    _, err = said(capsys, "compare", plain_text, "-o", tmp_path / "c", *TWO, code=1)
    assert "the validation loss of" in err
    assert "is not a number: the model cannot be compared" in err
