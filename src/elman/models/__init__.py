"""Models: functions of a sequence and a memory. Their `configuration` imports no torch, so nor does this package."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elman.models.building import ENCODER_DECODERS, MODELS, build, build_encoder_decoder
    from elman.models.encoder_decoder import EncoderDecoder
    from elman.models.language_model import LanguageModel
    from elman.models.recurrent import RecurrentLM
    from elman.models.recurrent_encoder_decoder import RecurrentEncoderDecoder
    from elman.models.transformer import TransformerLM
    from elman.models.transformer_encoder_decoder import TransformerEncoderDecoder

__all__ = [
    "ENCODER_DECODERS",
    "MODELS",
    "EncoderDecoder",
    "LanguageModel",
    "RecurrentEncoderDecoder",
    "RecurrentLM",
    "TransformerEncoderDecoder",
    "TransformerLM",
    "build",
    "build_encoder_decoder",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("elman.models.building"), name)  # which imports every model
    raise AttributeError(f"module 'elman.models' has no attribute {name!r}")
