"""The layers of a state dict, guessed from the names and the shapes of its tensors, and said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, pairwise
from typing import NamedTuple

from torch import Tensor

from elman.errors import UserError
from elman.interop.imported import ImportOptions
from elman.interop.torch_layers import PART, DescribedLayer
from elman.wording import counted

MOST_LAYERS = 16  # whose order is looked for
DESCRIBE = "describe the layers with --layers FILE (elman import --help)"
GATES = {4: "lstm", 3: "gru", 1: "rnn"}


class SizedLayer(NamedTuple):
    """A layer with the sizes that it reads and makes; None: tokens."""

    op: str
    name: str
    reads: int | None
    makes: int
    words: str


def guess_layers(
    tensors: Mapping[str, Tensor], ordered: bool, options: ImportOptions, where: str
) -> tuple[list[DescribedLayer], tuple[str, ...]]:
    """The layers in an order in which each reads as many numbers as the one before makes; and what was guessed.

    Raises `UserError` where a tensor is of no known layer, or no order or more than one is possible.
    """
    groups = _groups(tensors)
    if len(groups) > MOST_LAYERS:
        raise UserError(f"{where}: {len(groups)} layers are too many to guess", remedy=DESCRIBE)
    found = [_sized(name, parts, where) for name, parts in groups.items()]
    chains = [tuple(found)] if ordered and _fits(found) else [*islice(_chains(found), 2)]
    if not chains:
        names = ", ".join(one.words for one in found)
        raise UserError(f"{where}: no order of its layers fits their sizes ({names})", remedy=DESCRIBE)
    if len(chains) > 1:
        raise UserError(f"{where}: its layers could come in more than one order", remedy=DESCRIBE)
    chain = list(chains[0])
    for before, after in pairwise(chain):
        if before.op == after.op == "linear":
            what = f"{where}: a state dict does not say what is between {before.name} and {after.name}"
            raise UserError(what, remedy=DESCRIBE)
    whole = options.whole
    if whole is None:
        whole = chain[-1].makes != _rows(tensors, chain[0])
    layers = [DescribedLayer(one.op, one.name) for one in chain]
    notes = [f"guessed from names and shapes: {', '.join(one.words for one in chain)}"]
    if whole:
        last = max((at for at, one in enumerate(chain) if one.op in GATES.values()), default=None)
        if last is None:
            raise UserError(f"{where}: there is no recurrent layer", remedy=DESCRIBE)
        layers[last] = DescribedLayer(chain[last].op, chain[last].name, {"reads": "last"})
        both = f"{chain[last].name}." if chain[last].name else ""
        both_ways = any(name.startswith(both) and name.endswith("_reverse") for name in tensors)
        what = "the last states of both directions (h_n)" if both_ways else "the last output"
        notes.append(
            f"{chain[last].name or chain[last].op} gives {what} of a sequence (where that is wrong, name the --task)"
        )
    else:
        notes.append("there is an output at every step (where that is wrong, name the --task)")
    return layers, tuple(notes)


def _groups(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Tensors by the layer that they belong to, in their order."""
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        layer, _, tail = name.rpartition(".")
        groups.setdefault(layer, {})[tail] = tensor
    return groups


def _sized(name: str, parts: Mapping[str, Tensor], where: str) -> SizedLayer:
    weight = parts.get("weight")
    if all(PART.fullmatch(tail) for tail in parts):
        return _recurrent(name, parts, where)
    if weight is not None and parts.keys() <= {"weight", "bias"}:
        if weight.dim() == 2 and "bias" not in parts and "emb" in name.lower():
            return SizedLayer(
                "embedding", name, None, weight.shape[1], f"embedding {name} of {weight.shape[0]:,} tokens"
            )
        if weight.dim() == 2:
            outputs, inputs = weight.shape
            return SizedLayer("linear", name, inputs, outputs, f"linear {name} ({inputs} to {outputs})")
        if weight.dim() == 1:
            return SizedLayer("layer_norm", name, len(weight), len(weight), f"layer norm {name} of {len(weight)}")
    tail = next(iter(parts))
    full = f"{name}.{tail}" if name else tail
    got = f"{', '.join(parts)}, the first of shape {tuple(parts[tail].shape)}"
    raise UserError(f"{where}: {full} is of no layer that is known", got=got, remedy=DESCRIBE)


def _recurrent(name: str, parts: Mapping[str, Tensor], where: str) -> SizedLayer:
    layers = 1 + max(int(PART.fullmatch(tail)[3] or 0) for tail in parts)  # type: ignore[index]
    end = "" if "weight_ih" in parts else "_l0"
    try:
        ih, hh = parts[f"weight_ih{end}"], parts[f"weight_hh{end}"]
        P = hh.shape[1]
        H = parts[f"weight_hr{end}"].shape[1] if f"weight_hr{end}" in parts else P
        op = GATES[ih.shape[0] // H]
    except (KeyError, IndexError, ZeroDivisionError):
        raise UserError(f"{where}: {name} is no recurrent layer that is known", remedy=DESCRIBE) from None
    directions = 1 + any(tail.endswith("_reverse") for tail in parts)
    both = " in both directions" if directions == 2 else ""
    words = f"{op} {name}, {counted(layers, 'layer')} of {H} units{both}".replace(" ,", ",")
    return SizedLayer(op, name, ih.shape[1], P * directions, words)


def _rows(tensors: Mapping[str, Tensor], first: SizedLayer) -> int | None:
    """How many tokens the first layer embeds; None where it reads values."""
    return tensors[f"{first.name}.weight"].shape[0] if first.op == "embedding" else None


def _fits(chain: list[SizedLayer]) -> bool:
    return all(before.makes == after.reads for before, after in pairwise(chain))


def _chains(left: list[SizedLayer], before: tuple[SizedLayer, ...] = ()) -> Iterator[tuple[SizedLayer, ...]]:
    """Every order in which sizes fit; an embedding comes first, and the last is a linear layer where there is one."""
    if not left:
        if before[-1].op == "linear" or all(one.op != "linear" for one in before):
            yield before
        return
    embeds = any(one.op == "embedding" for one in left)
    for at, one in enumerate(left):
        first = not before and (one.op == "embedding" or not embeds)
        if first or (before and one.op != "embedding" and one.reads == before[-1].makes):
            yield from _chains(left[:at] + left[at + 1 :], (*before, one))
