"""The product of the Jacobians of many steps: what is left of a small change of the memory after them.

    P_k = J_k J_{k−1} ⋯ J_1        J_t = ∂s_t/∂s_{t−1}

Where the singular values of P_k fall geometrically in k, gradients vanish; where they grow, gradients explode (Bengio,
Simard & Frasconi 1994, "Learning long-term dependencies with gradient descent is difficult"; Pascanu, Mikolov & Bengio
2013, "On the difficulty of training recurrent neural networks").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from elman.arrays import Floats
from elman.errors import UserError
from elman.lens.jacobian import StepJacobian, jacobian_of, singular_values, steps_of
from elman.lens.observe import as_inputs, evaluating
from elman.nn.sequences import Flags, Integers, as_resets, as_tensor
from elman.state import State, batch_size, detach


@dataclass(frozen=True)
class JacobianProduct:
    """The singular values of P_k for one layer along one row; M numbers are the layer's memory.

    >>> values = np.array([[1.1, 0.5], [1.21, 0.25], [1.464, 1e-17]])
    >>> found = JacobianProduct(0, np.array([1, 2, 4]), values, resolution=np.full(3, 4e-16))
    >>> found.largest, found.smallest  # one direction explodes; of the other, rounding alone is left
    (array([1.1  , 1.21 , 1.464]), array([0.5 , 0.25,  nan]))
    """

    layer: int
    steps: npt.NDArray[np.int64]  # (K,), the k
    singular_values: Floats  # (K, M), falling; what lies below `resolution` is rounding
    resolution: Floats  # (K,): the largest times √M ε of the model's floats, or times M ε of float64 where that is more

    @property
    def largest(self) -> Floats:
        """Of each product, (K,)."""
        return self.singular_values[:, 0]

    @property
    def median(self) -> Floats:
        """Of each product, (K,); NaN where it is rounding."""
        return self._resolved(np.median(self.singular_values, axis=1))

    @property
    def smallest(self) -> Floats:
        """Of each product, (K,); NaN where it is rounding."""
        return self._resolved(self.singular_values[:, -1])

    def _resolved(self, values: Floats) -> Floats:
        return np.where(values > self.resolution, values, np.nan)


def jacobian_product(
    model: nn.Module,
    tokens: Integers,
    state: Any,
    layer: int = 0,
    *,
    resets: Flags | None = None,
    steps: Sequence[int] | None = None,
    first: StepJacobian | None = None,
) -> JacobianProduct:
    """The singular values of the product of a layer's step Jacobians, against the number of steps.

    The layer's memory and the Jacobian are those of `step_jacobian`. As no layer depends on those above it, P_k is also
    the layer's own part of the Jacobian of the whole memory over k steps. Products are in float64.

    Args:
        model: as in `step_jacobian`.
        tokens: (T,), read one after the other; vectors (T, D) for a layer.
        state: the memory of one row before the first of them.
        layer: the layer's number, from 0.
        resets: (T,) boolean, where a document begins: from there on the product is zero. None is nowhere.
        steps: the k, rising; None is 1, 2, 4, … up to T.
        first: the step Jacobian of the first token, where it is known already.

    Raises:
        UserError: as `step_jacobian`; or more than one row, or steps beyond the tokens.

    >>> layer = nn.RNN(1, 2)
    >>> layer.weight_hh_l0.data = torch.tensor([[1.1, 0.0], [0.0, 0.5]])
    >>> layer.bias_ih_l0.data = -layer.bias_hh_l0.data
    >>> found = jacobian_product(layer, torch.zeros(4, 1), torch.zeros(1, 1, 2))  # tanh has slope 1: P_k is W_hh^k
    >>> found.steps, found.largest.round(3), found.smallest.round(4)
    (array([1, 2, 4]), array([1.1  , 1.21 , 1.464]), array([0.5   , 0.25  , 0.0625]))
    """
    tokens = as_inputs(tokens, model, dims=1)
    taking, before = steps_of(model, tokens, state, layer)
    memory: State = before
    T = len(tokens)
    wanted = sorted(set(steps) if steps is not None else (2**power for power in range(T.bit_length())))
    if not wanted or not 1 <= wanted[0] <= wanted[-1] <= T:
        raise UserError("steps", expected=f"some from 1 to {T}, the number of tokens", got=wanted)
    if (rows := batch_size(memory)) != 1:
        raise UserError("state", expected="the memory of one row", got=f"{rows} rows")
    begins = None if resets is None else as_resets(as_tensor("resets", resets, torch.bool)[None], 1, T, tokens.device)
    product, found, resolution = None, [], []
    with evaluating(model, constant=True):
        for t in range(wanted[-1]):
            one, reset = tokens[t : t + 1], None if begins is None else begins[0, t : t + 1]
            memory = detach(memory)
            known = first if t == 0 else None
            with torch.enable_grad():
                jacobian = (
                    jacobian_of(taking, one, memory, layer, reset)
                    if known is None
                    else torch.from_numpy(known.matrices[0])
                )
            exact, M = jacobian.double(), len(jacobian)
            product = exact if product is None else exact @ product
            if t + 1 in wanted:
                values = None if known is None else torch.from_numpy(known.singular_values[0])
                found.append(singular_values(product, jacobian.dtype) if values is None else values)
                rounding = max(M * torch.finfo(torch.float64).eps, M**0.5 * torch.finfo(jacobian.dtype).eps)
                resolution.append(float(found[-1][0]) * rounding)
            with torch.no_grad():
                memory = taking.read(one[:, None], memory, None if reset is None else reset[None])
    return JacobianProduct(layer, np.array(wanted), torch.stack(found).numpy(), np.array(resolution))
