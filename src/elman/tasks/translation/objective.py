"""The tokens of a target as an objective, each from the source and the tokens before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.data.batches import PairBatch, PairPart, TokenBatches, evaluation_batches
from elman.data.lanes import NOT_COUNTED
from elman.data.pair_corpus import ParallelCorpus
from elman.distributed import ALONE, Ranks
from elman.metrics.likelihood import perplexity
from elman.metrics.translation import has_phrases
from elman.metrics.words import words
from elman.models import EncoderDecoder
from elman.nn.output_loss import output_loss
from elman.state import State
from elman.tasks.configuration import Settings
from elman.train.objective import Loss, Place

if TYPE_CHECKING:
    from elman.arrays import Floats

EVALUATION_TOKENS = 4096  # a batch


@dataclass
class TargetTokens:
    """The objective of an encoder-decoder on pairs (see `train.objective.Objective`).

    Teacher forcing: a step reads the true token before it (Williams and Zipser 1989). With `scheduled_sampling` p, it
    reads the model's own last choice instead with a probability that rises from 0 to p over the budget (Bengio et al.
    2015); the choices are those of a first pass over the true tokens, all steps at once (Mihaylova and Martins 2019;
    Duckworth et al. 2019). `label_smoothing` e takes e of the probability from the true token and gives it to all
    alike (Szegedy et al. 2016). `scores` measures the texts that a model writes: BLEU, exact matches, and so on.
    """

    train: TokenBatches
    valid: PairPart
    label_smoothing: float = 0.0
    scheduled_sampling: float = 0.0
    metric: str = "loss"
    scores: Callable[[EncoderDecoder, Ranks], dict[str, float]] | None = None
    adaptive: None = field(default=None, init=False)
    ranks: Ranks = field(default=ALONE, init=False)

    def __post_init__(self) -> None:
        self.training_size, self.validation_size = map(count_targets, (self.train.part.epoch(0), self.valid))

    def batches(self, epoch: int) -> int:
        """How many batches an epoch is cut into."""
        return self.train.count(epoch)

    def loss(self, model: nn.Module, place: Place, state: State | None) -> Loss:
        """Mean smoothed cross entropy, in nats a target token, of a batch."""
        model = cast(EncoderDecoder, model)
        batch = self.train.batch(place.epoch, place.batch).to(next(model.parameters()).device)
        begin = model.encode(batch.source, batch.source_lengths)
        p = self.scheduled_sampling * min(place.progress, 1.0)
        inputs = own_choices(model, batch.inputs, begin, p) if p else batch.inputs
        hidden, _ = model.read(inputs, begin)  # (B, T, H); padding is read after all tokens that count
        mean = output_loss(model.output_layer, hidden, batch.targets, self.label_smoothing)
        counts = self.train.counts(place.epoch, place.batch)
        return Loss(mean, int((batch.targets != NOT_COUNTED).sum()) * counts, None)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Loss and accuracy token by token, and the scores of the texts that the model writes."""
        model = cast(EncoderDecoder, model)
        return evaluate(model, self.valid, self.ranks) | (self.scores(model, self.ranks) if self.scores else {})

    def cost(self, metrics: dict[str, float]) -> float:
        """The loss, or the chosen score with its sign turned."""
        value = metrics[self.metric]
        return value if self.metric == "loss" else -value

    def describe(self, metrics: dict[str, float]) -> str:
        """Loss, accuracy and scores."""
        forms = {"bleu": "BLEU {:.2f}", "chrf": "chrF {:.2f}", "exact_match": "{:.2f} % exact"}
        if metrics.get("bleu") == 0 and not has_phrases(reference for _, reference in self.valid.texts()):
            del forms["bleu"]
        scores = [text.format(metrics[name]) for name, text in forms.items() if name in metrics]
        return ", ".join([f"{words(metrics['loss'])} nats a token, {metrics['accuracy']:.2f} % right", *scores])

    def initial_state(self, model: nn.Module) -> None:
        """Nothing is carried from batch to batch."""

    def layers(self, model: nn.Module) -> Iterable[nn.Module]:
        """Those of the encoder and of the decoder; input feeding calls a decoder's layers once a token."""
        fed = getattr(model, "input_feeding", False)
        return [*cast(Any, model).encoder, *(() if fed else cast(Any, model).decoder)]

    def divide(self, ranks: Ranks) -> None:
        """Read the rows of this rank alone."""
        self.train.ranks, self.ranks = ranks, ranks.readers


def target_tokens(settings: Settings, corpus: ParallelCorpus) -> TargetTokens:
    """The objective of a training on a corpus."""
    from elman.tasks.translation.evaluation import greedy_scores  # and the search, which evaluates by this module

    train, valid = settings.train, corpus.valid
    sentences = train.validation_sentences
    scores = partial(greedy_scores, corpus=corpus, sentences=sentences) if sentences else None
    batches = TokenBatches(corpus.train, train.batch_tokens, seed=train.seed)
    return TargetTokens(batches, valid, train.label_smoothing, train.scheduled_sampling, train.metric, scores)


def count_targets(part: PairPart) -> int:
    """The target tokens of a part, `<eod>` among them."""
    return int(part.target_lengths.sum()) + len(part)


def evaluate(model: EncoderDecoder, part: PairPart, ranks: Ranks = ALONE) -> dict[str, float]:
    """Predict every target token of a part from the true ones before it; each rank reads its batches.

    Returns:
        `loss` in nats a token, `perplexity`, `accuracy`: how many of 100 tokens were the most probable, and `tokens`.
    """
    _, nats, counts, right = (float(column.sum()) for column in ranks.columns(_by_batch(model, part, ranks)))
    loss = nats / counts
    return {"loss": loss, "perplexity": perplexity(loss), "accuracy": 100 * right / counts, "tokens": int(counts)}


def pair_losses(model: EncoderDecoder, part: PairPart) -> tuple[Floats, Floats]:
    """Nats (N,) of every pair, and how many tokens its target has."""
    parts = zip(*_by_batch(model, part), strict=True)
    rows, nats, counts, _ = (np.concatenate(column) for column in parts)
    order = np.argsort(rows)
    return nats[order], counts[order]


@torch.no_grad()
def _by_batch(model: EncoderDecoder, part: PairPart, ranks: Ranks = ALONE) -> Iterator[tuple[Any, ...]]:
    """The rows (B,) of each batch in the part, and of each row the nats, the tokens, and the tokens predicted right."""
    device = next(model.parameters()).device
    for rows, pairs in evaluation_batches(part, EVALUATION_TOKENS, ranks):
        batch: PairBatch = pairs.to(device)
        hidden, _ = model.read(batch.inputs, model.encode(batch.source, batch.source_lengths))
        counted = batch.targets != NOT_COUNTED  # (B, T)
        logits, wanted = model.output(hidden[counted]), batch.targets[counted]  # (N, V), (N,)
        exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
        nats = torch.zeros(counted.shape, dtype=torch.float64, device=device)
        nats[counted] = F.cross_entropy(exact, wanted, reduction="none").double()
        right = counted.masked_scatter(counted, logits.argmax(-1) == wanted)
        yield rows, *(found.double().sum(1).cpu().numpy() for found in (nats, counted, right))


@torch.no_grad()
def own_choices(model: EncoderDecoder, inputs: Tensor, begin: State, p: float) -> Tensor:
    """inputs (B, T), each token but the first replaced with probability p by the model's most probable token."""
    hidden, _ = model.read(inputs, begin)
    choices = model.output(hidden[:, :-1]).argmax(-1)  # (B, T−1)
    replaced = torch.rand(choices.shape, device=choices.device) < p
    return torch.cat((inputs[:, :1], torch.where(replaced, choices, inputs[:, 1:])), dim=1)
