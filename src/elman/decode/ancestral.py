"""One hypothesis a row, one token a step: greedy search and ancestral sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from elman.decode.constraints import Constraints, Limits, constrain, limits_of
from elman.decode.hypotheses import Hypothesis, lengths_of, next_log_probabilities
from elman.decode.sampling import sample
from elman.models.encoder_decoder import EncoderDecoder
from elman.nn.sequences import Integers
from elman.state import select_rows


def greedy_search(
    model: EncoderDecoder,
    source: Tensor,
    lengths: Integers | None = None,
    *,
    end: int,
    constraints: Constraints | None = None,
) -> list[Hypothesis]:
    """The most probable token, step by step, until the end: `beam_search` with a beam of 1, in less time.

    source (B, S), lengths (B,); `end` begins and ends a target. Of equal tokens the smaller. One hypothesis for each
    sentence, its score the log-probability.
    """
    return _write(model, source, lengths, end, constraints or Constraints(), lambda x, rows, t: x.argmax(-1))


def sample_targets(
    model: EncoderDecoder,
    source: Tensor,
    lengths: Integers | None = None,
    *,
    end: int,
    seeds: Sequence[int],
    samples: int = 1,
    temperature: float = 1.0,
    k: int | None = None,
    p: float | None = None,
    floor: float | None = None,
    constraints: Constraints | None = None,
) -> list[list[Hypothesis]]:
    """Draw targets, token by token, each sentence with a seed of its own, whatever else is in the batch.

    source (B, S), lengths (B,), B seeds; `end` begins and ends a target; the rest is as in `sampling.sample`
    (Holtzman et al. 2020, "The curious case of neural text degeneration"). Returns the samples of each sentence in
    the order they were drawn, each with its log-probability for score.
    """
    constraints = constraints or Constraints()
    lengths = lengths_of(source, lengths)
    longest = int(limits_of(constraints, lengths, end).max_length.max())
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    draws = [torch.rand(longest + 1, samples, generator=random, dtype=torch.double) for random in generators]
    uniform = torch.stack(draws, 1).flatten(1).to(source.device)  # (T, B·samples)

    def draw(log_p: Tensor, numbers: Tensor, t: int) -> Tensor:
        return sample(log_p, temperature=temperature, k=k, p=p, floor=floor, uniform=uniform[t, numbers])

    written = _write(model, source, lengths, end, constraints, draw, samples)
    return [written[first : first + samples] for first in range(0, len(written), samples)]


@torch.inference_mode()
def _write(
    model: EncoderDecoder,
    source: Tensor,
    lengths: Integers | None,
    end: int,
    constraints: Constraints,
    choose: Callable[[Tensor, Tensor, int], Tensor],
    samples: int = 1,
) -> list[Hypothesis]:
    """Write so many targets of each sentence; those that end leave the batch.

    choose: from log-probabilities (R, V), the rows' numbers (R,) among all B·samples and the step to tokens (R,).
    """
    lengths = lengths_of(source, lengths)
    sentence = torch.arange(len(source), device=source.device).repeat_interleave(samples)
    limits = cast(Limits, select_rows(limits_of(constraints, lengths, end), sentence))
    state = model.encode(source, lengths)
    if samples > 1:
        state = select_rows(state, sentence)
    number = torch.arange(len(sentence), device=source.device)
    written = number.new_empty(len(number), 0)
    of_tokens = torch.empty(len(number), 0, dtype=torch.double, device=source.device)
    last = torch.full_like(number, end)
    found: list[Hypothesis | None] = [None] * len(number)
    while len(number):
        hidden, state = model.read(last[:, None], state)
        log_p = constrain(next_log_probabilities(model, hidden), written, limits, constraints, end)
        last = choose(log_p, number, written.shape[1])
        of_tokens = torch.cat((of_tokens, log_p.gather(1, last[:, None])), 1)
        ended = last == end
        if bool(ended.any()):
            for row, tokens, values in zip(*(x[ended].tolist() for x in (number, written, of_tokens)), strict=True):
                found[row] = Hypothesis(tuple(tokens), total := sum(values), total, tuple(values))
            rows = (number, last, written, of_tokens, limits, state)
            number, last, written, of_tokens, limits, state = cast(Any, select_rows(rows, ~ended))
        written = torch.cat((written, last[:, None]), 1)
    return [y for y in found if y is not None]
