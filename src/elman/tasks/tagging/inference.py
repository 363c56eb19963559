"""Tags of sentences, many together or word by word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from elman.data.tagged import TaggedSentence
from elman.data.word_batches import evaluation_batches
from elman.state import State
from elman.tasks.exchange import Trained
from elman.tasks.hearing import read_pieces
from elman.tasks.tagging.objective import encode


class Said(NamedTuple):
    """What a tagger says of the T words of a sentence."""

    tags: list[str]
    probabilities: npt.NDArray[np.float64]  # (T, K): of each tag; of a CRF, the marginals


@torch.no_grad()
def tag_sentences(run: Trained, sentences: Sequence[Sequence[str]], batch_words: int) -> list[Said]:
    """What a tagger says of sentences, in their order; those without a word have no tag."""
    model, names = run.model, run.tags.names
    device = next(model.parameters()).device
    said = [Said([], np.zeros((0, len(names))))] * len(sentences)
    full = [at for at, tokens in enumerate(sentences) if tokens]
    encoded = encode([TaggedSentence(tuple(sentences[at]), ()) for at in full], run)
    for rows, found in evaluation_batches(encoded, batch_words):
        batch = found.to(device)
        scores, _ = model.scores(batch.words, batch.spelling, batch.characters, lengths=batch.lengths)
        best, shares = (
            model.best(scores, batch.lengths).tolist(),
            model.distribution(scores, batch.lengths).cpu().numpy(),
        )
        for row, n, tags, each in zip(rows.tolist(), batch.lengths.tolist(), best, shares, strict=True):
            said[full[row]] = Said([names[tag] for tag in tags[:n]], each[:n])
    return said


@torch.no_grad()
def tag_on(
    run: Trained, pieces: Sequence[Sequence[str]], states: Sequence[State | None]
) -> tuple[list[Said], list[State]]:
    """What a tagger says of the next words of sentences, a word or more of each, and the states after them.

    The state of a sentence that begins is None. Raises `UserError` for a model that needs the whole sentence.
    """
    run.model.refuse_steps()
    batch = encode([TaggedSentence(tuple(piece), ()) for piece in pieces], run).batch(np.arange(len(pieces)))
    batch = batch.to(next(run.model.parameters()).device)
    before = [run.model.initial_state(1) if state is None else state for state in states]

    def read(state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        return run.model.scores(batch.words, batch.spelling, batch.characters, state, lengths=lengths)

    scores, after = read_pieces(before, batch.lengths.tolist(), read)
    best, shares = run.model.best(scores, batch.lengths).tolist(), run.model.distribution(scores, batch.lengths)
    said = [
        Said([run.tags.symbol(tag) for tag in tags[:n]], each[:n])
        for tags, each, n in zip(best, shares.cpu().numpy(), batch.lengths.tolist(), strict=True)
    ]
    return said, after


class WordByWord:
    """Tags a sentence while it arrives. Raises `UserError` for a model that needs the whole sentence."""

    def __init__(self, run: Trained) -> None:
        run.model.refuse_steps()
        self._run = run
        self._state: State | None = None

    def end(self) -> None:
        """The next word begins a sentence."""
        self._state = None

    def tag(self, token: str) -> Said:
        """What the tagger says of the next word."""
        (said,), (self._state,) = tag_on(self._run, [[token]], [self._state])
        return said

    def sentence(self, tokens: Sequence[str]) -> Said:
        """What the tagger says of a sentence, word by word."""
        self.end()
        return joined([self.tag(token) for token in tokens], len(self._run.tags.names))


def joined(said: Sequence[Said], K: int) -> Said:
    """What is said of pieces of a sentence, one after the other."""
    shares = [np.zeros((0, K)), *(each.probabilities for each in said)]
    return Said([tag for each in said for tag in each.tags], np.concatenate(shares))
