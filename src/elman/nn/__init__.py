"""Layers."""

from elman.nn.elman import Elman
from elman.nn.gru import GRU
from elman.nn.lstm import LSTM

__all__ = ["GRU", "LSTM", "Elman"]
