"""Reading a model without changing it: in eval mode, from vectors instead of tokens, and what its parts were given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from elman.models import LanguageModel
from elman.nn import sequences
from elman.state import State, leaves

M = TypeVar("M", bound=nn.Module)


class Given(NamedTuple):
    """What one call gave to a module."""

    name: str
    module: Any
    arguments: tuple[Any, ...]
    options: dict[str, Any]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in eval mode for a while; every part of it returns to the mode it was in."""
    modes = {part: part.training for part in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def given_to(model: nn.Module, kind: type[M], call: Callable[[], object]) -> list[Given]:
    """What every module of a kind in `model` is given while `call` runs, in the order of the calls."""
    seen: list[Given] = []

    def watch(name: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        return lambda module, arguments, options: seen.append(Given(name, module, arguments, options))

    hooks = [
        part.register_forward_pre_hook(watch(name), with_kwargs=True)
        for name, part in model.named_modules()
        if isinstance(part, kind)
    ]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def embed(model: LanguageModel, tokens: Tensor) -> Tensor:
    """The vectors that the model reads for int64 tokens (B, T): (B, T, D), no gradient attached."""
    return sequences.embed(model.get_submodule("embedding"), tokens).detach()


def read_vectors(
    model: LanguageModel, vectors: Tensor, state: State | None = None, *, resets: Tensor | None = None
) -> tuple[Tensor, State]:
    """`model.read` of vectors (B, T, D) in place of tokens: hidden states (B, T, H) and the memory after them.

    Every step's token stands for a row of its own of an embedding matrix that holds `vectors`. So the gradient of
    what comes out with respect to `vectors` is that of each single x_t, whatever layout the model reads in. The
    parameters are constants here: no gradient of theirs is computed.
    """
    B, T, D = vectors.shape
    own = torch.arange(B * T, device=vectors.device).view(B, T)
    reading = _Reading(model)
    values = {name: p.detach() for name, p in reading.named_parameters(remove_duplicate=False)}
    values["model.embedding.weight"] = vectors.reshape(B * T, D)
    return torch.func.functional_call(reading, values, (own, state, resets), tie_weights=False)


def has_vectors_for_memory(model: LanguageModel) -> bool:
    """Whether the memory is a vector (B, H) or some, as a recurrent network's is; a cache that grows is not."""
    return all(leaf.dim() == 2 and leaf.is_floating_point() for leaf in leaves(model.initial_state(1)))


def named_leaves(state: State, place: str = "", field: str = "h") -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a memory with a name for people: a tuple's children are layers, a named tuple's its fields.

    >>> [name for name, _ in named_leaves((torch.zeros(1), torch.zeros(1)))]
    ['layer 1 h', 'layer 2 h']
    """
    if isinstance(state, Tensor):
        yield f"{place} {field}".strip(), state
        return
    fields = getattr(state, "_fields", None)
    for index, child in enumerate(state):
        if fields:
            yield from named_leaves(child, place, fields[index])
        else:
            yield from named_leaves(child, f"{place} layer {index + 1}".strip(), field)


class _Reading(nn.Module):
    """`model.read` as a module's call, which is what functional_call calls."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, state: State | None, resets: Tensor | None) -> tuple[Tensor, State]:
        return self.model.read(tokens, state, resets=resets)
