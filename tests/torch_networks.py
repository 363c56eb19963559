"""Networks as people write them in torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

D, H, TOKENS, CLASSES = 3, 5, 11, 4
NETWORKS: dict[str, dict[str, Any]] = {  # those that torch's newer exporter was asked for
    "lstm": {"kind": "LSTM", "end": "steps"},
    "gru_time_first": {"kind": "GRU", "batch_first": False, "end": "mean"},
    "gru_both": {"kind": "GRU", "both": True, "end": "final"},
}


class Network(nn.Module):
    """Embeds tokens, reads them, and answers from every step, the last one, the mean, or the final state."""

    def __init__(
        self, kind: str, batch_first: bool = True, both: bool = False, end: str = "steps", layers: int = 2
    ) -> None:
        super().__init__()
        self.embedding, self.end, width = nn.Embedding(TOKENS, D), end, H * (1 + both)
        self.recurrent = getattr(nn, kind)(D, H, layers, batch_first=batch_first, bidirectional=both)
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        y, h = self.recurrent(self.embedding(tokens))
        time = 1 if self.recurrent.batch_first else 0
        if self.end == "final":
            h = h[0] if isinstance(h, tuple) else h
            y = torch.cat([h[-2], h[-1]], -1) if self.recurrent.bidirectional else h[-1]
        elif self.end != "steps":
            y = y.select(time, -1) if self.end == "last" else y.mean(time)
        return torch.log_softmax(self.out(self.norm(y)), -1)


def network(name: str) -> Network:
    """A network of `NETWORKS`, with weights from a seed."""
    torch.manual_seed(len(name))
    return Network(**NETWORKS[name]).eval()
