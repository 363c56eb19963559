"""A program's answers against those of its model, of random inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from elman.arrays import Floats, Numbers
from elman.data.windows import WindowBatch
from elman.export.c.compiling import INIT, answers, integers
from elman.export.c.forecaster import scales
from elman.models.classifier import Classifier
from elman.models.forecaster import SeriesForecaster
from elman.models.recurrent import RecurrentLM
from elman.models.tagger import Tagger
from elman.models.word_reader import PADDING

STEP = 1


class Example(NamedTuple):
    """The calls of a program, and what its model answers to the same."""

    calls: bytes
    expected: Floats
    dtype: type = np.float32  # of the program's answers


def difference(executable: Path, example: Example) -> float:
    """The greatest difference between a program and its model, divided by the model's number where that is above 1."""
    found: Numbers = np.frombuffer(answers(executable, example.calls), example.dtype)
    expected = example.expected.reshape(-1)
    assert found.shape == expected.shape, (found.shape, expected.shape)
    return float((np.abs(found - expected) / np.maximum(1, np.abs(expected))).max())


@torch.no_grad()
def example(model: Any, codecs: Any, *, steps: int = 40, seed: int = 0) -> Example:
    """Random steps in two sequences, each from a fresh state, with the model's answers; the model reads one by one."""
    generator = np.random.default_rng(seed)
    make: Callable[..., Example] = EXAMPLES[type(model).__name__]
    return make(model, codecs, steps, generator)


def _language_model(model: RecurrentLM, codecs: Any, steps: int, generator: np.random.Generator) -> Example:
    tokens = generator.integers(0, model.vocab_size, (2, steps))
    calls = [integers(INIT, *(part for token in row for part in (STEP, token))) for row in tokens]
    hidden, _ = model.read(torch.from_numpy(tokens))
    return Example(b"".join(calls), model.output(hidden).double().numpy())


def _tagger(model: Tagger, codecs: Any, steps: int, generator: np.random.Generator) -> Example:
    words = generator.integers(0, model.word_vocab_size, (2, steps))
    lengths = generator.integers(0, 8, words.size)
    characters = generator.integers(PADDING + 1, max(PADDING + 2, model.character_vocab_size), (words.size, 7))
    characters = np.minimum(characters, model.character_vocab_size - 1)
    characters[np.arange(7) >= lengths[:, None]] = PADDING
    spelling = np.arange(words.size).reshape(words.shape)
    calls = []
    for row, spelled in zip(words, spelling, strict=True):
        calls.append(integers(INIT))
        for word, at in zip(row, spelled, strict=True):
            letters = (lengths[at], characters[at, : lengths[at]]) if model.character_size else ()
            calls.append(integers(STEP, word, *letters))
    scores, _ = model.scores(*(torch.from_numpy(each) for each in (words, spelling, characters)))
    return Example(b"".join(calls), scores.double().numpy())


def _classifier(model: Classifier, codecs: Any, steps: int, generator: np.random.Generator) -> Example:
    inputs, calls = _classified(model, codecs, steps, generator)
    logits, state = [], None
    for t in range(steps):
        found, state = model.scores(inputs[:, t : t + 1], state)
        logits.append(found)
    return Example(calls, torch.stack(logits, 1).double().numpy())


def _classified(model: Classifier, codecs: Any, steps: int, generator: np.random.Generator) -> tuple[Tensor, bytes]:
    if model.channels is None:
        size = (2, steps, 5) if model.ngrams else (2, steps)
        tokens = generator.integers(0, model.vocab_size or 0, size)
        count = (5,) if model.ngrams else ()
        calls = [integers(INIT, *(part for token in row for part in (STEP, *count, token))) for row in tokens]
        return torch.from_numpy(tokens), b"".join(calls)
    values = generator.standard_normal((2, steps, model.channels)) * 2
    values[generator.random(values.shape) < 0.2] = np.nan
    scaler = codecs.get("scaler")
    given = values if scaler is None else values * scaler.deviation + np.array(scaler.mean)
    calls = [integers(INIT) + b"".join(integers(STEP) + step.tobytes() for step in row) for row in given]
    read = values if scaler is None else (given - scaler.mean) / scaler.deviation
    return torch.from_numpy(read.astype(np.float32)), b"".join(calls)


def _forecaster(model: SeriesForecaster, codecs: Any, steps: int, generator: np.random.Generator) -> Example:
    """Two series from their beginning, asked for forecasts after some steps, the last beyond the window's length."""
    P, K, S = model.channels
    L, H = model.past_steps, model.horizon
    identity = getattr(model, "identity", None) is not None
    calls, windows = [], []
    mean, deviation = np.array([(0, 1), *scales(model, codecs)], np.float64).T  # of the series, and of each column
    past, future, constant = slice(1 + P + K), slice(1 + P, 1 + P + K), slice(1 + P + K, None)

    def both(given: Floats, columns: slice) -> tuple[bytes, Floats]:
        """Numbers in the units of the data, as a program reads them, and in those of the model."""
        data = given * deviation[columns] + mean[columns]
        return data.tobytes(), (data - mean[columns]) / deviation[columns]

    for series in range(2):
        T = L + steps
        values = generator.standard_normal((T, 1 + P + K)).cumsum(0)
        values[generator.random(values.shape) < 0.1] = np.nan
        calls.append(integers(INIT) + np.array([0.0, 1.0]).tobytes() + integers(series) * identity)
        asked = {1, L // 2, L, T}
        for t in range(1, T + 1):
            told, values[t - 1] = both(values[t - 1], past)
            calls.append(integers(STEP) + told)
            if t in asked:
                told_ahead, ahead = both(generator.standard_normal((H, K)), future)
                told_static, static = both(generator.standard_normal(S), constant)
                calls.append(integers(STEP + 1) + told_ahead + told_static)
                windows.append(_window(values[max(0, t - L) : t], L, H, ahead, static, series))
    made = [model.forecast(window) for window in windows]
    parts = [part.double().numpy().ravel() for each in made for part in each]
    return Example(b"".join(calls), np.concatenate(parts), np.float64)


def _window(given: Floats, L: int, H: int, ahead: Floats, static: Floats, identity: int) -> WindowBatch:
    past = np.full((L, given.shape[1]), np.nan)
    past[: len(given)] = given
    tensors = [each[None].astype(np.float32) for each in (past[:, 0], np.full(H, np.nan))]
    further = [each[None].astype(np.float32) for each in (past[:, 1:], ahead, static)]
    numbers = [np.array([value], np.float32) for value in (0, 1)]
    places = [np.array([value]) for value in (0, identity)]
    parts = [*tensors, np.array([len(given)]), *further, *numbers, *places]
    return WindowBatch(*map(torch.from_numpy, parts))


EXAMPLES: dict[str, Callable[..., Example]] = {
    **dict.fromkeys(("RecurrentLM", "LayeredLanguageModel"), _language_model),
    **dict.fromkeys(("Tagger", "LayeredTagger"), _tagger),
    **dict.fromkeys(("Classifier", "LayeredClassifier"), _classifier),
    "SeriesForecaster": _forecaster,
}
