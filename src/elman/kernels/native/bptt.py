"""Backpropagation through time around the compiled core, as one node of autograd's graph.

Forward, with G gates in torch's order:    gates = W_ih x + b  ->  core, with W_hh h  ->  h, c, gates
Backward: dh, dc  ->  core  ->  dgates (T, B, G * H), then
    dx = dgates W_ih,    dW_ih = sum over t of dgates_t^T x_t,    dW_hh = sum over t of dgates_t^T h_{t-1}

In bfloat16 (that of the input, or of autocast) every matmul reads bfloat16 and adds in float32, and the large tensors
(x, gates, every h_t) are kept in bfloat16. The state itself stays in float32: h and c are rounded only where a matmul
reads them, so that nothing is lost over many steps.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from elman.cells import Weights
from elman.kernels import reference
from elman.kernels.native.library import call
from elman.kernels.native.options import GATE_BLOCKS, PLAIN, Options, Varied
from elman.kernels.native.products import matmul, sums_over_steps
from elman.kernels.native.window import MOST_ROWS
from elman.kernels.recomputation import derivatives
from elman.kernels.seam import Noise


def forward(
    options: Options,
    x: Tensor,
    h_first: Tensor,
    c_first: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    *own: Tensor | None,
    keep: bool,
    every_state: bool = True,
) -> tuple[Tensor | None, ...]:
    """(h, c, h_final, c_final) and, with `keep` for backward, (gates, hidden) and the tensors of `Varied.to_keep`.

    c is None where it is neither kept nor wanted as part of `every_state`.

    `own` are the weights of `Varied`, or none.
    """
    (T, B, D), (GH, P), G = x.shape, w_hh.shape, GATE_BLOCKS[options.cell]
    H, gru, elman = GH // G, options.cell == "gru", G == 1
    bias, bias_hidden = b_ih, None
    if b_ih is not None and b_hh is not None:
        bias = b_ih + b_hh
        if gru:  # only the core can add the new gate's b_hh, before the reset gate
            bias[2 * H :] = b_ih[2 * H :]
            bias_hidden = b_hh[2 * H :].contiguous()
    varied = Varied(options.noise, *own) if own else PLAIN
    make = Tensor.new_empty if options.lengths is None else Tensor.new_zeros  # the core skips padding
    projection: dict[str, Any] = {"bias_x": bias}
    h = x.new_empty(T, B, P)
    of_h = elman and options.noise.zoneout is None  # then the one gate is h
    gates: Any = h.view(T * B, P) if of_h else None  # (T * B, G * H)
    if T * B <= MOST_ROWS:  # the core neither packs nor projects so few
        added = None if bias is None or varied.gain_ih is not None else bias.to(x.dtype)
        gates = matmul(x.reshape(T * B, D), w_ih.to(x.dtype).t(), added, out=gates)
    else:
        projection |= {"D": D, "x": x.contiguous(), "weight_x": w_ih.contiguous()}
        if gates is None and (keep or elman):
            gates = make(x, (T * B, GH))
    normed = varied.to_keep(x, GH, make) if keep else {}
    hidden = make(x, (T, B, H)) if keep and (gru or varied.weight_hr is not None) else None
    h_final = h_first.new_empty(B, P)
    c_final = None if c_first is None else c_first.new_empty(B, H)
    c = c_first.new_empty(T, B, H) if c_first is not None and (keep or every_state) else None
    fields = options.fields() | varied.fields() | normed | projection
    fields |= {"T": T, "B": B, "H": H, "P": P, "keep": int(keep), "weight": w_hh.contiguous(), "bias": bias_hidden}
    fields |= {"gates": gates, "hidden": hidden, "h": h, "c": c, "h_final": h_final, "c_final": c_final}
    fields |= {"h_first": h_first.contiguous(), "c_first": None if c_first is None else c_first.contiguous()}
    call("forward", x.dtype, fields)
    return h, c, h_final, c_final, None if of_h else gates, hidden, *normed.values()


class Recurrence(torch.autograd.Function):
    """`forward` and `backward` as one node."""

    @staticmethod
    def forward(ctx: Any, options: Options, *inputs: Tensor | None) -> tuple[Tensor | None, ...]:  # noqa: D102
        h, c, h_final, c_final, *kept = forward(options, *cast(Any, inputs), keep=True)
        ctx.cell, ctx.reverse = options.cell, options.reverse
        ctx.set_materialize_grads(False)
        # The masks are saved too, so that autograd notices a change of them in place before backward.
        ctx.save_for_backward(*options[2:5], *options.noise, *inputs, h, c, *kept)
        return h, c, h_final, c_final

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:  # noqa: D102
        saved = ctx.saved_tensors
        (lengths, resets, cleared), noise, saved = saved[:3], Noise(*saved[3:6]), saved[6:]
        options = Options(ctx.cell, ctx.reverse, lengths, resets, cleared, noise)
        derive = _backward_of_reference if torch.is_grad_enabled() else backward
        return None, *derive(options, ctx.needs_input_grad[1:], saved, gradients)


def backward(
    options: Options, wanted: tuple[bool, ...], saved: tuple[Any, ...], gradients: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    """The derivatives by each input (those not `wanted` may be None) from the derivatives by h, c and final state."""
    inputs, (h, c, gates, hidden, *normed) = saved[: len(wanted)], saved[len(wanted) :]
    x, h_first, c_first, _, w_hh, _, _, *own = inputs
    (T, B, P), GH = h.shape, len(w_hh)
    H = GH // GATE_BLOCKS[options.cell]
    varied = Varied(options.noise, *own) if own else PLAIN
    dh, dc, dh_final, dc_final = (None if part is None else part.contiguous() for part in gradients)
    sums = GH + H if options.cell == "gru" else GH
    room = varied.room(x, sums)
    dgates = x.new_empty(T * B, sums if varied.gain_hh is None else GH)
    dh_first = dc_first = None
    if any(wanted[1:3]):
        dh_first, dc_first = h_first.new_empty(B, P), None if c_first is None else h_first.new_empty(B, H)
    fields = options.fields() | varied.fields() | room
    fields |= zip(("normed_x", "normed", "scale_x", "scale"), normed, strict=False)
    fields |= {"T": T, "B": B, "H": H, "P": P, "weight": w_hh.contiguous(), "gates": gates, "hidden": hidden}
    fields |= {"h": h, "c": c, "dh": dh, "dc": dc, "dh_final": dh_final, "dc_final": dc_final, "dgates": dgates}
    fields |= {"h_first": h_first.contiguous(), "c_first": None if c_first is None else c_first.contiguous()}
    call("backward", x.dtype, fields | {"dh_first": dh_first, "dc_first": dc_first})
    found = sums_over_steps(options, wanted, inputs, h, dgates, room)
    found = (found[0], dh_first, dc_first, *found[1:])
    if not own:
        return found
    dw_hr = None
    if wanted[7] and varied.weight_hr is not None:
        dw_hr = matmul(room["dprojected"].t(), hidden.view(T * B, H)).to(h_first.dtype)
    of_vectors = ("dpeephole", "dgain_x", "dgain", "dgain_cell", "dbias_cell")
    return *found, dw_hr, *(room[name].sum(0) if name in room else None for name in of_vectors)


def _backward_of_reference(
    options: Options, wanted: tuple[bool, ...], saved: tuple[Any, ...], gradients: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    """The same derivatives as a graph that can itself be differentiated, of any order: the reference is run anew."""
    # Aliases, for the outer graph already has the derivatives of one input by another.
    inputs = [None if part is None else part.view_as(part) for part in saved[: len(wanted)]]
    number = saved[1].dtype
    x, h_first, c_first, *weights = (cast(Tensor, None if part is None else part.to(number)) for part in inputs)
    result = reference.kernel_of(options.cell)(
        x,
        (h_first,) if saved[2] is None else (h_first, c_first),
        Weights(*weights),
        reverse=options.reverse,
        lengths=options.lengths,
        resets=options.resets,
        noise=options.noise,
    )
    final = (*result.final, None)[:2]
    outputs = (result.h.to(saved[0].dtype), *(result.others or [None]), *final)
    found = derivatives(outputs, gradients, inputs, create_graph=True)
    return tuple(part if needed else None for part, needed in zip(found, wanted, strict=True))
