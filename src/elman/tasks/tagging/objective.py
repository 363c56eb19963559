"""The tags of sentences as an objective."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from elman.data.lanes import NOT_COUNTED
from elman.data.spans import spans_of
from elman.data.tagged import TaggedSentence
from elman.data.tagged_corpus import TaggedCorpus
from elman.data.vocabulary import UNKNOWN, TagSet
from elman.data.word_batches import EncodedSentences, Vocabularies, WordBatches, evaluation_batches
from elman.distributed import ALONE, Ranks
from elman.metrics.sums import score_of_all
from elman.metrics.words import words
from elman.models.encoder import encoder_layers
from elman.models.tagger import Tagger
from elman.state import State
from elman.tasks.configuration import Settings
from elman.tasks.exchange import ValidationScores
from elman.train.objective import Loss, Place

if TYPE_CHECKING:
    from elman.arrays import Floats

EVALUATION_WORDS = 4096  # a batch


@dataclass
class Tags:
    """The objective of a tagger on tagged sentences (see `train.objective.Objective`).

    In training, a word is hidden from the tagger, which then knows its characters alone, with a probability that falls
    with how often the word occurs: `hidden` (V,), a / (a + n) (Kiperwasser and Goldberg 2016, arXiv:1603.04351). So the
    tagger learns what to do with words that it has never seen.
    """

    train: WordBatches
    valid: EncodedSentences
    references: Sequence[TaggedSentence]  # those of `valid`
    tags: TagSet
    hidden: Tensor
    unknown: int = UNKNOWN  # of the vocabulary of words
    k2: int | None = None
    metric: str = "accuracy"
    adaptive: None = field(default=None, init=False)
    ranks: Ranks = field(default=ALONE, init=False)

    def __post_init__(self) -> None:
        self.training_size, self.validation_size = self.train.sentences.targets, self.valid.targets

    def batches(self, epoch: int) -> int:
        """How many batches an epoch is cut into."""
        return self.train.count(epoch)

    def loss(self, model: nn.Module, place: Place, state: State | None) -> Loss:
        """Nats of a batch's tags, as a mean over its words."""
        model = cast(Tagger, model)
        batch = self.train.batch(place.epoch, place.batch)
        drawn = torch.rand(batch.words.shape) < self.hidden[batch.words]
        batch = batch._replace(words=batch.words.masked_fill(drawn, self.unknown)).to(next(model.parameters()).device)
        targets = int((batch.targets != NOT_COUNTED).sum())
        nats = model.loss(*batch, k2=self.k2).sum()
        mean = nats.to(torch.promote_types(nats.dtype, torch.float32)) / max(targets, 1)
        return Loss(mean, targets * self.train.counts(place.epoch, place.batch), None)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Loss, accuracy and, where the tags spell spans, their F1."""
        return evaluate(cast(Tagger, model), self.valid, self.references, self.tags, self.ranks)

    def cost(self, metrics: dict[str, float]) -> float:
        """The loss, or the chosen score with its sign turned."""
        value = metrics[self.metric]
        return value if self.metric == "loss" else -value

    def describe(self, metrics: dict[str, float]) -> str:
        """Loss, accuracy and F1."""
        forms = {"accuracy": "{:.2f} % right", "span_f1": "span F1 {:.2f}"}
        scores = [form.format(metrics[name]) for name, form in forms.items() if name in metrics]
        return ", ".join([f"{words(metrics['loss'])} nats a tag", *scores])

    def initial_state(self, model: nn.Module) -> None:
        """Nothing is carried from batch to batch."""

    def layers(self, model: nn.Module) -> Iterable[nn.Module]:
        """Those of the encoder; with k2, a longer batch calls them more often."""
        return encoder_layers(model) if self.k2 is None else ()

    def divide(self, ranks: Ranks) -> None:
        """Read the rows of this rank alone."""
        self.train.ranks, self.ranks = ranks, ranks.readers


def tags(settings: Settings, corpus: TaggedCorpus) -> Tags:
    """The objective of a training on a corpus."""
    train, counts = settings.train, torch.from_numpy(corpus.word_counts)
    hidden = (train.word_dropout / (train.word_dropout + counts)).nan_to_num_()
    hidden[counts == 0] = 0.0  # words of the vectors alone, and what is no word
    unknown = corpus.words.unknown
    if unknown is None:  # nothing can stand for a hidden word
        hidden.zero_()
    batches = WordBatches(encode(corpus.train, corpus), train.batch_words, train.seed)
    return Tags(
        batches,
        encode(corpus.valid, corpus),
        corpus.valid,
        corpus.tags,
        hidden.float(),
        unknown or UNKNOWN,
        train.k2,
        train.metric,
    )


def encode(sentences: Sequence[TaggedSentence], codecs: Any) -> EncodedSentences:
    """Sentences as numbers, by the codecs of a corpus or of a run."""
    return EncodedSentences(sentences, Vocabularies(codecs.words, codecs.characters, codecs.tags))


def evaluate(
    model: Tagger,
    part: EncodedSentences,
    references: Sequence[TaggedSentence],
    tags: TagSet,
    ranks: Ranks = ALONE,
) -> dict[str, float]:
    """Tag every sentence of a part; each rank tags its batches.

    Returns:
        `loss` in nats a tag, `accuracy`: how many of 100 tags are right, `tags`, and where tags spell spans `span_f1`:
        that of the spans, each of which is right as a whole or not at all. A tag that the model does not know counts as
        missed, and has no loss.
    """
    nats, counted, right, both, every = ranks.sums(*_count(model, part, references, tags, ranks).sum(0).tolist())
    size = int(part.lengths.sum())
    metrics = {"loss": nats / max(counted, 1), "accuracy": 100 * right / max(size, 1), "tags": size}
    if tags.scheme is not None:
        metrics["span_f1"] = 200 * both / max(every, 1)
    return {name: float(value) for name, value in metrics.items()}


def _count(
    model: Tagger, part: EncodedSentences, references: Sequence[TaggedSentence], tags: TagSet, ranks: Ranks = ALONE
) -> Floats:
    """Of each sentence (N, 5): nats, tags that have a loss, right tags, right spans, spans said and meant.

    The rows of sentences that another rank tags are 0.
    """
    counts = np.zeros((len(references), 5))
    for read in tagged(model, part, ranks=ranks):
        counts[read.rows, 0], counts[read.rows, 1] = read.nats, read.counts
        for row, said in zip(read.rows.tolist(), read.said, strict=True):
            names, meant = [tags.symbol(tag) for tag in said], references[row].tags
            counts[row, 2] = sum(a == b for a, b in zip(names, meant, strict=True))
            if tags.scheme is not None:
                found, wanted = (set(spans_of(each, tags.scheme)) for each in (names, meant))
                counts[row, 3:] = len(found & wanted), len(found) + len(wanted)
    return counts


class Read(NamedTuple):
    """A batch of sentences that a tagger has read."""

    rows: Any  # (B,) of the part
    nats: Floats  # (B,) of the targets of each sentence
    counts: Floats  # (B,) how many targets count
    said: list[list[int]]  # the best tags of each sentence


@torch.no_grad()
def tagged(
    model: Tagger, part: EncodedSentences, batch_words: int = EVALUATION_WORDS, ranks: Ranks = ALONE
) -> Iterator[Read]:
    """Every sentence of a part, the shortest first, or of this rank's batches of them."""
    device = next(model.parameters()).device
    for rows, found in evaluation_batches(part, batch_words, ranks):
        batch = found.to(device)
        scores, _ = model.scores(batch.words, batch.spelling, batch.characters, lengths=batch.lengths)
        nats = model.nats(scores, batch.targets, batch.lengths).double().cpu().numpy()
        counts = (batch.targets != NOT_COUNTED).sum(1).double().cpu().numpy()
        best = model.best(scores, batch.lengths).tolist()
        yield Read(rows, nats, counts, [row[:n] for row, n in zip(best, batch.lengths.tolist(), strict=True)])


def measurement(model: Tagger, corpus: TaggedCorpus) -> ValidationScores:
    """Of every validation sentence the nats, and the terms of the scores: right tags, right spans, and their wholes."""
    part = encode(corpus.valid, corpus)
    counts = _count(model, part, corpus.valid, corpus.tags)
    terms = {"accuracy": np.column_stack((100 * counts[:, 2], part.lengths.astype(np.float64)))}
    if corpus.tags.scheme is not None:
        terms["span_f1"] = np.column_stack((200 * counts[:, 3], counts[:, 4]))
    scores = {name: score_of_all(found) for name, found in terms.items()}
    return ValidationScores(counts[:, 0], counts[:, 1], scores, terms)
