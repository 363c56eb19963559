"""A recurrent layer as a node of a `LayeredModel`: directions, what is read, and masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor

from elman.cells import CELLS
from elman.errors import UserError
from elman.models.layered_values import Node, NodeValue, Packing, Shape, StepsOfCall, one
from elman.nn import layer_of
from elman.settings import Probability, Units
from elman.state import State, map_state, reset_rows

MERGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "concat": lambda forward, backward: torch.cat((forward, backward), -1),
    "sum": torch.add,
    "mul": torch.mul,
    "ave": lambda forward, backward: (forward + backward) / 2,
}


class RecurrentNode(Node):
    """One layer of `elman.nn`: (B, T, D) -> (B, T, ·) if it `reads` "sequence", the last outputs (B, ·) if "last".

    A `direction` "backward" reads from the last step to the first; outputs are `in_time_order`, or in the order of the
    reading (Keras's go_backwards, which hands the mask on as it is). "both" has a `merge` of the two halves. Only
    "forward" is causal and has a state; "last" is then the output after all that was read since the last reset.

    Masked steps are skipped, holes too: outputs and state are those without such steps. At a masked step the output is,
    by `padding`, the last one again ("repeat") or zeros ("zero"), and of "both" zeros always. Before the first step
    that is not masked it is h of the state before the call, zeros at first; with `leading` "zero" it is zeros from any
    state, as on Keras's torch and TensorFlow backends, and reading in pieces is reading whole only where no piece
    begins with masked steps. As in Keras, "last" with `padding` "zero" is zeros in a row whose last step is masked.
    """

    def __init__(
        self,
        cell: Literal[tuple(CELLS)],  # type: ignore[valid-type]
        input_size: Units,
        hidden_size: Units,
        direction: Literal["forward", "backward", "both"] = "forward",
        reads: Literal["sequence", "last"] = "sequence",
        merge: Literal["concat", "sum", "mul", "ave"] = "concat",
        padding: Literal["repeat", "zero"] = "repeat",
        leading: Literal["state", "zero"] = "state",
        in_time_order: bool = True,
        bias: bool = True,
        reset_after: bool = True,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        peepholes: bool = False,
        proj_size: int = 0,
        recurrent_dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        Layer = layer_of(cell)
        given: dict[str, Any] = {"reset_after": reset_after, "nonlinearity": nonlinearity, "peepholes": peepholes}
        given |= {"proj_size": proj_size, "recurrent_dropout": recurrent_dropout}
        options = {name: value for name, value in given.items() if name in Layer.defaults}
        self.layer = Layer(
            input_size, hidden_size, bias=bias, batch_first=True, bidirectional=direction == "both", **options
        )
        self.direction, self.reads, self.merge = direction, reads, merge
        self.padding, self.leading, self.in_time_order = padding, leading, in_time_order
        self.stateful = self.causal = direction == "forward"

    def shape(self, given: Sequence[Shape]) -> Shape:
        """(B, T, D) -> (B, T, ·) or (B, ·)."""
        one(given, self.layer.input_size, per_step=True)
        twice = self.direction == "both" and self.merge == "concat"
        return Shape(self.layer.output_size * (1 + twice), self.reads == "sequence")

    def initial_state(self, batch_size: int, like: Tensor) -> State:
        """Zeros (B, H), and what else the cell keeps."""
        specification, layer = self.layer.specification, self.layer
        sizes = specification.sizes(layer.hidden_sizes[0], layer.output_size)
        return cast(State, specification.state_type(*(like.new_zeros(batch_size, size) for size in sizes)))

    def forward(
        self, given: Sequence[NodeValue], call: StepsOfCall, before: State | None
    ) -> tuple[NodeValue, State | None]:
        """Read a value of each step."""
        ((x, mask),) = given
        if call.resets is not None and not self.causal and self.reads == "last":
            raise UserError("resets", expected="none, where the last outputs of a reading backward are wanted")
        real, resets = call.real(mask), call.resets
        if self.direction == "backward":
            x, real = x.flip(1), None if real is None else real.flip(1)
            resets = None if resets is None else _turned(resets)
        h = self._read(x, real, resets, before)
        if self.reads == "last":
            return NodeValue(self._last(h[1], mask, call)), h[2]
        outputs = h[0]
        if self.direction == "backward" and self.in_time_order:
            outputs = outputs.flip(1)
        return NodeValue(self._merged(outputs), mask), h[2]

    def _read(
        self, x: Tensor, real: Tensor | None, resets: Tensor | None, before: State | None
    ) -> tuple[Tensor, Tensor, State | None]:
        """Outputs (B, T, ·), the last outputs (B, ·), and the state after a reading forward."""
        packing = None if real is None else Packing(real, resets)
        hx = None if before is None else map_state(lambda h: h[None], before)
        if packing is None:
            outputs, after = self.layer(x, hx, resets=resets)
        else:
            outputs, after = self.layer(packing.pack(x), hx, lengths=packing.lengths, resets=packing.resets)
        parts = (after,) if isinstance(after, Tensor) else after  # (directions, B, ·) each
        if packing is not None:
            first = outputs.new_zeros(len(x), outputs.shape[2])
            if hx is not None and self.leading == "state":
                first = (hx if isinstance(hx, Tensor) else cast(Tensor, hx[0]))[0]
            outputs = packing.unpack(outputs, first)
            if self.padding == "zero" or self.direction == "both":
                outputs = outputs.masked_fill(~packing.real[..., None], 0)
        if self.direction != "forward":
            return outputs, torch.cat([*parts[0]], -1), None
        state = cast(State, self.layer.specification.state_type(*(part[0] for part in parts)))
        if packing is not None and (cleared := packing.cleared()) is not None:
            state = reset_rows(state, cleared)
        last = state if isinstance(state, Tensor) else cast(Tensor, state[0])
        return outputs, last, state

    def _last(self, last: Tensor, mask: Tensor | None, call: StepsOfCall) -> Tensor:
        last = self._merged(last)
        if self.padding != "zero" or mask is None or not call.T:
            return last
        if self.direction == "backward":  # the first step is read last
            return last.masked_fill(~mask[:, :1], 0)
        end = call.T if call.lengths is None else call.lengths
        place = torch.as_tensor(end, device=mask.device).expand(call.B) - 1
        hidden = ~mask.gather(1, place.clamp(min=0)[:, None]) & (place >= 0)[:, None]
        return last.masked_fill(hidden, 0)

    def _merged(self, outputs: Tensor) -> Tensor:
        if self.direction != "both" or self.merge == "concat":
            return outputs
        forward, backward = outputs.chunk(2, -1)
        return MERGES[self.merge](forward, backward)


def _turned(resets: Tensor) -> Tensor:
    """Resets (B, T) for a reading from the end: what is before a step is behind the one before it."""
    return torch.cat((torch.zeros_like(resets[:, :1]), resets[:, 1:].flip(1)), 1)
