"""The labelled sequences of a training, and those that a trained model is asked about."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from elman.data import labelled_corpus
from elman.data.corpus import check_expected
from elman.data.labelled import LabelColumns, series_of
from elman.data.labelled_corpus import Examples, LabelledCorpus, encode
from elman.data.labelled_files import is_plain as is_plain  # offered to predictions
from elman.data.labelled_files import read_inputs, read_labelled
from elman.data.labels import Kind, LabelCodec
from elman.data.ngrams import TextCodec, WordNgrams
from elman.data.scaler import ChannelScaler
from elman.data.textfile import mended
from elman.errors import UserError
from elman.tasks.classification.settings import LabelledSettings
from elman.tasks.configuration import Settings
from elman.tasks.exchange import NONE, Progress, Say, Trained, fitting_tokenizer
from elman.wording import counted


def read(
    settings: Settings, cache: Path, say: Say, progress: Progress | None, codecs: Mapping[str, Any] = NONE
) -> LabelledCorpus:
    """Examples as a model reads them, by the codecs that are given or those that are learnt; they are kept in RAM."""
    data: LabelledSettings = settings.data
    named = columns(data)
    found = read_labelled(data.files, named)
    valid = read_labelled(data.validation_files, named, "test") if data.validation_files else None
    made = labelled_corpus.prepare(
        found,
        valid,
        kind=_kind(data),
        separator=data.separator,
        tokenizer=data.tokenizer,
        max_vocab=data.vocab_size,
        min_count=data.min_count,
        max_length=data.max_length,
        codecs=codecs,
    )
    sources = [each for each in (found, valid) if each is not None]
    check_expected(sources, made.fingerprint, data.fingerprint or None, "does not hold the examples")
    for reason in made.reasons:
        say(reason)
    _say_cut(made.train.cut + made.valid.cut, data, say)
    return made


def examples(run: Trained, places: Sequence[str | Path], say: Say) -> Examples:
    """The examples of other data, by the codecs of a run. Raises `UserError` where they are not such examples."""
    data = _settings(run)
    found = read_labelled(places, columns(data), "test")
    codec = run.codecs["labels"]
    made = encode(
        found.inputs,
        _codec(run, found.series, found.name),
        found.labels(codec.kind, data.separator),
        codec,
        data.max_length,
        found.places,
    )
    _say_cut(made.cut, data, say)
    return made


def unlabelled(run: Trained, path: Path) -> Examples:
    """What a model is asked about in a file, which may hold labels too; in a file of plain text, each line."""
    data = _settings(run)
    found = read_inputs(path, columns(data))
    codec = _codec(run, found.series, found.name)
    return replace(encode(found.inputs, codec, max_length=data.max_length, places=found.places), ids=found.ids)


def in_memory(run: Trained, objects: Sequence[Any], what: str = "input") -> Examples:
    """What a model is asked about: texts, or series as nested lists or arrays; or mappings that hold either.

    Raises `UserError` with the number of an object that is not what the model reads.
    """
    inputs, places = [], [f"{what} {at}" for at in range(1, len(objects) + 1)]
    name, expected = ("text", "a text") if "tokenizer" in run.codecs else ("values", "a series of numbers")
    key = getattr(columns_of(run), name)
    for each, place in zip(objects, places, strict=True):
        if isinstance(each, Mapping):
            if key not in each:
                raise UserError(place, expected=f"a column {key!r}", got=", ".join(map(repr, [*each][:8])) or "none")
            each = each[key]
        if not isinstance(each, str | Sequence | np.ndarray):
            raise UserError(place, expected=expected, got=reprlib.repr(each), remedy="give a list of inputs")
        _codec(run, not isinstance(each, str), place)
        inputs.append(mended(each) if isinstance(each, str) else series_of(each, place))
    codec = run.codecs.get("tokenizer") or run.codecs["scaler"]
    return encode(inputs, codec, max_length=_settings(run).max_length, places=places)


def read_codecs(folder: Path, model: Any) -> Mapping[str, Any]:
    """The labels, and the tokenizer of texts or the scale of series.

    Raises `UserError` where a file is missing, damaged or another model's.
    """
    labels = LabelCodec.read(folder / "labels.json")
    if labels.size != model.outputs:
        raise UserError(f"{folder / 'labels.json'} is another model's", expected=model.outputs, got=labels.size)
    if getattr(model, "ngrams", False):
        words = WordNgrams.read(folder / "tokenizer.json")
        if words.vocab_size != model.vocab_size:
            got = words.vocab_size
            raise UserError(f"{folder / 'tokenizer.json'} is another model's", expected=model.vocab_size, got=got)
        return {"labels": labels, "tokenizer": words}
    if model.channels is None:
        return {"labels": labels, "tokenizer": fitting_tokenizer(folder / "tokenizer.json", model.vocab_size)}
    scaler = ChannelScaler.read(folder / "scaler.json")
    if scaler.channels != model.channels:
        expected = f"{model.channels} channels"
        raise UserError(f"{folder / 'scaler.json'} is another model's", expected=expected, got=scaler.channels)
    return {"labels": labels, "scaler": scaler}


def symbols(tokenizer: TextCodec, examples: Examples, row: int) -> list[str]:
    """The tokens of an example of text, for people."""
    tokens = examples.inputs[row]
    if not isinstance(tokenizer, WordNgrams):
        return [tokenizer.symbol(token) for token in tokens.tolist()]
    assert examples.texts is not None
    return tokenizer.words(examples.texts[row])[: len(tokens)] or [""]


def columns(data: LabelledSettings) -> LabelColumns:
    """The names of the columns that a person gave."""
    return LabelColumns(**{field.name: getattr(data, field.name) for field in fields(LabelColumns)})


def columns_of(run: Trained) -> LabelColumns:
    """The names of the columns of a run's data."""
    return columns(_settings(run))


def _kind(data: LabelledSettings) -> Kind | None:
    if data.multilabel:
        return "several"
    return None if data.label_type == "auto" else data.label_type


def most_steps(run: Trained) -> int:
    """How many steps of a sequence are read; a stream has no such limit."""
    return _settings(run).max_length


def _settings(run: Trained) -> LabelledSettings:
    """The settings of a run's data; of a model folder alone, the usual ones."""
    return LabelledSettings() if run.settings is None else run.settings.data


def _codec(run: Trained, series: bool, place: str) -> TextCodec | ChannelScaler:
    """The codec of the inputs. Raises `UserError` where the model reads texts and these are series, or the reverse."""
    codec = run.codecs.get("scaler" if series else "tokenizer")
    if codec is None:
        texts, numbers = "a text", "a series of numbers"
        raise UserError(place, expected=texts if series else numbers, got=numbers if series else texts)
    return codec


def _say_cut(cut: int, data: LabelledSettings, say: Say) -> None:
    if cut:
        say(f"cut {counted(cut, 'sequence')} after {data.max_length:,} steps (data.max_length)")
