"""Models by name, each made of a configuration."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from elman.cells import CELLS
from elman.errors import UserError, nearest
from elman.models.constructor import check_names
from elman.models.encoder_decoder import EncoderDecoder
from elman.models.language_model import LanguageModel
from elman.models.recurrent import RecurrentLM
from elman.models.recurrent_encoder_decoder import RecurrentEncoderDecoder
from elman.models.transformer import TransformerLM
from elman.models.transformer_encoder_decoder import TransformerEncoderDecoder

M = TypeVar("M")

MODELS: dict[str, Callable[..., LanguageModel]] = {
    **{cell: partial(RecurrentLM, cell) for cell in CELLS},
    "transformer": TransformerLM,
}

ENCODER_DECODERS: dict[str, Callable[..., EncoderDecoder]] = {
    **{cell: partial(RecurrentEncoderDecoder, cell) for cell in CELLS},
    "transformer": TransformerEncoderDecoder,
}


def build(config: Mapping[str, Any]) -> LanguageModel:
    """Make the language model that a configuration names under "model"; its other values are the arguments.

    `build(model.config)` makes a model of the same architecture with other random parameters. Raises `UserError` for an
    unknown model or argument.

    >>> build({"model": "gru", "vocab_size": 27, "hidden_sise": 8})
    Traceback (most recent call last):
    elman.errors.UserError: hidden_sise: no setting of the model 'gru'; did you mean 'hidden_size'?
    """
    return _build(MODELS, config)


def build_encoder_decoder(config: Mapping[str, Any]) -> EncoderDecoder:
    """Make the encoder-decoder that a configuration names, as `build` makes a language model.

    >>> build_encoder_decoder({"model": "gru", "source_vocab_size": 9, "vocab_size": 7}).config["attention"]
    'general'
    """
    return _build(ENCODER_DECODERS, config)


def _build(models: Mapping[str, Callable[..., M]], config: Mapping[str, Any]) -> M:
    arguments = dict(config)
    name = arguments.pop("model", None)
    if not isinstance(name, str) or name not in models:
        remedy = nearest(str(name), models)
        raise UserError("model", expected="the name of a model", got=repr(name), remedy=remedy)
    parameters = inspect.signature(models[name]).parameters
    check_names(arguments, parameters, name)
    for argument, parameter in parameters.items():
        if parameter.default is parameter.empty and argument not in arguments:
            raise UserError(f"{argument}: the model {name!r} needs it")
    return models[name](**arguments)
