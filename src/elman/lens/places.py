"""What of a model can be held: units and gates of its recurrent layers, heads of its attention, and their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import nn

from elman.cells import cell_named
from elman.lens.visit import LAYERS, own_layer
from elman.models.recurrent_encoder_decoder import RecurrentEncoderDecoder
from elman.nn.attention import Attention, CrossAttention
from elman.nn.recurrent import Recurrent

DIRECTIONS = ("forward", "reverse")
ATTENTION = {"self": "self-attention", "cross": "attention to the source"}


@dataclass(frozen=True)
class HoldablePlace:
    """A layer in which something can be held: a recurrent one in one direction, with its states and gates, or heads.

    >>> from elman.nn import GRU
    >>> places(GRU(3, 8))
    [HoldablePlace(name='layer 1', address={'layer': 1}, cell='gru', units=8, states=['h'], gates=['r', 'z'], heads=0)]
    """

    name: str  # "layer 1", "layer 1 reverse", "self-attention of encoder layer 2"
    address: Mapping[str, Any] = field(default_factory=dict)  # of an `Intervention`, without what is its default
    cell: str = ""
    units: int = 0
    states: Sequence[str] = ()
    gates: Sequence[str] = ()
    heads: int = 0


class RecurrentTarget(NamedTuple):
    """A layer of a stack, in one direction."""

    path: str  # of the module
    layer: Recurrent  # elman's own that computes as the module
    depth: int
    direction: int

    def size(self, name: str) -> int:
        """How many units a state or a gate has."""
        return (self.layer.proj_size if name == "h" else 0) or self.layer.hidden_sizes[self.depth]


class HeadsTarget(NamedTuple):
    """Heads side by side in the inputs of a linear layer."""

    path: str  # of the linear layer
    first: int  # the column of the first head
    size: int  # columns of each


Target = RecurrentTarget | HeadsTarget


def memory_part(model: nn.Module) -> str:
    """The name of the submodule that holds the memory of a model, whose layers are watched and held; "" for all."""
    return str(getattr(model, "memory_part", ""))


def memory_of(model: nn.Module) -> nn.Module:
    """The submodule that holds the memory of a model."""
    return model.get_submodule(memory_part(model))


def places(model: nn.Module, part: str | None = None) -> list[HoldablePlace]:
    """All places in which something can be held, in the order in which the module holds its layers; nothing is read.

    Args:
        model: any module that holds recurrent layers of `elman.nn` or `torch.nn`, or attention of elman's models.
            Layers of elman's own taggers, classifiers and forecasters are those of the encoder; of encoder-decoders
            they are those of the decoder, and then those of the encoder.
        part: the name of the submodule whose layers are meant instead.

    >>> from elman.models import build_encoder_decoder
    >>> model = build_encoder_decoder({"model": "gru", "source_vocab_size": 9, "vocab_size": 7, "hidden_size": 8})
    >>> for place in places(model):
    ...     print(place.name)
    decoder layer 1
    attention to the source of decoder layer 1
    encoder layer 1 forward
    encoder layer 1 reverse
    """
    return [place for place, _ in find_places(model, part)]


def find_places(model: nn.Module, part: str | None = None) -> list[tuple[HoldablePlace, Target]]:
    """The places, and what is in the model at each."""
    own = memory_part(model) if part is None else part
    if own != "decoder" or part is not None:
        return list(_of_part(model, own))
    return [*_of_part(model, own, "decoder "), *_of_part(model, "encoder", "encoder ", {"part": "encoder"})]


def _of_part(
    model: nn.Module, part: str, prefix: str = "", address: Mapping[str, Any] | None = None
) -> Iterator[tuple[HoldablePlace, Target]]:
    address, module = address or {}, model.get_submodule(part)
    for number, (path, layer, depth) in enumerate(_recurrent(module), 1):
        cell, H = cell_named(layer.cell), layer.hidden_sizes[depth]
        states, gates = [state.name for state in cell.states if state.mixes], list(cell.gates)
        for way, direction in enumerate(DIRECTIONS[: layer.num_directions]):
            name = f"{prefix}layer {number} {direction if layer.bidirectional else ''}".rstrip()
            where = {**address, "layer": number, **({"direction": direction} if way else {})}
            place = HoldablePlace(name, where, layer.specification.name, H, states, gates)
            yield place, RecurrentTarget(_joined(part, path), layer, depth, way)
    for kind, number, heads, target in _heads(model, part):
        where = {**address, "layer": number, **({"attention": kind} if kind != "self" else {})}
        yield HoldablePlace(f"{ATTENTION[kind]} of {prefix}layer {number}", where, heads=heads), target


def _recurrent(module: nn.Module) -> Iterator[tuple[str, Recurrent, int]]:
    """The path of each recurrent layer's module, elman's own layer that computes as the module, and the depth in it."""
    for path, part in module.named_modules():
        if isinstance(part, LAYERS):
            layer = own_layer(part)
            yield from ((path, layer, depth) for depth in range(layer.num_layers))


def _heads(model: nn.Module, part: str) -> Iterator[tuple[str, int, int, HeadsTarget]]:
    """Of each layer of attention its kind, its number among those of the kind, its heads, and where they are."""
    for kind, Layer in {"self": Attention, "cross": CrossAttention}.items():
        found = [each for each in model.get_submodule(part).named_modules() if isinstance(each[1], Layer)]
        for number, (path, layer) in enumerate(found, 1):
            yield kind, number, layer.num_heads, HeadsTarget(_joined(part, path, "out"), 0, layer.head_size)
    if part == "decoder" and isinstance(model, RecurrentEncoderDecoder) and model.attention != "none":
        H = model.hidden_size  # the readout reads the last layer's outputs, and then the context
        yield "cross", model.num_layers, 1, HeadsTarget("readout", H, H)


def _joined(*names: str) -> str:
    return ".".join(filter(None, names))
