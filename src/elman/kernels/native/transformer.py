"""A whole Transformer language model in the core, without gradients: weights arranged once, rows where they lie.

transformer.h says what the calls do.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from elman.kernels.native.arena import ArenaWriting
from elman.kernels.native.library import entry, fields_of, library, run


class TransformerLinear(ctypes.Structure):
    """`struct TransformerLinear` of transformer.h, where the fields are explained, as are those of what follows."""

    _fields_ = (*fields_of(ctypes.c_void_p, "weight bias gain shift"),)


class ArrangedLayer(ctypes.Structure):
    """`struct TransformerLayer` of transformer.h."""

    _fields_ = (
        *fields_of(TransformerLinear, "qkv out inner last"),
        *fields_of(ctypes.c_void_p, "gain_q gain_k"),
    )


class TransformerModel(ctypes.Structure):
    """`struct TransformerModel` of transformer.h."""

    _fields_ = (
        *fields_of(ctypes.c_int64, "V H N F count window"),
        ("epsilon", ctypes.c_double),
        ("layers", ctypes.POINTER(ArrangedLayer)),
        ("embedding", ctypes.c_void_p),
        ("output", TransformerLinear),
        ("arranged", ctypes.c_void_p),
        ("size", ctypes.POINTER(ctypes.c_int64)),
    )


class TransformerRow(ctypes.Structure):
    """`struct TransformerRow` of transformer.h."""

    _fields_ = (*fields_of(ctypes.c_void_p, "memory hidden"), *fields_of(ctypes.c_int64, "C position"))


class TransformerCall(ctypes.Structure):
    """`struct TransformerCall` of transformer.h."""

    _anonymous_ = ("writing",)
    _fields_ = (
        ("model", ctypes.POINTER(TransformerModel)),
        ("R", ctypes.c_int64),
        ("rows", ctypes.POINTER(TransformerRow)),
        ("threads", ctypes.c_int32),
        *fields_of(ctypes.c_void_p, "parallel_for tokens begins logits added cosines sines"),
        ("writing", ArenaWriting),
    )


class LinearWeights(NamedTuple):
    """A linear layer, and the layer normalization before it if there is one."""

    weight: Tensor  # (N, K)
    bias: Tensor | None
    gain: Tensor | None = None  # (K,)
    shift: Tensor | None = None


class TransformerWeights(NamedTuple):
    """A Transformer's layer, as torch has its weights."""

    qkv: LinearWeights
    out: LinearWeights
    inner: LinearWeights
    last: LinearWeights
    gain_q: Tensor | None
    gain_k: Tensor | None


def why_not_arranged(dtype: torch.dtype) -> str | None:
    """The reason why the core cannot run a model of a dtype, or None."""
    if library() is None:
        return "the compiled core was not built"
    has = entry("transformer_read", dtype)
    return None if has else f"the core has no rows of {str(dtype).removeprefix('torch.')}"


class ArrangedTransformer:
    """The weights of a model as the core's calls read them: a copy, which later changes of the model do not reach.

    Args:
        layers: from the first to the last.
        embedding: (V, H).
        output: the output layer, with the norm after the last layer.
        heads: N.
        window: of each layer; None: there is none.
        epsilon: what every norm adds to the variance.
    """

    def __init__(
        self,
        layers: Sequence[TransformerWeights],
        embedding: Tensor,
        output: LinearWeights,
        *,
        heads: int,
        window: int | None,
        epsilon: float,
    ) -> None:
        (V, H), (F, _) = embedding.shape, layers[0].inner.weight.shape
        self.dtype = embedding.dtype
        self._held: list[Tensor] = []  # what the core reads of beside the arranged weights
        matrices: list[Tensor] = []  # until they are arranged
        size = ctypes.c_int64()

        def linear(of: LinearWeights) -> TransformerLinear:
            matrices.append(of.weight.detach().contiguous())
            return TransformerLinear(matrices[-1].data_ptr(), *map(self._keep, of[1:]))

        self._layers = (ArrangedLayer * len(layers))(
            *(ArrangedLayer(*map(linear, layer[:4]), *map(self._keep, layer[4:])) for layer in layers)
        )
        self.given = TransformerModel(V, H, heads, F, len(layers), window or 0, epsilon, self._layers)
        self.given.embedding, self.given.output = self._keep(embedding), linear(output)
        self.given.size = ctypes.pointer(size)
        run("transformer_arrange", self.dtype, self.given)
        self._arranged = torch.empty(size.value, dtype=torch.uint8)
        self.given.arranged = self._arranged.data_ptr()
        run("transformer_arrange", self.dtype, self.given)

    def _keep(self, part: Tensor | None) -> int | None:
        """The address of a copy."""
        if part is None:
            return None
        self._held.append(part.detach().clone(memory_format=torch.contiguous_format))
        return self._held[-1].data_ptr()
