"""Models: functions of a sequence and a memory."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from elman.errors import UserError, nearest
from elman.models.language_model import LanguageModel
from elman.models.recurrent import CELLS, RecurrentLM
from elman.models.transformer import TransformerLM

__all__ = ["MODELS", "LanguageModel", "RecurrentLM", "TransformerLM", "build"]

MODELS: dict[str, Callable[..., LanguageModel]] = {
    **{cell: partial(RecurrentLM, cell) for cell in CELLS},
    "transformer": TransformerLM,
}


def build(config: Mapping[str, Any]) -> LanguageModel:
    """Make the model that a configuration names under "model", with all else as its arguments.

    The parameters are drawn anew; `build(model.config)` has the same architecture as `model`. Raises
    `UserError` for an unknown model or argument.

    >>> build({"model": "gru", "vocab_size": 27, "hidden_size": 8}).config["num_layers"]
    1
    >>> build({"model": "gru", "vocab_size": 27, "hidden_sise": 8})
    Traceback (most recent call last):
    elman.errors.UserError: hidden_sise: no setting of the model 'gru'; did you mean 'hidden_size'?
    """
    arguments = dict(config)
    name = arguments.pop("model", None)
    if name not in MODELS:
        remedy = nearest(str(name), MODELS)
        raise UserError("model", expected="the name of a model", got=repr(name), remedy=remedy)
    known = inspect.signature(MODELS[name]).parameters
    for argument in arguments:
        if argument not in known:
            raise UserError(f"{argument}: no setting of the model {name!r}", remedy=nearest(argument, known))
    if "vocab_size" not in arguments:
        raise UserError(f"vocab_size: the model {name!r} needs it")
    return MODELS[name](**arguments)
