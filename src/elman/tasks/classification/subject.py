"""The subject of the microscope in classification: a model, the same model before its training, and examples."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from elman.arrays import Floats
from elman.data.example_batches import ExampleBatch, example_batch
from elman.data.labelled_corpus import Examples
from elman.data.labels import Label, LabelCodec
from elman.data.ngrams import TextCodec
from elman.data.scaler import ChannelScaler
from elman.errors import UserError
from elman.inspection.look import Observed
from elman.inspection.untrained import untrained
from elman.models.classifier import Classifier, build_classifier
from elman.tasks.classification import corpus
from elman.tasks.classification.evaluation import read_logits, say_labels
from elman.tasks.classification.prediction import text as label_text
from elman.tasks.configuration import Settings, named
from elman.tasks.exchange import Sources, Trained

SHOWN = 8  # examples that are drawn
MOST_STEPS = 200  # of an example that is drawn
MEASURED = 256  # examples that are measured


@dataclass(frozen=True)
class LabelledSubject(Observed):
    """A run's classifier, the same model before its training, and examples with the logits (N, K) of the first."""

    model: Classifier
    fresh: Classifier
    labels: LabelCodec
    tokenizer: TextCodec | None
    scaler: ChannelScaler | None
    examples: Examples
    logits: Floats

    @property
    def said(self) -> list[Label]:
        """The model's labels."""
        return say_labels(self.model, self.labels, self.logits)

    def batch(self, rows: Sequence[int]) -> ExampleBatch:
        """Some of the examples."""
        return example_batch(self.examples, np.array(rows))

    def measured_rows(self) -> list[int]:
        """Examples that are measured, evenly spread; none of a class that the model does not know."""
        rows = np.flatnonzero(self.known)
        return rows[np.unique(np.linspace(0, len(rows) - 1, MEASURED).astype(int))].tolist()

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Whether the label of each example (N,) is one that the model knows."""
        assert self.examples.targets is not None
        targets = self.examples.targets
        return targets >= 0 if self.labels.kind == "class" else np.ones(len(targets), bool)

    def shown(self) -> list[int]:
        """Examples to draw, short enough for a picture: of each label where there are so many, and some mistaken."""
        assert self.examples.labels is not None
        fitting = np.flatnonzero(self.known & (self.examples.lengths <= MOST_STEPS))
        if not len(fitting):
            fitting = np.flatnonzero(self.known)[:SHOWN]
        first: dict[Label, int] = {}
        for row in fitting.tolist():
            first.setdefault(self.examples.labels[row], row)
        said = self.said
        mistaken = [row for row in fitting.tolist() if said[row] != self.examples.labels[row]]
        rows = dict.fromkeys(
            [*[*first.values()][: SHOWN // 2], *mistaken[: SHOWN // 4], *first.values(), *fitting.tolist()]
        )
        return sorted([*rows][:SHOWN])

    def short_title(self, row: int) -> str:
        """What an example is, and whether the model says so."""
        assert self.examples.labels is not None
        truth, said = label_text(self.examples.labels[row]), label_text(self.said[row])
        return f"{truth} {'✓' if truth == said else '✗'}"

    def title(self, row: int) -> str:
        """What an example is, and what the model says."""
        assert self.examples.labels is not None
        truth, said = label_text(self.examples.labels[row]), label_text(self.said[row])
        return f"{truth or 'nothing'}, {'rightly ' * (truth == said)}called {said or 'nothing'}"

    def pieces(self, row: int) -> list[str]:
        """The tokens of an example of text, as people see them."""
        assert self.tokenizer is not None
        space = " " * (self.tokenizer.kind in ("word", "ngrams"))
        return [symbol + space for symbol in corpus.symbols(self.tokenizer, self.examples, row)]


def open_labelled(run: Trained, data: Sources) -> LabelledSubject:
    """A run with the examples of `data`, or of its validation. Raises `UserError` where there are none."""
    settings = run.settings
    if data:
        examples = corpus.examples(run, data, lambda line: None)
        name = " and ".join(Path(named(str(place), run.path)).name for place in data)
    else:
        examples, name = _validation(run, settings)
    train = None if settings is None else settings.train
    fresh_name, fresh = untrained(partial(build_classifier, run.model.config), train)
    with torch.no_grad():
        logits = read_logits(run.model, examples)
    subject = LabelledSubject(
        run.path,
        run.model,
        fresh,
        fresh_name,
        [("examples", name), ("number of examples", f"{len(examples):,}")],
        {"data": name, "untrained": fresh_name},
        run.labels,
        run.codecs.get("tokenizer"),
        run.codecs.get("scaler"),
        examples,
        logits,
    )
    if not subject.known.any():
        expected = f"some of the labels {', '.join(run.labels.names[:5])}"
        raise UserError(f"{name} does not fit the run", expected=expected, got="none that the model knows")
    return subject


def _validation(run: Trained, settings: Settings | None) -> tuple[Examples, str]:
    """The examples that the run was validated on, and their name."""
    if settings is None:
        raise UserError(f"{run.path} does not say which data it was trained on", remedy="give labelled examples")
    data = settings.data
    place = " and ".join(Path(named(name, run.path)).name for name in data.validation_files or data.files)
    with tempfile.TemporaryDirectory(prefix="elman-") as cache:
        made = corpus.read(settings, Path(cache), lambda line: None, None, run.codecs)
    return made.valid, place if data.valid else f"the validation part of {place}"
