"""A state dict of torch.nn's own layers, beside a Python module that makes these layers without elman."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from elman.arrays import Numbers
from elman.errors import UserError
from elman.export.exported import Exported, check_ending
from elman.export.layers import layers_of
from elman.export.options import ExportOptions
from elman.export.safetensors import safetensors_file
from elman.export.source import (
    ModuleSource,
    NodeSource,
    NodeToWrite,
    Writers,
    ends,
    expression,
    merged,
    module_path,
    numbers,
    parts,
    refuse_masks,
    source_of,
)
from elman.export.torch_description import described
from elman.interop import to_arrays
from elman.interop.choice import convention_for
from elman.tasks.exchange import Say, Trained

MODULE = '''"""A model written by elman, of torch.nn's layers.

    model = Model()
    model.load_state_dict({load})
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Model(nn.Module):
    """{inputs} -> {outputs}{memory}."""

    def __init__(self) -> None:
        super().__init__()
{makes}

    def forward(self, input: Tensor{state}):
{statements}
'''
LOADS = {
    ".safetensors": "safetensors.torch.load_file({name!r})",
    ".pt": "torch.load({name!r}, weights_only=True)",
}


def places(run: Trained, path: Path) -> list[Path]:
    """NAME.safetensors or NAME.pt, and NAME.py beside. Raises `UserError` where the ending is another."""
    check_ending(path, *LOADS)
    return [path, module_path(path)]


def write(run: Trained, path: Path, options: ExportOptions, say: Say) -> Exported:
    """Write a run's model. Raises `UserError` where torch.nn has no layer that computes the same as one of it."""
    path, module = places(run, path)
    model, notes = layers_of(run.model)
    source = source_of(model, WRITERS, "torch", ".")
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in source.arrays.items()}
    if path.suffix == ".pt":
        buffer = io.BytesIO()
        torch.save(tensors, buffer)
        content = buffer.getvalue()
    else:
        layers = described(model)
        content = safetensors_file(tensors, {} if layers is None else {"layers": json.dumps(layers)})
    files = {path: content, module: module_text(source, path).encode()}
    return Exported("torch", path, files, (*notes, *source.folds))


def module_text(source: ModuleSource, path: Path) -> str:
    """The Python module that makes the layers of a state dict in the file `path`."""
    return MODULE.format(
        **parts(source),
        load=LOADS[path.suffix].format(name=path.name),
    )


# The layers, by the ops of nodes


def _embedding(call: NodeToWrite) -> NodeSource:
    if call.node.mask_zero:
        refuse_masks("torch.nn", call)
    own = call.node.layer
    make = f"nn.Embedding({own.num_embeddings}, {own.embedding_dim})"
    return NodeSource(make, [f"{call.name} = self.{call.name}({call.x})"], _named(own, "weight"))


def _linear(call: NodeToWrite) -> NodeSource:
    own = call.node.layer
    bias = "" if own.bias is not None else ", bias=False"
    make = f"nn.Linear({own.in_features}, {own.out_features}{bias})"
    return NodeSource(make, [f"{call.name} = self.{call.name}({call.x})"], _named(own, "weight", "bias"))


def _recurrent(call: NodeToWrite) -> NodeSource:
    node, layer, name = call.node, call.node.layer, call.name
    convention = convention_for("torch", layer)
    arrays = to_arrays(layer, convention)
    options = {
        "bias=False": not layer.bias, "batch_first=True": True, "bidirectional=True": layer.bidirectional,
        f"proj_size={layer.proj_size}": layer.proj_size, "nonlinearity='relu'": layer.cell == "elman_relu",
    }  # fmt: skip
    chosen = ", ".join(
        [f"{layer.input_size}, {layer.hidden_size}", *(text for text, wanted in options.items() if wanted)]
    )
    backward = node.direction == "backward"
    given = f"{call.x}.flip(1)" if backward else call.x
    if call.state is None:
        read = [f"{name}, _ = self.{name}({given})"]
    else:
        read = [f"{name}, final = self.{name}({given}, state[{call.state}])", "after.append(final)"]
    if node.reads == "last":
        read.append(f"{name} = " + (ends(call, name, "torch.cat") if layer.bidirectional else f"{name}[:, -1]"))
    elif backward and node.in_time_order:
        read.append(f"{name} = {name}.flip(1)")
    return NodeSource(f"nn.{convention.name.partition('.')[2]}({chosen})", [*read, *merged(call)], arrays, arrays.folds)


def _layer_norm(call: NodeToWrite) -> NodeSource:
    own = call.node.layer
    if own.weight is None:
        raise UserError(f"torch.nn.LayerNorm has a gain, and {call.settings.name!r} has none")
    bias = "" if own.bias is not None else ", bias=False"
    make = f"nn.LayerNorm({own.size}, eps={own.epsilon!r}{bias})"
    return NodeSource(make, [f"{call.name} = self.{call.name}({call.x})"], _named(own, "weight", "bias"))


def _batch_norm(call: NodeToWrite) -> NodeSource:
    own = call.node.layer
    weight, bias, mean, variance = numbers(own, "weight", "bias", "mean", "variance")
    arrays = {"weight": weight, "bias": bias, "running_mean": mean, "running_var": variance}
    arrays["num_batches_tracked"] = np.zeros((), np.int64)
    make = f"nn.BatchNorm1d({len(weight)}, eps={own.epsilon!r})"
    return NodeSource(make, [_over_channels(call)], arrays)


def _over_channels(call: NodeToWrite) -> str:
    """The call of a layer that wants (B, F, T)."""
    turn = ".transpose(1, 2)" if call.shape.per_step else ""
    return f"{call.name} = self.{call.name}({call.x}{turn}){turn}"


def _dropout(call: NodeToWrite) -> NodeSource:
    p = call.node.layer.p
    if call.node.locked and call.shape.per_step:
        return NodeSource(f"nn.Dropout1d({p!r})", [_over_channels(call)])
    return NodeSource(f"nn.Dropout({p!r})", [f"{call.name} = self.{call.name}({call.x})"])


def _activation(call: NodeToWrite) -> NodeSource:
    function = call.option("function")
    arguments = {"gelu_tanh": ", approximate='tanh'", **dict.fromkeys(("softmax", "log_softmax"), ", -1")}.get(
        function, ""
    )
    if (alpha := call.option("alpha")) is not None:
        arguments = f", {alpha!r}"
    return NodeSource(None, [f"{call.name} = {FUNCTIONS.get(function, f'torch.{function}')}({call.x}{arguments})"])


FUNCTIONS = {
    "linear": "",
    "exponential": "torch.exp",
    **{
        name: f"functional.{name}"
        for name in ("selu", "silu", "mish", "softplus", "softsign", "leaky_relu", "elu", "celu")
    },
    **dict.fromkeys(("gelu", "gelu_tanh"), "functional.gelu"),
    "hard_sigmoid": "functional.hardsigmoid",
    "hard_tanh": "functional.hardtanh",
    "hard_silu": "functional.hardswish",
    "log_sigmoid": "functional.logsigmoid",
    "relu6": "functional.relu6",
}


def _named(module: nn.Module, *names: str) -> dict[str, Numbers]:
    return {name: array for name in names for array in numbers(module, name)}


WRITERS: Writers = {
    "embedding": _embedding,
    "masking": lambda call: refuse_masks("torch.nn", call),
    "recurrent": _recurrent,
    "linear": _linear,
    "activation": _activation,
    "layer_norm": _layer_norm,
    "batch_norm": _batch_norm,
    "dropout": _dropout,
    "slice": lambda call: expression(f"{{0}}[..., {call.node.start}:{call.node.stop}]")(call),
    "last": expression("{0}[:, -1]"),
    "mean": expression("{0}.mean(1)"),
    "max": expression("{0}.amax(1)"),
    "concat": expression("torch.cat([{all}], -1)"),
    "add": expression(" + "),
    "subtract": expression(" - "),
    "multiply": expression(" * "),
    "maximum": expression("torch.stack([{all}]).amax(0)"),
    "minimum": expression("torch.stack([{all}]).amin(0)"),
    "average": expression("torch.stack([{all}]).mean(0)"),
}
