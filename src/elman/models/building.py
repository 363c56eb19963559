"""Models by name, each made of a configuration."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from elman.cells import CELLS
from elman.errors import UserError, nearest
from elman.models.configuration import IMPORTED
from elman.models.constructor import check_names

if TYPE_CHECKING:
    from elman.models import EncoderDecoder, LanguageModel

    MODELS: Mapping[str, Callable[..., LanguageModel]]
    """A function that makes each kind of language model, by its name.

    >>> from elman.models import MODELS
    >>> MODELS["gru"](vocab_size=27, hidden_size=8).config["model"], list(MODELS)
    ('gru', ['elman', 'gru', 'lstm', 'mingru', 'slstm', 'transformer'])
    """
    ENCODER_DECODERS: Mapping[str, Callable[..., EncoderDecoder]]
    """A function that makes each kind of encoder-decoder, by its name.

    >>> from elman.models import ENCODER_DECODERS
    >>> ENCODER_DECODERS["lstm"](source_vocab_size=9, vocab_size=7, attention="additive").attention
    'additive'
    """

# The class of each kind, by its name in `elman.models`, which imports no other.
CLASSES = {
    "MODELS": {**dict.fromkeys(CELLS, "RecurrentLM"), "transformer": "TransformerLM"},
    "ENCODER_DECODERS": {**dict.fromkeys(CELLS, "RecurrentEncoderDecoder"), "transformer": "TransformerEncoderDecoder"},
}


def __getattr__(name: str) -> Any:
    if name in CLASSES:
        return {kind: _maker(CLASSES[name], kind) for kind in CLASSES[name]}
    raise AttributeError(f"module 'elman.models.building' has no attribute {name!r}")


def _maker(classes: Mapping[str, str], kind: str) -> Callable[..., object]:
    made = getattr(importlib.import_module("elman.models"), classes[kind])
    return partial(made, kind) if kind in CELLS else made


def build(config: Mapping[str, Any]) -> LanguageModel:
    """Make the language model that a configuration names under "model"; its other values are the arguments.

    `build(model.config)` makes a model of the same architecture with other random parameters. Raises `UserError` for an
    unknown model or argument.

    >>> build({"model": "gru", "vocab_size": 27, "hidden_sise": 8})
    Traceback (most recent call last):
    elman.errors.UserError: hidden_sise: no setting of the model 'gru'; did you mean 'hidden_size'?
    """
    return cast("LanguageModel", _build(CLASSES["MODELS"] | {IMPORTED: "LayeredLanguageModel"}, config))


def build_encoder_decoder(config: Mapping[str, Any]) -> EncoderDecoder:
    """Make the encoder-decoder that a configuration names, as `build` makes a language model.

    >>> build_encoder_decoder({"model": "gru", "source_vocab_size": 9, "vocab_size": 7}).config["attention"]
    'general'
    """
    return cast("EncoderDecoder", _build(CLASSES["ENCODER_DECODERS"], config))


def _build(models: Mapping[str, str], config: Mapping[str, Any]) -> object:
    arguments = dict(config)
    name = arguments.pop("model", None)
    if not isinstance(name, str) or name not in models:
        remedy = nearest(str(name), models)
        raise UserError("model", expected="the name of a model", got=repr(name), remedy=remedy)
    make = _maker(models, name)
    parameters = inspect.signature(make).parameters
    check_names(arguments, parameters, name)
    for argument, parameter in parameters.items():
        if parameter.default is parameter.empty and argument not in arguments:
            raise UserError(f"{argument}: the model {name!r} needs it")
    return make(**arguments)
