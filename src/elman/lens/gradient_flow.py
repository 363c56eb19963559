"""Gradient flow through time: how much of a loss's gradient reaches back k steps.

The gradient of a loss at step T with respect to the memory of k steps before is a product of k Jacobians,

    ∂L_T/∂h_{T−k} = ∂L_T/∂h_{T-1} · ∂h_{T-1}/∂h_{T−2} ⋯ ∂h_{T−k+1}/∂h_{T−k},

which vanishes or explodes geometrically unless their singular values stay near 1 (Bengio, Simard & Frasconi 1994;
Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural networks").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from elman.arrays import Floats
from elman.errors import UserError
from elman.lens.decay import Decay, fit_decay
from elman.lens.observe import (
    as_inputs,
    cross_entropy,
    differentiable,
    evaluating,
    follows_contract,
    from_vectors,
    has_vectors_for_memory,
    named_leaves,
)
from elman.lens.unrolled import unroll_model
from elman.lens.visit import reading_by_steps
from elman.models.recurrent import RecurrentLM
from elman.nn.sequences import Flags, Integers, as_resets, as_tensor, as_tokens
from elman.state import State, detach


@dataclass(frozen=True)
class Flow:
    """Norms of a gradient against the lag, for every row of a batch.

    >>> flow = Flow("layer 1 h", lags=np.array([1, 2, 3]), norms=np.array([[1.0, 3.0], [0.5, 1.0], [0.1, 0.2]]))
    >>> flow.quantile(0.5)
    array([2.  , 0.75, 0.15])
    """

    name: str  # "input", "layer 1 h", "layer 1 c", ...
    lags: npt.NDArray[np.int64]  # (K,)
    norms: Floats  # (K, B)

    def quantile(self, q: float) -> Floats:
        """A quantile over the batch, for every lag: (K,)."""
        return np.quantile(self.norms, q, axis=1)

    @property
    def decay(self) -> Decay:
        """The fall of the median."""
        return fit_decay(self.lags, self.quantile(0.5))


@dataclass(frozen=True)
class GradientFlow:
    """The gradients of one loss a row by the inputs x, and by every part of the memory.

    >>> from elman.models import build
    >>> model, tokens = build({"model": "lstm", "vocab_size": 9, "hidden_size": 8}), torch.randint(9, (4, 20))
    >>> flow = gradient_flow(model, tokens[:, :-1], tokens[:, -1])
    >>> flow.input.name, [part.name for part in flow.memory]
    ('input', ['layer 1 h', 'layer 1 c'])
    """

    input: Flow
    memory: tuple[Flow, ...]  # empty where the memory is not made of vectors of one direction


def gradient_flow(
    model: nn.Module,
    tokens: Integers,
    targets: Integers,
    state: State | None = None,
    *,
    resets: Flags | None = None,
    read: Callable[[Tensor], Any] | None = None,
    loss: Callable[[Any, Tensor], Tensor] | None = None,
) -> GradientFlow:
    """Norms of the gradients of L_T, the cross entropy of the last step's prediction, for every row.

        inputs:  ‖∂L_T/∂x_{T−k}‖, k = 0 … T−1, x being the embedded inputs
        memory:  ‖∂L_T/∂s_{T−k}‖, k = 1 … T−1, s_t being the memory after step t

    The second is the derivative of L_T as a function of the memory s_{T−k} and the inputs after it: the outputs that a
    layer hands to the next layer in the same step are held fixed, as they are in the memory of the layer.

        gradient_flow(run.model, tokens, targets)                a language model of the state contract
        gradient_flow(classifier, tokens, classes)               any module: classifier(tokens[:1]) gives its logits
        gradient_flow(forecaster, x, y, loss=lambda made, y: (made - y).square().sum())

    One backward pass of a language model gives the gradients of all rows, as they do not depend on each other. Any
    other module reads one row at a time; its memory is that of its recurrent layers, of `elman.nn` or `torch.nn`.
    Layers that read in both directions, or packed or masked input, have no flow; the inputs always have one.

    Args:
        model: a language model, or any module; its parameters and mode are left as they are.
        tokens: (B, T), T ≥ 2, for a `torch.nn.Embedding`; or vectors of floats (B, T, D).
        targets: (B,), one for each row: the next token, the class, or what `loss` takes.
        state: the memory of a language model before the first step; None is a fresh one.
        resets: (B, T) boolean, where a document begins for a language model: beyond that the gradient is zero.
        read: calls the module with the inputs of one row, (1, T) or (1, T, D); None is `model`.
        loss: makes L_T of the result of `read` for a row and the row's target (1, …); None is the cross entropy of
            the last logits, (1, V), or (1, T, V), or the first part of a tuple.

    Raises:
        UserError: fewer than 2 steps, or an argument that does not fit this kind of model.

    >>> import elman
    >>> run = elman.load("runs/demo")
    >>> tokens = run.tokenizer.encode("the cat sat on the mat. the cat sat on")
    >>> flow = gradient_flow(run.model, tokens[None, :-1], tokens[-1:])
    >>> flow.input.lags.shape, flow.input.norms.shape, flow.memory[0].name
    ((37,), (37, 1), 'layer 1 h')
    >>> classifier = torch.nn.GRU(2, 3, batch_first=True)  # any other module; its last state is the logits here
    >>> x, y = torch.randn(5, 30, 2), torch.randint(3, (5,))
    >>> gradient_flow(classifier, x, y, read=lambda x: classifier(x)[1]).input.norms.shape
    (30, 5)
    """
    tokens = as_inputs(tokens, model)
    B, T = tokens.shape[:2]
    if T < 2 or B < 1:
        raise UserError("gradient flow", expected="at least one row of 2 tokens", got=f"{B} rows of {T}")
    with evaluating(model, constant=True), torch.enable_grad():
        if read is None and loss is None and follows_contract(model):
            targets = as_tokens(targets, model, "targets", dims=1)
            resets = None if resets is None else as_resets(resets, B, T, tokens.device)
            every = [_of_language_model(model, tokens, targets, None if state is None else detach(state), resets)]
        elif state is not None or resets is not None:
            raise UserError("state and resets", expected="none for this module", remedy="`read` can hand them on")
        else:
            targets = as_tensor("targets", targets, torch.int64, tokens.device)
            if len(targets) != B:
                raise UserError("targets", expected=f"one for each of {B} rows", got=len(targets))
            every = []
            for row, target in zip(tokens.split(1), targets.split(1), strict=True):
                with reading_by_steps(model) as memory, differentiable():
                    output, x = from_vectors(model, row, read or model)
                every.append(_flows((loss or _last_step)(output, target), [x], memory, 1))
    norms = [np.hstack([flow.norms for flow in flows]) for flows in zip(*every, strict=True)]
    flows = [Flow(flow.name, flow.lags, rows) for flow, rows in zip(every[0], norms, strict=True)]
    return GradientFlow(flows[0], tuple(flows[1:]))


def _of_language_model(
    model: Any, tokens: Tensor, targets: Tensor, state: State | None, resets: Tensor | None
) -> list[Flow]:
    """Read step by step where the memory is made of vectors, and all at once otherwise."""
    if type(model) is RecurrentLM:
        before = model.initial_state(len(tokens)) if state is None else state
        outputs, embedded, states = unroll_model(model, tokens, before, resets)
        loss = cross_entropy(model.output(outputs[-1:].transpose(0, 1))[:, 0], targets)
        return _flows(loss, [embedded], states, len(tokens))
    size = 1 if has_vectors_for_memory(model) else tokens.shape[1]
    pieces = tokens.split(size, dim=1)
    begins = [None] * len(pieces) if resets is None else resets.split(size, dim=1)
    vectors: list[Tensor] = []
    memory: dict[str, list[Tensor]] = {}
    for piece, begin in zip(pieces, begins, strict=True):
        read = lambda piece, state=state, begin=begin: model.read(piece, state, resets=begin)  # noqa: E731
        (hidden, state), x = from_vectors(model, piece, read)
        vectors.append(x)
        for name, leaf in named_leaves(state) if size == 1 else ():
            memory.setdefault(name, []).append(leaf)
    return _flows(cross_entropy(model.output(hidden[:, -1:])[:, 0], targets), vectors, memory, len(tokens))


def _flows(loss: Tensor, vectors: list[Tensor], memory: dict[str, list[Tensor]], B: int) -> list[Flow]:
    """The flow by the inputs, and by the states after every step but the last, on which no loss depends."""
    before = {name: states[:-1] for name, states in memory.items()}
    wanted = [*vectors, *(state for states in before.values() for state in states)]
    found = iter(torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True))
    inputs = torch.cat([next(found).reshape(B, -1, x.shape[-1]) for x in vectors], dim=1).transpose(0, 1)  # (T, B, D)
    by_memory = {name: torch.stack([next(found) for _ in states]) for name, states in before.items() if states}
    flows = []
    for name, part in {"input": inputs, **by_memory}.items():  # the last of its steps has the lag 0, or 1
        norms = part.reshape(len(part), B, -1).double().norm(dim=-1).cpu().numpy()[::-1]
        flows.append(Flow(name, np.arange(len(norms)) + (name != "input"), norms))
    return flows


def _last_step(output: Any, target: Tensor) -> Tensor:
    logits = output[0] if isinstance(output, tuple) else output
    return cross_entropy(logits.reshape(-1, logits.shape[-1])[-1:], target)
