"""Reading a model without changing it: in eval mode, with hooks on its parts, and from the vectors of its tokens."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, TypeAlias, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elman.errors import UserError
from elman.models.modes import in_eval_mode
from elman.nn.sequences import Integers, as_tensor, as_tokens, is_integral
from elman.state import State, leaves

R = TypeVar("R")
M = TypeVar("M", bound=nn.Module)
Kinds: TypeAlias = type[nn.Module] | tuple[type[nn.Module], ...]


class ModuleCall(NamedTuple):
    """One call of a module."""

    module: Any
    arguments: tuple[Any, ...]
    options: dict[str, Any]


@contextmanager
def evaluating(model: nn.Module, *, constant: bool = False) -> Iterator[None]:
    """For a while, the model is in eval mode, and its parameters require no gradient if they are `constant`."""
    learnt = [parameter for parameter in model.parameters() if constant and parameter.requires_grad]
    with in_eval_mode(model):
        try:
            for parameter in learnt:
                parameter.requires_grad_(False)
            yield
        finally:
            for parameter in learnt:
                parameter.requires_grad_()


def twin(model: M) -> M:
    """The same model with parts of its own and every weight shared, for hooks that another thread must not meet."""
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, shared)


def differentiable() -> AbstractContextManager[None]:
    """For a while, layers of torch.nn have gradients in eval mode on a GPU too: cuDNN, which has none, is off."""
    return torch.backends.cudnn.flags(enabled=False)


@contextmanager
def hooked(model: nn.Module, kinds: Kinds, hook: Callable[..., Any]) -> Iterator[None]:
    """For a while, `hook(part, arguments, options, result)` sees the calls of some kinds of parts."""
    parts = [part for part in model.modules() if isinstance(part, kinds)]
    handles = [part.register_forward_hook(hook, with_kwargs=True) for part in parts]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def calls_of(model: nn.Module, kinds: Kinds, run: Callable[[], object]) -> list[ModuleCall]:
    """The calls of modules of some kinds in `model` while `run` runs, in their order."""
    seen: list[ModuleCall] = []
    with hooked(model, kinds, lambda *given: seen.append(ModuleCall(*given[:3]))):
        run()
    return seen


def as_inputs(inputs: Integers, model: nn.Module, *, dims: int = 2) -> Tensor:
    """Integer tokens (B, T), or (B,) where `dims` is 1; or vectors of floats, with one dimension more."""
    if not isinstance(inputs, Tensor):
        inputs = as_tensor("tokens", inputs, torch.int64, next(model.parameters()).device)
    vectors = inputs.is_floating_point() and inputs.dim() == dims + 1
    return inputs if vectors else as_tokens(inputs, model, dims=dims)


def from_vectors(model: nn.Module, inputs: Tensor, read: Callable[[Tensor], R]) -> tuple[R, Tensor]:
    """`read(inputs)`, and the leaf of its graph that holds the vectors x of the inputs.

    The vectors of floats are the inputs themselves; those of tokens are the result of the first `torch.nn.Embedding`
    that is called with the tokens in their order, in any shape: (B, T, D), (T, D) or another one.

    Raises:
        UserError: no embedding is called with these tokens.
    """
    if not is_integral(inputs):
        x = inputs.detach().clone().requires_grad_()
        return read(x), x
    found: list[Tensor] = []

    def cut(_: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any], embedded: Tensor) -> Tensor | None:
        (tokens,) = (*arguments, *options.values())
        if not found and torch.equal(tokens.flatten().to(inputs), inputs.flatten()):
            found.append(embedded.detach().requires_grad_())
            return found[0]
        return None  # the result stays

    with hooked(model, nn.Embedding, cut):
        result = read(inputs)
    if not found:
        expected = "a torch.nn.Embedding that is called with the tokens in their order, or vectors (B, T, D) for input"
        raise UserError("the gradient by the inputs", expected=expected)
    return result, found[0]


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """The sum over rows, in float32 at least, for logits (K, V) and targets (K,)."""
    return F.cross_entropy(logits.to(torch.promote_types(logits.dtype, torch.float32)), targets, reduction="sum")


def follows_contract(model: nn.Module) -> bool:
    """Whether the model is a language model of the state contract, with `read`, `output` and `initial_state`."""
    return all(hasattr(model, name) for name in ("read", "output", "initial_state"))


def has_vectors_for_memory(model: Any) -> bool:
    """Whether the memory is made of vectors (B, H), as a recurrent network's; a cache that grows is not."""
    return all(leaf.dim() == 2 and leaf.is_floating_point() for leaf in leaves(model.initial_state(1)))


def named_leaves(state: State, place: str = "", field: str = "h") -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a memory with a name for people: a tuple has layers, a named tuple its fields.

    >>> [name for name, _ in named_leaves((torch.zeros(1), torch.zeros(1)))]
    ['layer 1 h', 'layer 2 h']
    """
    if isinstance(state, Tensor):
        yield f"{place} {field}".strip(), state
    elif fields := getattr(state, "_fields", None):
        for name, child in zip(fields, state, strict=True):
            yield from named_leaves(child, place, name)
    else:
        for number, child in enumerate(state, start=1):
            yield from named_leaves(child, f"{place} layer {number}".strip(), field)
