"""What losses take of a model of layers: the values before its softmax or sigmoid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from elman.errors import UserError
from elman.models.layered import LayeredModel
from elman.nn.sequences import Lengths, Resets, as_lengths
from elman.state import State, detach

Read = Callable[..., tuple[Tensor, State]]


def is_sigmoid(network: Mapping[str, Any]) -> bool:
    """Whether the outputs of a network's configuration are probabilities, each for itself."""
    if network["output_kind"] != "probabilities":
        return False
    last: dict[str, Any] = next((node for node in network["nodes"] if node["name"] == network["output"]), {})
    function = last.get("function")
    return bool(network["outputs"] == 1 if function is None else function == "sigmoid")


def read_scores(
    network: LayeredModel,
    inputs: Tensor,
    state: State | None = None,
    *,
    lengths: Lengths = None,
    resets: Resets = None,
    as_classes: bool = False,
) -> tuple[Tensor, State]:
    """Logits or numbers (…, K), and the state after the inputs.

    Where nothing but a probability p is there, they are ln p, or ln p − ln (1 − p) of a sigmoid, within the range of
    the dtype. `as_classes`: one logit z becomes the logits (0, z) of two classes.
    """
    values, after = network.logits(inputs, state, lengths=lengths, resets=resets)
    config = network.config
    if config["output_kind"] == "probabilities" and config["logits"] is None:
        exact = values.to(torch.promote_types(values.dtype, torch.float32))
        tiny = torch.finfo(exact.dtype).tiny
        values = exact.clamp(min=tiny).log()
        if is_sigmoid(config):
            values = values - (1 - exact).clamp(min=tiny).log()
    if as_classes and values.shape[-1] == 1:
        values = torch.cat((torch.zeros_like(values), values), dim=-1)
    return values, after


def read_in_pieces(
    network: LayeredModel, read: Read, inputs: Tensor, k2: int, lengths: Lengths
) -> tuple[Tensor, State]:
    """As `read(inputs, None, lengths=lengths)`, where no gradient flows back over more than `k2` steps.

    Raises `UserError` for a model that is not causal.
    """
    B, T = inputs.shape[:2]
    if k2 >= T:
        return read(inputs, None, lengths=lengths)
    if not network.causal:
        what = "k2: truncation cuts between a state and the next"
        raise UserError(what, expected="a causal model", remedy="leave it out")
    whole = None if lengths is None else as_lengths(lengths, B, T, inputs.device)
    state: State = network.initial_state(B)
    outputs = []
    for begin in range(0, T, k2):
        piece = inputs[:, begin : begin + k2]
        left = None if whole is None else (whole - begin).clamp(0, piece.shape[1])
        output, state = read(piece, detach(state), lengths=left)
        outputs.append(output)
    return torch.cat(outputs, dim=1) if network.config["per_step"] else outputs[-1], state


def refuse_steps() -> None:
    """Raise the `UserError` of a model that needs the whole sequence and is asked for a step."""
    what = "this model reads in both directions: it needs the whole sequence, and cannot go on from a state"
    raise UserError(what, remedy="give the whole sequence")


def check_network(network: LayeredModel, **expected: Any) -> None:
    """Raise `UserError` where a value of the network's configuration is not the expected one."""
    for name, value in expected.items():
        if network.config[name] != value:
            raise UserError(f"network: {name}", expected=value, got=network.config[name])
