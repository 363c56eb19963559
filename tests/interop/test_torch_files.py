"""State dicts of torch: layers that are guessed or described, and files that are refused without running anything."""

from __future__ import annotations

import json
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from elman.errors import UserError
from elman.interop.imported import ImportOptions
from elman.interop.torch_files import read_torch
from elman.models.layered import LayeredModel


def model_of(path: Path, **options: Any) -> tuple[LayeredModel, tuple[str, ...]]:
    config, tensors, notes, _ = read_torch(path, ImportOptions(**options))
    model = LayeredModel(config)
    model.load_state_dict(tensors)
    return model.eval(), notes


class Stack(nn.Module):
    """Layers one after the other; of recurrent ones the outputs, in eval mode."""

    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = layer(x)[0] if isinstance(layer, nn.RNNBase) else layer(x)
        return x


TOKENS, VALUES = torch.randint(0, 20, (3, 8)), torch.randn(3, 8, 6)
STACKS = {
    "lstm": lambda: Stack(emb=nn.Embedding(20, 6), rnn=nn.LSTM(6, 5, batch_first=True), out=nn.Linear(5, 20)),
    "projected, stacked, both": lambda: Stack(
        emb=nn.Embedding(20, 6),
        rnn=nn.LSTM(6, 7, 2, batch_first=True, bidirectional=True, proj_size=4),
        out=nn.Linear(8, 3),
    ),
    "gru without biases": lambda: Stack(
        emb=nn.Embedding(20, 6), rnn=nn.GRU(6, 5, 3, batch_first=True, bias=False), out=nn.Linear(5, 20, bias=False)
    ),
    "norms": lambda: Stack(
        emb=nn.Embedding(20, 6), norm=nn.LayerNorm(6), rnn=nn.RNN(6, 5, batch_first=True), out=nn.Linear(5, 4)
    ),
    "values": lambda: Stack(inp=nn.Linear(6, 4), rnn=nn.GRU(4, 5, batch_first=True), out=nn.Linear(5, 2)),
    "two recurrent layers": lambda: Stack(
        emb=nn.Embedding(20, 6), one=nn.LSTM(6, 5, batch_first=True), two=nn.GRU(5, 4, batch_first=True)
    ),
}


PROJECTIONS = "ignore:LSTM with projections is not supported with oneDNN:UserWarning"


@pytest.mark.filterwarnings(PROJECTIONS)
@pytest.mark.parametrize("ending", ["pt", "safetensors"])
@pytest.mark.parametrize("name", STACKS)
def test_layers_are_guessed(name: str, ending: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    stack, path = STACKS[name](), tmp_path / f"model.{ending}"
    if ending == "pt":
        torch.save(stack.state_dict(), path)
    else:
        safetensors.torch.save_file(stack.state_dict(), path)
    x = VALUES if name == "values" else TOKENS
    model, notes = model_of(path, whole=False)
    torch.testing.assert_close(model(x)[0], stack(x), rtol=0, atol=1e-6)
    assert notes[0].startswith("guessed from names and shapes: ")
    assert all(layer in notes[0] for layer in dict(stack.named_children()))


@pytest.mark.filterwarnings(PROJECTIONS)
@pytest.mark.parametrize("name", ["lstm", "projected, stacked, both"])
def test_last_states_are_those_of_both_directions(name: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    stack: Any = STACKS[name]()
    torch.save(stack.state_dict(), tmp_path / "model.pt")
    model, notes = model_of(tmp_path / "model.pt", whole=True)
    _, (h, _) = stack.rnn(stack.emb(TOKENS))
    last = torch.cat((h[-2], h[-1]), 1) if stack.rnn.bidirectional else h[-1]
    torch.testing.assert_close(model(TOKENS)[0], stack.out(last), rtol=0, atol=1e-6)
    assert "sequence" in notes[1]


def test_a_state_continues_as_in_torch(tmp_path: Path) -> None:
    torch.manual_seed(1)
    stack: Any = STACKS["lstm"]()
    torch.save(stack.state_dict(), tmp_path / "model.pt")
    model, _ = model_of(tmp_path / "model.pt")
    h, c = torch.randn(1, 3, 5), torch.randn(1, 3, 5)
    outputs, (h_n, c_n) = stack.rnn(stack.emb(TOKENS), (h, c))
    [state] = model.initial_state(3)
    made, [after] = model(TOKENS, (type(state)(h[0], c[0]),))
    torch.testing.assert_close(made, stack.out(outputs), rtol=0, atol=1e-6)
    torch.testing.assert_close(after.h, h_n[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(after.c, c_n[0], rtol=0, atol=1e-6)


DESCRIBED = """
- embedding: net.0
- gru: net.1
  reads: last
- batch_norm: net.2
- linear: net.3
- relu
- linear: net.5
- softmax
"""


@pytest.mark.parametrize("where", ["file", "metadata"])
def test_layers_are_described(where: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    rnn, rest = nn.GRU(6, 5, batch_first=True), [nn.BatchNorm1d(5), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)]
    net = nn.Sequential(nn.Embedding(20, 6), rnn, *rest)
    rest[0](torch.randn(9, 5))  # statistics that are not those of the begin
    net.eval()
    state = {f"module.net.{name}": tensor for name, tensor in net.state_dict().items()}  # as DataParallel has them
    (tmp_path / "layers.yaml").write_text(DESCRIBED)
    entries = [{"embedding": "net.0"}, {"gru": "net.1", "reads": "last"}, {"batch_norm": "net.2"}, {"linear": "net.3"}]
    metadata = (
        {"layers": json.dumps([*entries, "relu", {"linear": "net.5"}, "softmax"])} if where == "metadata" else None
    )
    safetensors.torch.save_file(state, tmp_path / "model.safetensors", metadata)
    layers = str(tmp_path / "layers.yaml") if where == "file" else None
    model, _ = model_of(tmp_path / "model.safetensors", layers=layers)
    expected = nn.Sequential(*rest)(rnn(net[0](TOKENS))[1][-1])
    torch.testing.assert_close(model(TOKENS)[0], expected.softmax(-1), rtol=0, atol=1e-6)
    torch.testing.assert_close(model.logits(TOKENS)[0], expected, rtol=0, atol=1e-6)
    assert model.config["output_kind"] == "probabilities"


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ("- lstn: rnn", "layer 1: expected a layer that is known, got 'lstn'; did you mean 'lstm'"),
        ("- lstm", "layer 1: expected lstm: the name of its tensors, got None"),
        ("- softmax: a", "softmax without a name"),
        ("- lstm: rnn\n  size: 4", "size: expected an option of lstm"),
        ("- embedding: emb\n- lstm: nothing", "nothing: expected the tensors of the layer lstm"),
        ("- embedding: emb\n- gru: rnn\n- linear: out", "weight_ih: expected 3 rows for each of 5 units, got 20"),
        ("- embedding: emb\n- lstm: rnn", "out.weight: expected a tensor of one of the layers"),
        ("- embedding: emb\n- linear: out\n- lstm: rnn", "node 'out'"),
        ("- embedding: emb\n- lstm: rnn\n  reads: all\n- linear: out", "reads: expected"),
        ("embedding: emb", "a list of layers, got dict"),
        ("[", "not readable as YAML"),
    ],
)
def test_wrong_descriptions_name_the_layer(described: str, words: str, tmp_path: Path) -> None:
    torch.save(STACKS["lstm"]().state_dict(), tmp_path / "model.pt")
    (tmp_path / "layers.yaml").write_text(described)
    with pytest.raises(UserError, match=words) as raised:
        model_of(tmp_path / "model.pt", layers=str(tmp_path / "layers.yaml"))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"a.weight": torch.zeros(4, 4), "b.weight": torch.zeros(3, 9)}, "no order of its layers fits"),
        ({"conv.weight": torch.zeros(4, 4, 3)}, "conv.weight is of no layer that is known"),
        ({"x": torch.zeros(4)}, "x is of no layer that is known"),
        ({"rnn.weight_ih_l0": torch.zeros(8, 4)}, "rnn is no recurrent layer"),
        ({"rnn.weight_ih_l0": torch.zeros(10, 4), "rnn.weight_hh_l0": torch.zeros(10, 5)}, "rnn is no recurrent layer"),
        ({}, "holds no tensors"),
        ({"emb.weight": torch.zeros(3, 2, dtype=torch.int64)}, "numbers of a floating point"),
        ({"emb.weight": torch.zeros(1).expand(1 << 20, 1 << 12)}, "that the file holds"),
        ({"emb.weight": torch.zeros(4, 4).to_sparse()}, "numbers of a floating point"),
    ],
)
def test_what_cannot_be_told(state: dict[str, Tensor], words: str, tmp_path: Path) -> None:
    torch.save(OrderedDict(state), tmp_path / "model.pt")
    with pytest.raises(UserError, match=words) as raised:
        model_of(tmp_path / "model.pt")
    assert "\n" not in str(raised.value)


def test_the_order_of_safetensors_is_that_of_names(tmp_path: Path) -> None:
    stack = Stack(emb=nn.Embedding(20, 5), norm=nn.LayerNorm(5), rnn=nn.GRU(5, 5), out=nn.Linear(5, 3))
    safetensors.torch.save_file(stack.state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="more than one order"):
        model_of(tmp_path / "model.safetensors")
    torch.save(stack.state_dict(), tmp_path / "model.pt")
    model, _ = model_of(tmp_path / "model.pt", whole=False)
    assert [node["op"] for node in model.config["nodes"]] == ["embedding", "layer_norm", "recurrent", "linear"]


def test_what_is_between_linear_layers_is_asked_for(tmp_path: Path) -> None:
    stack = Stack(emb=nn.Embedding(20, 6), rnn=nn.GRU(6, 5), fc1=nn.Linear(5, 4), fc2=nn.Linear(4, 3))
    torch.save(stack.state_dict(), tmp_path / "model.pt")
    with pytest.raises(UserError, match="between fc1 and fc2"):
        model_of(tmp_path / "model.pt")


class Runs:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("ran", "w")


def test_no_code_of_a_file_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    state = STACKS["lstm"]().state_dict()
    torch.save({**state, "more": Runs()}, "code.pt")
    torch.save(STACKS["lstm"](), "module.pt")
    torch.save(state, "old.pt", _use_new_zipfile_serialization=False)
    torch.save({"a": bytearray(10)}, "bytes.pt")
    torch.save({"epoch": 3}, "nothing.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "code.pt").read_bytes()[:-40])
    with zipfile.ZipFile("code.pt") as archive, zipfile.ZipFile("packed.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in archive.namelist():
            packed.writestr(name, archive.read(name))
    words = {
        "code": "refuses what it holds", "module": "refuses what it holds", "old": "no archive of torch",
        "bytes": "more than tensors", "nothing": "expected a state dict", "cut": "is damaged",
        "packed": "parts are larger than the file",
    }  # fmt: skip
    for name, said in words.items():
        with pytest.raises(UserError, match=said) as raised:
            model_of(Path(f"{name}.pt"))
        assert "\n" not in str(raised.value)
    assert not Path("ran").exists()


def test_checkpoints_and_other_dtypes(tmp_path: Path) -> None:
    stack = STACKS["lstm"]()
    checkpoint = {"state_dict": {f"model.{k}": v.bfloat16() for k, v in stack.state_dict().items()}, "epoch": 3}
    torch.save(checkpoint, tmp_path / "model.pt")
    model, notes = model_of(tmp_path / "model.pt")
    assert "weights of bfloat16 are float32 now" in notes
    stack.bfloat16().float()
    torch.testing.assert_close(model(TOKENS)[0], stack(TOKENS), rtol=0, atol=1e-6)
