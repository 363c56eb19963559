"""Classification: a class, a number, or several labels for a whole text or series."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from elman.errors import UserError
from elman.lazy import deferred
from elman.models.configuration import CLASSIFIER_SETTINGS
from elman.settings import Section
from elman.tasks.classification.settings import (
    ClassifierTraining,
    LabelledSettings,
    LabelOptions,
    ReadingOptions,
)
from elman.tasks.exchange import Codec, Sources, Trained
from elman.tasks.places import one_or_two_files
from elman.tasks.task import Task
from elman.wording import counted

if TYPE_CHECKING:
    from elman.data.labelled_corpus import LabelledCorpus
    from elman.tasks.configuration import Settings


class Classification(Task):
    """The label of a sequence of tokens or of a series' channels."""

    name = "classification"
    title = "a classifier"
    synonyms = "classifier classify labels labelling labeling regression regressor sentiment text_classification intent"
    reads = (
        "Labelled sequences: a table with text and label, JSON lines, texts and labels in two files, a folder for each "
        "label, a .ts, a table of series beside one of labels, or the named source digits."
    )
    target = "label"
    sample = ("these", "examples")
    data = LabelledSettings
    places: ClassVar[Mapping[str, Sequence[str]]] = {"source": ("target",), "valid": ("valid_target",)}
    models: ClassVar[Mapping[str, type[Section]]] = CLASSIFIER_SETTINGS
    kind = "gru"
    train = ClassifierTraining
    options: ClassVar[Mapping[str, type[Section]]] = {"evaluate": ReadingOptions, "predict": LabelOptions}
    codec_names = ("labels", "tokenizer", "scaler")
    parts = ("labels", "decisions", "inputs", "pooling", "gates", "clipping")
    usage = """    import elman
    run = elman.load("{run}")
    logits, state = run.model(inputs, lengths=lengths)     # tokens (B, T) or values (B, T, C) -> (B, K)
    run.predict(["a text", "another"])

    elman predict {run} FILE
    elman evaluate {run} DATA
"""
    whole = True
    batch = ("batch_size",)
    scores: ClassVar[Mapping[str, str]] = {
        "accuracy": "% right",
        "macro_f1": "macro F1",
        "exact_match": "% exact",
        "mae": "mean error",
        "correlation": "correlation",
    }
    ranking: ClassVar[Mapping[str, Literal["more", "less"]]] = {
        "accuracy": "more",
        "exact_match": "more",
        "mae": "less",
    }

    corpus = deferred(".corpus.read")
    choose = deferred(".sizing.choose")
    model_config = deferred(".sizing.model_config")
    operations = deferred(".sizing.operations")
    build = deferred("elman.models.classifier.build_classifier")
    objective = deferred(".objective.sequence_labels")
    evaluate = deferred(".evaluation.evaluate_labels")
    measure = deferred(".evaluation.measurement")
    predict = deferred(".prediction.predict")
    listener = deferred(".listener.LabelListener")
    recognises_network = deferred(".imported.recognises")
    adopt = deferred(".imported.adopt")
    watch = deferred(".watching.watch")
    looks = deferred(".looks.LOOKS")
    observe = deferred(".subject.open_labelled")

    def recognises(self, data: Sources, valid: Sources) -> str | None:
        """Texts or series with a label each."""
        from elman.data import structures

        return structures.labelled(data)

    def files(self, data: Sources, valid: Sources) -> dict[str, Any]:
        """One file or folder, or two files: sequences and their labels."""
        return one_or_two_files(data, valid, "one file, or two: sequences and their labels")

    def check(self, settings: Settings) -> None:
        """See that the files are there, and that the model is one of ours, whose labels can be calibrated."""
        from elman.data.labelled_files import check_places
        from elman.tasks.configuration import OWN

        if settings.kind == OWN:
            raise UserError("model", expected=f"one of {', '.join(self.models)} for {self.name}", got="one's own")
        for files in (settings.data.files, settings.data.validation_files):
            if files:
                check_places(files)

    def keys(self, run: Trained) -> Collection[str]:
        """The names of the columns of texts and of series."""
        from elman.tasks.classification.corpus import columns_of

        names = columns_of(run)
        return (names.text, names.values)

    def records(self, data: Any, targets: Any) -> Iterable[Mapping[str, Any]] | None:
        """Texts or series and their labels, or as many rows of a table that has such columns."""
        from elman.data.labelled import records

        return records(data, targets)

    def describe(self, corpus: LabelledCorpus) -> str:
        """How many examples, and of what."""
        codec, tokenizer = corpus.labels, corpus.tokenizer
        labels = {"class": f"{codec.size:,} classes", "several": f"{codec.size:,} labels", "number": "a number each"}
        channels = 0 if corpus.scaler is None else corpus.scaler.channels
        of = counted(channels, "channel") if tokenizer is None else f"{tokenizer.vocab_size:,} tokens"
        return (
            f"{len(corpus.train):,} training and {len(corpus.valid):,} validation examples, {labels[codec.kind]}, {of}"
        )

    def codecs(self, corpus: LabelledCorpus) -> Mapping[str, Codec]:
        """The labels, and the tokenizer of texts or the scale of series."""
        found = {name: getattr(corpus, name) for name in self.codec_names}
        return {name: codec for name, codec in found.items() if codec is not None}

    def read_codecs(self, folder: Path, model: Any) -> Mapping[str, Any]:
        """Those of `codecs`, which fit the model."""
        from elman.tasks.classification.corpus import read_codecs

        return read_codecs(folder, model)

    def counts(self, corpus: LabelledCorpus) -> dict[str, int]:
        """Examples, labels, and different tokens or channels."""
        sizes = {"tokenizer": "vocabulary", "scaler": "channels"}
        inputs = corpus.tokenizer.vocab_size if corpus.tokenizer else corpus.scaler.channels if corpus.scaler else 0
        return {
            "training_examples": len(corpus.train),
            "validation_examples": len(corpus.valid),
            "labels": corpus.labels.size,
            sizes["scaler" if corpus.tokenizer is None else "tokenizer"]: inputs,
        }

    def training_targets(self, corpus: LabelledCorpus) -> int:
        """The examples of an epoch, each of which has one label, or one set of labels."""
        return len(corpus.train)

    def as_measured(self, settings: Settings, measured: Settings) -> Settings:
        """With the dropout, which follows from the number of passes over the examples."""
        names = [name for name in type(settings.model).model_fields if name.startswith("dropout")]
        dropouts = {name: getattr(measured.model, name) for name in names}
        return settings.model_copy(update={"model": settings.model.model_copy(update=dropouts)})


__all__ = ["Classification"]
