"""`ElmanCell`, `GRUCell` and `LSTMCell` against torch.nn's: parameters, results, gradients and errors."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

from elman.cells import CELLS
from elman.errors import UserError
from elman.nn import ElmanCell, GRUCell, LSTMCell, single_step_of

PAIRS = [(ElmanCell, nn.RNNCell, {}), (ElmanCell, nn.RNNCell, {"nonlinearity": "relu"})]
PAIRS += [(GRUCell, nn.GRUCell, {}), (LSTMCell, nn.LSTMCell, {})]
every_pair = pytest.mark.parametrize(("ours", "theirs", "options"), PAIRS)


def state_of(cell: nn.Module, *shape: int):
    parts = tuple(torch.randn(shape) for _ in range(2 if isinstance(cell, nn.LSTMCell) else 1))
    return parts if len(parts) > 1 else parts[0]


@every_pair
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [(), (1,), (4,)])
@pytest.mark.parametrize("given", [True, False])
def test_a_step_is_torch_s(ours, theirs, options, bias, batch, given) -> None:
    torch.manual_seed(0)
    own = ours(3, 5, bias, **options)
    torch.manual_seed(0)
    other = theirs(3, 5, bias, **options)
    assert list(own.state_dict()) == list(other.state_dict())
    torch.testing.assert_close(dict(own.state_dict()), dict(other.state_dict()), atol=0, rtol=0)
    x, hx = torch.randn(*batch, 3), state_of(other, *batch, 5) if given else None
    found, expected = own(x, hx), other(x, hx)
    torch.testing.assert_close(found, expected)
    gradients = []
    for cell, result in ((own, found), (other, expected)):
        parts = result if isinstance(result, tuple) else (result,)
        gradients.append(torch.autograd.grad(sum(part.square().sum() for part in parts), list(cell.parameters())))
    torch.testing.assert_close(*gradients)


@every_pair
def test_its_arguments_are_torch_s(ours, theirs, options) -> None:
    mine, others = (list(inspect.signature(cell).parameters) for cell in (ours, theirs))
    assert mine[: len(others)] == others
    arguments = (3, 5, False, *options.values())
    assert repr(ours(*arguments)).split("(")[1] == repr(theirs(*arguments)).split("(")[1]


@every_pair
def test_its_errors_are_torch_s(ours, theirs, options) -> None:
    own, other = ours(3, 5, **options), theirs(3, 5, **options)
    calls = [
        (torch.zeros(1, 2, 3), None),
        (torch.zeros(2, 4), None),
        (torch.zeros(2, 3), state_of(other, 3, 5)),
        (torch.zeros(2, 3), state_of(other, 2, 6)),
        (torch.zeros(2, 3), state_of(other, 1, 2, 5)),
    ]
    for x, hx in calls:
        said = []
        for cell in (own, other):
            with pytest.raises((ValueError, RuntimeError)) as error:
                cell(x, hx)
            said.append((error.type, str(error.value).replace("ElmanCell", "RNNCell")))
        assert said[0] == said[1]


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@every_pair
def test_a_trace_serves_every_batch(ours, theirs, options) -> None:
    cell = ours(3, 5, **options)
    traced, x = torch.jit.trace(cell, (torch.randn(2, 3),)), torch.randn(4, 3)
    torch.testing.assert_close(traced(x), cell(x))
    hx = state_of(theirs(3, 5), 2, 5)
    traced, other = torch.jit.trace(cell, (torch.randn(2, 3), hx)), state_of(theirs(3, 5), 4, 5)
    torch.testing.assert_close(traced(x, other), cell(x, other))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_what_torch_jit_cannot_record_is_refused() -> None:
    with pytest.raises(UserError, match=r"torch\.jit\.script: it cannot compile elman's GRUCell; use torch\.export"):
        torch.jit.script(GRUCell(3, 5))
    for cell, got in ((single_step_of("slstm")(3, 5), "SLSTMCell"), (GRUCell(3, 5, backend="native"), "GRUCell with")):
        with pytest.raises(UserError, match=rf"torch\.jit\.trace: expected a step as in torch\.nn, got {got}"):
            torch.jit.trace(cell, (torch.randn(2, 3),))


@every_pair
def test_its_attributes_are_torch_s(ours, theirs, options) -> None:
    own, other = ours(3, 5, bias=False, **options), theirs(3, 5, bias=False, **options)
    for name in ("input_size", "hidden_size", "bias", "bias_ih", "bias_hh", "nonlinearity"):
        assert getattr(own, name, "no") == getattr(other, name, "no")


def test_every_cell_comes_with_a_star() -> None:
    names: dict[str, object] = {}
    exec("from elman.nn import *", names)
    assert names["LSTMCell"] is LSTMCell
    assert names.keys() >= {cell.layer + end for cell in CELLS.values() for end in ("", "Cell")}
