"""What losses take of a model of layers: the values before its softmax or sigmoid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from elman.errors import UserError
from elman.models.layered import LayeredModel
from elman.models.truncation import Read, read_in_stretches, refuse_truncation
from elman.nn.sequences import Lengths, Resets
from elman.state import State


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
    if k2 >= inputs.shape[1]:
        return read(inputs, None, lengths=lengths)
    if not network.causal:
        refuse_truncation("leave it out")
    outputs, state = read_in_stretches(read, inputs, network.initial_state(len(inputs)), k2, lengths)
    return torch.cat(outputs, dim=1) if network.config["per_step"] else outputs[-1], state


def check_network(network: LayeredModel, **expected: Any) -> None:
    """Raise `UserError` where a value of the network's configuration is not the expected one."""
    for name, value in expected.items():
        if network.config[name] != value:
            raise UserError(f"network: {name}", expected=value, got=network.config[name])
