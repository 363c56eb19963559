"""What a model was made with, so that it can be made again."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn


def constructor_arguments(model: nn.Module) -> dict[str, Any]:
    """The arguments of a model's constructor, those that are positional only left out.

    Every one is an attribute of the same name.
    """
    arguments = inspect.signature(type(model)).parameters.values()
    names = [argument.name for argument in arguments if argument.kind is not argument.POSITIONAL_ONLY]
    return {name: getattr(model, name) for name in names}
