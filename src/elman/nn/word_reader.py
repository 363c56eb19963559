"""Vectors of words: from a table of words, and from the characters that each word is spelled with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from elman.models.initialization import initialize_recurrent
from elman.nn.layers import layer_of
from elman.nn.sequences import embed

PADDING = 1  # behind a word's last character, as `elman.data.vocabulary` has it
