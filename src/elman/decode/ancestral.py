"""One hypothesis a row, one token a step: greedy search and ancestral sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from elman.decode.constraints import Constraints, Limits, constrain, limits_of
from elman.decode.hypotheses import Hypothesis, lengths_of, log_probabilities
from elman.decode.sampling import sample
from elman.decode.uniforms import uniforms
from elman.models.encoder_decoder import EncoderDecoder
from elman.nn.sequences import Integers
from elman.state import State, close_gaps, move_rows, select_rows


def greedy_search(
    model: EncoderDecoder,
    source: Tensor,
    lengths: Integers | None = None,
    *,
    end: int,
    constraints: Constraints | None = None,
) -> list[Hypothesis]:
    """Write the most probable token, step by step, until the end: `beam_search` with a beam of 1, in less time.

    source (B, S), lengths (B,); `end` begins and ends a target. Of equally probable tokens, the smaller is written.
    Returns one hypothesis for each sentence; its score is its log-probability.

    >>> from elman.models import build_encoder_decoder
    >>> model = build_encoder_decoder({"model": "gru", "source_vocab_size": 9, "vocab_size": 7}).eval()
    >>> found = greedy_search(model, torch.tensor([[4, 2, 0], [3, 0, 0]]), lengths=[3, 2], end=0)
    >>> len(found), found[0].score == found[0].log_probability == sum(found[0].token_log_probabilities)
    (2, True)
    """
    return _write(model, source, lengths, end, constraints or Constraints(), lambda log_p, rows: log_p.argmax(-1))


def sample_targets(
    model: EncoderDecoder,
    source: Tensor,
    lengths: Integers | None = None,
    *,
    end: int,
    seed: int,
    rows: Sequence[int] | None = None,
    samples: int = 1,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    constraints: Constraints | None = None,
) -> list[list[Hypothesis]]:
    """Draw targets token by token, by the numbers of `elman.decode.uniforms` for the seed and each sentence's row.

    source (B, S), lengths (B,); `rows` (B,) number the sentences, from 0 where they are None, so that the samples of a
    sentence do not depend on its batch; `end` begins and ends a target; the filters are those of `sampling.sample`
    (Holtzman et al. 2020, "The curious case of neural text degeneration"). Returns the samples of each sentence in
    the order they were drawn; the score of a sample is its log-probability.

    >>> from elman.models import build_encoder_decoder
    >>> model = build_encoder_decoder({"model": "gru", "source_vocab_size": 9, "vocab_size": 7}).eval()
    >>> source = torch.tensor([[4, 2, 0]])
    >>> first, again = (sample_targets(model, source, end=0, seed=7, samples=3, top_k=4) for _ in range(2))
    >>> len(first[0]), first == again
    (3, True)
    """
    numbered = range(len(source)) if rows is None else rows
    streams = [uniforms(seed, row, sample) for row in numbered for sample in range(samples)]

    def draw(log_p: Tensor, numbers: Tensor) -> Tensor:
        drawn = log_p.new_tensor([next(streams[number]) for number in numbers.tolist()], dtype=torch.double)
        return sample(log_p, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, uniform=drawn)

    written = _write(model, source, lengths, end, constraints or Constraints(), draw, samples)
    return [written[first : first + samples] for first in range(0, len(written), samples)]


@torch.inference_mode()
def _write(
    model: EncoderDecoder,
    source: Tensor,
    lengths: Integers | None,
    end: int,
    constraints: Constraints,
    choose: Callable[[Tensor, Tensor], Tensor],
    samples: int = 1,
) -> list[Hypothesis]:
    """Write `samples` targets of each sentence; a target that ends leaves the batch.

    choose: a function, called once a step, from log-probabilities (R, V) and the rows' numbers (R,) among all
    B·samples to tokens (R,).
    """
    lengths = lengths_of(source, lengths)
    sentence = torch.arange(len(source), device=source.device).repeat_interleave(samples)
    limits, state = limits_of(constraints, lengths, end), model.encode(source, lengths)
    if samples > 1:
        limits, state = cast(tuple[Limits, State], select_rows((limits, state), sentence))
    number = torch.arange(len(sentence), device=source.device)
    written = number.new_empty(len(number), 0)
    of_tokens = torch.empty(len(number), 0, dtype=torch.double, device=source.device)
    last = torch.full_like(number, end)
    found: list[Hypothesis | None] = [None] * len(number)
    steps = model.steps(state)
    while len(number):
        log_p = constrain(log_probabilities(steps(last)), written, limits, constraints, end)
        last = choose(log_p, number)
        of_tokens = torch.cat((of_tokens, log_p.gather(1, last[:, None])), 1)
        ended = last == end
        if bool(ended.any()):
            for row, tokens, values in zip(*(x[ended].tolist() for x in (number, written, of_tokens)), strict=True):
                found[row] = Hypothesis(tuple(tokens), total := sum(values), total, tuple(values))
            left = close_gaps(~ended)
            steps.state = move_rows(steps.state, left, left, steps=written.shape[1] + 1)
            rows = (number, last, written, of_tokens, limits)
            number, last, written, of_tokens, limits = cast(Any, select_rows(rows, left))
        written = torch.cat((written, last[:, None]), 1)
    return [y for y in found if y is not None]
