"""Language modelling: a model that learns to go on with a text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from elman.errors import UserError
from elman.lazy import deferred
from elman.models.configuration import LANGUAGE_MODELS, TransformerSettings
from elman.settings import Section
from elman.tasks.exchange import NONE, Progress, Say, Sources, Trained, ValidationScores, fitting_tokenizer
from elman.tasks.language_modelling.settings import EvaluationOptions, TextSettings, TextTraining, WritingOptions
from elman.tasks.places import one_file
from elman.tasks.task import Task
from elman.wording import counted, percent

if TYPE_CHECKING:
    from elman.data.corpus import Corpus
    from elman.inspection import Subject
    from elman.models import LanguageModel
    from elman.tasks.configuration import Settings


class LanguageModelling(Task):
    """The next token of a text, from all before it."""

    name = "language-modelling"
    title = "a language model"
    synonyms = "lm language_model char_lm text generation generate"
    reads = "A text, a folder, JSON lines (.gz, .zst), or python-stdlib."
    data = TextSettings
    models: ClassVar[Mapping[str, type[Section]]] = LANGUAGE_MODELS
    kind = "lstm"
    train = TextTraining
    options: ClassVar[Mapping[str, type[Section]]] = {"evaluate": EvaluationOptions, "generate": WritingOptions}
    codec_names = ("tokenizer",)
    parts = ("gradients", "gates", "memory", "surprise", "attention", "truncation", "clipping")
    usage = """    import elman
    run = elman.load("{run}")
    logits, state = run.model(tokens, state)      # tokens (B, T); state=None is a fresh memory

    elman generate {run} "..."
    elman evaluate {run} TEXT
"""
    whole = False
    batch = ("lanes", "k1")
    scores: ClassVar[Mapping[str, str]] = {"bits_per_character": "bits/char"}

    choose = deferred(".sizing.choose")
    model_config = deferred(".sizing.model_config")
    operations = deferred(".sizing.operations")
    build = deferred("elman.models.build")
    objective = deferred(".objective.next_token")
    evaluate = deferred(".evaluation.evaluate_text")
    generate = deferred(".writing.write")
    watch = deferred(".watching.watch")
    listener = deferred(".listener.TextListener")
    looks = deferred("elman.inspection.LOOKS")
    recognises_network = deferred(".imported.recognises")
    adopt = deferred(".imported.adopt")
    memory = deferred(".measure.memory")
    decoding_speed = deferred(".measure.decoding_speed")

    def recognises(self, data: Sources, valid: Sources) -> str | None:
        """Any text; data that look like something else are refused."""
        from elman.data.recognition import check_text
        from elman.data.structures import lacks_key

        self.files(data, valid)
        if lacks_key(data[0], "text"):
            return None
        for place in (*data, *valid):
            check_text(place, f"--task {self.name} trains on its characters all the same")
        return f"{data[0]} holds text"

    def files(self, data: Sources, valid: Sources) -> dict[str, Any]:
        """One text, and perhaps another to validate on."""
        return one_file(data, valid, "one text", "--task translation")

    def check(self, settings: Settings) -> None:
        """See that the texts are there."""
        from elman.data.sources import open_source

        for source in (settings.data.source, settings.data.valid):
            if source is not None:
                open_source(source)

    def records(self, data: Any, targets: Any) -> Iterable[Mapping[str, Any]] | None:
        """Texts, each a document."""
        texts = isinstance(data, list | tuple) and bool(data) and all(isinstance(text, str) for text in data)
        return ({"text": text} for text in data) if texts and targets is None else None

    def corpus(
        self, settings: Settings, cache: Path, say: Say, progress: Progress | None, codecs: Mapping[str, Any] = NONE
    ) -> Corpus:
        """Texts as tokens."""
        from elman.data.corpus import MOST_UNKNOWN, prepare

        data = settings.data
        made = prepare(
            data.source,
            cache,
            valid=data.valid,
            tokenizer=codecs.get("tokenizer", data.tokenizer),
            max_vocab=data.vocab_size,
            min_count=data.min_count,
            expect=data.fingerprint or None,
            progress=progress,
        )
        if made.skipped:
            say(f"skipped {counted(made.skipped, 'file')} without UTF-8 text")
        for name, part in (("training", made.train), ("validation", made.valid)):
            if len(part) < 2:
                what = f"the {name} part of {data.source} is too short"
                raise UserError(what, expected="at least 2 tokens", got=len(part), remedy="give more text")
        if codecs and made.train.unknown > MOST_UNKNOWN * len(made.train):
            got = f"{percent(made.train.unknown / len(made.train))} that it does not know"
            expected = "text in the tokens of the run that it begins with"
            raise UserError(data.source, expected=expected, got=got, remedy="train a new model on it")
        model = settings.model
        asked = isinstance(model, TransformerSettings) and "window" in model.model_fields_set  # else one will be chosen
        if asked and model.window is None:
            say("warning: without a window the memory grows by an entry a step, to the epoch's end (--set window=256)")
        return made

    def describe(self, corpus: Corpus) -> str:
        """How many tokens."""
        return (
            f"{len(corpus.train):,} training and {len(corpus.valid):,} validation tokens, "
            f"{corpus.tokenizer.vocab_size:,} different"
        )

    def own(self, model: Any, config: Mapping[str, Any]) -> LanguageModel:
        """A language model as it is; any other module by the state contract."""
        from elman.models import LanguageModel
        from elman.models.own import OwnLanguageModel

        made = super().own(model, config)
        return made if isinstance(made, LanguageModel) else OwnLanguageModel(made, config["vocab_size"])

    def read_codecs(self, folder: Path, model: Any) -> Mapping[str, Any]:
        """The tokenizer."""
        return {"tokenizer": fitting_tokenizer(folder / "tokenizer.json", model.vocab_size)}

    def observe(self, run: Trained, data: Sources) -> Subject:
        """The model and a text."""
        from elman.tasks.language_modelling.subject import open_subject

        return open_subject(run, self.files(data, ())["source"] if data else None)

    def measure(self, model: LanguageModel, corpus: Corpus) -> ValidationScores:
        """In blocks of one window of the text."""
        from elman.tasks.language_modelling.losses import block_losses

        losses, targets = block_losses(model, corpus.valid, corpus.tokenizer.eod)
        bits = float(losses.sum() / targets.sum()) / math.log(2) * len(corpus.valid)
        return ValidationScores(losses, targets, {"bits_per_character": bits / max(corpus.valid.characters, 1)})

    def counts(self, corpus: Corpus) -> dict[str, int]:
        """Tokens."""
        parts = {"training_tokens": len(corpus.train), "validation_tokens": len(corpus.valid)}
        return {**parts, "vocabulary": corpus.tokenizer.vocab_size}

    def training_targets(self, corpus: Corpus) -> int:
        """The tokens of the training part."""
        return len(corpus.train)

    def as_measured(self, settings: Settings, measured: Settings) -> Settings:
        """With the measured precision, and the dropouts, which follow from the number of passes over the text."""
        dropouts = {name: value for name, value in measured.model if name.startswith("dropout")}
        train = settings.train.model_copy(update={"precision": measured.train.precision})
        return settings.model_copy(update={"train": train, "model": settings.model.model_copy(update=dropouts)})

    def attention_window(self, model: Section) -> tuple[int, int] | None:
        """A Transformer's, where it has one."""
        if isinstance(model, TransformerSettings) and model.window is not None:
            return model.window, model.num_layers
        return None
