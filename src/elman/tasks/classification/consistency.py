"""Two readings of an example, each with a dropout of its own, that are to agree.

Dropout makes a model many models, of which one stands for all in the end. Where two of them disagree, that one knows
little: their disagreement is made a part of the loss (Liang et al. 2021, "R-Drop: regularized dropout for neural
networks", arXiv:2106.14448; their α is twice the `consistency` of here, for they add the losses of both readings).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

READINGS = 2


def disagreement(logits: Tensor, kind: str) -> Tensor:
    """Nats an example: the mean of KL(p, q) and KL(q, p), where p are probabilities of one reading, q of the other.

        class      ½ Σ_k (p_k − q_k)(log p_k − log q_k)
        several    ½ Σ_k (p_k − q_k)(a_k − b_k), with the log-odds a of p and b of q: label k holds or does not

    `logits` (2B, K) are those of B examples and of the same examples again.

    >>> float(disagreement(torch.tensor([[0.0, 2.0], [0.0, 2.0]]), "class"))
    0.0
    """
    odds = logits if kind == "several" else F.log_softmax(logits, 1)
    a, b = odds.chunk(READINGS)
    p, q = (torch.sigmoid(logits) if kind == "several" else odds.exp()).chunk(READINGS)
    return 0.5 * ((p - q) * (a - b)).sum(1).mean()
