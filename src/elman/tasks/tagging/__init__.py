"""Tagging: a tag for every token of a sentence."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from elman.errors import UserError
from elman.lazy import deferred
from elman.models.configuration import TAGGER_SETTINGS
from elman.settings import Section
from elman.tasks.exchange import Sources, Trained
from elman.tasks.places import one_or_two_files
from elman.tasks.tagging.settings import Evaluating, TaggingData, TaggingOptions, TaggingTraining
from elman.tasks.task import Task

if TYPE_CHECKING:
    from elman.data.tagged_corpus import TaggedCorpus
    from elman.models.tagger import Tagger
    from elman.tasks.configuration import Settings


class Tagging(Task):
    """A tag for every token, from the whole sentence or from the tokens up to it."""

    name = "tagging"
    title = "a tagger"
    synonyms = (
        "tagger pos upos ner chunking slots slot_filling sequence_labelling sequence_labeling token_classification"
    )
    reads = (
        "Tagged sentences: CoNLL or CoNLL-U, two files of tokens and tags line by line, JSON lines with tokens "
        "and tags, or a named source such as number-words-en."
    )
    target = "tag"
    sample = ("these", "sentences")
    data = TaggingData
    places: ClassVar[Mapping[str, Sequence[str]]] = {"source": ("target",), "valid": ("valid_target",)}
    models: ClassVar[Mapping[str, type[Section]]] = TAGGER_SETTINGS
    kind = "lstm"
    train = TaggingTraining
    options: ClassVar[Mapping[str, type[Section]]] = {"evaluate": Evaluating, "predict": TaggingOptions}
    codec_names = ("words", "characters", "tags", "layout")
    parts = ("tags", "decisions", "words", "gates", "transitions", "clipping")
    usage = """    import elman
    run = elman.load("{run}")
    run.predict([["a", "sentence"]])              # a list of tags for each list of tokens

    elman predict {run} FILE
    elman evaluate {run} FILE
"""
    whole = False
    batch = ("batch_words",)
    scores: ClassVar[Mapping[str, str]] = {"accuracy": "% right", "span_f1": "span F1"}
    ranking: ClassVar[Mapping[str, Literal["more", "less"]]] = {"span_f1": "more", "accuracy": "more"}

    corpus = deferred(".corpus.read")
    read_codecs = deferred(".corpus.read_codecs")
    choose = deferred(".sizing.choose")
    model_config = deferred(".sizing.model_config")
    operations = deferred(".sizing.operations")
    build = deferred(".sizing.build")
    begin = deferred(".sizing.begin")
    objective = deferred(".objective.tags")
    measure = deferred(".objective.measurement")
    evaluate = deferred(".evaluation.evaluate_tags")
    predict = deferred(".prediction.predict")
    listener = deferred(".listener.TagListener")
    recognises_network = deferred(".imported.recognises")
    adopt = deferred(".imported.adopt")
    watch = deferred(".watching.watch")
    looks = deferred(".looks.LOOKS")
    observe = deferred(".subject.open_sentences")

    def recognises(self, data: Sources, valid: Sources) -> str | None:
        """Files of tagged tokens, JSON lines of them, a named source of them."""
        from elman.data.structures import tagged_tokens

        return tagged_tokens(data)

    def files(self, data: Sources, valid: Sources) -> dict[str, Any]:
        """One file of tagged sentences, or one of tokens and one of tags, line by line."""
        return one_or_two_files(data, valid, "one file, or one of tokens and one of tags")

    def check(self, settings: Settings) -> None:
        """See that the sentences and the word vectors are there."""
        from elman.data.tagged_files import check_files
        from elman.data.vectors import read_words

        if vectors := getattr(settings.model, "vectors", None):
            read_words(vectors)
        for files in (settings.data.files, settings.data.validation_files):
            if files:
                check_files(files)

    def keys(self, run: Trained) -> Collection[str]:
        """Words, or a text."""
        return ("tokens", "text")

    def records(self, data: Any, targets: Any) -> Iterable[Mapping[str, Any]] | None:
        """Lists of tokens with as many lists of tags, or lines that have both."""
        if not isinstance(data, list | tuple) or not data:
            return None
        if targets is None:
            both = all(isinstance(line, Mapping) and {"tokens", "tags"} <= line.keys() for line in data)
            return data if both else None
        if not isinstance(targets, list | tuple) or not all(_are_words(each) for each in (*data, *targets)):
            return None
        if len(targets) != len(data):
            expected = f"as many lists of tags as there are sentences, {len(data):,}"
            raise UserError("targets", expected=expected, got=f"{len(targets):,}")
        return ({"tokens": tokens, "tags": names} for tokens, names in zip(data, targets, strict=True))

    def own(self, model: Any, config: Mapping[str, Any]) -> Tagger:
        """A person's own `Tagger`, or what their callable makes of the two sizes of vocabularies and the tags.

        Raises `UserError` for any other module.
        """
        from torch import nn

        from elman.models.tagger import Tagger

        sizes = config["word_vocab_size"], config["character_vocab_size"]
        made = model if isinstance(model, nn.Module) else model(*sizes, config["tags"])
        if not isinstance(made, Tagger):
            expected = "an elman.models.Tagger, or a callable that makes one of two sizes and the tags"
            raise UserError("model", expected=expected, got=type(made).__name__)
        return made

    def describe(self, corpus: TaggedCorpus) -> str:
        """How many sentences, words and tags."""
        scheme = f" ({corpus.tags.scheme})" if corpus.tags.scheme else ""
        return (
            f"{len(corpus.train):,} training and {len(corpus.valid):,} validation sentences, "
            f"{len(corpus.words):,} different words, {len(corpus.tags):,} different tags{scheme}"
        )

    def counts(self, corpus: TaggedCorpus) -> dict[str, int]:
        """Sentences, and different words, characters and tags."""
        return {
            "training_sentences": len(corpus.train),
            "validation_sentences": len(corpus.valid),
            "word_vocabulary": len(corpus.words),
            "character_vocabulary": len(corpus.characters),
            "tags": len(corpus.tags),
        }

    def training_targets(self, corpus: TaggedCorpus) -> int:
        """The tagged words of an epoch."""
        return sum(len(sentence.tags) for sentence in corpus.train)

    def as_measured(self, settings: Settings, measured: Settings) -> Settings:
        """With the dropout, which follows from the number of passes over the sentences."""
        names = [name for name in ("dropout", "dropout_output") if name in type(settings.model).model_fields]
        model = settings.model.model_copy(update={name: getattr(measured.model, name) for name in names})
        return settings.model_copy(update={"model": model})


def _are_words(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(word, str) for word in value)
