"""A corpus of labelled examples, in RAM: what a model reads, and its targets.

Without examples for validation, a hash of each input decides which are held out: of every class the same part, so that
a sorted file gives a fair sample, and examples that are equal are in the same part. Vocabulary, labels and scale are
those of the training part alone.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.data.labelled import Labelled
from elman.data.labels import Kind, Label, LabelCodec, are_numbers, form_of, learn_labels
from elman.data.ngrams import BUCKETS, TextCodec, WordNgrams
from elman.data.scaler import ChannelScaler, fit_scaler
from elman.data.table import number
from elman.data.tokenizers import train_tokenizer
from elman.errors import UserError
from elman.wording import percent

VALID_FRACTION = 0.1
MOST_VALID = 2_000  # examples, so that validation stays affordable
# Characters, not words, are the tokens of texts that are mostly one word, and of short ones whose words rarely recur.
FEW_WORDS, SHORT, MOSTLY_NEW = 2, 200, 0.3
WORDS = {"char": "characters", "ngrams": "words, read by the n-grams of their characters"}


@dataclass(frozen=True)
class Examples:
    """N sequences that a model reads, with their targets.

    `inputs` are tokens (T,) int64, or standardised channels (T, D) float32 where NaN is a missing value. `targets` are
    those of `LabelCodec.encode`; None where the labels are not known.
    """

    inputs: list[npt.NDArray[Any]]
    targets: npt.NDArray[Any] | None
    labels: list[Label] | None = field(repr=False)  # as they stand in the file
    texts: list[str] | None = field(repr=False)  # None: series
    cut: int = 0  # sequences that were longer than what is read of one
    ids: list[str] | None = field(default=None, repr=False)  # of the series of a long table

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The steps (N,) of each, at least 1."""
        return np.array([len(each) for each in self.inputs], np.int64)


@dataclass(frozen=True)
class LabelledCorpus:
    """Examples to train on. `fingerprint` identifies them and their split, independently of the files' places."""

    train: Examples
    valid: Examples
    labels: LabelCodec
    tokenizer: TextCodec | None  # of texts
    scaler: ChannelScaler | None  # of series
    fingerprint: str
    reasons: Sequence[str] = ()  # for a person: what was chosen of what nobody said


def prepare(
    data: Labelled,
    valid: Labelled | None = None,
    *,
    kind: Kind | None = None,
    separator: str = "|",
    tokenizer: str = "auto",
    max_vocab: int | None = None,
    min_count: int = 1,
    max_length: int | None = None,
    codecs: Mapping[str, Any] | None = None,
) -> LabelledCorpus:
    """The examples of `data` for training, and those of `valid`, or else some of `data`, for validation.

    `kind` is that of the labels, `tokenizer` that of the tokens of texts; of each sequence the first `max_length` steps
    are read. `codecs` are those to use instead of new ones. Raises `UserError` where nothing can be learnt.
    """
    codecs, reasons = codecs or {}, list[str]()
    if valid is not None and valid.series != data.series:
        raise UserError(f"{valid.name}", expected=_inputs(data), got=_inputs(valid))
    chosen: Kind = codecs["labels"].kind if codecs else kind or _kind(data, reasons)
    labels = data.labels(chosen, separator)
    held_out = np.zeros(len(data), bool) if valid is not None else _held_out(data, labels, chosen)
    rows, others = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    train_labels = [labels[row] for row in rows]
    codec = codecs.get("labels") or replace(
        learn_labels(train_labels, chosen, data.name), form="text" if chosen == "number" else form_of(data.cells or ())
    )
    inputs = [data.inputs[row] for row in rows]
    made: TextCodec | ChannelScaler | None = codecs.get("scaler" if data.series else "tokenizer")
    if codecs and made is None:
        raise UserError(data.name, expected="texts" if data.series else "series", got=_inputs(data))
    if made is None and data.series:
        made = fit_scaler(inputs)
    elif made is None:
        made = _learn(inputs, tokenizer, max_vocab, min_count, reasons)
    if valid is None:
        valid_inputs, valid_labels = [data.inputs[row] for row in others], [labels[row] for row in others]
    else:
        valid_inputs, valid_labels = valid.inputs, valid.labels(chosen, separator)
    train = encode(inputs, made, train_labels, codec, max_length)
    every = {name for label in train_labels for name in (label if isinstance(label, tuple) else (str(label),))}
    if chosen != "number" and (unknown := sorted(every - set(codec.names))):
        expected, remedy = f"the labels {', '.join(codec.names)}", "train a new model on these labels"
        raise UserError(data.name, expected=expected, got=", ".join(unknown), remedy=remedy)
    held = encode(valid_inputs, made, valid_labels, codec, max_length)
    tokens, scale = (None, made) if isinstance(made, ChannelScaler) else (made, None)
    facts = [chosen, [_digest(*part) for part in ((inputs, train_labels), (valid_inputs, valid_labels))]]
    fingerprint = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return LabelledCorpus(train, held, codec, tokens, scale, fingerprint, reasons)


def encode(
    inputs: Sequence[Any],
    codec: TextCodec | ChannelScaler,
    labels: Sequence[Label] | None = None,
    targets: LabelCodec | None = None,
    max_length: int | None = None,
    places: Sequence[str] | None = None,
) -> Examples:
    """Texts, or series (T, D), as a model reads them. Raises `UserError` for series of other channels."""
    arrays = list[npt.NDArray[Any]]()
    for at, each in enumerate(inputs):
        if isinstance(codec, ChannelScaler):
            if each.shape[1] != codec.channels:
                where = places[at] if places else f"series {at + 1}"
                raise UserError(where, expected=f"as many channels as in training, {codec.channels}", got=each.shape[1])
            arrays.append(codec.scale(each))
        else:
            # A text without tokens is read as the token that no text has.
            ids = codec.encode_array(each).astype(np.int64)
            arrays.append(ids if len(ids) or isinstance(codec, WordNgrams) else np.array([codec.start], np.int64))
    cut = sum(max_length is not None and len(each) > max_length for each in arrays)
    return Examples(
        [each[:max_length] for each in arrays],
        None if labels is None or targets is None else targets.encode(labels),
        None if labels is None else list(labels),
        None if isinstance(codec, ChannelScaler) else list(inputs),
        cut,
    )


def _kind(data: Labelled, reasons: list[str]) -> Kind:
    if any(isinstance(cell, list) for cell in data.cells or ()):
        reasons.append("some examples have a list of labels: several labels each (data.multilabel)")
        return "several"
    if data.numeric or are_numbers(data.cells or ()):
        why = "the file says so" if data.numeric else "so many different numbers"
        reasons.append(f"labels are numbers to estimate, because {why} (data.label_type=class: names of classes)")
        return "number"
    values = [number(cell) for cell in data.cells or ()]
    if None not in values and not all(float(value).is_integer() for value in values if value is not None):
        reasons.append("labels are names of classes, though all are numbers (data.label_type=number: to estimate)")
    comma = next((at for at, cell in enumerate(data.cells or ()) if isinstance(cell, str) and "," in cell), None)
    if comma is not None and are_numbers([str(cell).replace(",", ".") for cell in data.cells or ()]):
        assert data.cells is not None
        remedy = "write a decimal point, or --set data.label_type=class where these are names"
        raise UserError(data.places[comma], expected="a label", got=repr(data.cells[comma]), remedy=remedy)
    return "class"


def _held_out(data: Labelled, labels: Sequence[Label], kind: Kind) -> npt.NDArray[np.bool_]:
    """Whether each example is for validation: a tenth of each class, at most 2,000, by a hash of the inputs."""
    fraction = min(VALID_FRACTION, MOST_VALID / len(data))
    hashes = np.array([_hash(each) for each in data.inputs], np.uint64)
    strata = np.array([str(label) if kind == "class" else "" for label in labels])
    held_out = np.zeros(len(data), bool)
    stratum = np.unique(strata, return_inverse=True)[1]
    order = np.argsort(stratum, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(stratum[order])) + 1):  # of one stratum
        ordered = np.sort(hashes[rows])
        count = max(round(fraction * len(rows)), int((ordered == ordered[0]).sum()))
        if 2 * count <= len(rows):  # the only example of a class is for training
            held_out[rows] = hashes[rows] < ordered[count]
    if not held_out.any():
        what, expected = f"no example of {data.name} is left for validation", "two different inputs of one label"
        got = "one example" if len(data) == 1 else "one input for each label"  # equal inputs stay together
        raise UserError(what, expected=expected, got=got, remedy="give some with --valid")
    return held_out


def _learn(texts: Sequence[str], kind: str, max_vocab: int | None, min_count: int, reasons: list[str]) -> TextCodec:
    if kind == "auto":
        kind, why = _tokens(texts)
        reasons.append(f"tokens are {WORDS[kind]}, because {why} (data.tokenizer)")
    if kind == "ngrams":
        return WordNgrams(max_vocab - 1 if max_vocab else BUCKETS)
    return train_tokenizer(kind, texts, max_vocab=max_vocab, min_count=min_count, eod=True, punctuation=True)


def _tokens(texts: Sequence[str]) -> tuple[str, str]:
    """The kind of tokenizer that suits texts, and why."""
    counts = Counter(word for text in texts for word in text.split())
    words, characters = counts.total() / len(texts), sum(map(len, texts)) / len(texts)
    if words <= FEW_WORDS:
        return "char", f"a text has {words:.1f} words on average"
    once = sum(count == 1 for count in counts.values()) / counts.total()
    if characters <= SHORT and once > MOSTLY_NEW:
        return "char", f"{percent(once)} of the words occur once"
    return "ngrams", f"a text has {words:.0f} words on average, of which {percent(1 - once)} occur more than once"


def _inputs(data: Labelled) -> str:
    return "series" if data.series else "texts"


def _bytes(one: Any) -> bytes:
    return one.encode() if isinstance(one, str) else np.ascontiguousarray(one, "<f8").tobytes()


def _hash(one: Any) -> int:
    return int.from_bytes(hashlib.blake2b(_bytes(one), digest_size=8).digest(), "little")


def _digest(inputs: Sequence[Any], labels: Sequence[Label]) -> str:
    digest = hashlib.sha256()
    for each, label in zip(inputs, labels, strict=True):
        digest.update(hashlib.sha256(_bytes(each)).digest() + json.dumps(label).encode() + b"\xff")
    return digest.hexdigest()
