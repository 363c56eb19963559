"""State dicts of torch.nn's layers, and the module beside."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import safetensors
import safetensors.torch
import torch

from elman.errors import UserError
from elman.export import torch as of_torch
from elman.export.exported import Exported, write_files
from elman.export.layers import layers_of
from elman.export.options import ExportOptions
from elman.interop.imported import ImportOptions
from elman.interop.torch_files import read_torch
from elman.models.layered import LayeredModel
from exported_models import MODELS, VALUES, chain, inputs_of, made, rnn

IN_TORCH = [name for name in MODELS if name != "reset_before"]


def written(model: torch.nn.Module, path: Path) -> Exported:
    exported = of_torch.write(cast(Any, SimpleNamespace(model=model)), path, ExportOptions(), lambda line: None)
    write_files(exported.contents, overwrite=True, run=path / "run")
    return exported


def rebuilt(path: Path) -> torch.nn.Module:
    """The module beside a file, with the file's numbers."""
    module = runpy.run_path(str(path.with_suffix(".py")))
    model = module["Model"]()
    read = safetensors.torch.load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    assert model.load_state_dict(read, strict=True)
    return model.eval()


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
@pytest.mark.parametrize("name", IN_TORCH)
def test_the_module_beside_a_file_computes_the_same_by_torch_alone(name: str, ending: str, tmp_path: Path) -> None:
    model, x, path = made(name), inputs_of(name), tmp_path / f"{name}.{ending}"
    exported = written(model, path)
    assert exported.files == {str(file): file.stat().st_size for file in (path, path.with_suffix(".py"))}
    text = path.with_suffix(".py").read_text()
    assert "import elman" not in text
    compile(text, name, "exec")
    layers, theirs = layers_of(model).model, rebuilt(path)
    assert {type(part).__module__.partition(".")[0] for part in theirs.children()} == {"torch"}
    expected, state = layers(x)
    found = theirs(x)
    if not isinstance(found, tuple):
        torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)
        return
    torch.testing.assert_close(found[0], expected, atol=2e-6, rtol=0)
    # It goes on from a state: three pieces give what the whole gives.
    pieces, after = [], None
    for piece in (x[:, :1], x[:, 1:4], x[:, 4:]):
        y, after = theirs(piece, after)
        pieces.append(y)
    whole = torch.cat(pieces, 1) if expected.dim() == 3 else pieces[-1]
    torch.testing.assert_close(whole, expected, atol=2e-6, rtol=0)
    ours = [part for each in state for part in (each if isinstance(each, tuple) else (each,))]
    other = [part[0] for each in after for part in (each if isinstance(each, tuple) else (each,))]
    torch.testing.assert_close(other, ours, atol=2e-6, rtol=0)


def test_only_a_chain_of_layers_is_described(tmp_path: Path) -> None:
    written(made("tagger_lstm"), tmp_path / "chain.safetensors")
    with safetensors.safe_open(tmp_path / "chain.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["layers"]) == [
            {"embedding": "embedding"}, {"lstm": "lstm_1", "reads": "sequence"}, {"linear": "output"},
        ]  # fmt: skip
    written(made("lm_lstm"), tmp_path / "residual.safetensors")
    with safetensors.safe_open(tmp_path / "residual.safetensors", framework="pt") as file:
        assert "layers" not in file.metadata()


CHAINS = [
    name for name in IN_TORCH if name not in ("lm_lstm", "classifier_mean", "classifier_sum", "merged", "backward")
]


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_of_layers_comes_in_again_in_every_bit(name: str, tmp_path: Path) -> None:
    model, path = layers_of(made(name)).model, tmp_path / "model.safetensors"
    written(made(name), path)
    read = read_torch(path, ImportOptions())
    again = LayeredModel(read.config)
    again.load_state_dict(read.tensors)
    ours, theirs = ([tensor.numpy().tobytes() for tensor in each.state_dict().values()] for each in (model, again))
    assert ours == theirs
    assert torch.equal(again.eval()(inputs_of(name))[0], model(inputs_of(name))[0])


def test_the_module_has_a_name_that_python_can_import(tmp_path: Path) -> None:
    assert [file.name for file in written(made("relu"), tmp_path / "my-model.pt").contents] == [
        "my-model.pt",
        "my_model.py",
    ]


def test_tied_weights_are_two_arrays(tmp_path: Path) -> None:
    written(made("lm_lstm"), tmp_path / "tied.safetensors")
    read = safetensors.torch.load_file(tmp_path / "tied.safetensors")
    assert torch.equal(read["embedding.weight"], read["decoder.weight"])


def test_names_are_python_s(tmp_path: Path) -> None:
    nodes = [rnn("gru", 3, 4, name="class", inputs=["input"]), {"op": "linear", "input_size": 4, "output_size": 2}]
    nodes[1] |= {"name": "my dense/1", "inputs": ["class"]}
    model = LayeredModel({**VALUES, "nodes": nodes, "output": "my dense/1", "outputs": 2, "per_step": True}).eval()
    written(model, tmp_path / "model.pt")
    assert {*torch.load(tmp_path / "model.pt", weights_only=True)} > {"class_.weight_ih_l0", "my_dense_1.weight"}
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(rebuilt(tmp_path / "model.pt")(x)[0], model(x)[0])


REFUSED: list[tuple[LayeredModel, str]] = [
    (chain(rnn("gru", 3, 2, reset_after=False), outputs=2), "torch.GRU has no equal of this GRU: its reset_after is"),
    (chain(rnn("lstm", 3, 2, peepholes=True), outputs=2), "torch.LSTM has no equal of this LSTM: it has no arr"),
    (chain(rnn("mingru", 3, 2), outputs=2), "torch has no layer of the kind MinGRU"),
    (chain({"op": "masking"}, rnn("gru", 3, 2), outputs=2), "torch.nn skips no masked steps, and 'masking_0'"),
    (
        chain(
            {"op": "embedding", "rows": 3, "size": 2, "mask_zero": True},
            outputs=2, input={"kind": "tokens", "vocab_size": 3},
        ),
        "torch.nn skips no masked steps, and 'embedding_0' makes a mask",
    ),
    (
        chain({"op": "layer_norm", "size": 3, "epsilon": 1e-3, "scale": False}, outputs=3),
        "torch.nn.LayerNorm has a gain, and 'layer_norm_0' has none",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("model", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_what_torch_cannot_is_refused_and_nothing_is_written(model: LayeredModel, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{reason}"):
        written(model, tmp_path / "model.pt")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", ["model.bin", "model"])
def test_other_endings_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected a name with the ending .safetensors or .*pt") as caught:
        written(made("relu"), tmp_path / name)
    assert caught.value.exit_code == 2


FUNCTIONS = sorted({*of_torch.FUNCTIONS, "tanh", "sigmoid", "relu", "softmax", "log_softmax"})


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_of_a_layered_model(function: str, tmp_path: Path) -> None:
    alpha = {"alpha": 0.3} if function in ("leaky_relu", "elu", "celu") else {}
    model = chain({"op": "activation", "function": function, **alpha}, outputs=3)
    written(model, tmp_path / "model.pt")
    x = torch.linspace(-4, 8, 24).view(2, 4, 3)
    torch.testing.assert_close(rebuilt(tmp_path / "model.pt")(x), model(x)[0])


COMBINED = ["concat", "add", "subtract", "multiply", "maximum", "minimum", "average"]


@pytest.mark.parametrize("op", COMBINED)
def test_every_combination_of_values(op: str, tmp_path: Path) -> None:
    nodes: list[dict[str, Any]] = [
        {"op": "linear", "name": name, "inputs": ["input"], "input_size": 3, "output_size": 2} for name in ("a", "b")
    ]
    size = 4 if op == "concat" else 2
    nodes.append({"op": op, "name": "both", "inputs": ["a", "b"]})
    nodes.append({"op": "dropout", "name": "d", "inputs": ["both"], "p": 0.5, "locked": True})
    model = LayeredModel({**VALUES, "nodes": nodes, "output": "d", "outputs": size, "per_step": True}).eval()
    written(model, tmp_path / "model.pt")
    x = torch.randn(2, 4, 3)
    torch.testing.assert_close(rebuilt(tmp_path / "model.pt")(x), model(x)[0])
