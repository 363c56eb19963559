"""What an encoder-decoder takes from its source: by its attention where it has one, by gradients in any case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from elman.lens.attention import entropy
from elman.lens.observe import evaluating
from elman.models import EncoderDecoder
from elman.nn.sequences import Integers, as_lengths, as_tokens

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AlignmentScores:
    """What the attention of a row of target steps (T,) to a source does, as means over the steps."""

    entropy: float  # nats; e^entropy is about how many source tokens share the attention
    monotonicity: float  # the correlation of a step with the place it looks at: 1 is from left to right


def score_alignment(weights: Floats) -> AlignmentScores:
    """Entropy and monotonicity of weights (T, S).

    >>> score_alignment(np.eye(3)).monotonicity
    1.0
    """
    T, S = weights.shape
    places = weights @ np.arange(S)
    still = T < 2 or places.std() == 0
    monotonicity = 0.0 if still else float(np.corrcoef(np.arange(T), places)[0, 1])
    return AlignmentScores(float(entropy(weights).mean()), round(monotonicity, 12))


def source_gradients(model: EncoderDecoder, source: Integers, inputs: Integers, targets: Integers) -> Floats:
    """How much each target token depends on each source token: ‖∂ log p(y_t) / ∂x_s‖, (T, S), of one pair.

    source (S,), inputs (T,) and targets (T,), each a row of `PairBatch`; x_s is the embedding of a source token.
    """
    names = ("source", "inputs", "targets")
    source, inputs, targets = (
        as_tokens(row, model, name, dims=1)[None] for name, row in zip(names, (source, inputs, targets), strict=True)
    )
    with evaluating(model), torch.enable_grad():
        x, log_p = _embedded(model, source, None, inputs, targets)
        norms = [torch.autograd.grad(one, x, retain_graph=True)[0][0].norm(dim=-1) for one in log_p[0]]
        return torch.stack(norms).double().cpu().numpy()


def loss_gradients(
    model: EncoderDecoder, source: Integers, lengths: Integers, inputs: Integers, targets: Integers
) -> list[Floats]:
    """‖∂L / ∂x_s‖ of the loss L = −Σ_t log p(y_t) of each pair, (S,) a pair without its padding.

    source (B, S), lengths (B,), inputs and targets (B, T), as in `PairBatch`. One backward pass serves all rows, since
    none depends on another.
    """
    source = as_tokens(source, model, "source")
    B, S = source.shape
    lengths = as_lengths(lengths, B, S, source.device, least=1)
    inputs = as_tokens(inputs, model, "inputs")
    targets = as_tokens(targets, model, "targets")
    with evaluating(model), torch.enable_grad():
        x, log_p = _embedded(model, source, lengths, inputs, targets)
        (gradient,) = torch.autograd.grad(-log_p.sum(), x)
        norms = gradient.norm(dim=-1).double().cpu().numpy()  # (B, S)
        return [row[:length] for row, length in zip(norms, lengths.tolist(), strict=True)]


def _embedded(
    model: EncoderDecoder, source: Tensor, lengths: Tensor | None, inputs: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """The source's embeddings x (B, S, D), as a leaf of the graph, and log p(y_t) (B, T), 0 at padding."""
    leaf: list[Tensor] = []

    def embed(module: torch.nn.Module, given: tuple[Tensor], embedded: Tensor) -> Tensor | None:
        if leaf:  # one embedding may serve the target too
            return None
        rows = embedded.transpose(0, 1) if model.time_major else embedded  # (B, S, D)
        leaf.append(rows.detach().contiguous().requires_grad_())
        return leaf[0].transpose(0, 1) if model.time_major else leaf[0]

    handle = cast(torch.nn.Module, model.source_embedding).register_forward_hook(embed)
    try:
        logits, _ = model(inputs, model.encode(source, lengths))
    finally:
        handle.remove()
    return leaf[0], -F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
