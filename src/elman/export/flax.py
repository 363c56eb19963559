"""Parameters of Flax linen, beside a Python module that makes the layers without elman.

The parameters are an `.npz`: NumPy, which comes with Flax, reads it without running anything that the file says, its
names are the paths in linen's tree, and the arrays keep their types.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, cast

import numpy as np

from elman.export.exported import Exported, check_ending
from elman.export.layers import layers_of
from elman.export.options import ExportOptions
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
from elman.interop import to_arrays
from elman.interop.choice import convention_for
from elman.tasks.exchange import Say, Trained

MODULE = '''"""A model written by elman, of Flax linen's layers.

    variables = parameters({name!r})
    {returned} = Model().apply(variables, input)
"""

import numpy as np
from flax import linen as nn
from flax.traverse_util import unflatten_dict
from jax import numpy as jnp


def parameters(path):
    """The variables of a model from a file of arrays."""
    with np.load(path) as file:
        return {{"params": unflatten_dict({{name: jnp.asarray(file[name]) for name in file}}, sep="/")}}


class Model(nn.Module):
    """{inputs} -> {outputs}{memory}."""

    def setup(self):
{makes}

    def __call__(self, input{state}):
{statements}
'''


def places(run: Trained, path: Path) -> list[Path]:
    """NAME.npz, and NAME.py beside. Raises `UserError` where the ending is another."""
    check_ending(path, ".npz")
    return [path, module_path(path)]


def write(run: Trained, path: Path, options: ExportOptions, say: Say) -> Exported:
    """Write a run's model. Raises `UserError` where linen has no layer that computes the same as one of it."""
    path, module = places(run, path)
    model, notes = layers_of(run.model)
    source = source_of(model, WRITERS, "flax.linen", "/")
    buffer = io.BytesIO()
    np.savez(buffer, **cast(dict[str, Any], source.arrays))
    files = {path: buffer.getvalue(), module: module_text(source, path.name).encode()}
    return Exported("flax", path, files, (*notes, *source.folds))


def module_text(source: ModuleSource, name: str) -> str:
    """The Python module that makes the layers of the arrays in the file `name`."""
    return MODULE.format(
        **parts(source),
        name=name,
        returned="output, state" if source.states else "output",
    )


# The layers, by the ops of nodes


def _embedding(call: NodeToWrite) -> NodeSource:
    if call.node.mask_zero:
        refuse_masks("flax.linen", call)
    own = call.node.layer
    make = f"nn.Embed({own.num_embeddings}, {own.embedding_dim})"
    return NodeSource(make, [f"{call.name} = self.{call.name}({call.x})"], {"embedding": numbers(own, "weight")[0]})


def _linear(call: NodeToWrite) -> NodeSource:
    kernel, *bias = numbers(call.node.layer, "weight", "bias")
    make = f"nn.Dense({len(kernel)}" + (")" if bias else ", use_bias=False)")
    arrays = {"kernel": np.ascontiguousarray(kernel.T), **({"bias": bias[0]} if bias else {})}
    return NodeSource(make, [f"{call.name} = self.{call.name}({call.x})"], arrays)


def _recurrent(call: NodeToWrite) -> NodeSource:
    node, layer, name = call.node, call.node.layer, call.name
    convention = convention_for("flax.linen", layer)
    arrays = to_arrays(layer, convention)
    function = ", activation_fn=nn.relu" if layer.cell == "elman_relu" else ""
    cell = f"nn.{convention.name.rpartition('.')[2]}({layer.hidden_size}{function})"
    if layer.bidirectional:
        make = f"nn.Bidirectional(nn.RNN({cell}), nn.RNN({cell}))"
        named = dict(arrays)
    else:
        turned = f", reverse=True, keep_order={node.in_time_order}" if node.direction == "backward" else ""
        make, named = f"nn.RNN({cell}{turned})", {f"cell/{path}": array for path, array in arrays.items()}
    read = [f"{name} = self.{name}({call.x})"]
    if call.state is not None:
        given = f"{call.x}, initial_carry=state[{call.state}], return_carry=True"
        read = [f"final, {name} = self.{name}({given})", "after.append(final)"]
    if node.reads == "last":
        first = node.direction == "backward" and node.in_time_order
        whole = ends(call, name, "jnp.concatenate") if layer.bidirectional else f"{name}[:, {0 if first else -1}]"
        read.append(f"{name} = {whole}")
    return NodeSource(make, [*read, *merged(call)], named, arrays.folds)


def _layer_norm(call: NodeToWrite) -> NodeSource:
    own = call.node.layer
    arrays = {"scale": own.weight, "bias": own.bias}
    options = "".join(f", use_{name}=False" for name, array in arrays.items() if array is None)
    make = f"nn.LayerNorm(epsilon={own.epsilon!r}, use_fast_variance=False{options})"
    found = {name: array.detach().cpu().numpy() for name, array in arrays.items() if array is not None}
    return NodeSource(make, [f"{call.name} = self.{call.name}({call.x})"], found)


def _activation(call: NodeToWrite) -> NodeSource:
    function, alpha = call.option("function"), call.option("alpha")
    arguments = ", approximate=False" if function == "gelu" else f", {alpha!r}" if alpha is not None else ""
    known = FUNCTIONS.get(function, f"nn.{function}")
    if function == "mish":
        return NodeSource(None, [f"{call.name} = {call.x} * jnp.tanh(nn.softplus({call.x}))"])
    return NodeSource(None, [f"{call.name} = {known}({call.x}{arguments})"])


FUNCTIONS = {"linear": "", "exponential": "jnp.exp", "gelu_tanh": "nn.gelu", "hard_silu": "nn.hard_silu"}
WRITERS: Writers = {
    "embedding": _embedding,
    "masking": lambda call: refuse_masks("flax.linen", call),
    "recurrent": _recurrent,
    "linear": _linear,
    "activation": _activation,
    "layer_norm": _layer_norm,
    "dropout": expression("{0}"),  # outside of training
    "slice": lambda call: expression(f"{{0}}[..., {call.node.start}:{call.node.stop}]")(call),
    "last": expression("{0}[:, -1]"),
    "mean": expression("{0}.mean(1)"),
    "max": expression("{0}.max(1)"),
    "concat": expression("jnp.concatenate([{all}], -1)"),
    "add": expression(" + "),
    "subtract": expression(" - "),
    "multiply": expression(" * "),
    "maximum": expression("jnp.stack([{all}]).max(0)"),
    "minimum": expression("jnp.stack([{all}]).min(0)"),
    "average": expression("jnp.stack([{all}]).mean(0)"),
}
