"""Embeddings of words that are sets of n-grams."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class NgramEmbedding(nn.Embedding):
    """The sum of the vectors of a word's n-grams, of about unit variance whatever their number.

        x = Σ_g E[g] / √|g|

    Numbers (..., G) of n-grams, where 0 is none -> (..., D); a word without n-grams is zero.
    """

    def __init__(self, vocab_size: int, embedding_size: int) -> None:
        super().__init__(vocab_size, embedding_size, padding_idx=0)

    def forward(self, numbers: Tensor) -> Tensor:
        """Numbers (..., G) -> (..., D)."""
        *shape, G = numbers.shape
        sums = F.embedding_bag(numbers.reshape(-1, G), self.weight, mode="sum", padding_idx=0)
        counts = (numbers > 0).sum(-1, keepdim=True).clamp(min=1)
        return sums.view(*shape, -1) / counts.to(sums.dtype).sqrt()
