"""Tags of sentences, many together or word by word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from elman.data.tagged import TaggedSentence
from elman.data.word_batches import evaluation_batches
from elman.state import State
from elman.tasks.tagging.objective import encode
from elman.tasks.task import Trained


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


class WordByWord:
    """Tags a sentence while it arrives. Raises `UserError` for a model that needs the whole sentence."""

    def __init__(self, run: Trained) -> None:
        run.model.refuse_steps()
        self._run = run
        self._state: State | None = None

    def end(self) -> None:
        """The next word begins a sentence."""
        self._state = None

    @torch.no_grad()
    def tag(self, token: str) -> Said:
        """What the tagger says of the next word."""
        run = self._run
        batch = encode([TaggedSentence((token,), ())], run).batch(np.zeros(1, np.int64))
        batch = batch.to(next(run.model.parameters()).device)
        scores, self._state = run.model.scores(batch.words, batch.spelling, batch.characters, self._state)
        best = int(run.model.best(scores, batch.lengths)[0, 0])
        return Said([run.tags.symbol(best)], run.model.distribution(scores, batch.lengths)[0].cpu().numpy())

    def sentence(self, tokens: Sequence[str]) -> Said:
        """What the tagger says of a sentence, word by word."""
        self.end()
        said = [self.tag(token) for token in tokens]
        shares = [np.zeros((0, len(self._run.tags.names))), *(each.probabilities for each in said)]
        return Said([each.tags[0] for each in said], np.concatenate(shares))
