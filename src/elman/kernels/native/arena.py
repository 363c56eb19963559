"""A whole recurrent language model in the core, without gradients: its weights arranged once, its rows in an arena.

arena.h says what the calls do.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from elman.kernels.native.library import entry, fields_of, library, run
from elman.kernels.native.options import NUMBERS

MOST_FOLDED = 2**20  # numbers in the table of the first layer's products with every embedding


class ArenaLayer(ctypes.Structure):
    """`struct ArenaLayer` of arena.h, where the fields are explained, as are those of the following structures."""

    _fields_ = (
        *fields_of(ctypes.c_int64, "D H"),
        *fields_of(ctypes.c_int32, "cell residual"),
        *fields_of(ctypes.c_void_p, "weight_x weight_h bias_x bias_h"),
    )


class ArenaModel(ctypes.Structure):
    """`struct ArenaModel` of arena.h."""

    _fields_ = (
        *fields_of(ctypes.c_int64, "V count"),
        *fields_of(ctypes.c_int32, "folded bytes"),
        ("layers", ctypes.POINTER(ArenaLayer)),
        *fields_of(ctypes.c_void_p, "embedding weight bias arranged"),
        ("size", ctypes.POINTER(ctypes.c_int64)),
    )


class ArenaDraw(ctypes.Structure):
    """`struct ArenaDraw` of arena.h."""

    _fields_ = (*fields_of(ctypes.c_double, "temperature top_p floor"), ("top_k", ctypes.c_int64))


class ArenaWriting(ctypes.Structure):
    """`struct ArenaWriting` of arena.h."""

    _fields_ = (
        ("steps", ctypes.c_int64),
        *fields_of(ctypes.c_void_p, "uniforms draws banned"),
        *fields_of(ctypes.c_int64, "banned_count end"),
        *fields_of(ctypes.c_void_p, "written below sums counts"),
    )


class ArenaCall(ctypes.Structure):
    """`struct ArenaCall` of arena.h."""

    _anonymous_ = ("writing",)
    _fields_ = (
        ("model", ctypes.POINTER(ArenaModel)),
        ("R", ctypes.c_int64),
        *fields_of(ctypes.c_void_p, "memory slots tokens begins logits"),
        ("writing", ArenaWriting),
    )


class LayerWeights(NamedTuple):
    """A layer of the model: a cell of `options.IN_CORE`, and its weights as torch has them."""

    cell: str
    residual: bool  # whether the next layer reads x_t + h_t
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None


def why_not_arranged(dtype: torch.dtype) -> str | None:
    """The reason why the core cannot run a model of a dtype, or None."""
    if library() is None:
        return "the compiled core was not built"
    return None if entry("arena_read", dtype) else f"the core has no arena of {str(dtype).removeprefix('torch.')}"


class ArrangedModel:
    """The weights of a model as the core's calls read them: a copy, which later changes of the model do not reach.

    Args:
        layers: from the first to the last.
        embedding: (V, D).
        weight: (V, H) of the output layer; `bias` (V,) or None.
        int8: whether the products' weights are kept as one byte each, with a scale for each row: of float32 alone.
    """

    def __init__(
        self,
        layers: Sequence[LayerWeights],
        embedding: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        *,
        int8: bool = False,
    ) -> None:
        self.dtype, self.vocab_size = weight.dtype, len(weight)
        assert not int8 or self.dtype == torch.float32
        first = layers[0]
        folded = self.vocab_size * len(first.weight_ih) <= MOST_FOLDED
        # Of the embedding alone something may be read later on.
        self._embedding = embedding.detach().clone(memory_format=torch.contiguous_format)
        parts = [[None if p is None else p.detach().contiguous() for p in layer[2:]] for layer in layers]
        output = [None if p is None else p.detach().contiguous() for p in (weight, bias)]
        self._layers = (ArenaLayer * len(layers))(
            *(
                ArenaLayer(
                    layer.weight_ih.shape[1],
                    layer.weight_hh.shape[1],
                    NUMBERS[layer.cell],
                    layer.residual,
                    *(None if p is None else p.data_ptr() for p in own),
                )
                for layer, own in zip(layers, parts, strict=True)
            )
        )
        size = ctypes.c_int64()
        addresses = [None if p is None else p.data_ptr() for p in (self._embedding, *output)]
        self.given = ArenaModel(
            self.vocab_size, len(layers), folded, int8, self._layers, *addresses, None, ctypes.pointer(size)
        )
        run("arena_arrange", self.dtype, self.given)
        self._arranged = torch.empty(size.value, dtype=torch.uint8)
        self.given.arranged = self._arranged.data_ptr()
        run("arena_arrange", self.dtype, self.given)

    def __sizeof__(self) -> int:
        """The bytes of the weights."""
        return self._arranged.nbytes + self._embedding.nbytes


class StepReader:
    """Reads one token of every row at a time, in a memory (rows, numbers of a slot) of its own."""

    def __init__(self, arranged: ArrangedModel, size: int) -> None:
        self._arranged, self._size = arranged, size
        self._function = cast(Callable[..., int], entry("arena_read", arranged.dtype))
        self.make_room(0)

    def make_room(self, rows: int) -> None:
        """Begin anew with so many rows."""
        self.memory = torch.zeros(rows, self._size, dtype=self._arranged.dtype)
        self._places = torch.arange(rows + 1)  # the slots, and where each row's token begins
        slots = self._places.data_ptr()
        self._given = ArenaCall(
            ctypes.pointer(self._arranged.given), rows, self.memory.data_ptr(), slots=slots, begins=slots
        )

    def read_one(self, tokens: Tensor) -> Tensor | None:
        """tokens (rows,) -> logits (rows, V); None where there is no such token, and then nothing was read."""
        tokens = tokens.to("cpu", torch.int64).contiguous()
        assert tokens.shape == (len(self.memory),)
        logits = torch.empty(len(tokens), self._arranged.vocab_size, dtype=self._arranged.dtype)
        self._given.tokens, self._given.logits = tokens.data_ptr(), logits.data_ptr()
        failed = self._function(ctypes.byref(self._given))
        if failed == 1:
            raise MemoryError("no memory for the scratch of a native step")
        return None if failed else logits
