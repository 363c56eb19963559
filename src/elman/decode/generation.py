"""Generation: `prefill` reads a prompt, `step` one more token, `generate` writes one token after another.

Like every call of a model, the first two keep gradients: decode in eval mode, within `torch.inference_mode()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from elman.decode.hypotheses import lengths_of
from elman.errors import UserError
from elman.models import EncoderDecoder, LanguageModel
from elman.nn.sequences import Integers, as_tokens
from elman.state import State

WINDOW = 512  # tokens read at a time, so that a long prompt needs no more RAM than a short one


def prefill(
    model: LanguageModel | EncoderDecoder, tokens: Integers, state: State | None = None, lengths: Integers | None = None
) -> tuple[Tensor, State]:
    """Read tokens (B, T): the logits (B, V) after the last real step of each row, and the state after it.

    Args:
        model: a language model or an encoder-decoder.
        tokens: at least one for each row. A target, and a text that has documents, begins with `<eod>`.
        state: the state before the tokens; None is a fresh state. An encoder-decoder needs the state of
            `model.encode(source, lengths)`.
        lengths: (B,), from 1 to T: the steps of a row from its length on are padding. None: there is no padding.

    Raises:
        UserError: no tokens, lengths out of their range, or no state for an encoder-decoder.

    >>> from elman.models import build
    >>> model = build({"model": "gru", "vocab_size": 9, "hidden_size": 8}).eval()
    >>> with torch.inference_mode():
    ...     logits, state = prefill(model, [[1, 2, 3, 4], [5, 6, 0, 0]], lengths=[4, 2])
    ...     alone, _ = prefill(model, [[5, 6]])
    >>> logits.shape, torch.allclose(logits[1:], alone, atol=1e-6)
    (torch.Size([2, 9]), True)
    """
    reader: Any = model
    tokens = as_tokens(tokens, model)
    B, T = tokens.shape
    if not T:
        raise UserError("tokens", expected="at least one step to read", got=f"shape {(B, T)}")
    if state is None and isinstance(model, EncoderDecoder):
        raise UserError("state", expected="that of model.encode(source, lengths) for an encoder-decoder", got="none")
    ends, rows = lengths_of(tokens, lengths), torch.arange(B, device=tokens.device)
    last = None
    for start in range(0, T, WINDOW):
        piece = tokens[:, start : start + WINDOW]
        left = (ends - start).clamp(0, piece.shape[1])  # real steps of this piece; at least 1 in the first piece
        hidden, state = reader.read(piece, state, lengths=None if lengths is None else left)  # (B, T, H)
        here = hidden[rows, left - 1]
        last = here if last is None else here.where(left[:, None] > 0, last)
    return reader.output(last), state  # type: ignore[return-value]


def step(model: LanguageModel | EncoderDecoder, tokens: Integers, state: State) -> tuple[Tensor, State]:
    """Read one more token of each row, tokens (B,): the logits (B, V) after it, and the state after it.

    `model.steps(state)` does so faster, for a state that is given away.

    >>> from elman.models import build
    >>> model = build({"model": "gru", "vocab_size": 9, "hidden_size": 8}).eval()
    >>> with torch.inference_mode():
    ...     logits, state = prefill(model, [[1, 2]])
    ...     logits, state = step(model, logits.argmax(-1), state)
    >>> logits.shape
    torch.Size([1, 9])
    """
    hidden, state = model.read(as_tokens(tokens, model, dims=1)[:, None], state)  # (B, 1, H)
    return model.output(hidden[:, -1]), state


@torch.inference_mode()
def generate(
    model: LanguageModel,
    prompt: Sequence[int],
    choose: Callable[[Tensor], Tensor],
    *,
    state: State | None = None,
    banned: Sequence[int] = (),
) -> Iterator[tuple[int, float, State]]:
    """Read a prompt, then write tokens without end.

    Args:
        model: any language model, in eval mode.
        prompt: at least one token.
        choose: a function from logits (1, V) to a token (1,), such as `sampling.sample`.
        state: the state before the prompt; None is a fresh state.
        banned: tokens that are never written, such as `<unk>`.

    Yields:
        Each token, its log-probability in nats before any filter, and the state before the token is read, whose
        tensors the next step may overwrite.

    >>> import elman
    >>> from itertools import islice
    >>> from elman.decode import sample
    >>> run = elman.load("runs/demo")
    >>> prompt = run.tokenizer.encode("the c").tolist()
    >>> written = islice(generate(run.model, prompt, lambda logits: sample(logits, temperature=0)), 8)
    >>> run.tokenizer.decode(token for token, log_probability, state in written)
    'at sat o'
    """
    logits, state = prefill(model, [list(prompt)], state)  # (1, V)
    steps = model.steps(state)
    while True:
        log_probabilities = logits.log_softmax(-1)
        logits[:, list(banned)] = -torch.inf
        token = choose(logits)  # (1,)
        yield int(token), float(log_probabilities[0, token]), steps.state
        logits = steps(token)
