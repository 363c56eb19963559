"""The weights of a model on disk: a safetensors file, read only if the model has its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
from torch import nn

from elman import reading
from elman.errors import UserError


def read_shapes(path: Path, *, remedy: str = "") -> dict[str, tuple[int, ...]]:
    """The shapes of a safetensors file's tensors, by name; the tensors themselves are not read.

    Raises `UserError` where the file is missing or damaged; `remedy` tells people what to do.
    """
    try:
        reading.check_file(path, remedy=remedy)
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except reading.Missing:
        raise reading.Missing(
            f"{path}: not there yet", remedy="the training has not validated a model so far; go on with it (--resume)"
        ) from None
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged ({error})", remedy=remedy) from None


def check_shapes(model: nn.Module, shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Raise `UserError` unless the tensors of these names and shapes, in the file `path`, are all that a model has.

    A tied matrix is written under one of its names; the others need not be there.
    """
    expected = model.state_dict(keep_vars=True)
    written = {id(expected[name]) for name in shapes if name in expected}
    absent = [name for name, tensor in expected.items() if name not in shapes and id(tensor) not in written]
    wrong = [name for name in shapes if name not in expected or shapes[name] != tuple(expected[name].shape)]
    if absent or wrong:
        raise UserError(f"{path} holds another model's weights (see {(absent + wrong)[0]})")


def load_weights(model: nn.Module, path: Path, *, remedy: str = "") -> None:
    """Fill a model from a safetensors file. Raises `UserError` where it is missing, damaged or another model's."""
    check_shapes(model, read_shapes(path, remedy=remedy), path)
    try:
        weights = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged ({error})", remedy=remedy) from None
    model.load_state_dict(weights, strict=False)  # a tied matrix is filled under one of its names


def refuse_held(model: nn.Module) -> None:
    """Raise `UserError` where something is held of a model that is to be written: a file would not have all of it.

    `elman.lens.hold` leaves what it holds as the model's `interventions`.
    """
    if held := getattr(model, "interventions", ()):
        remedy = "write the run whose model was held"
        raise UserError(
            "a model to write", expected="one as it was trained", got=f"{held[0].place} held", remedy=remedy
        )
