"""The first weights of every model, with every setting, are those of the seed: in any process, wherever memory lies."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any, Literal, get_args, get_origin

import torch
from torch import nn

from elman.errors import UserError
from elman.models import ENCODER_DECODERS, MODELS

SMALL = {"hidden_size": 8, "embedding_size": 8, "num_heads": 2, "num_layers": 2, "encoder_layers": 2}
PROCESSES = 3


def changes(make: Callable[..., nn.Module]) -> Iterator[tuple[str, Any]]:
    """Every value of every setting that has a few, but those it has by default."""
    for name, parameter in inspect.signature(make).parameters.items():
        values = (True, False) if isinstance(parameter.default, bool) else ()
        if get_origin(parameter.annotation) is Literal:
            values = get_args(parameter.annotation)
        yield from ((name, value) for value in values if value != parameter.default)


def models() -> Iterator[tuple[str, nn.Module]]:
    """Every model, with up to two settings changed, from one seed."""
    for family, sizes in ((MODELS, {"vocab_size": 9}), (ENCODER_DECODERS, {"source_vocab_size": 9, "vocab_size": 9})):
        for kind, make in family.items():
            taken = inspect.signature(make).parameters
            base = sizes | {name: value for name, value in SMALL.items() if name in taken}
            for count in range(3):
                for settings in combinations(changes(make), count):
                    torch.manual_seed(1)
                    try:
                        model = make(**base | dict(settings))
                    except UserError:  # these two do not go together
                        continue
                    yield f"{kind} {len(sizes)} {settings}", model


def digests(litter: int) -> dict[str, str]:
    """Of the weights of each model, made in a memory where so much lies about."""
    found, lying = {}, []
    for number, (name, model) in enumerate(models()):
        lying.append([object() for _ in range(number * litter % 97)])
        digest = hashlib.sha256()
        for key, tensor in model.state_dict().items():
            digest.update(key.encode() + tensor.numpy().tobytes())
        found[name] = digest.hexdigest()
    return found


def test_the_first_weights_are_those_of_the_seed_in_every_process() -> None:
    here = digests(0)
    assert len(here) > 150
    assert len(set(here.values())) > 20, "a setting changes the weights, or their names"
    running = [
        subprocess.Popen(
            [sys.executable, __file__, str(litter)],
            env=os.environ | {"PYTHONHASHSEED": str(litter)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for litter in range(1, PROCESSES)
    ]
    told = [process.communicate()[0] for process in running]
    for there in map(json.loads, told):
        assert [name for name in here if here[name] != there[name]] == []


if __name__ == "__main__":
    print(json.dumps(digests(int(sys.argv[1]))))
