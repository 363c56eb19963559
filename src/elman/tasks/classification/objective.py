"""Labels as an objective: of each sequence its class, its number, or several labels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.data.example_batches import ExampleBatches
from elman.data.labelled_corpus import Examples, LabelledCorpus
from elman.data.labels import LabelCodec
from elman.distributed import ALONE, Ranks
from elman.metrics.words import words
from elman.models.classifier import Classifier
from elman.models.encoder import encoder_layers
from elman.state import State
from elman.tasks.classification.evaluation import calibrate, measure, read_logits
from elman.tasks.classification.settings import ClassifierTraining
from elman.tasks.configuration import Settings
from elman.train.objective import Loss, Place

FORMS = {
    "accuracy": "{:.2f} % right",
    "exact_match": "{:.2f} % exact",
    "macro_f1": "macro F1 {:.2f}",
    "mae": "mean error {:.4g}",
    "correlation": "correlation {:.3f}",
}


@dataclass
class SequenceLabels:
    """The objective of a classifier (see `train.objective.Objective`): negative log-likelihoods, in nats an example.

    Of a class it is the cross entropy, of several labels the sum of theirs, of a number that of a Gaussian around the
    output. Before each validation's metrics, the temperature and the thresholds are fitted, which are buffers of the
    model. `weights` (K,) are those of classes, or of the examples that have a label of several.
    """

    train: ExampleBatches
    valid: Examples
    labels: LabelCodec
    settings: ClassifierTraining
    unknown: int | None = None  # the token of what is unknown
    weights: Tensor | None = None
    adaptive: None = field(default=None, init=False)
    ranks: Ranks = field(default=ALONE, init=False)

    def __post_init__(self) -> None:
        self.training_size, self.validation_size = len(self.train.examples), len(self.valid)
        self.metric: str = self.settings.metric

    def batches(self, epoch: int) -> int:
        """How many batches an epoch has."""
        return self.train.count(epoch)

    def loss(self, model: nn.Module, place: Place, state: State | None) -> Loss:
        """The mean over a batch."""
        batch = self.train.batch(place.epoch, place.batch).to(next(model.parameters()).device)
        assert batch.targets is not None
        inputs = self._dropped(batch.inputs)
        logits, _ = cast(Classifier, model).scores(inputs, lengths=batch.lengths, k2=self.settings.k2)
        targets = len(batch.targets) * self.train.counts(place.epoch, place.batch)
        exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return Loss(self._mean(exact, batch.targets), targets, None)

    def _dropped(self, inputs: Tensor) -> Tensor:
        """Tokens (B, T), or n-grams of words (B, T, G), of which some are unknown; values (B, T, C) as they are."""
        if self.unknown is None:
            return inputs
        settings, device = self.settings, inputs.device
        if settings.word_dropout:
            words = torch.rand(inputs.shape[:2], device=device) < settings.word_dropout
            inputs = inputs.masked_fill(words.unsqueeze(2) if inputs.dim() == 3 else words, self.unknown)
        if settings.ngram_dropout and inputs.dim() == 3:
            inputs = inputs.masked_fill(torch.rand(inputs.shape, device=device) < settings.ngram_dropout, self.unknown)
        return inputs

    def _mean(self, logits: Tensor, targets: Tensor) -> Tensor:
        weights = None if self.weights is None else self.weights.to(logits.device)
        if self.labels.kind == "number":
            return (0.5 * (logits[:, 0] - targets) ** 2).mean() + 0.5 * math.log(2 * math.pi)
        if self.labels.kind == "several":
            every = F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights, reduction="none")
            return every.sum(1).mean()
        every = F.cross_entropy(logits, targets, reduction="none", label_smoothing=self.settings.label_smoothing)
        return (every if weights is None else every * weights[targets]).mean()

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The model is calibrated on the validation set; then its metrics there."""
        classifier = cast(Classifier, model)
        logits = read_logits(classifier, self.valid, ranks=self.ranks)
        calibrate(classifier, logits, self.valid)
        return measure(classifier, self.labels, logits, self.valid)

    def cost(self, metrics: dict[str, float]) -> float:
        """The loss or the error, or the chosen score with its sign turned."""
        value = metrics[self.metric]
        return value if self.metric in ("loss", "mae") else -value

    def describe(self, metrics: dict[str, float]) -> str:
        """Loss and scores."""
        scores = [form.format(metrics[name]) for name, form in FORMS.items() if name in metrics]
        return ", ".join([f"{words(metrics['loss'])} nats a label", *scores])

    def initial_state(self, model: nn.Module) -> None:
        """Nothing is carried from batch to batch."""

    def layers(self, model: nn.Module) -> Iterable[nn.Module]:
        """Those of the encoder; with k2, a longer batch calls them more often."""
        return encoder_layers(model) if self.settings.k2 is None else ()

    def divide(self, ranks: Ranks) -> None:
        """Read the rows of this rank alone."""
        self.train.ranks, self.ranks = ranks, ranks.readers


def sequence_labels(settings: Settings, corpus: LabelledCorpus) -> SequenceLabels:
    """The objective of a training on a corpus."""
    train = settings.train
    batches = ExampleBatches(corpus.train, train.batch_size, seed=train.seed)
    unknown = None if corpus.tokenizer is None else corpus.tokenizer.unk
    weights = balanced(corpus.labels, len(corpus.train)) if train.class_weights == "balanced" else None
    return SequenceLabels(batches, corpus.valid, corpus.labels, train, unknown, weights)


def balanced(labels: LabelCodec, examples: int) -> Tensor:
    """Weights (K,) that make every class count the same, 1 for the mean example.

        class      N / (K n_k)
        several    (N − n_k) / n_k, of the examples that have the label

    n_k of N examples have the label k.
    """
    counts = np.maximum(labels.counts, 1)
    rest = examples - counts if labels.kind == "several" else np.full(len(counts), examples / len(counts))
    return torch.from_numpy((rest / counts).astype(np.float32))
