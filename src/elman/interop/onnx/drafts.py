"""The nodes of a `LayeredModel` while a graph is read: added one by one, simplified, and listed at the end.

Some of them are none of `LayeredModel`, and must have become others at the end: "state" (a state that the graph is
given), "final" (a recurrent layer's state after the last step), "first" (the first step), and the parts of a layer
normalisation that is written out: "feature_mean", "centered", "square", "variance", "deviation".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from elman.arrays import Numbers
from elman.errors import UserError

INPUT = "input"
WIDEST = 1 << 20


@dataclass(frozen=True)
class Draft:
    """A node: its op, the values it is a function of, the size F of its value, options, and parameters by name."""

    op: str
    inputs: tuple[str, ...]
    size: int
    options: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Numbers] = field(default_factory=dict)
    source: str = ""  # the node of the graph, for people


class FeatureSpan(NamedTuple):
    """The numbers from `start` to `stop` of each vector of a layer."""

    layer: str
    start: int
    stop: int


class Drafts:
    """Layers by their names, in order."""

    def __init__(self) -> None:
        self.found: dict[str, Draft] = {}
        self._names = Counter[str]()

    def __getitem__(self, name: str) -> Draft:
        return self.found[name]

    def add(self, name: str, layer: Draft) -> str:
        """A layer under a name, or under one with a number behind where that is taken; returns the name."""
        if layer.size > WIDEST:
            raise UserError(f"{layer.source or name}", expected=f"at most {WIDEST:,} features", got=layer.size)
        unique = name
        while unique in self.found or unique == INPUT:
            self._names[name] += 1
            unique = f"{name}_{self._names[name] + 1}"
        self.found[unique] = layer
        return unique

    def slice(self, name: str, start: int, stop: int) -> str:
        """The numbers from `start` to `stop` of each vector."""
        layer = self.found.get(name)
        if layer is None:
            return self._sliced(name, start, stop)
        if (start, stop) == (0, layer.size):
            return name
        if layer.op == "slice":
            before = layer.options["start"]
            return self.slice(layer.inputs[0], before + start, before + stop)
        if layer.op in ("first", "last"):
            return self.step(self.slice(layer.inputs[0], start, stop), layer.op, layer.source)
        if layer.op == "concat":
            at = 0
            for each in layer.inputs:
                size = self[each].size
                if at <= start and stop <= at + size:
                    return self.slice(each, start - at, stop - at)
                at += size
        return self._sliced(name, start, stop)

    def _sliced(self, name: str, start: int, stop: int) -> str:
        options = {"start": start, "stop": stop}
        return self.add(f"{name}_{start}_{stop}", Draft("slice", (name,), stop - start, options))

    def concat(self, names: list[str], source: str) -> str:
        """Vectors behind one another; what was cut apart becomes one again."""
        parts: list[FeatureSpan] = []
        for name in names:
            layer = self[name]
            part = FeatureSpan(name, 0, layer.size)
            if layer.op == "slice":
                part = FeatureSpan(layer.inputs[0], layer.options["start"], layer.options["stop"])
            if parts and parts[-1].layer == part.layer and parts[-1].stop == part.start:
                part = part._replace(start=parts.pop().start)
            parts.append(part)
        joined = tuple(self.slice(*part) for part in parts)
        if len(joined) == 1:
            return joined[0]
        return self.add(source or "concat", Draft("concat", joined, sum(self[name].size for name in joined)))

    def step(self, name: str, which: str, source: str) -> str:
        """The first or the last step: of a recurrent layer the final state, where that step is read last."""
        layer = self.found.get(name)
        start, stop, whole = 0, layer.size if layer else 0, name
        if layer is not None and layer.op == "slice":
            start, stop, whole = layer.options["start"], layer.options["stop"], layer.inputs[0]
        base = self.found.get(whole)
        if base is not None and base.op == "recurrent" and "h" in base.options["_finals"]:
            H = base.options["hidden_size"]
            halves = {"forward": [("last", 0)], "backward": [("first", 0)], "both": [("last", 0), ("first", H)]}
            for end, at in halves[base.options["direction"]]:
                if which == end and at <= start and stop <= at + H:
                    return self.slice(base.options["_finals"]["h"], start, stop)
        size = layer.size if layer else 0
        options = {"size": size} if which == "last" else {}
        return self.add(source or which, Draft(which, (name,), size, options, source=source))

    def affine(self, name: str, scale: Numbers | None, shift: Numbers | None, source: str) -> str:
        """scale * x + shift; in the layer before, where that has such a parameter and leaves it out."""
        layer = self.found.get(name)
        given = {"scale": ("weight", scale), "bias": ("bias", shift)}
        tensors = {f"layer.{key}": value for key, value in given.values() if value is not None}
        options = {option: value is not None for option, (_, value) in given.items()}
        if layer is not None and layer.op in ("linear", "layer_norm", "affine"):
            free = {option for option in given if layer.options.get(option) is False}
            free -= {"scale"} if layer.options["bias"] else set()  # a bias there is added after it
            new = {option: True for option, there in options.items() if there}
            if new.keys() <= free:
                return self.add(name, replace(layer, options=layer.options | new, tensors=layer.tensors | tensors))
        size = len(next(iter(tensors.values())))
        return self.add(source, Draft("affine", (name,), size, {"size": size} | options, tensors, source))

    def pieces(self, name: str) -> Iterator[FeatureSpan]:
        """What a value is put together of."""
        layer = self.found.get(name)
        if layer is not None and layer.op == "concat":
            for each in layer.inputs:
                yield from self.pieces(each)
        elif layer is not None and layer.op == "slice":
            yield FeatureSpan(layer.inputs[0], layer.options["start"], layer.options["stop"])
        else:
            yield FeatureSpan(name, 0, layer.size if layer else 0)

    def _needed(self, outputs: list[str]) -> dict[str, Draft]:
        """The layers that outputs are made of, in order."""
        needed, new = set[str](), [*outputs]
        while new:
            if (name := new.pop()) not in needed and name in self.found:
                needed.add(name)
                new += self[name].inputs
        return {name: layer for name, layer in self.found.items() if name in needed}

    def finished(self, output: str, recurrent: list[str]) -> dict[str, Draft]:
        """The layers of an output and all of `recurrent`, without any that `LayeredModel` does not have."""
        found = self._needed([output, *recurrent])
        read = {name for layer in found.values() for name in layer.inputs if layer.op != "final"} | {output}
        done: dict[str, Draft] = {}
        final: dict[str, str] = {}  # the name that stands for the final h of a recurrent layer
        for name, layer in found.items():
            if layer.op == "recurrent":
                h = layer.options["_finals"]["h"] if layer.options["_finals"]["h"] in found else None
                options = {key: value for key, value in layer.options.items() if not key.startswith("_")}
                whole = name in read or h is None
                if whole:
                    done[name] = replace(layer, options=options)
                if h is not None and not whole:
                    done[name] = replace(layer, options=options | {"reads": "last"})
                    final[h] = name
                elif h is not None and options["direction"] == "forward":
                    done[h] = Draft("last", (name,), layer.size, {"size": layer.size})
                elif h is not None:
                    done[h] = replace(layer, options=options | {"reads": "last"})
                continue
            if layer.op == "final" and layer.options["part"] == "h":
                continue
            if layer.op in NONE:
                raise UserError(f"{layer.source}: {NONE[layer.op]}, which has no equal in elman")
            done[name] = replace(layer, inputs=tuple(final.get(each, each) for each in layer.inputs))
        self.final = final
        return done


NONE = {
    "state": "a state that the graph is given goes into another layer than a recurrent one",
    "final": "the state c of an LSTM goes into another layer",
    "first": "the first step alone is taken",
    **dict.fromkeys(("feature_mean", "centered", "square", "variance", "deviation"), "a mean over features is taken"),
}


def scaled(values: Numbers, size: int) -> Numbers:
    """A number or a vector as a vector of a size."""
    return np.ascontiguousarray(np.broadcast_to(values, (size,)), np.float32)
