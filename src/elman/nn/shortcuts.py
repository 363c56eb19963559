"""The calls that a layer hands on whole: a plain window to the compiled core, a trace by torch.jit to ATen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, cast

import torch
from torch import _VF, Tensor

from elman.cells import CellState, cell_named
from elman.errors import UserError
from elman.kernels.native.options import NUMBERS
from elman.kernels.native.window import MOST_ROWS, is_plain_eager, read_window
from elman.nn.layout import LayerInput, Reading

if TYPE_CHECKING:
    from elman.nn.recurrent import Recurrent

PLAIN_PARAMETERS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
REMEDY = "use torch.export or torch.compile, which know every option"


def plain_shapes(layer: Recurrent) -> dict[str, tuple[int, ...]]:
    """The shapes of the parameters of one layer, in one direction, of a plain cell of the core; else empty."""
    names = PLAIN_PARAMETERS if layer.bias else PLAIN_PARAMETERS[:2]
    if layer.cell not in NUMBERS or layer._parameters.keys() != set(names):
        return {}
    return {name: tuple(cast(Tensor, layer._parameters[name]).shape) for name in names}


def read_plain(layer: Recurrent, x: Tensor, hx: CellState | None) -> tuple[Tensor, CellState, CellState] | None:
    """Outputs and final state of a call without gradients, or None where the general way must serve the call.

    x (T, B, D), with `batch_first` (B, T, D) where T or B is 1. A wrong call gets None too: the general way raises the
    error.

    Under autocast to bfloat16 this serves a single step of up to `MOST_ROWS` rows, whose output alone is rounded: every
    weight is read once, so rounding would save nothing.
    """
    # Zoneout changes the state in evaluation too.
    if not is_plain_eager(x) or x.dim() != 3 or not layer._plain_shapes or layer.zoneout or layer.zoneout_cell:
        return None
    if (layer.training and (layer.weight_dropout or layer.recurrent_dropout)) or layer.backend not in (None, "native"):
        return None
    T, B, D = x.shape
    if layer.batch_first:
        T, B = B, T
    if T < 1 or B < 1 or layer.input_size != D or (layer.batch_first and T > 1 and B > 1):
        return None
    lowered = torch.is_autocast_enabled("cpu") and x.dtype != torch.float64  # autocast leaves float64 alone
    if lowered:
        if T > 1 or B > MOST_ROWS or torch.get_autocast_dtype("cpu") != torch.bfloat16:
            return None
        x = x.float()
    H, dtype, parameters, weights = layer.hidden_sizes[0], x.dtype, layer._parameters, []
    for name, shape in layer._plain_shapes.items():
        weight = parameters.get(name)  # None where it is parametrized
        if (
            weight is None
            or weight.shape != shape
            or not (weight.dtype is dtype and weight.is_cpu and weight.is_contiguous())
        ):
            return None
        weights.append(weight.data_ptr())
    state = []
    for part in hx or ():
        if part.shape != (1, B, H) or not (part.dtype is dtype and part.is_cpu and part.is_contiguous()):
            return None
        state.append(part.data_ptr())
    found = read_window(layer.cell, x.contiguous(), (T, B, H), state, weights, len(layer._state_sizes))
    if found is None:
        return None
    return found[0].bfloat16() if lowered else found[0], found[1:], ()


def read_traced(layer: Recurrent, given: LayerInput, return_states: bool) -> Reading:
    """Outputs and final state as `torch.jit.trace` records them: one call of ATen's recurrence, for any T and B.

    Raises:
        UserError: torch.nn has no such call or layer. Beyond ATen's recurrence, computations depend on values, which a
            trace would record as constants.
    """
    x, state, lengths, resets = given
    function = cell_named(layer.cell).aten
    refused = {
        f"a layer of {layer.cell}": function is None,
        "lengths": lengths is not None,
        "resets": resets is not None,
        "return_states": return_states,
        "held units": bool(layer.holds),
        "a size for each layer": layer.state_form.groups is not None,
        f"backend={layer.backend!r}": layer.backend not in (None, "torch"),
        **{name: getattr(layer, name, 0) for name in ("peepholes", "layer_norm", "zoneout", "zoneout_cell")},
        **{name: layer.training and getattr(layer, name) for name in ("weight_dropout", "recurrent_dropout")},
    }
    if found := [name for name, there in refused.items() if there]:
        got = ", ".join(found)
        raise UserError("torch.jit.trace", expected="a layer and a call as in torch.nn", got=got, remedy=REMEDY)
    if state is None:
        state = tuple(x.new_zeros(shape) for shape in layer._shapes_of_state(x.shape[1]).values())
    options = (layer.bias, layer.num_layers, layer.dropout, layer.training, layer.bidirectional, False)
    hx = state if len(state) > 1 else state[0]
    outputs, *final = getattr(_VF, str(function))(x, hx, layer._flat_weights, *options)
    return Reading(outputs, tuple(final), ())


def refuse_script(module: torch.nn.Module) -> NoReturn:
    """Raise the `UserError` of a module that `torch.jit.script` is to compile."""
    raise UserError(f"torch.jit.script: it cannot compile elman's {type(module).__name__}", remedy=REMEDY)
