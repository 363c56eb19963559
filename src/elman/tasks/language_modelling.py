"""Language modelling: predict the next token, in lanes whose memory is carried from stretch to stretch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.data.lanes import NOT_COUNTED, Lanes, evaluation_windows
from elman.data.tokenfile import TokenFile
from elman.models import LanguageModel
from elman.state import State
from elman.tasks.adaptive_truncation import AdaptiveTruncation
from elman.train import bptt
from elman.train.objective import Loss, Place

EVALUATION_LANES = 16
EVALUATION_WINDOW = 256
BURN_IN = 256  # tokens a lane reads before it counts, so that its memory is not empty where the lane begins


@dataclass
class LanguageModelling:
    """The objective of a language model on a corpus (see `train.training.Objective`).

    A batch of the epoch is one stretch of `k1` steps in every lane, through whose last `k2` steps the gradient flows
    (None: to the lanes' beginning). `adaptive` chooses k2 instead, where it is given.
    """

    train: Lanes
    valid: TokenFile
    eod: int | None
    k1: int
    k2: int | None
    adaptive: AdaptiveTruncation | None = None
    metric: str = field(default="loss", init=False)

    def __post_init__(self) -> None:
        self.training_size = self.train.lanes * self.train.steps
        self.validation_size = len(self.valid)

    def batches(self, epoch: int) -> int:
        """How many stretches the lanes have."""
        return bptt.count(self.train.steps, self.k1)

    def loss(self, model: nn.Module, place: Place, state: State | None) -> Loss:
        """Mean cross entropy, in nats a token, of one stretch."""
        part = self._stretch(place.batch, state)
        device = next(model.parameters()).device

        def read(begin: int, stop: int, state: State | None) -> tuple[Tensor, State]:
            window = self.train.window(begin, stop).to(device)
            return cast(LanguageModel, model).read(window.inputs, state, resets=window.resets)

        hidden, kept = bptt.read(read, part, state)  # (B, T, H)
        targets = self.train.window(part.start, part.stop).to(device).targets  # (B, T)
        logits = cast(LanguageModel, model).output(hidden)  # (B, T, V)
        return Loss(_cross_entropy(logits, targets), targets.numel(), kept)

    def _stretch(self, batch: int, state: State | None) -> bptt.Stretch:
        adaptive = self.adaptive
        if adaptive is None:
            return bptt.stretch(batch, self.train.steps, self.k1, self.k2)
        begin = None if state is None else adaptive.kept
        part = bptt.stretch(batch, self.train.steps, self.k1, adaptive.k2, begin)
        adaptive.kept = part.keep
        return part

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Metrics on the whole validation set, the memory carried through it."""
        return evaluate(cast(LanguageModel, model), self.valid, self.eod)

    def cost(self, metrics: dict[str, float]) -> float:
        """The loss."""
        return metrics["loss"]

    def describe(self, metrics: dict[str, float]) -> str:
        """Loss and bits a character, and the window that was chosen."""
        text = f"{metrics['loss']:.4f} nats a token, {metrics['bits_per_character']:.4f} bits a character"
        return f"{text}, k2 {metrics['k2']:.0f}" if "k2" in metrics else text

    def initial_state(self, model: nn.Module) -> State:
        """A fresh memory for the lanes."""
        return cast(LanguageModel, model).initial_state(self.train.lanes)


def readings(
    model: LanguageModel,
    tokens: TokenFile,
    eod: int | None,
    *,
    lanes: int | None = None,
    window: int = EVALUATION_WINDOW,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Hidden states (B, T, H) and targets (B, T), window by window, over the whole text with carried memory.

    The text is read in `lanes` parts side by side, each with `BURN_IN` tokens of the part before it as its past, which
    are not counted (`NOT_COUNTED`); `lanes=1` reads it in one go. Every token but the first is a target once.
    """
    if lanes is None:
        lanes = max(1, min(EVALUATION_LANES, len(tokens) // (8 * BURN_IN)))
    device = next(model.parameters()).device
    state: State | None = None
    for part in evaluation_windows(tokens, lanes=lanes, window=window, burn_in=BURN_IN, eod=eod):
        resets = None if part.resets is None else part.resets.to(device)
        hidden, state = model.read(part.inputs.to(device), state, resets=resets)
        yield hidden, part.targets.to(device)


@torch.no_grad()
def evaluate(
    model: LanguageModel,
    tokens: TokenFile,
    eod: int | None,
    *,
    lanes: int | None = None,
    window: int = EVALUATION_WINDOW,
) -> dict[str, float]:
    """Predict every token but the first of a text once (see `readings`).

    Returns:
        `loss` in nats a token, `perplexity`, `bits_per_character`, and `tokens`, how many were predicted.
    """
    total, counted = 0.0, 0
    for hidden, targets in readings(model, tokens, eod, lanes=lanes, window=window):
        wanted = targets != NOT_COUNTED
        if not wanted.any():
            continue
        total += _cross_entropy(model.output(hidden), targets, reduction="sum").double().item()
        counted += int(wanted.sum())
    loss = total / counted
    return {
        "loss": loss,
        "perplexity": math.exp(min(loss, 700.0)),
        "bits_per_character": loss / math.log(2) * len(tokens) / max(tokens.characters, 1),
        "tokens": counted,
    }


def _cross_entropy(logits: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    """Of logits (B, T, V) and targets (B, T), in float32 at least, in whichever order the logits lie in memory."""
    if not logits.is_contiguous():
        logits, targets = logits.transpose(0, 1), targets.transpose(0, 1)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=reduction)
