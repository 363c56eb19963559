"""The targets of many sources, read and written side by side: states of single rows go in and come out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from elman.decode.hypotheses import log_probabilities
from elman.models.encoder_decoder import EncoderDecoder
from elman.state import State, concatenate, row_of, select_rows
from elman.tasks.translation.targets import DrawnTokens, TargetWriter

STEPS = 8  # tokens of a target that are written in a round


class TargetMemory(NamedTuple):
    """The state of a session's target: all tokens were read, and the first `<eod>` before them."""

    decoder: State  # that knows the source
    hidden: Tensor  # (1, R) after the last token
    alignment: Tensor  # (1, S, 1): the attention of the step that writes the next token; (1, 0, 1) without attention

    @property
    def stepwise(self) -> tuple[str, ...]:
        """What has an entry for each token of the source."""
        return ("alignment",)


class TargetRows:
    """An encoder-decoder in eval mode, whose targets begin and end with the token `end`, and have none of `banned`."""

    def __init__(self, model: EncoderDecoder, end: int, banned: Sequence[int]) -> None:
        self.model, self.end = model, end
        self.device = next(model.parameters()).device
        self.banned = torch.tensor(banned, dtype=torch.long, device=self.device)

    @torch.no_grad()
    def encode(self, sources: Sequence[Sequence[int]]) -> list[TargetMemory]:
        """The states after sources, each with its end, and the beginning of their targets."""
        lengths = torch.tensor([len(source) for source in sources], device=self.device)
        padded = pad_sequence([torch.tensor(source) for source in sources], batch_first=True).to(self.device)
        step = self._step(torch.full_like(lengths, self.end), self.model.encode(padded, lengths))
        return [_row(step, row, size, size) for row, size in enumerate(lengths.tolist())]

    @torch.no_grad()
    def go_on(self, state: TargetMemory, tokens: Sequence[int]) -> TargetMemory:
        """The state of one target after further tokens, which are read together; where there is none, the same."""
        if not tokens:
            return state
        hidden, weights, decoder = self.model.read_aligned(torch.tensor([tokens], device=self.device), state.decoder)
        alignment = state.alignment if weights is None else weights[:, -1, :, None].clone()
        return TargetMemory(decoder, hidden[:, -1].clone(), alignment)

    def _step(self, tokens: Tensor, decoder: State) -> TargetMemory:
        """Read a token of each row (B,)."""
        hidden, weights, after = self.model.read_aligned(tokens[:, None], decoder)
        alignment = hidden.new_zeros(len(tokens), 0, 1) if weights is None else weights[:, 0, :, None]
        return TargetMemory(after, hidden[:, 0], alignment)

    @torch.no_grad()
    def write(self, writers: Sequence[TargetWriter], states: Sequence[TargetMemory]) -> list[DrawnTokens]:
        """The next tokens of each target, at most `STEPS`, and the states after them; no writer knows of them yet."""
        drawn, rows = [DrawnTokens(state) for state in states], list(range(len(states)))
        hidden = torch.cat([state.hidden for state in states])
        step = TargetMemory(concatenate([state.decoder for state in states]), hidden, hidden.new_zeros(len(rows), 0, 1))
        alignments = [state.alignment[0, :, 0] for state in states]

        def part(stay: Sequence[bool]) -> None:
            """Let rows leave the batch with their states, which know the tokens that were drawn."""
            nonlocal rows, step
            for at, row in enumerate(rows):
                if not stay[at] and drawn[row].ids:
                    steps, before = 1 + writers[row].known + len(drawn[row].ids), states[row]
                    drawn[row].state = _row(step, at, steps, len(alignments[row]), before)
            if not all(stay):
                left = torch.tensor([at for at, stays in enumerate(stay) if stays], dtype=torch.long)
                rows, step = (
                    [rows[at] for at in left.tolist()],
                    cast(TargetMemory, select_rows(step, left.to(self.device))),
                )

        for _ in range(STEPS):
            log_p = log_probabilities(self.model.output(step.hidden))
            able = log_p.index_fill(1, self.banned, -torch.inf)
            part(
                [
                    writers[row].draw(drawn[row], log_p[at], able[at], alignments[row], self.end)
                    for at, row in enumerate(rows)
                ]
            )
            if rows:
                tokens = torch.tensor([drawn[row].ids[-1] for row in rows], device=self.device)
                step = self._step(tokens, step.decoder)
                for at, row in enumerate(rows):
                    alignments[row] = step.alignment[at, : len(alignments[row]), 0]
                part([len(drawn[row].ids) < writers[row].left for row in rows])
            if not rows:
                break
        part([False] * len(rows))
        return drawn


def _row(step: TargetMemory, row: int, steps: int, source: int, before: TargetMemory | None = None) -> TargetMemory:
    """A copy of one row, with so many steps of its target and tokens of its source; the source's part is `before`'s."""
    decoder = row_of(step.decoder, row, steps, None if before is None else before.decoder)
    return TargetMemory(decoder, step.hidden[row : row + 1].clone(), step.alignment[row : row + 1, :source].clone())
