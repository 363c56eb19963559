"""A classifier that many sessions speak to: the label of all that a session has read so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from elman.data.labelled import series_of
from elman.data.labelled_corpus import Examples
from elman.data.ngrams import WordNgrams
from elman.data.scaler import ChannelScaler
from elman.data.textfile import mended
from elman.data.timeseries import Series
from elman.errors import UserError
from elman.state import State
from elman.tasks.classification.corpus import most_steps
from elman.tasks.classification.prediction import label_examples, label_logits
from elman.tasks.exchange import NONE, Trained
from elman.tasks.hearing import (
    CHUNK,
    TOGETHER,
    Asked,
    FeedRequest,
    WholeMemory,
    check_finite,
    most_probable,
    one_form,
    padded,
    read_due,
    read_pieces,
    texts_of,
    went_on,
)
from elman.tasks.holding import HeldReaders
from elman.tasks.listening import Listener, Memory, Unit, Work

Inputs = npt.NDArray[Any]


class NextText(Asked):
    """What follows in a text."""

    text: str | None = None
    tokens: list[Any] | None = None  # numbers of tokens; of a model that reads n-grams, words


class NextRows(Asked):
    """What follows in a series."""

    values: list[Any] | None = None  # rows of a number for each channel, or the numbers of one channel


class LabelListener(Listener):
    """The label so far: of a causal model from its state, of another one from all steps read again.

    A unit is a token, a word of a model that reads n-grams, or a row of numbers, of which None is missing.
    """

    def __init__(self, run: Trained, options: Mapping[str, Any] = NONE) -> None:
        self.run, self.whole, self.chunk = run, not run.model.causal, int(options.get("chunk", CHUNK))
        self.tokenizer: Any = run.codecs.get("tokenizer")  # of a model of series None
        self.scaler: ChannelScaler | None = run.codecs.get("scaler")  # of a model of texts None
        self.longest = most_steps(run)
        self.runs = HeldReaders(run.model, run.with_model)

    def begin(self) -> Memory:
        """A sequence without a step."""
        return Memory(_as_memory(self._inputs([])) if self.whole else self.run.model.initial_state(1), {})

    def check(self, kind: str, asked: Mapping[str, Any]) -> FeedRequest:
        """The tokens of {"text"} or {"tokens"}, or the rows of {"values"}; or {"units"}."""
        if self.scaler is not None:
            form, rows = one_form(kind, NextRows, asked, ("values",), self.run.model)
            given = getattr(rows, form)
            series = series_of(given, form) if given else np.zeros((0, self.scaler.channels))
            if series.shape[1] != self.scaler.channels:
                raise UserError(form, expected=f"rows of {self.scaler.channels} channels", got=series.shape[1])
            units: list[Unit] = np.where(np.isnan(series), np.array(None), series).tolist()
            return FeedRequest(units, scaled(self.scaler, form, series), rows.top, rows.set)
        form, tokens = one_form(kind, NextText, asked, ("text", "tokens"), self.run.model)
        given = getattr(tokens, form)
        if isinstance(self.tokenizer, WordNgrams):
            if not isinstance(given, str) and not all(isinstance(word, str) for word in given):
                raise UserError(form, expected="words", got="others")
            units = self.tokenizer.words(mended(given if isinstance(given, str) else " ".join(given)))
        elif isinstance(given, str):
            units = self.tokenizer.encode_array(mended(given)).tolist()
        else:
            units = given
            self._check_tokens(form, given)
        return FeedRequest(units, self._inputs(units), tokens.top, tokens.set)

    def _check_tokens(self, form: str, tokens: Sequence[Any]) -> None:
        size = self.tokenizer.vocab_size
        for token in tokens:
            if type(token) is not int or not 0 <= token < size:
                raise UserError(form, expected=f"numbers of tokens, from 0 to {size - 1}", got=repr(token)[:40])

    def _inputs(self, units: Sequence[Unit]) -> Inputs:
        """Units (U, …) as the model reads them, of which a series has rows of numbers."""
        if self.scaler is not None:
            return self.scaler.scale(np.array(units, np.float64).reshape(-1, self.scaler.channels))
        if isinstance(self.tokenizer, WordNgrams):
            return self.tokenizer.encode_array(" ".join(units))[: len(units)].astype(np.int64)
        return np.array(units, np.int64)

    def steps_before(self, memory: Memory) -> Inputs:
        """All that a session has read, where the model needs the whole."""
        steps: Inputs = cast(WholeMemory, memory.state).inputs[0].numpy()
        return steps if self.scaler is not None or isinstance(self.tokenizer, WordNgrams) else steps[:, 0]

    def round(self, works: Sequence[Work]) -> None:
        """Read a piece of each work, or of some works all steps again."""
        read_due(works, self.chunk, self._read_on, self._read_again if self.whole else None)

    def _read_again(self, works: Sequence[Work]) -> None:
        steps = [np.concatenate((self.steps_before(work.memory), work.request.inputs)) for work in works]
        if (most := max(map(len, steps))) > self.longest:
            remedy = "begin a new session; the run's max_length says how many are read"
            raise UserError("a sequence", expected=f"at most {self.longest:,} steps", got=f"{most:,}", remedy=remedy)
        if not min(map(len, steps)):
            raise nothing_read()
        found = label_examples(self.runs(works[0].request), Examples(steps, None, None, None), TOGETHER)
        check_finite([said for _, said in found])
        for work, inputs, (_, said) in zip(works, steps, found, strict=True):
            went_on(work, _as_memory(inputs), {}, work.request.units)
            self._answer(work, said)

    @torch.no_grad()
    def _read_on(self, works: Sequence[Work]) -> None:
        starts = [len(work.units) for work in works]
        pieces = [work.request.inputs[at : at + self.chunk] for work, at in zip(works, starts, strict=True)]
        if any(not work.memory.position and not len(piece) for work, piece in zip(works, pieces, strict=True)):
            raise nothing_read()
        model = self.runs(works[0].request).model
        inputs = padded(pieces).to(next(model.parameters()).device)

        def read(state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
            return model.scores(inputs, state, lengths=lengths)

        logits, states = read_pieces([work.memory.state for work in works], [*map(len, pieces)], read)
        found = label_logits(self.run, logits)
        check_finite([said for _, said in found])
        for work, at, piece, state, (_, said) in zip(works, starts, pieces, states, found, strict=True):
            went_on(work, state, {}, work.request.units[at : at + len(piece)])
            if not work.request.left(work):
                self._answer(work, said)

    def _answer(self, work: Work, said: dict[str, Any]) -> None:
        if "probabilities" in said:
            said["probabilities"] = most_probable(said["probabilities"], work.request.top)
        work.answer = {"position": work.memory.position, **said}

    def text_of(self, units: Sequence[Unit]) -> list[str]:
        """The text of each token, each word with a blank behind it, or each row."""
        if self.scaler is not None:
            return [", ".join("" if value is None else f"{value:g}" for value in row) + "\n" for row in units]
        if isinstance(self.tokenizer, WordNgrams):
            return [f"{word} " for word in units]
        return texts_of(self.tokenizer, units)

    def check_memory(self, memory: Memory) -> None:
        """As many steps as its position says, and tokens of the vocabulary."""
        if not self.whole:
            return
        inputs = self.steps_before(memory)
        if len(inputs) != memory.position:
            raise UserError("the memory's steps", expected=f"{memory.position:,}", got=f"{len(inputs):,}")
        if self.tokenizer is not None and len(inputs):
            size = self.tokenizer.vocab_size
            if inputs.min() < 0 or inputs.max() >= size:
                raise UserError("the memory's tokens", expected=f"from 0 to {size - 1}", got="others")

    def about(self) -> dict[str, Any]:
        """Labels, and what is read."""
        labels = self.run.labels
        about: dict[str, Any] = {"whole": self.whole, "longest": self.longest if self.whole else None}
        about |= {"label_kind": labels.kind, "labels": list(labels.names)}
        if self.scaler is not None:
            columns = [f"channel {at + 1}" for at in range(self.scaler.channels)]
            return {"reads": "values", "channels": self.scaler.channels, "columns": columns, **about}
        size = self.tokenizer.vocab_size
        return {"reads": "text", "tokenizer": self.tokenizer.kind, "vocabulary": size, **about}


def _as_memory(steps: Inputs) -> WholeMemory:
    """Steps (T,) or (T, D) as a memory (1, T, D)."""
    return WholeMemory(torch.from_numpy(steps if steps.ndim == 2 else steps[:, None])[None])


def scaled(scaler: ChannelScaler, form: str, series: Series) -> Inputs:
    """The rows of a feed as a model reads them. Raises `UserError` for a number that is too large."""
    with np.errstate(over="ignore"):
        values = scaler.scale(series)
    if np.isinf(values).any():
        raise UserError(form, expected="numbers as in training", got="one that is too large for the model")
    return values


def nothing_read() -> UserError:
    """The error of a feed without a step to a session that has read nothing."""
    return UserError("feed", expected="a step or more", got="none, and the session has read nothing yet")
