"""What `torch.jit.trace` records of a layer: one call of ATen's recurrence, as of torch.nn's layers, for any T and B.

What ATen's recurrences do not know depends on values, which a trace would take for constants: it is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import _VF

from elman.cells import cell_named
from elman.errors import UserError
from elman.nn.layout import Reading, Window

if TYPE_CHECKING:
    from elman.nn.recurrent import Recurrent

REMEDY = "use torch.export or torch.compile, which know every option"


def read_traced(layer: Recurrent, window: Window, return_states: bool) -> Reading:
    """Outputs and final state of a window.

    Raises:
        UserError: the call, or the layer, is not one that torch.nn has.
    """
    x, state, lengths, resets = window
    function = cell_named(layer.cell).aten
    own = {
        f"a layer of {layer.cell}": function is None,
        "lengths": lengths is not None,
        "resets": resets is not None,
        "return_states": return_states,
        "a size for each layer": layer.state_form.groups is not None,
        f"backend={layer.backend!r}": layer.backend not in (None, "torch"),
        **{name: getattr(layer, name, 0) for name in ("peepholes", "layer_norm", "zoneout", "zoneout_cell")},
        **{name: layer.training and getattr(layer, name) for name in ("weight_dropout", "recurrent_dropout")},
    }
    if found := [name for name, there in own.items() if there]:
        got = ", ".join(found)
        raise UserError("torch.jit.trace", expected="a layer and a call as in torch.nn", got=got, remedy=REMEDY)
    if state is None:
        state = tuple(x.new_zeros(shape) for shape in layer._shapes_of_state(x.shape[1]).values())
    hx = state if len(state) > 1 else state[0]
    options = (layer.bias, layer.num_layers, layer.dropout, layer.training, layer.bidirectional, False)
    outputs, *final = getattr(_VF, str(function))(x, hx, layer._flat_weights, *options)
    return Reading(outputs, tuple(final), ())
