"""Completion through the protocol by which a shell asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from elman.bench.contest import DTYPES, PASSES, SHAPES, TORCH_CELLS
from elman.bench.timing import CLOCKS
from elman.cli import completion
from elman.data.sources import EVERY_NAME
from elman.kernels import BACKENDS
from elman.lab.catalogue import EXPERIMENTS
from elman.tasks.configuration import TASKS

ELMAN = "import sys; sys.argv = ['elman']; from elman.cli import main; main()"


def ask(folder: Path, variables: dict[str, str]) -> list[str]:
    """What a process says that a shell began; torch must not be imported for it."""
    result = subprocess.run(
        [sys.executable, "-Ximporttime", "-c", ELMAN],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(completion.__file__).parents[2]), **variables},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "| torch\n" not in result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout.split("\n")[:-1] if result.stdout.strip() else []


def bash(folder: Path, line: str, *, split: bool = True) -> list[str]:
    """What bash offers for the end of a line; it splits words at =, unless a person has it otherwise."""
    words = line.split(" ")
    if split:
        words = [part for word in words for part in (["", *word.partition("=")] if "=" in word else [word])]
        words = [word for at, word in enumerate(words) if word or at == len(words) - 1]
        if words[-1] == "" and words[-2] == "=":
            words.pop()  # right behind the =, this is the word
    asked = {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1), "_ELMAN_COMPLETE": "complete_bash"}
    return ask(folder, asked)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("runs/one-lstm", "runs/two-gru", "mine", "numbers of mine", "runs/no"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("runs/one-lstm", "runs/two-gru", "mine"):
        (tmp_path / name / "config.yaml").touch()
    (tmp_path / "notes.txt").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("elman train x --model ", ["elman", "gru", "lstm", "mingru", "slstm", "transformer"]),
        ("elman train x --model=l", ["lstm"]),
        ("elman train x --task tr", ["translation"]),
        ("elman train x --tokenizer b", ["byte", "bpe"]),
        ("elman train dates --tokenizer a", ["auto"]),
        ("elman inspect mine --parts al", ["alignments"]),
        ("elman train n", [*(name for name in EVERY_NAME if name[0] == "n"), "notes.txt", "numbers of mine/"]),
        ("elman train python", ["python-stdlib"]),
        ("elman train not", []),  # the shell completes files
        ("elman compare x --models elman,g", ["elman,gru"]),
        ("elman compare x --models gru,", ["gru,elman", "gru,lstm", "gru,mingru", "gru,slstm", "gru,transformer"]),
        ("elman compare x --match t", ["time", "tokens"]),
        ("elman train x --set sch", ["schedule="]),
        ("elman train x --set schedule=co", ["cosine", "constant"]),
        ("elman train x --set schedule=", ["cosine", "linear", "constant", "inverse_sqrt"]),
        ("elman train x --set clip=none --set tied=t", ["true"]),
        ("elman train x --set train.clip=no", ["norm", "none"]),
        ("elman train x --set train.cli", ["train.clip=", "train.clip_threshold=", "train.clip_percentile="]),
        ("elman train x --set hidden_size=", []),
        ("elman train x --set nothing=", []),
        ("elman train x --model=transformer --set num_h", ["num_heads="]),
        ("elman train x --model gru --set num_h", []),
        ("elman train x --task translation --set lab", ["label_smoothing="]),
        ("elman train dates --set lab", ["label_smoothing="]),
        ("elman train digits --set multi", ["multilabel="]),
        ("elman train co2 --set horiz", ["horizon="]),
        ("elman train number-words-en --set cr", ["crf="]),
        ("elman train x --task ta", ["tagging"]),
        ("elman train sun", ["sunspots"]),
        ("elman train x --set so", []),
        ("elman compare x --models lstm,transformer --set num_h", ["num_heads="]),
        ("elman compare x --models lstm,transformer --set peep", ["peepholes="]),
        ("elman generate ", ["mine", "runs/one-lstm", "runs/two-gru"]),
        ("elman evaluate runs/t", ["runs/two-gru"]),
        ("elman inspect mine --parts gradients,g", ["gradients,gates"]),
        ("elman export mine --to ", ["onnx", "torch", "keras", "flax", "safetensors", "c"]),
        ("elman export mine --to=s", ["safetensors"]),
        ("elman export mine --check open", ["openvino"]),
        ("elman export mine --check openvino,t", ["openvino,tract"]),
        ("elman lab elm", ["elman-1990"]),
        ("elman bench --cells lstm,", ["lstm,elman", "lstm,gru"]),
        ("elman bench --dtypes b", ["bfloat16"]),
        ("elman bench --backend n", ["native"]),
    ],
)
def test_bash(folder: Path, line: str, offered: list[str]) -> None:
    assert bash(folder, line) == offered


def test_words_that_are_not_split(folder: Path) -> None:
    """As zsh and fish have them, and a bash with an = in its words."""
    line = "elman train x --set schedule=co"
    offered = ["schedule=cosine", "schedule=constant"]
    assert bash(folder, line, split=False) == offered
    fish = {"_ELMAN_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_ARGS": line}
    assert ask(folder, fish) == offered
    [arguments, *_] = ask(folder, {"_ELMAN_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": line})
    assert '"schedule=cosine"' in arguments


def test_what_is_listed_is_what_there_is() -> None:
    assert set(completion.TORCH_CELLS) == set(TORCH_CELLS)
    assert set(completion.SHAPES) == set(SHAPES)
    assert set(completion.PASSES) == set(PASSES)
    assert set(completion.DTYPES) == set(DTYPES)
    assert set(completion.CLOCKS) == set(CLOCKS)
    assert set(completion.BACKENDS) == set(BACKENDS)
    for task in TASKS.values():
        assert tuple(task.parts) == tuple(task.looks)
    assert tuple(EXPERIMENTS) == completion.EXPERIMENTS
    assert {kind for task in TASKS.values() for kind in task.models} == set(completion.models())
