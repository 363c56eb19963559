"""The bias of truncated backpropagation through time, and the cost of the full gradient in RAM and time.

Truncation cuts the gradient every k steps, and so makes it biased: a dependence over more than k steps is learnt from
less of its gradient, or not at all (Tallec & Ollivier 2017, "Unbiasing truncated backpropagation through time";
Aicher, Foti & Fox 2019, "Adaptively truncating backpropagation through time to control gradient bias",
arXiv:1905.07473). Here the full gradient is computed as well, and the two are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from elman.arrays import Floats
from elman.errors import UserError
from elman.lens.observe import as_inputs, differentiable, evaluating, follows_contract
from elman.lens.stretches import Text, in_turn, memories, side_by_side, worth_blocks
from elman.models import LanguageModel
from elman.nn.sequences import Flags, Integers, as_resets, as_tokens
from elman.state import State

WARM_UP = 32  # steps


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
    whole: Truncation | None = None,
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
        warm_up: compute the gradient of a few steps before, as the first call is slower; `seconds` need it.
        whole: an earlier outcome for the same batch, whose full gradient and its cost are taken.
        read: reads steps (B, t) or (B, t, D) from a memory, None at first, and returns logits (B, t, V) and the memory
            after them, as `lambda x, hx: my_model(x, hx)`; if you give `resets`, `read` gets those (B, t) as well.

    Raises:
        UserError: no `read` for a module that is no language model.

    >>> from elman.models import build
    >>> model, tokens = build({"model": "lstm", "vocab_size": 9, "hidden_size": 8}), torch.randint(9, (4, 33))
    >>> found = truncation(model, tokens[:, :-1], tokens[:, 1:], windows=[4, 16])
    >>> found.windows, found.cosine.shape, float(found.bias[-1])
    (array([ 4, 16, 32]), (3,), 0.0)
    """
    text = _text(model, tokens, targets, resets, read)
    steps, own = text.steps, read is None and stride is None
    tried = sorted({min(k, steps) for k in windows or doubling_windows(steps)} - {steps})
    with evaluating(model), torch.enable_grad(), differentiable() if read else nullcontext():
        if warm_up:
            in_turn(text.each(lambda x: x[:, :WARM_UP]), state, WARM_UP)
        if whole is None:
            found = in_turn(text, state, steps)
            full, cost = found.vector / text.targets.numel(), (found.seconds, found.kept / 1e6)
        else:
            full, cost = (
                torch.from_numpy(whole.gradient).to(text.targets.device),
                (whole.seconds[-1], whole.megabytes[-1]),
            )
        side = own and any(worth_blocks(text, k) for k in tried)
        before = memories(text, state) if side else []
        rows = []
        for k in tried:
            in_blocks = side and worth_blocks(text, k)
            found = side_by_side(text, before, k) if in_blocks else in_turn(text, state, k, stride)
            rows.append((*_compared(found.vector / text.targets.numel(), full), found.seconds, found.kept / 1e6))
    rows.append((*_compared(full, full), *cost))
    cosine, bias, seconds, megabytes = np.array(rows).T
    return Truncation(np.array([*tried, steps]), cosine, bias, seconds, megabytes, full.cpu().numpy())


def _text(model: nn.Module, tokens: Integers, targets: Integers, resets: Flags | None, read: Any) -> Text:
    """The checked arguments."""
    if read is None and not follows_contract(model):
        remedy = "give `read`, which takes inputs and a memory and returns logits and the memory after them"
        raise UserError("truncation", expected="a language model", got=type(model).__name__, remedy=remedy)
    inputs = as_inputs(tokens, model)
    targets = as_tokens(targets, model, "targets")
    resets = None if resets is None else as_resets(resets, len(inputs), inputs.shape[1], inputs.device)
    if read is not None:
        return Text(model, read, nn.Identity(), inputs, targets, resets)
    language_model = cast(LanguageModel, model)
    return Text(model, language_model.read, language_model.output, inputs, targets, resets)


def _compared(gradient: Tensor, full: Tensor) -> tuple[float, float]:
    """The cosine of two gradients, and the bias of the first; 0 where one of them is zero."""
    size = float(full.norm())
    sizes = size * float(gradient.norm())
    cosine = float(gradient @ full) / sizes if sizes != 0 else 0.0
    return cosine, float((gradient - full).norm()) / size if size != 0 else 0.0
