"""What each part of an input did to a decision: the decision with the part, less the decision without it.

Li, Monroe and Jurafsky 2016, "Understanding neural networks through representation erasure", arXiv:1612.08220. A
gradient says how much a decision would change with a part, an erasure by how much the part has raised or lowered it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from elman.arrays import Floats
from elman.lens.observe import evaluating
from elman.models.classifier import Classifier
from elman.models.tagger import Tagger
from elman.models.word_reader import PADDING

TOGETHER = 256  # sequences that are read at once
LEAST_P = 1e-30  # a probability that is 0 by rounding has a logarithm too

Decide = Callable[[Tensor], Tensor]
"""From the logits (B, K) of a classifier to the number (B,) that stands for its decision."""


def erase_steps(model: Classifier, inputs: Tensor, decide: Decide, stretches: int) -> Floats:
    """decide(x) − decide(x without some steps), (S,), of one sequence of tokens: inputs (T,), or (T, G) of n-grams.

    Each of S stretches of the steps is left out in turn: `stretches`, or T of a step each where there are fewer; see
    `stretch_edges`. A positive number spoke for the decision. A sequence of one step is compared with no steps.
    """
    T, edges = len(inputs), stretch_edges(len(inputs), stretches)
    steps = torch.arange(T)
    shorter, lengths = torch.zeros_like(inputs).repeat(len(edges) - 1, *[1] * inputs.dim()), []
    for row, (first, last) in enumerate(pairwise(edges)):
        kept = inputs[(steps < first) | (steps >= last)]
        shorter[row, : len(kept)] = kept
        lengths.append(len(kept))
    return _by(model, inputs, shorter, torch.tensor(lengths), decide)


def erase_channels(model: Classifier, values: Tensor, decide: Decide, stretches: int) -> tuple[Floats, Floats]:
    """The same of a series (T, C), whose values become 0: the mean of a channel that is standardised.

    Returns:
        What each channel did in each of S stretches of the steps (C, S), and in all steps together (C,). There are
        `stretches` of them, or T where there are fewer steps; `stretch_edges` has their ends.
    """
    T, C = values.shape
    edges = stretch_edges(T, stretches)
    S = len(edges) - 1
    erased = values.repeat(C * S + C, 1, 1)
    for channel in range(C):
        for at in range(S):
            erased[channel * S + at, edges[at] : edges[at + 1], channel] = 0.0
        erased[C * S + channel, :, channel] = 0.0
    effects = _by(model, values, erased, torch.full((len(erased),), T), decide)
    return effects[: C * S].reshape(C, S), effects[C * S :]


def stretch_edges(steps: int, stretches: int) -> list[int]:
    """The ends of stretches of steps that are as equal as can be, none of them empty.

    >>> stretch_edges(5, 2), stretch_edges(2, 9)
    ([0, 2, 5], [0, 1, 2])
    """
    return np.linspace(0, steps, min(steps, stretches) + 1).astype(int).tolist()


@torch.no_grad()
def _by(model: Classifier, whole: Tensor, erased: Tensor, lengths: Tensor, decide: Decide) -> Floats:
    """The decision of the whole sequence, less that of each of N sequences from which something is erased."""

    def of(inputs: Tensor, lengths: Tensor) -> Tensor:
        return decide(model.scores(inputs, lengths=lengths)[0].double())

    with evaluating(model):
        without = [of(*part) for part in zip(erased.split(TOGETHER), lengths.split(TOGETHER), strict=True)]
        return (of(whole[None], torch.tensor([len(whole)])) - torch.cat(without)).cpu().numpy()


class SentenceWords(NamedTuple):
    """The words (T,) of a sentence, spelled as the rows `spelling` (T,) of `characters` (U, C)."""

    words: Tensor
    spelling: Tensor
    characters: Tensor


@torch.no_grad()
def hide_words(model: Tagger, sentence: SentenceWords, unknown: int) -> Floats:
    """log p(y_t) − log p(y_t where word s is hidden), (T, T) at [t, s], of the best tags y of a sentence.

    A hidden word is the word `unknown`, of no characters. log p(y_t) is that of the tag by itself, under a CRF too.
    """
    T = len(sentence.words)
    hidden = torch.eye(T, dtype=torch.bool)
    nothing = torch.full_like(sentence.characters[:1], PADDING)
    words = sentence.words.masked_fill(hidden, unknown)
    spelling = sentence.spelling.masked_fill(hidden, len(sentence.characters))
    with evaluating(model):
        best, whole = _best(model, sentence)
        without = _log_p(model, words, spelling, torch.cat((sentence.characters, nothing)), best)
        return (whole - without).T.cpu().numpy()


@torch.no_grad()
def erase_characters(model: Tagger, sentence: SentenceWords) -> list[Floats]:
    """log p(y_t) − log p(y_t where word t is spelled without its character c), of each word the characters (C_t,).

    The word itself stays: of one that the tagger knows, its characters may do little.
    """
    U = len(sentence.characters)
    sizes = (sentence.characters[sentence.spelling] != PADDING).sum(1).tolist()
    places = [(t, c) for t, size in enumerate(sizes) for c in range(size)]
    rows = [torch.cat((row[:c], row[c + 1 :], row.new_full((1,), PADDING))) for t, c in places
            for row in [sentence.characters[sentence.spelling[t]]]]  # fmt: skip
    words, spelling = sentence.words.repeat(len(places), 1), sentence.spelling.repeat(len(places), 1)
    of = torch.tensor([t for t, _ in places])
    spelling[torch.arange(len(places)), of] = U + torch.arange(len(places))
    with evaluating(model):
        best, whole = _best(model, sentence)
        without = _log_p(model, words, spelling, torch.cat((sentence.characters, *(row[None] for row in rows))), best)
        effects = (whole[of] - without[torch.arange(len(places)), of]).cpu().numpy()
    return np.split(effects, np.cumsum(sizes)[:-1])


def _best(model: Tagger, sentence: SentenceWords) -> tuple[Tensor, Tensor]:
    """The best tags (T,) of a sentence, and log p (T,) of each."""
    words, spelling = sentence.words[None], sentence.spelling[None]
    lengths = torch.tensor([len(sentence.words)])
    best = model.best(model.scores(words, spelling, sentence.characters, lengths=lengths)[0], lengths)[0]
    return best, _log_p(model, words, spelling, sentence.characters, best)[0]


def _log_p(model: Tagger, words: Tensor, spelling: Tensor, characters: Tensor, tags: Tensor) -> Tensor:
    """log p (B, T) of tags (T,), each by itself, in each of B sentences of T words."""
    found = []
    for some, spelled in zip(words.split(TOGETHER), spelling.split(TOGETHER), strict=True):
        lengths = torch.full((len(some),), len(tags))
        p = model.distribution(model.scores(some, spelled, characters, lengths=lengths)[0], lengths)
        found.append(p.gather(2, tags.expand(len(some), -1)[..., None])[..., 0].clamp(min=LEAST_P).log())
    return torch.cat(found)
