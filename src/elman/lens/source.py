"""How an encoder-decoder depends on its source: by the weights of its attention, and by gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from elman.arrays import Floats
from elman.lens.attention import entropy
from elman.lens.observe import evaluating, from_vectors
from elman.models import EncoderDecoder
from elman.nn.sequences import Integers, as_lengths, as_tokens


@dataclass(frozen=True)
class AlignmentScores:
    """Scores of the attention of target steps (T,) to a source, as means over the steps.

    >>> uniform = score_alignment(np.full((3, 4), 1 / 4))
    >>> round(np.exp(uniform.entropy)), uniform.monotonicity
    (4, 0.0)
    """

    entropy: float  # nats; e^entropy is about how many source tokens share the attention
    monotonicity: float  # the correlation of a step with the mean place of its attention: 1 is from left to right


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

    >>> from elman.models import build_encoder_decoder
    >>> model = build_encoder_decoder({"model": "gru", "source_vocab_size": 9, "vocab_size": 7, "hidden_size": 8})
    >>> source_gradients(model, [3, 4, 5, 0], inputs=[0, 1], targets=[1, 0]).shape
    (2, 4)
    """
    rows = {"source": source, "inputs": inputs, "targets": targets}
    given = [as_tokens(row, model, name, dims=1)[None] for name, row in rows.items()]
    with evaluating(model), torch.enable_grad():
        x, log_p = _embedded(model, given[0], None, *given[1:])
        norms = [torch.autograd.grad(one, x, retain_graph=True)[0].norm(dim=-1).flatten() for one in log_p[0]]
        return torch.stack(norms).double().cpu().numpy()


def loss_gradients(
    model: EncoderDecoder, source: Integers, lengths: Integers, inputs: Integers, targets: Integers
) -> list[Floats]:
    """‖∂L / ∂x_s‖ of the loss L = −Σ_t log p(y_t) of each pair, (S,) a pair without its padding.

    source (B, S), lengths (B,), inputs and targets (B, T), as in `PairBatch`. One backward pass serves all rows, since
    no row depends on another.

    >>> from elman.models import build_encoder_decoder
    >>> model = build_encoder_decoder({"model": "gru", "source_vocab_size": 9, "vocab_size": 7, "hidden_size": 8})
    >>> source, inputs, targets = [[3, 4, 5, 0], [6, 0, 0, 0]], [[0, 1], [0, 2]], [[1, 0], [2, 0]]
    >>> norms = loss_gradients(model, source, lengths=[4, 2], inputs=inputs, targets=targets)
    >>> [row.shape for row in norms]
    [(4,), (2,)]
    """
    source = as_tokens(source, model, "source")
    lengths = as_lengths(lengths, source.shape[0], source.shape[1], source.device, least=1)
    inputs, targets = as_tokens(inputs, model, "inputs"), as_tokens(targets, model, "targets")
    with evaluating(model), torch.enable_grad():
        x, log_p = _embedded(model, source, lengths, inputs, targets)
        norms = torch.autograd.grad(-log_p.sum(), x)[0].norm(dim=-1).double().cpu().numpy()  # as the source lies
    rows = norms.T if model.time_major else norms  # (B, S)
    return [row[:length] for row, length in zip(rows, lengths.tolist(), strict=True)]


def _embedded(
    model: EncoderDecoder, source: Tensor, lengths: Tensor | None, inputs: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """The source's embeddings, (S, B, D) where the model is `time_major` and else (B, S, D), and log p(y_t) (B, T).

    The embeddings are a leaf of the graph; log p is 0 at padding.
    """
    as_it_lies = source.t() if model.time_major else source
    (logits, _), x = from_vectors(model, as_it_lies, lambda _: model(inputs, model.encode(source, lengths)))
    return x, -F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
