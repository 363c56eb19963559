"""Models: functions of a sequence and a memory. Their `configuration` imports no torch, so nor does this package.

>>> import torch
>>> from elman.models import build
>>> model = build({"model": "lstm", "vocab_size": 27, "hidden_size": 16})
>>> logits, state = model(torch.randint(27, (2, 10)))
>>> logits, state = model(torch.randint(27, (2, 1)), state)  # one token more
>>> logits.shape
torch.Size([2, 1, 27])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from elman.lazy import lazily

if TYPE_CHECKING:
    from elman.models.building import ENCODER_DECODERS, MODELS, build, build_encoder_decoder
    from elman.models.classifier import Classifier, build_classifier
    from elman.models.encoder_decoder import EncoderDecoder
    from elman.models.forecaster import Forecast, SeriesForecaster, build_forecaster
    from elman.models.language_model import LanguageModel
    from elman.models.layered_language_model import LayeredLanguageModel
    from elman.models.recurrent import RecurrentLM
    from elman.models.recurrent_encoder_decoder import RecurrentEncoderDecoder
    from elman.models.tagger import Tagger, build_tagger
    from elman.models.transformer import TransformerLM
    from elman.models.transformer_encoder_decoder import TransformerEncoderDecoder

# Each in a module of its own, imported when somebody asks for it.
PLACES = {
    **dict.fromkeys(("ENCODER_DECODERS", "MODELS", "build", "build_encoder_decoder"), ".building"),
    **dict.fromkeys(("Classifier", "build_classifier"), ".classifier"),
    "EncoderDecoder": ".encoder_decoder",
    **dict.fromkeys(("Forecast", "SeriesForecaster", "build_forecaster"), ".forecaster"),
    "LanguageModel": ".language_model",
    "LayeredLanguageModel": ".layered_language_model",
    "RecurrentEncoderDecoder": ".recurrent_encoder_decoder",
    "RecurrentLM": ".recurrent",
    **dict.fromkeys(("Tagger", "build_tagger"), ".tagger"),
    "TransformerEncoderDecoder": ".transformer_encoder_decoder",
    "TransformerLM": ".transformer",
}
__all__ = [
    "ENCODER_DECODERS",
    "MODELS",
    "Classifier",
    "EncoderDecoder",
    "Forecast",
    "LanguageModel",
    "LayeredLanguageModel",
    "RecurrentEncoderDecoder",
    "RecurrentLM",
    "SeriesForecaster",
    "Tagger",
    "TransformerEncoderDecoder",
    "TransformerLM",
    "build",
    "build_classifier",
    "build_encoder_decoder",
    "build_forecaster",
    "build_tagger",
]
__getattr__ = lazily(__name__, PLACES)
