"""Models: functions of a sequence and a memory. Their `configuration` imports no torch, so nor does this package."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elman.models.building import ENCODER_DECODERS, MODELS, build, build_encoder_decoder
    from elman.models.encoder_decoder import EncoderDecoder
    from elman.models.language_model import LanguageModel
    from elman.models.layered_language_model import LayeredLanguageModel
    from elman.models.recurrent import RecurrentLM
    from elman.models.recurrent_encoder_decoder import RecurrentEncoderDecoder
    from elman.models.tagger import Tagger, build_tagger
    from elman.models.transformer import TransformerLM
    from elman.models.transformer_encoder_decoder import TransformerEncoderDecoder

# Each in a module of its own, imported when somebody asks for it.
PLACES = {
    **dict.fromkeys(("ENCODER_DECODERS", "MODELS", "build", "build_encoder_decoder"), "building"),
    "EncoderDecoder": "encoder_decoder",
    "LanguageModel": "language_model",
    "LayeredLanguageModel": "layered_language_model",
    "RecurrentEncoderDecoder": "recurrent_encoder_decoder",
    "RecurrentLM": "recurrent",
    **dict.fromkeys(("Tagger", "build_tagger"), "tagger"),
    "TransformerEncoderDecoder": "transformer_encoder_decoder",
    "TransformerLM": "transformer",
}
__all__ = [
    "ENCODER_DECODERS",
    "MODELS",
    "EncoderDecoder",
    "LanguageModel",
    "LayeredLanguageModel",
    "RecurrentEncoderDecoder",
    "RecurrentLM",
    "Tagger",
    "TransformerEncoderDecoder",
    "TransformerLM",
    "build",
    "build_encoder_decoder",
    "build_tagger",
]


def __getattr__(name: str) -> Any:
    if name in PLACES:
        return getattr(importlib.import_module(f"elman.models.{PLACES[name]}"), name)
    raise AttributeError(f"module 'elman.models' has no attribute {name!r}")
