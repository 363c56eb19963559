"""Translation: an encoder-decoder that learns to turn a source into a target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from elman.errors import UserError
from elman.models.configuration import ENCODER_DECODERS
from elman.settings import Section
from elman.tasks.task import (
    NONE,
    Answer,
    Choice,
    Evaluation,
    Progress,
    Say,
    Sources,
    Task,
    Trained,
    fitting_tokenizer,
)
from elman.tasks.translation.settings import Decoding, PairSettings, PairTraining, PredictionOptions

if TYPE_CHECKING:
    from elman.data.linefile import InputLine
    from elman.data.pair_corpus import ParallelCorpus
    from elman.inspection import Look
    from elman.models import EncoderDecoder
    from elman.tasks.configuration import Settings
    from elman.tasks.task import Floats
    from elman.tasks.translation.objective import TargetTokens
    from elman.tasks.translation.subject import Pairs


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
    models: ClassVar[Mapping[str, type[Section]]] = ENCODER_DECODERS
    kind = "lstm"
    train = PairTraining
    options: ClassVar[Mapping[str, type[Section]]] = {"evaluate": Decoding, "predict": PredictionOptions}
    codec_names = ("source_tokenizer", "target_tokenizer")
    parts = ("alignments", "source", "heads", "clipping")
    batch = ("batch_tokens",)
    scores: ClassVar[Mapping[str, str]] = {"exact_match": "% exact", "bleu": "BLEU", "chrf": "chrF"}

    def recognises(self, data: Sources, valid: Sources) -> bool:
        """Two files, columns of two, JSON lines of pairs, a named source of pairs."""
        from elman.data.pairs import holds_pairs

        return holds_pairs(data)

    def files(self, data: Sources, valid: Sources) -> dict[str, Any]:
        """One file of pairs, or one of sources and one of targets, line by line."""
        for what, given in (("DATA", data), ("--valid", valid)):
            if len(given) > 2:
                remedy = "validation files stand after --valid"
                expected = "one file, or two of pairs"
                raise UserError(what, expected=expected, got=len(given), remedy=remedy, exit_code=2)
        (source, target), (first, second) = ([*given, None, None][:2] for given in (data, valid))
        return {"source": source, "target": target, "valid": first, "valid_target": second}

    def check(self, settings: Settings) -> None:
        """See that the pairs are there, and what the metric needs."""
        from elman.data.pairs import open_pairs
        from elman.metrics.translation import check_installed

        check_installed(settings.train.metric)
        for files in (files_of(settings.data), validation_of(settings.data)):
            if files:
                open_pairs(files)

    def records(self, data: Any, targets: Any) -> Iterable[Mapping[str, Any]] | None:
        """Pairs of texts, or as many texts twice."""
        if not isinstance(data, list | tuple) or not isinstance(targets, list | tuple | None) or not data:
            return None
        if targets is not None and len(targets) != len(data):
            raise UserError("targets", expected=f"as many as there are sources, {len(data):,}", got=f"{len(targets):,}")
        pairs = data if targets is None else list(zip(data, targets, strict=True))
        texts = all(isinstance(pair, tuple) and list(map(type, pair)) == [str, str] for pair in pairs)
        return ({"source": source, "target": target} for source, target in pairs) if texts else None

    def corpus(
        self, settings: Settings, cache: Path, say: Say, progress: Progress | None, codecs: Mapping[str, Any] = NONE
    ) -> ParallelCorpus:
        """Pairs as tokens."""
        from elman.tasks.translation.corpus import read

        return read(settings, cache, say, progress, codecs)

    def describe(self, corpus: ParallelCorpus) -> str:
        """How many pairs."""
        from elman.data.endless import FreshPairs

        source, target = corpus.source_tokenizer.vocab_size, corpus.target_tokenizer.vocab_size
        joint = corpus.source_tokenizer is corpus.target_tokenizer
        words = f"{target:,} different tokens" if joint else f"{source:,} and {target:,} different tokens"
        fresh = " fresh" if isinstance(corpus.train, FreshPairs) else ""
        return f"{len(corpus.train):,}{fresh} training and {len(corpus.valid):,} validation pairs, {words}"

    def choose(self, settings: Settings, corpus: ParallelCorpus) -> Choice:
        """Sizes that fit the budget."""
        from elman.tasks.translation import sizing

        chosen = sizing.choose(settings, corpus)
        data = chosen.settings.data.model_copy(update={"tokenizer": corpus.target_tokenizer.kind})
        return Choice(chosen.settings.model_copy(update={"data": data}), chosen.reason)

    def model_config(self, settings: Settings, corpus: ParallelCorpus) -> dict[str, Any]:
        """What `models.build_encoder_decoder` makes the model from."""
        return {
            "model": settings.kind,
            "source_vocab_size": corpus.source_tokenizer.vocab_size,
            "vocab_size": corpus.target_tokenizer.vocab_size,
            "joint": corpus.source_tokenizer is corpus.target_tokenizer,
            **settings.model.model_dump(),
        }

    def build(self, config: Mapping[str, Any]) -> EncoderDecoder:
        """The encoder-decoder."""
        from elman.models import build_encoder_decoder

        return build_encoder_decoder(config)

    def objective(self, settings: Settings, corpus: ParallelCorpus) -> TargetTokens:
        """Each token of a target."""
        from elman.tasks.translation.objective import target_tokens

        return target_tokens(settings.train, corpus)

    def codecs(self, corpus: ParallelCorpus) -> Mapping[str, Any]:
        """A tokenizer for each side."""
        return {"source_tokenizer": corpus.source_tokenizer, "target_tokenizer": corpus.target_tokenizer}

    def read_codecs(self, folder: Path, model: Any) -> Mapping[str, Any]:
        """A tokenizer for each side."""
        sizes = {"source_tokenizer": model.source_vocab_size, "target_tokenizer": model.vocab_size}
        return {name: fitting_tokenizer(folder / f"{name}.json", size) for name, size in sizes.items()}

    def usage(self, folder: Path) -> str:
        """In Python and on the command line."""
        return f"""    import elman
    run = elman.load("{folder}")
    state = run.model.encode(source, lengths)     # source (B, S), each ending with <eod>
    logits, state = run.model(tokens, state)      # tokens (B, T), beginning with <eod>

    elman predict {folder} FILE
    elman evaluate {folder} SOURCES TARGETS
"""

    def evaluate(self, run: Trained, data: Sources, options: Decoding, say: Say, progress: Progress) -> Evaluation:
        """Loss and accuracy token by token; BLEU, chrF and exact matches of what the model writes."""
        from elman.tasks.translation.evaluation import evaluate_pairs

        return evaluate_pairs(run, data, options, say, progress)

    def predict(
        self, run: Trained, lines: Iterable[Sequence[InputLine]], options: PredictionOptions, say: Say
    ) -> Iterator[Answer]:
        """Translate every line."""
        from elman.tasks.translation.prediction import predict

        return predict(run, lines, options, say)

    @property
    def looks(self) -> Mapping[str, Look]:
        """Alignments, what is taken from the source, heads, and what clipping did."""
        from elman.tasks.translation.looks import LOOKS

        return LOOKS

    def observe(self, run: Trained, data: Sources) -> Pairs:
        """The model and pairs."""
        from elman.tasks.translation.subject import open_pairs

        return open_pairs(run, data)

    def block_losses(self, model: EncoderDecoder, corpus: ParallelCorpus) -> tuple[Floats, Floats]:
        """Pair by pair."""
        from elman.tasks.translation.objective import block_losses

        return block_losses(model, corpus)

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
        first = corpus.train.epoch(0)
        return int(first.target_lengths.sum()) + len(first)

    def operations(self, settings: Settings, corpus: ParallelCorpus) -> float:
        """Two forward and four backward for each parameter; embeddings, which are looked up, left out."""
        from elman.tasks.translation import sizing

        return sizing.operations(self.build, self.model_config(settings, corpus))

    def score(self, model: EncoderDecoder, corpus: ParallelCorpus, loss: float) -> dict[str, float]:
        """Of greedy translations, as many as a validation scores where nobody says how many."""
        from elman.tasks.translation.objective import scores_of

        return scores_of(corpus, PairTraining().validation_sentences)(model)


def files_of(data: PairSettings) -> list[str]:
    """The files to train on."""
    return [name for name in (data.source, data.target) if name is not None]


def validation_of(data: PairSettings) -> list[str]:
    """The files to validate on, if there are any of their own."""
    return [name for name in (data.valid, data.valid_target) if name is not None]
