"""Somebody's own module, and that as a language model: all that elman asks of one, from the state contract alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn

from elman.errors import UserError
from elman.models.language_model import LanguageModel
from elman.nn.sequences import Flags, Integers, as_lengths, as_resets, as_tokens
from elman.state import State, batch_size, map_state, put_rows, reset_rows, select_rows


def module_of(model: nn.Module | Callable[..., nn.Module], sizes: Sequence[int]) -> nn.Module:
    """A person's own module, or the one that their callable makes of the sizes of the vocabularies.

    Raises `UserError` where that is no module, or has no parameters.
    """
    made = model if isinstance(model, nn.Module) else model(*sizes)
    if not isinstance(made, nn.Module) or next(made.parameters(), None) is None:
        got = type(made).__name__
        raise UserError("model", expected="a torch module with parameters, or a callable that makes one", got=got)
    return made


class OwnLanguageModel(LanguageModel):
    """A module with `logits, state = module(tokens, state)`: tokens (B, T), logits (B, T, V), state=None at first.

    The batch comes first in every tensor of the state, and a fresh state is all zeros, or what `module.initial_state
    (batch_size)` makes. `resets` and `lengths` go to a module that takes them; else the sequence is read in pieces,
    between which rows are reset or left out. Raises `UserError` where the module returns something else.
    """

    step_by_step = False
    kind = "own"

    def __init__(self, module: nn.Module, vocab_size: int) -> None:
        super().__init__()
        self.module, self.vocab_size = module, vocab_size
        self.takes = {"lengths", "resets"} & inspect.signature(module.forward).parameters.keys()

    @property
    def config(self) -> dict[str, Any]:
        """The module itself comes from Python."""
        return {"model": self.kind, "vocab_size": self.vocab_size}

    def initial_state(self, batch_size: int) -> State:
        """Zeros in the tree that the module returns."""
        if make := getattr(self.module, "initial_state", None):
            return cast(State, make(batch_size))
        weight = next(self.module.parameters())
        tokens = torch.zeros(batch_size, 1, dtype=torch.int64, device=weight.device)
        with torch.no_grad(), torch.random.fork_rng(devices=[] if weight.device.type == "cpu" else [weight.device]):
            return map_state(torch.zeros_like, self._call(tokens, None)[1])

    def read(
        self,
        tokens: Integers,
        state: State | None = None,
        *,
        lengths: Integers | None = None,
        resets: Flags | None = None,
    ) -> tuple[Tensor, State]:
        """tokens (B, T) -> logits (B, T, V), which `output` leaves as they are, and the memory."""
        tokens = as_tokens(tokens, self)
        B, T = tokens.shape
        ends = None if lengths is None else as_lengths(lengths, B, T, tokens.device)
        starts = None if resets is None else as_resets(resets, B, T, tokens.device)
        if starts is not None and not starts.any():
            starts = None
        asked = {name: value for name, value in (("lengths", ends), ("resets", starts)) if value is not None}
        if not T or asked.keys() <= self.takes:
            return self._call(tokens, state, **(asked if T else {}))
        return self._in_pieces(tokens, state, ends, starts)

    def _in_pieces(
        self, tokens: Tensor, state: State | None, ends: Tensor | None, starts: Tensor | None
    ) -> tuple[Tensor, State]:
        """Cut where a row is reset or ends."""
        B, T = tokens.shape
        cuts = {0, T}
        if starts is not None:
            cuts |= set(starts.any(0).nonzero().flatten().tolist())
        if ends is not None:
            cuts |= set(ends.tolist())
        borders = sorted(cuts)
        state = self.initial_state(B) if state is None else state
        logits = []
        for begin, stop in pairwise(borders):
            before = state
            if starts is not None and starts[:, begin].any():
                state = reset_rows(state, starts[:, begin])
            piece, state = self._call(tokens[:, begin:stop], state)
            logits.append(piece)
            if ends is not None and (over := (ends <= begin).nonzero().flatten()).numel():
                state = put_rows(state, over, select_rows(before, over))  # padding leaves a memory as it was
        return torch.cat(logits, 1), state

    def _call(self, tokens: Tensor, state: State | None, **given: Tensor) -> tuple[Tensor, State]:
        returned = self.module(tokens, state, **given)
        expected = f"logits (B, T, {self.vocab_size}) and a state of tensors with B rows"
        if not (isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[0], Tensor)):
            raise UserError("model(tokens, state)", expected=expected, got=type(returned).__name__)
        logits, after = returned
        if logits.shape != (*tokens.shape, self.vocab_size):
            raise UserError("model(tokens, state)", expected=expected, got=f"logits of shape {tuple(logits.shape)}")
        if not _is_state(after) or batch_size(after) != len(tokens):
            raise UserError("model(tokens, state)", expected=expected, got="another state")
        return logits, after

    def output(self, hidden: Tensor) -> Tensor:
        """The logits are there already."""
        return hidden

    def stacked_maps(self) -> dict[Tensor, int]:
        """The module's own `stacked_maps()`; raises `UserError` where there is none, since Muon needs it."""
        maps = getattr(self.module, "stacked_maps", None)
        if maps is None:
            name = type(self.module).__name__
            raise UserError(f"optimizer: {name} has no stacked_maps() for muon", remedy="use adamw")
        return cast(dict[Tensor, int], maps())


def _is_state(state: object) -> bool:
    if isinstance(state, tuple):
        return bool(state) and all(map(_is_state, state))
    return isinstance(state, Tensor) and state.dim() > 0
