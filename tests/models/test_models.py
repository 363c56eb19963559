import json

import numpy as np
import pytest
import torch

from elman.errors import UserError
from elman.models import MODELS, build

CONFIGS = [
    {"model": "elman", "vocab_size": 9, "hidden_size": 6, "num_layers": 2, "dropout_hidden": 0.1, "recompute": True},
    {"model": "gru", "vocab_size": 9, "hidden_size": 6, "residual": True, "zoneout": 0.1, "layer_norm": True},
    {"model": "lstm", "vocab_size": 9, "hidden_size": 6, "zoneout_cell": 0.5, "peepholes": True},
    {"model": "lstm", "vocab_size": 9, "embedding_size": 4, "hidden_size": 6, "tied": True, "weight_dropout": 0.5},
    {"model": "transformer", "vocab_size": 9, "hidden_size": 12, "num_heads": 3, "window": 4, "qk_norm": False},
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config["model"])
def test_a_config_builds_the_same_model_again(config):
    model = build(config)
    assert config.items() <= model.config.items()
    assert all(leaf is None or isinstance(leaf, (str, int, float, bool)) for leaf in model.config.values())
    again = build(json.loads(json.dumps(model.config)))
    assert type(again) is type(model)
    assert again.config == model.config
    again.load_state_dict(model.state_dict())
    tokens = torch.randint(9, (2, 7))
    assert again.eval()(tokens)[0].equal(model.eval()(tokens)[0])


@pytest.mark.parametrize("number", [np.int64, np.uint8, np.array, torch.tensor])
def test_sizes_are_numbers_of_any_library(number):
    asked = {"model": "gru", "vocab_size": number(9), "hidden_size": number(6), "zoneout": np.float32(0.5)}
    plain = {"model": "gru", "vocab_size": 9, "hidden_size": 6, "zoneout": 0.5}
    assert build(asked | {"residual": np.bool_(False)}).config == build(plain).config
    json.dumps(build(asked).config)


@pytest.mark.parametrize(
    "value", [True, np.bool_(True), np.float64(6), 6.0, torch.tensor(6.0), np.ones(2), "6", None, [6], {"size": 6}]
)
def test_what_is_no_size(value):
    with pytest.raises(UserError, match="hidden_size: expected a valid integer"):
        build({"model": "gru", "vocab_size": 9, "hidden_size": value})


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_built_from_a_vocabulary_alone(name):
    model = build({"model": name, "vocab_size": 9})
    assert model.config["model"] == name
    assert model.output(model.read(torch.zeros(2, 3, dtype=torch.int64))[0]).shape == (2, 3, 9)


@pytest.mark.parametrize(("name", "maps"), [("elman", 2), ("gru", 6), ("lstm", 8), ("transformer", 6)])
def test_what_is_stacked_are_the_maps_between_hidden_states(name, maps):
    """A layer's: W_ih and W_hh for each gate; W_q, W_k, W_v, W_out and the two of the feed-forward network."""
    model = build({"model": name, "vocab_size": 9, "hidden_size": 8, "num_layers": 2})
    stacked = model.stacked_maps()
    assert sum(stacked.values()) == 2 * maps
    assert all(len(matrix) % 8 == 0 and len(matrix) // count in (8, 32) for matrix, count in stacked.items())
    names = {name for name, p in model.named_parameters() if p in stacked}
    assert names == {name for name, p in model.named_parameters() if p.dim() == 2 and name.startswith("layers.")}


@pytest.mark.parametrize("name", MODELS)
def test_a_new_model_knows_nothing(name):
    """Its first loss is about that of guessing, log V, not one of confident mistakes."""
    torch.manual_seed(0)
    tokens = torch.randint(50, (8, 33))
    logits, _ = build({"model": name, "vocab_size": 50, "hidden_size": 64})(tokens[:, :-1])
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    assert abs(loss.item() - torch.tensor(50.0).log().item()) < 1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model": "lsmt", "vocab_size": 9}, "model: expected the name of a model, got 'lsmt'; did you mean 'lstm'?"),
        ({"vocab_size": 9}, "model: expected the name of a model, got None"),
        ({"model": "gru"}, "vocab_size: the model 'gru' needs it"),
        ({"model": "gru", "vocab_size": 9, "num_heads": 2}, "num_heads: no setting of the model 'gru'"),
        ({"model": "gru", "vocab_size": 9, "cell": "lstm"}, "cell: no setting of the model 'gru'"),
        ({"model": "transformer", "vocab_size": 9, "num_head": 2}, "did you mean 'num_heads'"),
    ],
)
def test_what_cannot_be_built(config, message):
    with pytest.raises(UserError) as caught:
        build(config)
    assert message in str(caught.value)
