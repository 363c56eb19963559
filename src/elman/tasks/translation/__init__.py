"""Translation: an encoder-decoder that learns to turn a source into a target."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from elman.errors import UserError
from elman.lazy import deferred
from elman.models.configuration import ENCODER_DECODER_SETTINGS
from elman.settings import Section
from elman.tasks.exchange import Sources, Trained, fitting_tokenizer
from elman.tasks.places import one_or_two_files
from elman.tasks.task import Task
from elman.tasks.translation.settings import Decoding, PairSettings, PairTraining, PredictionOptions

if TYPE_CHECKING:
    from elman.arrays import Floats
    from elman.data.pair_corpus import ParallelCorpus
    from elman.tasks.configuration import Settings


class Translation(Task):
    """Each token of a target, from its source and the tokens before it."""

    name = "translation"
    title = "a translation model"
    synonyms = "seq2seq encoder_decoder nmt mt pairs translate translator"
    reads = (
        "Pairs to translate: two files line by line, a .tsv, JSON lines with source and target, or a named source such "
        "as numbers-en."
    )
    sample = ("these", "pairs")
    data = PairSettings
    places: ClassVar[Mapping[str, Sequence[str]]] = {"source": ("target",), "valid": ("valid_target",)}
    models: ClassVar[Mapping[str, type[Section]]] = ENCODER_DECODER_SETTINGS
    kind = "lstm"
    train = PairTraining
    options: ClassVar[Mapping[str, type[Section]]] = {"evaluate": Decoding, "predict": PredictionOptions}
    watch_lag = 1
    codec_names = ("source_tokenizer", "target_tokenizer")
    parts = ("alignments", "source", "heads", "clipping")
    usage = """    import elman
    run = elman.load("{run}")
    state = run.model.encode(source, lengths)     # source (B, S), each ending with <eod>
    logits, state = run.model(tokens, state)      # tokens (B, T), beginning with <eod>

    elman predict {run} FILE
    elman evaluate {run} SOURCES TARGETS
"""
    batch = ("batch_tokens",)
    scores: ClassVar[Mapping[str, str]] = {"exact_match": "% exact", "bleu": "BLEU", "chrf": "chrF"}
    ranking: ClassVar[Mapping[str, Literal["more", "less"]]] = {"bleu": "more", "exact_match": "more"}
    terms: ClassVar[Mapping[str, int]] = {"bleu": 10, "chrf": 18}

    corpus = deferred(".corpus.read")
    choose = deferred(".sizing.choose")
    model_config = deferred(".sizing.model_config")
    operations = deferred(".sizing.operations")
    build = deferred("elman.models.build_encoder_decoder")
    objective = deferred(".objective.target_tokens")
    measure = deferred(".evaluation.measurement")
    evaluate = deferred(".evaluation.evaluate_pairs")
    predict = deferred(".prediction.predict")
    listener = deferred(".listener.TranslationListener")
    watch = deferred(".watching.watch")
    looks = deferred(".looks.LOOKS")
    observe = deferred(".subject.open_pairs")

    def recognises(self, data: Sources, valid: Sources) -> str | None:
        """Two files, columns of two, JSON lines of pairs, a named source of pairs."""
        from elman.data.pairs import holds_pairs

        if not holds_pairs(data):
            return None
        return "there are two files, line by line" if len(data) > 1 else f"{data[0]} holds pairs"

    def files(self, data: Sources, valid: Sources) -> dict[str, Any]:
        """One file of pairs, or one of sources and one of targets, line by line."""
        return one_or_two_files(data, valid, "one file, or two of pairs", "validation files stand after --valid")

    def check(self, settings: Settings) -> None:
        """See that the pairs are there, and the package that the metric needs."""
        from elman.data.pairs import open_pairs
        from elman.metrics.translation import check_installed

        check_installed(settings.train.metric)
        for files in (settings.data.files, settings.data.validation_files):
            if files:
                open_pairs(files)

    def keys(self, run: Trained) -> Collection[str]:
        """A text to translate."""
        return ("source",)

    def records(self, data: Any, targets: Any) -> Iterable[Mapping[str, Any]] | None:
        """Pairs of texts, or as many texts twice."""
        if not isinstance(data, list | tuple) or not isinstance(targets, list | tuple | None) or not data:
            return None
        if targets is not None and len(targets) != len(data):
            raise UserError("targets", expected=f"as many as there are sources, {len(data):,}", got=f"{len(targets):,}")
        pairs = data if targets is None else list(zip(data, targets, strict=True))
        texts = all(isinstance(pair, tuple) and list(map(type, pair)) == [str, str] for pair in pairs)
        return ({"source": source, "target": target} for source, target in pairs) if texts else None

    def describe(self, corpus: ParallelCorpus) -> str:
        """How many pairs."""
        from elman.data.endless import FreshPairs

        source, target = corpus.source_tokenizer.vocab_size, corpus.target_tokenizer.vocab_size
        joint = corpus.source_tokenizer is corpus.target_tokenizer
        words = f"{target:,} different tokens" if joint else f"{source:,} and {target:,} different tokens"
        fresh = " fresh" if isinstance(corpus.train, FreshPairs) else ""
        return f"{len(corpus.train):,}{fresh} training and {len(corpus.valid):,} validation pairs, {words}"

    def read_codecs(self, folder: Path, model: Any) -> Mapping[str, Any]:
        """A tokenizer for each side."""
        sizes = {"source_tokenizer": model.source_vocab_size, "target_tokenizer": model.vocab_size}
        return {name: fitting_tokenizer(folder / f"{name}.json", size) for name, size in sizes.items()}

    def counts(self, corpus: ParallelCorpus) -> dict[str, int]:
        """Pairs, and different tokens."""
        return {
            "training_pairs": len(corpus.train),
            "validation_pairs": len(corpus.valid),
            "source_vocabulary": corpus.source_tokenizer.vocab_size,
            "target_vocabulary": corpus.target_tokenizer.vocab_size,
        }

    def training_targets(self, corpus: ParallelCorpus) -> int:
        """The target tokens of an epoch, `<eod>` among them."""
        from elman.tasks.translation.objective import count_targets

        return count_targets(corpus.train.epoch(0))

    def as_measured(self, settings: Settings, measured: Settings) -> Settings:
        """With the dropout, which follows from the number of passes over the pairs."""
        model = settings.model.model_copy(update={"dropout": measured.model.dropout})
        return settings.model_copy(update={"model": model})

    def score_of(self, name: str, sums: Floats) -> Floats:
        """BLEU and chrF as sacrebleu makes them of the sums of its n-gram statistics."""
        from elman.metrics.translation import score_of_sums

        return score_of_sums(name, sums)
