"""Choosing the next token from a distribution: temperature, top-k, top-p and min-p.

Each filter is a function from logits (B, V) to logits, with -inf where a token is ruled out; filters compose.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from elman.decode.hypotheses import no_probabilities
from elman.errors import UserError


def top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k most probable tokens, and all that are as probable as the k-th (Fan, Lewis & Dauphin 2018).

    >>> top_k(torch.tensor([[1.0, 3.0, 2.0]]), 2)
    tensor([[-inf, 3., 2.]])
    """
    k = min(k, logits.shape[-1])
    return logits.masked_fill(logits < logits.topk(k, dim=-1).values[..., -1:], -torch.inf)


def top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the fewest most probable tokens, at least one, with probability p together (Holtzman et al. 2020).

    >>> top_p(torch.tensor([[0.5, 0.3, 0.2]]).log(), 0.7).exp()
    tensor([[0.5000, 0.3000, 0.0000]])
    """
    ordered, order = logits.sort(dim=-1, descending=True, stable=True)  # of equal ones, the smaller token first
    probabilities = ordered.softmax(-1)
    before = probabilities.cumsum(-1) - probabilities  # the probability of all more probable tokens
    beyond = before >= p
    beyond[..., 0] = False
    out = torch.zeros_like(beyond).scatter(-1, order, beyond)
    return logits.masked_fill(out, -torch.inf)


def min_p(logits: Tensor, p: float) -> Tensor:
    """Keep the tokens at least p times as probable as the most probable one (Nguyen et al. 2025).

    >>> min_p(torch.tensor([[0.6, 0.3, 0.1]]).log(), 0.4).exp()
    tensor([[0.6000, 0.3000, 0.0000]])
    """
    floor = logits.max(-1, keepdim=True).values + (math.log(p) if p else -math.inf)
    return logits.masked_fill(logits < floor, -torch.inf)


FILTERS: dict[str, Callable[[Tensor, Any], Tensor]] = {"top_k": top_k, "top_p": top_p, "min_p": min_p}


def sample(
    logits: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    generator: torch.Generator | None = None,
    uniform: Tensor | None = None,
) -> Tensor:
    """Draw a token (B,) from logits (B, V) by inverse distribution; temperature 0 takes the most probable token.

    For a row of logits x, in float64, and its number u in [0, 1):

        z_i = (x_i − max x) / temperature           then top-k, top-p and min-p, each on what the filter before it kept
        c_i = Σ_{j ≤ i} p_j,  p = softmax(z)        in the order of the tokens; p_i = 0 where a filter ruled i out
        token = the first i with c_i > u c_V

    `uniform` (B,) has the numbers (`elman.decode.uniforms`: the same text for the same seed, in other programs too);
    without them they are torch's own, from `generator`. Of equal logits, the smaller token is the more probable one.

    Raises:
        UserError: the largest logit of a row is not a finite number, or another argument is out of its range.

    >>> logits = torch.tensor([[0.7, 0.2, 0.1]]).log()
    >>> sample(logits, temperature=0), sample(logits, uniform=torch.tensor([0.8]))  # c = 0.7, 0.9, 1
    (tensor([0]), tensor([1]))
    >>> sample(logits, top_k=1, uniform=torch.tensor([0.8]))
    tensor([0])
    """
    bounds = {"temperature": (temperature, 0, math.inf), "top_k": (top_k, 1, math.inf)}
    for name, (value, least, most) in (bounds | {"top_p": (top_p, 0, 1), "min_p": (min_p, 0, 1)}).items():
        if value is not None and not least <= value <= most:
            expected = f"{least} or more" if most == math.inf else f"a number from {least} to {most}"
            raise UserError(name, expected=expected, got=value)
    largest = logits.max(-1, keepdim=True).values
    if not largest.isfinite().all():
        raise no_probabilities()
    if temperature == 0:
        return logits.argmax(-1)
    # In float64, because float32 would round the cumulative sum visibly in many draws. The largest logit is
    # subtracted before the division, so that the smallest temperature does not overflow.
    logits = (logits.double() - largest) / temperature
    for name, bound in (("top_k", top_k), ("top_p", top_p), ("min_p", min_p)):
        if bound is not None:
            logits = FILTERS[name](logits, bound)
    probabilities = logits.softmax(-1)
    if uniform is None:
        uniform = torch.rand(len(logits), generator=generator, dtype=torch.double, device=logits.device)
    # The first token at which the cumulative sum is above the number has a probability above 0.
    cumulative = probabilities.cumsum(-1)
    total = cumulative[..., -1:]
    number = (uniform.unsqueeze(-1) * total).minimum(total.nextafter(torch.zeros_like(total)))
    return torch.searchsorted(cumulative, number, right=True).squeeze(-1)
