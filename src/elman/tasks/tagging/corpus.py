"""The tagged sentences of a training, the codecs of a run, and the sentences that a run is evaluated on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from elman.data import tagged_corpus
from elman.data.corpus import check_expected
from elman.data.tagged import Layout, TaggedSentence
from elman.data.tagged_corpus import TaggedCorpus, count_breaches, read_all, split
from elman.data.tagged_files import find_layout, layout_like
from elman.data.vectors import read_words
from elman.data.vocabulary import TagSet, Vocabulary
from elman.data.word_batches import Vocabularies
from elman.errors import UserError
from elman.reading import read_json
from elman.tasks.configuration import Settings, named
from elman.tasks.exchange import NONE, Progress, Say, Sources, Trained

CODECS = {"words": Vocabulary, "characters": Vocabulary, "tags": TagSet, "layout": Layout}


def read(
    settings: Settings, cache: Path, say: Say, progress: Progress | None, codecs: Mapping[str, Any] = NONE
) -> TaggedCorpus:
    """Tagged sentences, with the vocabularies that are given or those that are learnt."""
    data, vectors = settings.data, getattr(settings.model, "vectors", None)
    layout = find_layout(data.files, data.column, data.token_column)
    if progress:
        progress("reading", 0.0)
    made = tagged_corpus.prepare(
        data.files,
        layout,
        valid=data.validation_files,
        vocabularies=Vocabularies(*(codecs[name] for name in Vocabularies._fields)) if codecs else None,
        lowercase=data.lowercase,
        min_count=data.min_count,
        further=partial(read_words, Path(vectors)) if vectors else tuple,
    )
    sources = [Path(name) for name in data.files]
    check_expected(sources, made.fingerprint, data.fingerprint or None, "does not hold the sentences")
    broken, first = count_breaches([*made.train, *made.valid], made.tags)
    if broken:
        scheme, meant = made.tags.scheme, "they are read as the spans that they mean"
        say(f"the tags of {broken:,} sentences break {scheme}: {meant} (the first: {first})")
    return made


def read_codecs(folder: Path, model: Any) -> Mapping[str, Any]:
    """The codecs in a model's folder. Errors: `UserError` where one is damaged, or another model's."""
    codecs: dict[str, Any] = {name: read_json(folder / f"{name}.json", kind) for name, kind in CODECS.items()}
    sizes = {"words": model.word_vocab_size, "characters": model.character_vocab_size, "tags": len(model.tags)}
    for name, size in sizes.items():
        if len(codecs[name]) != size:
            got = len(codecs[name])
            raise UserError(f"{folder / name}.json is another model's", expected=f"{size} names", got=got)
    return codecs


def sentences(run: Trained, data: Sources) -> tuple[Sequence[TaggedSentence], str]:
    """The tagged sentences of these places, or those that a run was validated on; and their name.

    Errors: `UserError` where they cannot be read, or the run does not say where its data were.
    """
    places = list(map(str, data))
    if places:
        return read_all(places, layout_like(places, run.layout)), _names(places, run)
    if run.settings is None:
        raise UserError(f"{run.path} does not say which data it was trained on", remedy="give tagged sentences")
    kept = run.settings.data
    if kept.validation_files:
        return sentences(run, kept.validation_files)
    part, name = sentences(run, kept.files)
    return split(part, name)[1], f"the validation part of {name}"


def _names(places: Sequence[str], run: Trained) -> str:
    return " and ".join(Path(named(place, run.path)).name for place in places)
