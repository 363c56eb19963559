"""Layers: drop-ins for those of torch.nn; docs/torch-nn.md has what differs."""

from elman.nn.elman import Elman
from elman.nn.gru import GRU
from elman.nn.lstm import LSTM
from elman.nn.recurrent import Recurrent

RNN = Elman  # as torch.nn calls it

__all__ = ["GRU", "LSTM", "RNN", "Elman", "Recurrent"]
