"""The bias of truncated backpropagation through time, and the cost of the full gradient in RAM and time.

Truncation cuts the gradient every k steps, and so makes it biased: a dependence over more than k steps is learnt from
less of its gradient, or not at all (Tallec & Ollivier 2017, "Unbiasing truncated backpropagation through time";
Aicher, Foti & Fox 2019, "Adaptively truncating backpropagation through time to control gradient bias",
arXiv:1905.07473). Here the full gradient is computed as well, and the two are compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from elman.arrays import Floats
from elman.errors import UserError
from elman.lens.observe import as_inputs, cross_entropy, differentiable, evaluating, follows_contract
from elman.models import LanguageModel
from elman.nn.sequences import Flags, Integers, as_resets, as_tokens
from elman.state import State
from elman.train import bptt


@dataclass(frozen=True)
class Truncation:
    """The truncated gradient of one batch against the window; all arrays but `gradient` are (K,).

    >>> found = Truncation(
    ...     windows=np.array([1, 2, 4, 8]), cosine=np.array([0.6, 0.95, 0.995, 1.0]), gradient=np.zeros(100),
    ...     bias=np.array([0.9, 0.3, 0.1, 0.0]), seconds=np.full(4, 0.01), megabytes=np.array([0.1, 0.2, 0.4, 0.8]),
    ... )
    >>> found.smallest_window(cosine=0.99)
    4
    """

    windows: npt.NDArray[np.int64]  # steps; the last is the whole sequence
    cosine: Floats  # between the truncated and the full gradient
    bias: Floats  # ‖g_k − g‖ / ‖g‖
    seconds: Floats  # of one computation
    megabytes: Floats  # the most that is kept for a backward pass
    gradient: Floats  # the full gradient, every parameter one after the other

    def smallest_window(self, cosine: float = 0.99) -> int:
        """The smallest window from which on the cosine is at least `cosine`; the last window where there is none."""
        short = np.flatnonzero(~(self.cosine >= cosine))  # NaN among them
        return int(self.windows[min(short[-1] + 1, len(self.windows) - 1)]) if len(short) else int(self.windows[0])


def doubling_windows(steps: int) -> list[int]:
    """1, 2, 4, … and the whole.

    >>> doubling_windows(20)
    [1, 2, 4, 8, 16, 20]
    """
    return [*(2**power for power in range(steps.bit_length()) if 2**power < steps), steps]


def truncation(
    model: nn.Module,
    tokens: Integers,
    targets: Integers,
    state: State | None = None,
    *,
    resets: Flags | None = None,
    windows: Sequence[int] | None = None,
    stride: int | None = None,
    warm_up: bool = True,
    read: Callable[..., tuple[Tensor, Any]] | None = None,
) -> Truncation:
    """The gradient of the mean loss of a batch through windows of k steps, beside the full gradient.

    Args:
        model: a language model of the state contract, or any module that `read` calls; its parameters, their gradients
            and its mode are left as they are.
        tokens: (B, T), or vectors of floats (B, T, D) for a module that reads these.
        targets: (B, T), the tokens that follow.
        state: the memory before the first step; None is a fresh one.
        resets: (B, T) boolean, where a document begins; None is nowhere.
        windows: the k to try, at most T; None is 1, 2, 4, … T. T is always tried: all others are compared with it.
        stride: k1, the steps whose loss is taken at a time, each time through the last k steps (`train.bptt`); None is
            k: the gradient is cut every k steps.
        warm_up: compute the full gradient once before, as the first call is slower; `seconds` need it.
        read: reads steps (B, t) or (B, t, D) from a memory, None at first, and returns logits (B, t, V) and the memory
            after them, as `lambda x, hx: my_model(x, hx)`; if you give `resets`, `read` gets those (B, t) as well.

    Raises:
        UserError: no `read` for a module that is no language model.

    >>> from elman.models import build
    >>> model, tokens = build({"model": "lstm", "vocab_size": 9, "hidden_size": 8}), torch.randint(9, (4, 33))
    >>> found = truncation(model, tokens[:, :-1], tokens[:, 1:], windows=[4, 16])
    >>> found.windows, found.cosine.shape, found.bias[-1]
    (array([ 4, 16, 32]), (3,), np.float64(0.0))
    """
    if read is None and not follows_contract(model):
        remedy = "give `read`, which takes inputs and a memory and returns logits and the memory after them"
        raise UserError("truncation", expected="a language model", got=type(model).__name__, remedy=remedy)
    tokens = as_inputs(tokens, model)
    targets = as_tokens(targets, model, "targets")
    B, steps = tokens.shape[:2]
    resets = None if resets is None else as_resets(resets, B, steps, tokens.device)
    tried = sorted({min(k, steps) for k in windows or doubling_windows(steps)} | {steps})
    language_model = cast(LanguageModel, model)
    reading, output = (read, nn.Identity()) if read else (language_model.read, language_model.output)

    def read_steps(a: int, b: int, state: State | None) -> tuple[Tensor, State]:
        masks = {} if resets is None else {"resets": resets[:, a:b]}
        return reading(tokens[:, a:b], state, **masks)

    gradient = partial(_gradient, model, read_steps, output, targets, state)
    with evaluating(model), torch.enable_grad(), differentiable() if read else nullcontext():
        if warm_up:
            gradient(tried[-1], None)
        found = [gradient(k, None if k == steps else stride) for k in tried]
    gradients, seconds, kept = zip(*found, strict=True)
    full = gradients[-1]
    size = full.norm()
    return Truncation(
        np.array(tried),
        np.array([float(F.cosine_similarity(one, full, dim=0)) for one in gradients]),
        np.array([float((one - full).norm() / size) if size > 0 else 0.0 for one in gradients]),
        np.array(seconds),
        np.array(kept) / 1e6,
        full.cpu().numpy(),
    )


def _gradient(
    model: nn.Module,
    read_steps: Callable[[int, int, State | None], tuple[Tensor, State]],
    output: Callable[[Tensor], Tensor],
    targets: Tensor,
    state: State | None,
    window: int,
    stride: int | None,
) -> tuple[Tensor, float, int]:
    """The gradient as one vector in float64, the seconds it took, and the most bytes that a backward pass kept."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    constant = {p.untyped_storage().data_ptr() for p in parameters}
    total = [torch.zeros_like(p) for p in parameters]
    steps, k1, most = targets.shape[1], stride or window, 0
    begun = time.perf_counter()
    for index in range(bptt.count(steps, k1)):
        part = bptt.stretch(index, steps, k1, window)
        kept: dict[int, int] = {}

        def keep(tensor: Tensor, kept: dict[int, int] = kept) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in constant:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            hidden, state = bptt.read(read_steps, part, state)
            loss = cross_entropy(output(hidden).flatten(0, 1), targets[:, part.start : part.stop].flatten())
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for sum_, gradient in zip(total, gradients, strict=True):
            if gradient is not None:
                sum_ += gradient
        most = max(most, sum(kept.values()))
    seconds = time.perf_counter() - begun
    return torch.cat([part.double().flatten() for part in total]) / targets.numel(), seconds, most
