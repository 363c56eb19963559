"""The calls that a layer hands on whole: a single step to the compiled core, a trace by torch.jit to ATen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, cast

import torch
from torch import _VF, Tensor

from elman.cells import CellState, cell_named
from elman.errors import UserError
from elman.kernels.native.options import NUMBERS
from elman.kernels.native.step import MOST_ROWS, is_plain_eager, step
from elman.nn.layout import LayerInput, Reading

if TYPE_CHECKING:
    from elman.nn.recurrent import Recurrent

PLAIN_PARAMETERS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
REMEDY = "use torch.export or torch.compile, which know every option"


def can_step(layer: Recurrent) -> bool:
    """Whether the layer is a single one, in one direction, of a cell in the core and without options' weights."""
    plain = PLAIN_PARAMETERS if layer.bias else PLAIN_PARAMETERS[:2]
    return layer.cell in NUMBERS and layer._parameters.keys() == set(plain)


def read_one_step(layer: Recurrent, x: Tensor, hx: CellState | None) -> tuple[Tensor, CellState, CellState] | None:
    """Outputs and final state of one step without gradients, or None where the general way must serve the call.

    x (1, B, D), with `batch_first` (B, 1, D). A wrong call gets None too: the general way raises the error.

    Under autocast to bfloat16 the output alone is rounded: every weight is read once, so rounding would save nothing.
    """
    # Zoneout changes the state in evaluation too.
    if not is_plain_eager(x) or x.dim() != 3 or not layer._can_step or layer.zoneout or layer.zoneout_cell:
        return None
    if (layer.training and (layer.weight_dropout or layer.recurrent_dropout)) or layer.backend not in (None, "native"):
        return None
    lowered = torch.is_autocast_enabled("cpu") and x.dtype != torch.float64  # autocast leaves float64 alone
    if lowered:
        if torch.get_autocast_dtype("cpu") != torch.bfloat16:
            return None
        x = x.float()
    T, B = (x.shape[1], x.shape[0]) if layer.batch_first else (x.shape[0], x.shape[1])
    if T != 1 or not 0 < B <= MOST_ROWS or x.shape[2] != layer.input_size or not x.is_contiguous():
        return None
    H, n = layer.hidden_sizes[0], len(layer._state_sizes)
    parts = [torch.zeros((1, B, H), dtype=x.dtype)] * n if hx is None else list(hx)
    weights = [layer._parameters.get(name) for name in PLAIN_PARAMETERS]  # without those that are parametrized
    if not layer.bias:
        weights[2:] = []
    for part in parts:
        if part.shape != (1, B, H) or part.dtype != x.dtype or not part.is_cpu or not part.is_contiguous():
            return None
    for weight in weights:
        if weight is None or weight.dtype != x.dtype or not weight.is_cpu or not weight.is_contiguous():
            return None
    w_ih, w_hh, b_ih, b_hh = (*weights, None, None)[:4]
    c = parts[1] if n > 1 else None
    found = step(layer.cell, x, parts[0], c, cast(Tensor, w_ih), cast(Tensor, w_hh), b_ih, b_hh, x.shape[:2])
    if found is None:
        return None
    out, h, c = found
    return out.bfloat16() if lowered else out, (h,) if c is None else (h, c), ()


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
