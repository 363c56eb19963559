"""The loss of a language model on a text: exact, its memory carried through all of it, or approximate, in lanes."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from elman.data.lanes import NOT_COUNTED, TokenStream, evaluation_windows
from elman.data.tokenfile import Tokens
from elman.distributed import ALONE, Ranks
from elman.models import LanguageModel
from elman.state import State, batch_size, put_rows, select_rows
from elman.tasks.sizing import LARGE_VOCABULARY

WINDOW = 256  # steps read in one call
BURN_IN = 256  # steps that a lane of the approximation reads before it counts
SEGMENTS = 16  # read side by side
FEWEST, MOST = 16, 128  # windows of a segment: a memory fades in the fewest, and the states of the most can be kept

Blocks = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


@torch.no_grad()
def block_losses(
    model: LanguageModel,
    tokens: Tokens,
    eod: int | None,
    *,
    lanes: int | None = None,
    window: int = WINDOW,
    ranks: Ranks = ALONE,
) -> Blocks:
    """Predict every token but the first of a text once, each from all before it (of its document).

    Args:
        model: in `eval()`.
        tokens: at least 2.
        eod: the token with which a document begins anew; None: there is none.
        lanes: None reads the text exactly and fast: segments of the text side by side, each after all tokens that the
            memory can reach, or by `multiple_shooting` where the reach has no bound. 1 reads the text exactly, window
            by window. More lanes are an approximation: so many parts side by side, each after a run-up of `BURN_IN`
            tokens from a fresh memory.
        window: steps read in one call.
        ranks: the processes that share the segments; all of them have all results.

    Returns:
        Nats (K,) of blocks of at most `window` tokens in the order of the text, and the tokens (K,) of each.

    Raises:
        UserError: fewer than 2 tokens.
    """
    if lanes is not None and lanes > 1:
        return _in_lanes(model, tokens, eod, lanes, window)
    text = TokenStream(tokens, eod)
    run_up = None if model.reach is None else -(-model.reach // window)  # windows
    parallel = lanes is None and (model.step_by_step or run_up is not None)
    fewest = max(FEWEST, 8 * (run_up or 0))  # or the run-ups would be much of the reading
    found: list[Blocks] = []
    begin, state = 0, model.initial_state(1)
    while left := text.steps - begin:
        L = min(SEGMENTS * ranks.size, left // (fewest * window)) if parallel and begin >= (run_up or 0) * window else 1
        W = min(max(MOST, fewest), left // (L * window)) if L > 1 else 1
        T = min(window, left)
        nats, state = _section(model, text, begin, state, (max(L, 1), W, T), run_up, ranks)
        found.append((nats.ravel(), np.full(nats.size, float(T))))
        begin += nats.size * T
    nats, counts = (np.concatenate(part) for part in zip(*found, strict=True))
    return nats, counts


def _section(
    model: LanguageModel,
    text: TokenStream,
    begin: int,
    state: State,
    shape: tuple[int, int, int],
    run_up: int | None,
    ranks: Ranks,
) -> tuple[npt.NDArray[np.float64], State]:
    """Nats (L, W) of L segments of W windows of T steps, `shape` (L, W, T), one after the other from `begin` on.

    With a `run_up`, the memory reaches back so many windows, and each segment reads them first.
    """
    L, W, T = shape
    device = next(model.parameters()).device
    nats = np.zeros((L, W))

    def step(segments: Tensor, window: int, state: State) -> State:
        rows = segments.cpu().numpy()
        part = text.window(begin + (rows * W + window) * T, T).to(device)
        hidden, state = model.read(part.inputs, state, resets=part.resets)
        if window >= 0:
            nats[rows, window] = _nats(model, hidden, part.targets)
        return state

    if L == 1 or ranks.size > L:
        ranks = ALONE  # each reads everything
    segments = torch.from_numpy(ranks.share(np.arange(L))).to(device)
    if L > 1 and run_up is not None:
        state = model.initial_state(len(segments))
        for window in range(-run_up, W):
            state = step(segments, window, state)
        last = ranks.rows(select_rows(state, torch.arange(len(segments), device=device)[-1:]))
    else:
        from elman.tasks.language_modelling import multiple_shooting

        if L > 1:
            state = put_rows(model.initial_state(L), torch.arange(1, device=device), state)
        last = multiple_shooting.read(step, state, W, ranks)
    if ranks.size > 1:
        nats = np.array(ranks.sums(*nats.ravel())).reshape(nats.shape)  # 0 where others have read
    return nats, select_rows(last, torch.arange(batch_size(last), device=device)[-1:])


def _in_lanes(model: LanguageModel, tokens: Tokens, eod: int | None, lanes: int, window: int) -> Blocks:
    device = next(model.parameters()).device
    nats, counts = [], []
    state: State | None = None
    for read in evaluation_windows(tokens, lanes, window, burn_in=BURN_IN, eod=eod):
        part = read.to(device)
        hidden, state = model.read(part.inputs, state, resets=part.resets)
        nats.append(_nats(model, hidden, part.targets))
        counts.append((read.targets != NOT_COUNTED).sum(1).double().numpy())
    lost, counted = np.stack(nats, 1).ravel(), np.stack(counts, 1).ravel()  # (B, N): a lane's blocks in a row
    return lost[counted > 0], counted[counted > 0]


def cross_entropy(model: LanguageModel, hidden: Tensor, targets: Tensor, reduction: Literal["mean", "none"]) -> Tensor:
    """The loss of hidden states (B, T, H) against targets (B, T), in float32 at least: its mean, or (B, T) by step.

    A target that does not count has the loss 0.
    """
    hidden, ordered = model.in_memory_order(hidden), model.in_memory_order(targets)
    plain = type(model).output is LanguageModel.output  # a person's own model may make its logits otherwise
    if reduction == "mean" and plain and hidden.is_cpu and model.vocab_size >= LARGE_VOCABULARY:
        from elman.nn.output_loss import output_loss

        return output_loss(model.decoder, hidden, ordered)  # 1.1 to 2.6 times as fast, without all logits in RAM
    logits = model.output(hidden.flatten(0, 1))  # (B T, V)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    losses = F.cross_entropy(logits, ordered.flatten(), reduction=reduction)
    return losses if reduction == "mean" else model.in_memory_order(losses.view(ordered.shape))


def _nats(model: LanguageModel, hidden: Tensor, targets: Tensor) -> npt.NDArray[np.float64]:
    """The cross entropies of each row, summed: (B,)."""
    return cross_entropy(model, hidden, targets, "none").sum(1, dtype=torch.float64).cpu().numpy()
