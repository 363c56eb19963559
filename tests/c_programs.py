"""Models of every kind as C programs, and many programs in one executable."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from elman.cells import CELLS
from elman.export.c.checking import Example
from elman.export.c.compiling import MAIN, STRICT
from elman.export.c.program import CProgram, program
from elman.models import RecurrentLM, build
from elman.models.classifier import Classifier
from elman.models.forecaster import SeriesForecaster
from elman.models.layered_classifier import LayeredClassifier
from elman.models.layered_language_model import LayeredLanguageModel
from elman.models.layered_tagger import LayeredTagger
from elman.models.tagger import Tagger
from elman.nn import layer_of
from exported_models import chain

LAYERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "two layers": {"num_layers": 2},
    "tied": {"tied": True, "num_layers": 2},
    "residual": {"residual": True, "num_layers": 3, "embedding_size": 5},
    "wide": {"hidden_size": 70},
    "layer norm": {"layer_norm": True},
    "zoneout": {"zoneout": 0.3},
    "zoneout of both": {"zoneout": 0.1, "zoneout_cell": 0.4},
    "peepholes": {"peepholes": True},
    "without biases": {"bias": False},
    "without biases, layer norm": {"bias": False, "layer_norm": True},
    "projection": {"proj_size": 5},
    "projection, layer norm": {"proj_size": 5, "layer_norm": True, "zoneout": 0.2},
    "relu": {"nonlinearity": "relu"},
    "reset before": {"reset_after": False},
    "exponential": {"forget_gate": "exponential"},
    "everything": {"peepholes": True, "zoneout": 0.1, "zoneout_cell": 0.3, "layer_norm": True, "num_layers": 2},
}
OF_ANY_MODEL = {"num_layers", "tied", "residual", "embedding_size", "hidden_size"}
SCALER = SimpleNamespace(mean=np.array([1e6, -3.0, 0.0]), deviation=np.array([2.0, 1.0, 0.1]), channels=3)
COLUMNS = {"past 0": (3.0, 2.0), "past 1": (-1.0, 0.5), "ahead": (10.0, 4.0), "size": (2.0, 3.0)}
CODECS = {
    "scaler": SimpleNamespace(columns=COLUMNS, words={"shop": ("x", "y")}, scales={"one": (3.0, 2.0, 9)}),
    "columns": SimpleNamespace(past=("past 0", "past 1"), future=("ahead",), static=("size", "shop")),
}


def language_model(cell: str, **options: Any) -> RecurrentLM:
    """A model whose layers may have options that models do not have as settings."""
    own = {name: value for name, value in options.items() if name in OF_ANY_MODEL}
    rest = {name: value for name, value in options.items() if name not in OF_ANY_MODEL}
    model = build({"model": cell, "vocab_size": 11, "hidden_size": 5, "num_layers": 1, "embedding_size": 6} | own)
    assert isinstance(model, RecurrentLM)
    more = 4 * ("proj_size" in rest)  # the projection makes as many units of these as the model has
    sizes = [(layer.input_size, layer.hidden_size + more) for layer in model.layers]
    model.layers = nn.ModuleList(layer_of(cell)(D, H, **rest) for D, H in sizes)
    if more:
        model.initial_state = lambda B: (CELLS[cell].state_type(torch.zeros(B, 5), torch.zeros(B, 9)),)
    return model


def tagger(kind: str, **options: Any) -> Tagger:
    sizes = {"hidden_size": 8, "embedding_size": 6, "crf": False, "bidirectional": False}
    return Tagger(kind, 9, 7, ('B-"x"', "O??/", "é\\"), **(sizes | options))


def classifier(kind: str, **options: Any) -> Classifier:
    sizes = {"hidden_size": 8, "embedding_size": 6, "outputs": 4, "bidirectional": False}
    given = {} if "channels" in options else {"vocab_size": 11}
    return Classifier(kind, **(sizes | given | options))


def forecaster(kind: str, channels: tuple[int, int, int] = (0, 0, 0), **options: Any) -> SeriesForecaster:
    sizes = {"hidden_size": 6, "num_layers": 2, "levels": (0.1, 0.3, 0.5, 0.9)}
    model = SeriesForecaster(kind, 10, 5, channels=channels, series=4, **(sizes | options))
    model.widths.copy_(torch.rand(model.widths.shape) * 3)  # so wide and narrow that quantiles would cross
    return model


TABLE = {"op": "embedding", "rows": 9, "size": 6}
TOKENS = {"kind": "tokens", "vocab_size": 9}


def recurrent(cell: str, size: int, **options: Any) -> dict[str, Any]:
    return {"op": "recurrent", "cell": cell, "input_size": size, "hidden_size": 5, **options}


def linear(size: int, outputs: int) -> dict[str, Any]:
    return {"op": "linear", "input_size": size, "output_size": outputs}


def imported_language_model() -> nn.Module:
    nodes = [TABLE, recurrent("gru", 6), {"op": "dropout", "p": 0.5}, recurrent("lstm", 5), linear(5, 9)]
    made = {"output_kind": "probabilities", "logits": "linear_4", "input": TOKENS}
    return LayeredLanguageModel(9, chain(*nodes, {"op": "activation", "function": "softmax"}, outputs=9, **made).config)


def imported_tagger() -> nn.Module:
    """One output, the probability of the second of two tags."""
    nodes = [TABLE, recurrent("elman", 6, nonlinearity="relu"), linear(5, 1)]
    network = chain(*nodes, outputs=1, output_kind="logits", input=TOKENS).config
    return LayeredTagger(word_vocab_size=9, character_vocab_size=7, tags=("no", "yes"), network=network)


def imported_classifier() -> nn.Module:
    nodes = [linear(3, 6), recurrent("lstm", 6, reads="last"), linear(5, 4)]
    return LayeredClassifier(outputs=4, channels=3, network=chain(*nodes, outputs=4, per_step=False).config)


Made = tuple[Callable[[], nn.Module], Mapping[str, Any]]
MODELS: dict[str, Made] = {
    f"{cell}, {name}": (lambda cell=cell, options=options: language_model(cell, **options), {})  # type: ignore[misc]
    for cell in CELLS
    for name, options in LAYERS.items()
    if options.keys() <= layer_of(cell).defaults.keys() | OF_ANY_MODEL
}
MODELS |= {
    "tagger": (lambda: tagger("lstm", character_size=0), {}),
    "tagger of characters": (lambda: tagger("gru", character_size=6, num_layers=2, residual=True), {}),
    **{
        f"classifier, {pool}": (lambda pool=pool: classifier("gru", pooling=pool), {})
        for pool in ("last", "mean", "max", "attention")
    },
    "classifier of n-grams": (lambda: classifier("lstm", ngrams=True), {}),
    "classifier of values": (lambda: classifier("lstm", channels=3, outputs=1), {}),
    "classifier of values and flags": (lambda: classifier("slstm", channels=3, missing=True), {"scaler": SCALER}),
    **{
        f"forecaster, {way}": (lambda way=way: forecaster("gru", normalisation=way), {})
        for way in ("last", "mean", "none")
    },
    "forecaster, segments": (lambda: forecaster("lstm", segment=3), {}),
    "forecaster, columns": (lambda: forecaster("lstm", (2, 1, 3), segment=3), CODECS),
    "forecaster, form segment": (lambda: forecaster("gru", form="segment", segment=3), {}),
    "forecaster, form segment, columns": (
        lambda: forecaster("lstm", (2, 1, 3), form="segment", segment=3, identities=True, residual=True), CODECS,
    ),
    "imported language model": (imported_language_model, {}),
    "imported tagger": (imported_tagger, {}),
    "imported classifier": (imported_classifier, {}),
}  # fmt: skip


def made(name: str) -> nn.Module:
    """The model of a name with random weights, in eval mode."""
    torch.manual_seed(1)
    with torch.no_grad():
        model = MODELS[name][0]()
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.7 * max(5, parameter.shape[-1]) ** -0.5)
    return model.eval()


class Together:
    """Programs by their names in one executable, so that a compiler runs once."""

    def __init__(self, programs: Mapping[str, CProgram], compiler: str, folder: Path, *flags: str) -> None:
        self.places = {name: place for place, name in enumerate(programs)}
        self.executable = folder / "program"
        mains = []
        for name, each in programs.items():
            (folder / f"{each.name}.h").write_text(each.header)
            (folder / f"{each.name}.c").write_text(each.source)
            cases = "\n".join(f"        case {n}: {{ {text} break; }}" for n, text in enumerate(each.calls))
            main = MAIN.format(name=each.name, prefix=each.prefix, cases=cases)
            mains.append(main.replace("int main(void)", f"static int main_{self.places[name]}(void)"))
        cases = "\n".join(f"    case {place}: return main_{place}();" for place in self.places.values())
        begin = "#include <stdlib.h>\n"
        choose = f"    (void)count;\n    switch (atoi(words[1])) {{\n{cases}\n    }}\n    return 2;"
        last = f"int main(int count, char **words)\n{{\n{choose}\n}}\n"
        (folder / "main.c").write_text("\n".join([begin, *mains, last]))
        sources = [f"{each.name}.c" for each in programs.values()]
        command = [compiler, *STRICT, *flags, "main.c", *sources, "-o", "program", "-lm"]
        found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stderr[:2000]

    def difference(self, name: str, example: Example) -> float:
        """The greatest difference between a program and its model, divided by the model's number if that is above 1."""
        command = [self.executable, str(self.places[name])]
        ran = subprocess.run(command, input=example.calls, capture_output=True, check=False)
        assert ran.returncode == 0, ran.stderr.decode()[:2000]
        found = np.frombuffer(ran.stdout, example.dtype)
        expected = example.expected.reshape(-1)
        return float((np.abs(found - expected) / np.maximum(1, np.abs(expected))).max())


def programs(*, int8: bool) -> dict[str, CProgram]:
    """A program of every model."""
    return {
        name: program(made(name), PurePath(f"model {number}"), int8=int8, codecs=codecs)
        for number, (name, (_, codecs)) in enumerate(MODELS.items())
    }
