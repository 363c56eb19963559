"""Recurrent layers as functions of C: one step of one layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from elman.cells import Weights, cell_named
from elman.errors import UserError
from elman.export.c.cells import STEPS, Variation, every_unit
from elman.export.c.source import CSource
from elman.nn.recurrent import Recurrent


class Layer(NamedTuple):
    """A function `name(x, h, …)`, which takes a step and changes the states."""

    name: str
    states: tuple[tuple[str, int], ...]  # names, and sizes
    input_size: int

    @property
    def output_size(self) -> int:
        """The size of h."""
        return self.states[0][1]

    def call(self, x: str, states: Sequence[str]) -> str:
        """The statement of a step."""
        return f"{self.name}({', '.join([x, *states])});"


def step_function(source: CSource, name: str, layer: Recurrent, direction: int = 0) -> Layer:
    """Add the step of a layer, in one of its directions, to a program. Raises `UserError` for a cell without C."""
    weights = layer.layer_weights(0, direction)
    cell, H = cell_named(layer.cell), layer.hidden_sizes[0]
    P = layer.proj_size or H
    if cell.name not in STEPS:
        raise UserError(f"{name}: the cell {cell.name!r} has no form in C", expected=" or ".join(STEPS))
    D, G = weights.weight_ih.shape[1], len(cell.rows)
    states = tuple((state.name, size) for state, size in zip(cell.states, cell.sizes(H, P), strict=True))
    body = [f"enum {{ H = {H}{f', P = {P}' if layer.proj_size else ''} }};", f"float sums[{G} * H];"]
    body += _sums(source, name, cell.name, weights, G * H)
    body += STEPS[cell.name](source, _variation(source, name, layer, weights, P))
    arguments = [f"const float x[{D}]", *(f"float {state}[{size}]" for state, size in states)]
    gates = f"{', '.join(cell.rows[:-1])} and {cell.rows[-1]}" if G > 1 else "every unit"
    comment = f"One step of {name.replace('_', ' ')}: {cell.layer}, {H} units. `sums` has H rows for {gates}."
    source.function(f"static void {name}({', '.join(arguments)})", body, comment)
    return Layer(name, states, D)


def _sums(source: CSource, name: str, cell: str, weights: Weights, rows: int) -> list[str]:
    """The statements that make `sums` and, where a cell or layer normalization needs it by itself, `recurrent`."""
    zeros = torch.zeros(rows)
    bias_ih, bias_hh = (zeros if bias is None else bias.detach().float() for bias in (weights.bias_ih, weights.bias_hh))
    W_ih = source.matrix(f"{name}_weight_ih", weights.weight_ih)
    if weights.weight_hh is None:
        return _one_sum(source, name, "sums", W_ih, "x", bias_ih, weights.gain_ih, "ih")
    if cell == "gru_reset_before":
        W_hh = source.matrix(f"{name}_weight_hh", weights.weight_hh[: rows // 3 * 2])
        return [*_one_sum(source, name, "sums", W_ih, "x", bias_ih + bias_hh), source.add_product("sums", W_hh, "h")]
    W_hh = source.matrix(f"{name}_weight_hh", weights.weight_hh)
    if cell != "gru" and weights.gain_ih is None:
        return [*_one_sum(source, name, "sums", W_ih, "x", bias_ih + bias_hh), source.add_product("sums", W_hh, "h")]
    lines = _one_sum(source, name, "sums", W_ih, "x", bias_ih, weights.gain_ih, "ih")
    lines += [f"float recurrent[{rows}];"]
    lines += _one_sum(source, name, "recurrent", W_hh, "h", bias_hh, weights.gain_hh, "hh")
    if cell != "gru":
        lines += every_unit("sums[u] += recurrent[u];", size=rows)
    return lines


def _one_sum(
    source: CSource, name: str, sums: str, matrix: Any, x: str, bias: Tensor, gain: Tensor | None = None, of: str = ""
) -> list[str]:
    """sums = W x + b, or layer normalization of W x with a gain and the bias."""
    b = source.vector(f"{name}_bias" + (f"_{of}" if of else ""), bias)
    if gain is None:
        return [source.set(sums, b, matrix.K), source.add_product(sums, matrix, x)]
    g = source.vector(f"{name}_gain_{of}", gain)
    begin = every_unit(f"{sums}[u] = 0;", size=matrix.K)
    return [*begin, source.add_product(sums, matrix, x), f"{source.use('normalize')}({sums}, {g}, {b}, {matrix.K});"]


def _variation(source: CSource, name: str, layer: Recurrent, weights: Weights, P: int) -> Variation:
    def vector(field: str, values: Tensor | None) -> str | None:
        return None if values is None else source.vector(f"{name}_{field}", values)

    def product(field: str, matrix: Tensor | None) -> Any:
        if matrix is None:
            return None
        made = source.matrix(f"{name}_{field}", matrix)
        return lambda sums, x: source.add_product(sums, made, x)

    H = layer.hidden_sizes[0]
    bias_cell = weights.bias_cell
    if weights.gain_cell is not None and bias_cell is None:
        bias_cell = torch.zeros(H)
    before = layer.cell == "gru_reset_before"
    return Variation(
        zoneout=layer.zoneout,
        zoneout_cell=layer.zoneout_cell,
        peephole=vector("peephole", weights.weight_peephole),
        gain_cell=vector("gain_cell", weights.gain_cell),
        bias_cell=vector("bias_cell", bias_cell),
        projection=product("weight_hr", weights.weight_hr),
        reset_rows=product("weight_hn", cast(Tensor, weights.weight_hh)[2 * H :]) if before else None,
    )


class LayersOutput(NamedTuple):
    """Statements that read one step, the name of the outputs, and their size."""

    lines: list[str]
    output: str
    size: int


class Stack(NamedTuple):
    """Layers, one on the other."""

    layers: tuple[Layer, ...]
    residual: bool

    @property
    def fields(self) -> list[str]:
        """The declarations of the states."""
        every = [(number, *state) for number, layer in enumerate(self.layers) for state in layer.states]
        return [f"float {name}_{number}[{size}]" for number, name, size in every]

    def read(self, x: str, state: str, *, output: bool = True) -> LayersOutput:
        """The statements of a step that reads x; `state` stands before the names of states, as in "state->".

        Without `output`, the last layer's output is not made where it is more than its state.
        """
        lines: list[str] = []
        size = self.layers[0].input_size
        for number, layer in enumerate(self.layers):
            names = [f"{state}{name}_{number}" for name, _ in layer.states]
            lines.append(layer.call(x, names))
            made = names[0]
            if self.residual and size == layer.output_size and (output or layer is not self.layers[-1]):
                made = f"x_{number + 1}"
                lines.append(f"float {made}[{size}];")
                lines += every_unit(f"{made}[u] = {x}[u] + {names[0]}[u];", size=size)
            x, size = made, layer.output_size
        return LayersOutput(lines, x, size)


def stack(source: CSource, layers: Iterable[Any], *, residual: bool = False) -> Stack:
    """Add the steps of layers to a program; with `residual`, a layer adds its outputs to inputs of the same size."""
    made = (step_function(source, f"layer_{number}", layer) for number, layer in enumerate(layers))
    return Stack(tuple(made), residual)
