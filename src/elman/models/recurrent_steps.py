"""A recurrent language model's steps as one call of the compiled core, whose weights were arranged for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from elman.cells import CELLS
from elman.errors import UserError
from elman.kernels.native.arena import ArrangedModel, LayerWeights, StepReader, why_not_arranged
from elman.kernels.native.options import NUMBERS
from elman.models.recurrent import RecurrentLM
from elman.models.steps import Steps
from elman.nn.recurrent import Recurrent
from elman.state import State, leaves

PLAIN = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}


def steps_of(model: RecurrentLM, state: State) -> Steps:
    """The fastest steps of a model from such a state."""
    usual = model.training or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")
    return Steps(model, state) if usual or why_not_native(model) else NativeSteps(model, state)


def why_not_native(model: nn.Module, *, int8: bool = False) -> str | None:
    """The reason why the core cannot take all of a model's steps, or None."""
    if type(model) is not RecurrentLM:
        return "the core knows recurrent language models alone"
    weight = model.decoder.weight
    if weight.device.type != "cpu":
        return "it runs on a CPU alone"
    if int8 and weight.dtype != torch.float32:
        return "weights of one byte are those of float32"
    if any(module._forward_hooks or module._forward_pre_hooks for module in model.modules()):
        return "it calls no hooks"
    if not all(map(_is_plain, model.layers)) or type(model.decoder) is not nn.Linear:
        return "it has plain cells alone"
    if any(type(p) is not nn.Parameter or p.dtype != weight.dtype for p in model.parameters()):
        return "its parameters are of one dtype"
    return why_not_arranged(weight.dtype)


def _is_plain(layer: nn.Module) -> bool:
    """Whether the core has the layer's cell, and the layer reads a step in evaluation as the cell does."""
    if not isinstance(layer, Recurrent) or layer.cell not in NUMBERS or layer.backend not in (None, "native"):
        return False
    named = {name.removesuffix("_l0") for name, _ in layer.named_parameters()}
    return named <= PLAIN and not (layer.zoneout or layer.zoneout_cell or layer.holds)


def arranged(model: RecurrentLM, *, int8: bool = False) -> ArrangedModel:
    """The weights of a model for which `why_not_native` has no reason."""
    layers = [cast(Recurrent, layer) for layer in model.layers]
    weights = [
        LayerWeights(
            layer.cell,
            bool(model.residual) and layer.input_size == layer.output_size,
            *layer.layer_weights(0, 0)[:4],  # type: ignore[arg-type]
        )
        for layer in layers
    ]
    return ArrangedModel(weights, model.embedding.weight, model.decoder.weight, model.decoder.bias, int8=int8)


class SlotForm:
    """How rows of numbers hold a model's state and the last layer's output, as arena.h says of a slot."""

    def __init__(self, model: RecurrentLM) -> None:
        cell, layers = CELLS[model.cell], [cast(Recurrent, layer) for layer in model.layers]
        self._type = cell.state_type
        sizes: list[Sequence[int]] = [cell.sizes(layer.output_size, layer.output_size) for layer in layers]
        self._counts = [len(of_layer) for of_layer in sizes]
        self._sizes = [size for of_layer in sizes for size in of_layer] + [layers[-1].output_size]
        self.size = sum(self._sizes)

    def parts(self, rows: Tensor) -> tuple[State, Tensor]:
        """The state and the output, views of rows (B, size)."""
        *numbers, hidden = rows.split(self._sizes, 1)
        parts = iter(numbers)
        state = tuple(cast(State, self._type(*(next(parts) for _ in range(count)))) for count in self._counts)
        return state, hidden

    def put(self, rows: Tensor, state: State, hidden: Tensor | None) -> None:
        """Copy a state, and an output if there is one, to rows (B, size)."""
        given = [*leaves(state), *([] if hidden is None else [hidden])]
        for to, part in zip(rows.split(self._sizes, 1), given, strict=False):
            to.copy_(part.detach())


class NativeSteps(Steps):
    """Steps that the core takes in a memory of its own."""

    def __init__(self, model: RecurrentLM, state: State) -> None:
        self.model, self._form = model, SlotForm(model)
        self._reader = StepReader(arranged(model), self._form.size)
        self.state = state

    @property
    def state(self) -> Any:
        """The state after the tokens, a copy."""
        return self._form.parts(self._reader.memory.clone())[0]

    @state.setter
    def state(self, state: State) -> None:
        parts = [*leaves(state)]
        if len(parts[0]) != len(self._reader.memory):
            self._reader.make_room(len(parts[0]))
        self._form.put(self._reader.memory, state, None)

    def __call__(self, tokens: Tensor) -> Tensor:  # noqa: D102
        logits = self._reader.read_one(tokens)
        if logits is None:
            last = self.model.vocab_size - 1
            got = f"{int(tokens.min())} to {int(tokens.max())}"
            raise UserError("tokens", expected=f"from 0 to {last} (the vocabulary)", got=got)
        return logits
