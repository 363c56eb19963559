"""docs/en/reference/torch-nn.md: what both libraries' layers do with code for torch.nn's, found by running it.

`python tests/nn/test_torch_nn.py` prints the page's list and table anew.
"""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vmap
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils._pytree import tree_leaves

import elman.nn
from elman.errors import UserError

PAGE = Path(__file__).parents[2] / "docs" / "en" / "reference" / "torch-nn.md"
NAMES = ("RNN", "GRU", "LSTM")
x = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))
Layers = ModuleType


class Row(NamedTuple):
    what: str
    probe: Callable[[Layers], Any]
    """What comes of it with `torch.nn` or `elman.nn`; the name of the exception where it raises one."""
    note: str = ""


class Classifier(nn.Module):
    """A user's model."""

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        self.rnn = layers.LSTM(3, 4, num_layers=2, batch_first=True)
        self.out = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.rnn(x)[0][:, -1])


def each(layers: Layers, **options: Any) -> list[Any]:
    torch.manual_seed(3)
    return [getattr(layers, name)(3, 4, **options) for name in NAMES]


def deep(layers: Layers) -> list[Any]:
    return each(layers, num_layers=2, bidirectional=True)


def loaded(layers: Layers) -> Any:
    """Weights that torch.nn's layer has stored."""
    files = []
    for layer in deep(nn):
        torch.save(layer.state_dict(), file := io.BytesIO())
        files.append(file.getvalue())
    again = deep(layers)
    for layer, file in zip(again, files, strict=True):
        layer.load_state_dict(torch.load(io.BytesIO(file)))
    return [layer(x) for layer in again]


def initialized(layers: Layers) -> Any:
    """As many a model is initialized."""
    model = nn.ModuleList(deep(layers))
    for module in model:
        torch.manual_seed(1)
        for name, p in module.named_parameters():
            if "weight_hh" in name:
                nn.init.orthogonal_(p)
            elif "weight_ih" in name:
                nn.init.xavier_uniform_(p)
            else:
                p.data.fill_(0.1)
    return [layer(x) for layer in model]


def copied(layers: Layers) -> Any:
    layer = deep(layers)[2]
    torch.save(layer, file := io.BytesIO())
    file.seek(0)
    return [copy.deepcopy(layer)(x), torch.load(file, weights_only=False)(x)]


def packed(layers: Layers) -> Any:
    pack = pack_padded_sequence(x, torch.tensor([2, 5]), enforce_sorted=False)
    found = [layer(pack) for layer in deep(layers)]
    return [(outputs.data, state) for outputs, state in found]


def pruned(layers: Layers) -> Any:
    found = []
    for layer in deep(layers):
        prune.l1_unstructured(layer, "weight_hh_l0", 0.5)
        found.append(layer(x))
        prune.remove(layer, "weight_hh_l0")
        found.append(layer(x))
    return found


def parametrized(layers: Layers) -> Any:
    found = []
    for layer in deep(layers):
        parametrizations.weight_norm(layer, "weight_hh_l0")
        layer.parametrizations.weight_hh_l0.original0.data.mul_(2)
        found.append(layer(x))
    return found


def called_functionally(layers: Layers) -> Any:
    return [functional_call(m, {n: p * 2 for n, p in m.named_parameters()}, (x,)) for m in deep(layers)]


def replicated(layers: Layers) -> Any:
    """What nn.DataParallel does on each device."""
    found = []
    for layer in deep(layers):
        replica = layer._replicate_for_data_parallel()
        for name, p in layer.named_parameters():
            setattr(replica, name, p * 1)
        found.append(replica(x))
    return found


def derivatives(layers: Layers) -> Any:
    found = []
    for layer in deep(layers):
        z = x.clone().requires_grad_()
        first = torch.autograd.grad(layer(z)[0].square().sum(), [z, *layer.parameters()], create_graph=True)
        found.append([first, torch.autograd.grad(first[0].square().sum(), [z, *layer.parameters()], allow_unused=True)])
    return found


def exported_legacy(model: nn.Module) -> str:
    torch.onnx.export(model, (x,), file := io.BytesIO(), dynamo=False)
    return "works" if file.getvalue() else "empty"


def casts(layers: Layers) -> Any:
    kinds = (torch.float64, torch.bfloat16, torch.float16)
    return [[leaf.dtype for leaf in tree_leaves(m.to(kind)(x.to(kind)))] for kind in kinds for m in each(layers)]


def refusals(layers: Layers) -> Any:
    layer = layers.LSTM(3, 4)
    calls: list[Callable[[], Any]] = [
        lambda: layer(x[..., :2]),
        lambda: layer(x.double()),
        lambda: layer(x[None]),
        lambda: layer(x, (torch.zeros(1, 2, 5), torch.zeros(1, 2, 5))),
        lambda: layers.LSTM(3, 0),
        lambda: layers.LSTM(3, 4, dropout=2),
        lambda: layers.LSTM(3, 4, proj_size=4),
        lambda: layers.RNN(3, 4, nonlinearity="sigmoid"),
    ]
    return [outcome(call) for call in calls]


def replaced(L: Layers) -> Any:
    """As a weight drop does it."""
    layer = L.LSTM(3, 4)
    for name in ("weight_ih_l0", "weight_hh_l0"):
        weight = getattr(layer, name)
        delattr(layer, name)
        setattr(layer, name, weight.detach() / 2)
    return layer(x)


def stepped(L: Layers) -> Any:
    torch.manual_seed(3)
    cells = [getattr(L, f"{name}Cell")(3, 4) for name in NAMES]
    return [[cell.state_dict(), cell(x[0]), torch.jit.trace(cell, (x[0, :1],))(x[0])] for cell in cells]


SAME = (
    Row(
        "names, shapes and order of the parameters, `state_dict`",
        lambda L: [[(n, tuple(p.shape)) for n, p in layer.named_parameters()] for layer in deep(L)],
    ),
    Row("the first values after one seed", lambda L: [list(layer.parameters()) for layer in deep(L)]),
    Row("`load_state_dict` of weights that `torch.nn` stored, and the outputs (to rounding)", loaded),
    Row('initialization by `if "weight_hh" in name` over `named_parameters()`', initialized),
    Row("`all_weights`, and reading `_flat_weights`", lambda L: [[m.all_weights, m._flat_weights] for m in deep(L)]),
    Row("a tensor in the place of a parameter, as a weight drop puts it there", replaced),
    Row("first and second derivatives by `torch.autograd`", derivatives),
    Row("dropout between layers after one seed", lambda L: [m(x) for m in each(L, num_layers=2, dropout=0.5)]),
    Row("`torch.export.export`", lambda L: torch.export.export(Classifier(L), (x,)).module()(x)),
    Row("`mode`", lambda L: [layer.mode for layer in [*each(L), L.RNN(3, 4, nonlinearity="relu")]]),
    Row("`flatten_parameters()`", lambda L: [layer.flatten_parameters() for layer in each(L)]),
    Row("`copy.deepcopy`, `torch.save` of a layer", copied),
    Row("`pack_padded_sequence`, sorted or not", packed),
    Row("unbatched input, an LSTM's state as a list", lambda L: each(L)[2](x[:, 0], [torch.ones(1, 4)] * 2)),
    Row("`torch.nn.utils.prune`", pruned),
    Row("`torch.nn.utils.parametrizations`", parametrized),
    Row("`torch.func.functional_call`", called_functionally),
    Row("a replica of `nn.DataParallel`", replicated),
    Row("`.double()`, `.bfloat16()`, `.half()`: the dtypes that come out", casts),
    Row("what wrong sizes, dtypes and arguments raise", refusals),
    Row("`RNNCell`, `GRUCell` and `LSTMCell`: the parameters, and a step, traced by `torch.jit.trace` or not", stepped),
    Row("`torch.onnx.export(..., dynamo=False)` of a model with a layer", lambda L: exported_legacy(Classifier(L))),
)


def traced(layers: Layers) -> str:
    model = Classifier(layers)
    other = torch.randn(7, 9, 3)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = torch.jit.trace(model, (x,))(other)
    torch.testing.assert_close(found, model(other))
    return "warns" if any("is deprecated" not in str(w.message) for w in told) else "works"


def under_autocast(L: Layers) -> str:
    with torch.autocast("cpu", torch.bfloat16):
        found = [layer(x) for layer in each(L)]
    kinds = [(outputs.dtype, tree_leaves(state)[0].dtype) for outputs, state in found]
    return "; ".join(f"{n} {words(a)} and {words(b)}" for n, (a, b) in zip(NAMES, kinds, strict=True))


def words(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")


def assigned(L: Layers) -> str:
    layer = L.LSTM(3, 4)
    layer._flat_weights = [torch.zeros_like(w) for w in layer._flat_weights]
    return "changes the outputs" if not layer(x)[0].any() else "changes nothing"


def quantized(L: Layers) -> str:
    model = torch.ao.quantization.quantize_dynamic(Classifier(L), {nn.LSTM})
    return "quantized" if "quantized" in type(model.rnn).__module__ else "left as it is"


def compiled(L: Layers) -> str:
    torch._dynamo.reset()
    torch.compile(Classifier(L), fullgraph=True, backend="eager")(x)
    return "works"


def per_sample(L: Layers) -> str:
    layer = L.GRU(3, 4)
    stacked = {n: p.detach().expand(2, *p.shape) for n, p in layer.named_parameters()}
    vmap(lambda p, x: functional_call(layer, p, (x,))[0])(stacked, x.expand(2, *x.shape))
    return "works"


def works(function: Callable[[Layers], Any]) -> Callable[[Layers], str]:
    def probe(L: Layers) -> str:
        function(L)
        return "works"

    return probe


DIFFERENT = (
    Row(
        "`isinstance(layer, torch.nn.RNNBase)`",
        lambda L: isinstance(L.LSTM(3, 4), nn.RNNBase),
        "ask for `(torch.nn.RNNBase, elman.nn.Recurrent)`",
    ),
    Row("`isinstance(layer, torch.nn.LSTM)`", lambda L: isinstance(L.LSTM(3, 4), nn.LSTM), "ask for `layer.mode`"),
    Row("the class of `RNN`", lambda L: L.RNN.__name__, "`elman.nn.RNN` is another name of `Elman`"),
    Row(
        "assigning `_flat_weights`",
        assigned,
        "assign the parameters, or put tensors in their place: every call looks them up",
    ),
    Row(
        "overriding `check_forward_args`, `permute_hidden`",
        lambda L: "called" if hasattr(L.LSTM, "check_forward_args") else "not called",
        "override `forward`",
    ),
    Row("an input of no steps", works(lambda L: L.LSTM(3, 4)(x[:0])), "the state comes back as it was given"),
    Row(
        "`lengths`, `resets`, `return_states`",
        works(lambda L: L.LSTM(3, 4)(x, lengths=[5, 0])),
        "elman's own; see `elman.nn.Recurrent`",
    ),
    Row(
        "`GRU(3, 4, reset_after=False)`",
        works(lambda L: L.GRU(3, 4, reset_after=False)(x)),
        "the reset gate of the paper, of Haiku and of ONNX's default",
    ),
    Row("`hidden_size=[5, 7]`", works(lambda L: L.LSTM(3, [5, 7])), "a state is then a tuple with one for each layer"),
    Row(
        "autocast to bfloat16 on a CPU: outputs and state",
        under_autocast,
        "one rule for these three cells in the compiled core: outputs are what the next product reads; a state is "
        "carried from call to call and keeps the dtype of the parameters, lest it be rounded again and again. Other "
        "cells and backends return the dtypes that torch's operations have under autocast",
    ),
    Row("`torch.compile(..., fullgraph=True)`", compiled),
    Row("`torch.func.vmap` over stacked weights", per_sample, "an ensemble in one call"),
    Row(
        "forward-mode derivatives of an LSTM (`torch.func.jvp`)",
        works(lambda L: jvp(lambda x: L.LSTM(3, 4)(x)[0], (x,), (x,))),
    ),
    Row("`torch.jit.trace`, for other sizes than those traced", traced),
    Row("`torch.jit.script`", works(lambda L: torch.jit.script(Classifier(L))), "`torch.jit.trace`, `torch.export`"),
    Row(
        "`torch.jit.trace` of `lengths`, `layer_norm` and the like",
        works(lambda L: torch.jit.trace(L.LSTM(3, 4, layer_norm=True), (x,))),
        "a trace would keep their values as constants; `torch.export` does not",
    ),
    Row(
        "`torch.onnx.export(..., dynamo=False)` of a layer by itself",
        lambda L: exported_legacy(L.LSTM(3, 4)),
        "that exporter passes keyword arguments by position; put the layer into a module",
    ),
    Row(
        "`torch.fx.symbolic_trace` of a model that holds a layer",
        works(lambda L: torch.fx.symbolic_trace(Classifier(L))),
        "make `elman.nn.Recurrent` a leaf: `is_leaf_module` of one's own `Tracer`",
    ),
    Row("`quantize_dynamic(model, {torch.nn.LSTM})`", quantized, "that function knows the classes of `torch.nn` alone"),
)


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return type(error).__name__


def run(row: Row, layers: Layers) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # most are of what torch will drop
        torch.manual_seed(0)
        return outcome(lambda: row.probe(layers))


def line(row: Row, theirs: Any) -> str:
    return f"| {row.what} | {theirs} | {run(row, elman.nn)} | {row.note} |"


def listed() -> str:
    return "\n".join(f"- {row.what}" for row in SAME)


@pytest.mark.parametrize("row", SAME, ids=lambda row: row.what)
def test_what_is_the_same(row: Row) -> None:
    theirs, ours = run(row, nn), run(row, elman.nn)
    assert not isinstance(theirs, str) or theirs == "works", theirs
    for one, other in zip(tree_leaves(theirs), tree_leaves(ours), strict=True):
        if isinstance(one, Tensor):
            torch.testing.assert_close(other, one, rtol=0, atol=1e-5)
        else:
            assert other == one


def test_the_page_has_all_that_is_the_same() -> None:
    assert f"\n\n{listed()}\n\n" in PAGE.read_text(encoding="utf-8")


def test_the_page_has_all_that_differs() -> None:
    page = PAGE.read_text(encoding="utf-8")
    told = [row for row in page.splitlines() if row.startswith("| ")][1:]
    assert len(told) == len(DIFFERENT)
    of_this_torch = "torch " + ".".join(torch.__version__.split(".")[:2]) in page
    for row, said in zip(DIFFERENT, told, strict=True):
        theirs = run(row, nn) if of_this_torch else said.split(" | ")[1]  # another torch may do more
        assert said == line(row, theirs)


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
def test_refusals_say_what_to_do() -> None:
    remedy = "use torch.export or torch.compile, which know every option"
    with pytest.raises(UserError, match=rf"torch.jit.script: it cannot compile elman's GRU; {remedy}"):
        elman.nn.GRU(3, 4).__prepare_scriptable__()
    layer = elman.nn.LSTM(3, 4, zoneout=0.1, backend="reference")
    told = r"torch.jit.trace: expected a layer and a call as in torch.nn, got resets, backend='reference', zoneout; "
    model = Resetting(layer)
    with pytest.raises(UserError, match=told + remedy):
        torch.jit.trace(model, (x,))


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
def test_a_cell_of_elmans_own_is_not_traced() -> None:
    layer = elman.nn.layer_of("mingru")(3, 4)
    assert layer.mode == "MINGRU"
    with pytest.raises(UserError, match=r"torch.jit.trace: .* got a layer of mingru"):
        torch.jit.trace(layer, (x,))


class Resetting(nn.Module):
    def __init__(self, layer: elman.nn.LSTM) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x, resets=torch.ones(2, 5, dtype=torch.bool))[0]


def test_a_tracer_that_knows_the_layers_traces_a_model() -> None:
    class Tracer(torch.fx.Tracer):
        def is_leaf_module(self, m: nn.Module, qualified_name: str) -> bool:
            return isinstance(m, elman.nn.Recurrent) or super().is_leaf_module(m, qualified_name)

    model = Classifier(elman.nn)
    torch.testing.assert_close(torch.fx.GraphModule(model, Tracer().trace(model))(x), model(x))


if __name__ == "__main__":
    print(listed(), *(line(row, run(row, nn)) for row in DIFFERENT), sep="\n")
