"""Files of C: their places and names, what is checked and refused."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import elman
from c_programs import (
    CODECS,
    TABLE,
    TOKENS,
    classifier,
    forecaster,
    language_model,
    linear,
    made,
    recurrent,
    tagger,
)
from elman.cli import run as command
from elman.errors import UserError
from elman.export import export
from elman.export.c import cells, compiling, write
from elman.export.c.compiling import compilers, size_of_code
from elman.export.c.program import program
from elman.models import build
from elman.models.building import build_encoder_decoder
from elman.models.classifier import Classifier
from elman.models.layered_classifier import LayeredClassifier
from exported_models import chain

needs_a_compiler = pytest.mark.skipif(not compilers(), reason="neither gcc nor clang is installed")


def run_of(model: nn.Module, **codecs: Any) -> Any:
    return SimpleNamespace(path=Path("run"), model=model.eval(), codecs=codecs)


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """One compiler, if there is one, without optimization."""
    monkeypatch.setattr(compiling, "COMPILERS", tuple(compilers()[:1]))
    monkeypatch.setattr(write, "OPTIMIZE", ("-O0",))


@needs_a_compiler
@pytest.mark.usefixtures("fast")
def test_a_run_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = elman.fit("the cat sat. " * 40, model="lstm", hidden_size=8, budget="1 steps", progress=False)
    assert command(["export", str(run.path), "--to", "c", "--int8", "-o", str(tmp_path / "small model.c")]) == 0
    said = capsys.readouterr().out
    assert "code without weights" in said
    assert "state 64 bytes" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small model.c", "small model.h"]
    exported = export(run, "c", tmp_path)  # a folder that exists
    assert exported.path == tmp_path / "model"
    assert [check.is_right for check in exported.checks] == [True]
    assert (tmp_path / "model.c").read_text().startswith('#include "model.h"')


WORDS = ["a b c", "b a", "c c a b", "a", "b c"] * 8
SERIES = [
    {"unique_id": n, "ds": t, "y": 500 + t % 5 + n * t / 9, "price": t % 7, "load": t % 3, "shop": "xy"[n % 2]}
    for n in range(3)
    for t in range(60)
]
ONE_WAY = {"bidirectional": False, "budget": "1 steps", "progress": False}
RUNS: dict[str, Callable[[], elman.Run]] = {
    "words": lambda: elman.fit(WORDS, list("ab") * 20, task="classification", tokenizer="word", **ONE_WAY),
    "values": lambda: elman.fit(
        [[[9e3 + t * n, None if t == 2 else t] for t in range(3 + n % 4)] for n in range(40)],
        [n / 7 for n in range(40)], task="classification", **ONE_WAY,
    ),
    "tags": lambda: elman.fit(
        [line.split() for line in WORDS], [line.upper().split() for line in WORDS], task="tagging", crf=False, **ONE_WAY
    ),
    "forecasts": lambda: elman.fit(
        SERIES, task="forecasting", horizon=4, form="segment", segment=3, future=["price"], identities=True,
        **ONE_WAY,
    ),
    "forecasts, direct": lambda: elman.fit(
        SERIES, task="forecasting", horizon=4, future=["price"], past=["load"], static=["shop"], **ONE_WAY
    ),
}  # fmt: skip


@needs_a_compiler
@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("name", RUNS)
def test_runs_of_every_task(tmp_path: Path, name: str) -> None:
    exported = export(RUNS[name](), "c", tmp_path)
    assert [check.is_right for check in exported.checks] == [True]


@needs_a_compiler
@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("name", ["-O9", "a b", "2", "é", "int", "%d {x}", "math", "h_0"])
def test_names_that_are_no_identifiers(tmp_path: Path, name: str) -> None:
    exported = export(run_of(made("lstm, plain")), "c", tmp_path / name)
    assert [check.is_right for check in exported.checks] == [True]
    assert sorted(exported.files) == [str(tmp_path / f"{name}.c"), str(tmp_path / f"{name}.h")]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb"])
def test_names_that_an_include_cannot_hold(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="the name of a C program"):
        export(run_of(made("lstm, plain")), "c", tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_without_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "COMPILERS", ())
    exported = export(run_of(made("lstm, plain")), "c", tmp_path / "model")
    assert not exported.checks
    assert list(exported.notes) == ["neither gcc nor clang is installed here: the program was not compiled"]
    assert len(list(tmp_path.iterdir())) == 2


@needs_a_compiler
@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    ("body", "message"),
    [("h[u] = sums[u];", "differs from the model by"), ("h[u] = ;", "refuses the exported program: .*error")],
)
def test_a_wrong_program_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, message: str
) -> None:
    monkeypatch.setitem(cells.STEPS, "elman", lambda source, own: cells.every_unit(body))
    for name in ("model.c", "model.h"):
        (tmp_path / name).write_text("old")
    with pytest.raises(UserError, match=message):
        export(run_of(made("elman, plain")), "c", tmp_path, overwrite=True)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old", "old"]


def not_finite() -> nn.Module:
    model = language_model("gru")
    with torch.no_grad():
        model.embedding.weight[0, 0] = torch.nan
    return model


def encoder_decoder(kind: str) -> nn.Module:
    return build_encoder_decoder({"model": kind, "source_vocab_size": 7, "vocab_size": 7, "hidden_size": 8})


def transformer_classifier() -> nn.Module:
    return Classifier("transformer", outputs=2, vocab_size=7, hidden_size=8, num_heads=2, is_causal=True)


def imported() -> nn.Module:
    node = {"op": "embedding", "name": "table", "inputs": ["input"], "rows": 3, "size": 3}
    values = {"nodes": [node], "output": "table", "output_kind": "logits", "outputs": 3, "per_step": True}
    network = {"input": {"kind": "tokens", "vocab_size": 3}, **values}
    return build({"model": "imported", "vocab_size": 3, "network": network})


def layered(*nodes: dict[str, Any], mask_zero: bool = False) -> nn.Module:
    """An imported classifier, of which the first and the last layer are those that C can hold."""
    network = chain(TABLE | {"mask_zero": mask_zero}, *nodes, linear(5, 4), outputs=4, per_step=False, input=TOKENS)
    return LayeredClassifier(outputs=4, vocab_size=9, network=network.config)


GRU, LAST = recurrent("gru", 6), {"op": "last", "size": 5}
ADDED = {"op": "add", "inputs": ["recurrent_1", "recurrent_1"]}
TRANSFORMER = {"model": "transformer", "vocab_size": 7, "hidden_size": 8, "num_heads": 2}
REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "Transformer": (lambda: build(TRANSFORMER), "memory grows"),
    "encoder-decoder": (lambda: encoder_decoder("lstm"), "reads a whole source"),
    "CRF": (lambda: tagger("lstm", crf=True), "has a CRF"),
    "both directions": (lambda: tagger("lstm", bidirectional=True), "reads in both directions"),
    "classifier in both directions": (lambda: classifier("gru", bidirectional=True), "reads in both directions"),
    "Transformer as a classifier": (transformer_classifier, "is a Transformer"),
    "forecaster in both directions": (lambda: forecaster("gru", bidirectional=True), "reads in both directions"),
    "samples": (lambda: forecaster("gru", form="likelihood"), "draws its quantiles"),
    "not finite": (not_finite, "not finite"),
    "imported, without a memory": (imported, "has no recurrent layer"),
    "imported, a branch": (lambda: layered(GRU, ADDED, LAST), "'add_2' reads another value"),
    "imported, another layer": (lambda: layered(GRU, {"op": "mean", "size": 5}), "'mean_2' is of the kind mean"),
    "imported, backward": (
        lambda: layered(recurrent("gru", 6, direction="backward"), LAST),
        "needs the whole sequence",
    ),
    "imported, masks": (lambda: layered(GRU, LAST, mask_zero=True), "masks the token 0"),
    "another module": (lambda: nn.Linear(2, 2), 'no form of a Linear; export to="safetensors"'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(tmp_path: Path, name: str) -> None:
    make, message = REFUSED[name]
    with torch.no_grad():
        model = make()
    with pytest.raises(UserError, match=message) as told:
        export(run_of(model), "c", tmp_path)
    assert "\n" not in str(told.value)
    assert not list(tmp_path.iterdir())


def test_the_header_names_what_a_user_must_know() -> None:
    header = program(tagger("lstm", character_size=0), PurePath("my tagger")).header
    assert "#define MY_TAGGER_TAGS 3" in header
    assert "void my_tagger_step(my_tagger_state *state, int word, float scores[MY_TAGGER_TAGS]);" in header
    with torch.no_grad():
        model = forecaster("gru", (2, 1, 3))
    header = program(model, PurePath("f"), codecs=CODECS).header
    assert "past 0, past 1, ahead" in header
    assert "'one' 3.0, 2.0" in " ".join(header.split())


@needs_a_compiler
def test_a_header_in_cpp(tmp_path: Path) -> None:
    made_of = program(made("classifier, attention"), PurePath("model"))
    (tmp_path / "model.h").write_text(made_of.header)
    (tmp_path / "main.cpp").write_text('#include "model.h"\nint main() { return 0; }\n')
    for compiler in compilers():
        subprocess.run([compiler, "-fsyntax-only", "-Werror", "main.cpp"], cwd=tmp_path, check=True)


@needs_a_compiler
def test_the_size_of_code_is_without_weights() -> None:
    sizes = [
        size_of_code(program(language_model("lstm", hidden_size=H), PurePath("m")), compilers()[0], "-Os")
        for H in (8, 64)
    ]
    if None in sizes:
        pytest.skip("binutils' size is not installed")
    assert min(sizes) > 0
    assert max(sizes) < 4096
