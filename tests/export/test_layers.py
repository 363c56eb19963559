"""A model as layers of other frameworks: the same numbers, or refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from elman.errors import UserError
from elman.export.layers import layers_of
from elman.models.classifier import Classifier
from elman.models.forecaster import SeriesForecaster
from elman.models.layered import LayeredModel
from elman.models.recurrent import RecurrentLM
from elman.models.tagger import Tagger
from elman.models.transformer import TransformerLM
from elman.state import leaves
from exported_models import MODELS, V, inputs_of, made


@pytest.mark.parametrize("name", MODELS)
def test_the_layers_of_a_model_compute_the_same(name: str) -> None:
    model, x = made(name), inputs_of(name)
    layers = layers_of(model).model
    output, state = layers(x)
    if isinstance(model, Tagger):
        expected, after = model(x, torch.zeros_like(x), torch.zeros(1, 1, dtype=torch.int64))
    elif isinstance(model, SeriesForecaster):
        hidden, after = model.encoder(x)
        expected = model.head(hidden[:, -1])
    elif isinstance(model, Classifier) and model.missing:
        there = x[..., :2].masked_fill(x[..., 2:] > 0, torch.nan)
        x = torch.cat((there.nan_to_num(), there.isnan().float()), -1)
        (output, state), (expected, after) = layers(x), model(there)
        assert there.isnan().any()
    else:
        expected, after = model(x)
    torch.testing.assert_close(output, expected, atol=1e-6, rtol=0)
    if isinstance(model, RecurrentLM):
        assert all(torch.equal(one, other) for one, other in zip(leaves(state), leaves(after), strict=True))
    shared = {parameter.data_ptr() for parameter in layers.parameters()}
    assert shared <= {parameter.data_ptr() for parameter in model.parameters()}, "no number is copied"


def test_notes_say_what_a_person_must_know() -> None:
    notes = layers_of(made("classifier_max")).notes
    assert notes[0].startswith("inputs are standardised values, 0 where one is missing, and behind them, for each, 1")
    assert "share their weights" in layers_of(made("lm_lstm")).notes[1]
    model = made("classifier_last")
    assert isinstance(model, Classifier)
    model.temperature.fill_(1.5)
    assert layers_of(model).notes == (
        "outputs are logits of the classes, to be divided by 1.5 before they become probabilities",
    )


OWN: dict[str, Any] = {"vocab_size": V, "hidden_size": 4}
REFUSED: list[tuple[nn.Module, str]] = [
    (TransformerLM(V, hidden_size=8, num_heads=2), "the model is a Transformer of elman's own kind"),
    (RecurrentLM("lstm", layer_norm=True, **OWN), "the recurrent layers normalise their sums"),
    (RecurrentLM("gru", zoneout=0.1, **OWN), "zoneout mixes old and new states at every step"),
    (Tagger("lstm", V, 5, ["X"], character_size=4, hidden_size=4), "the model reads the characters of words"),
    (Tagger("lstm", V, 5, ["X"], character_size=0, crf=True, hidden_size=4), "the search of a CRF is none"),
    (Classifier("transformer", outputs=2, vocab_size=V, hidden_size=8, num_heads=2), "the model is a Transformer of"),
    (Classifier("gru", outputs=2, ngrams=True, **OWN), "a step reads a set of n-grams"),
    (Classifier("gru", outputs=2, pooling="attention", **OWN), "they have no pooling by attention"),
    (Classifier("gru", outputs=2, pooling="last", residual=True, **OWN), "the last layer adds its inputs to the final"),
    (SeriesForecaster("gru", 8, 4, hidden_size=4, form="segment", segment=2), "a forecaster of the form segment goes"),
    (SeriesForecaster("gru", 8, 4, hidden_size=4, channels=(0, 1, 0)), "the model reads numbers of the steps to come"),
]


@pytest.mark.parametrize(("model", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_what_is_no_layer_elsewhere_is_refused_with_the_reason(model: nn.Module, reason: str) -> None:
    with pytest.raises(UserError, match=f'^no layers of another framework compute the same: {reason}.*; to="onnx"'):
        layers_of(model)


def test_an_imported_model_has_its_own_layers() -> None:
    model = made("merged")
    assert isinstance(model, LayeredModel)
    assert layers_of(model).model is model
    run = nn.Module()
    run.network = model
    assert layers_of(run).model is model
