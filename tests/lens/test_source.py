"""What is taken from a source, against plain autograd and finite differences in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from elman.data.lanes import NOT_COUNTED
from elman.lens import loss_gradients, score_alignment, source_gradients
from elman.models import build_encoder_decoder

CONFIGS = {
    "no attention": {"model": "lstm", "attention": "none"},
    "joint": {"model": "gru", "joint": True},
    "transformer": {"model": "transformer", "num_heads": 2, "encoder_layers": 1, "decoder_layers": 1, "joint": True},
}


def make(name):
    torch.manual_seed(0)
    sizes = {"source_vocab_size": 9, "vocab_size": 9, "hidden_size": 8}
    model = build_encoder_decoder(sizes | CONFIGS[name]).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 5, 3), (3, 3, 4), (4, 6, 5)])
@pytest.mark.parametrize("name", CONFIGS)
def test_gradients_by_the_source_are_those_of_finite_differences(name, shape):
    """Each source token gets an embedding of its own, which is moved a little in every direction."""
    B, S, T = shape
    model = make(name)
    source = torch.randint(9, (B, S))
    lengths = torch.randint(1, S + 1, (B,))
    inputs, targets = torch.randint(9, (B, T)), torch.randint(9, (B, T))
    targets[:, -1] = NOT_COUNTED
    found = loss_gradients(model, source, lengths, inputs, targets)
    assert [len(row) for row in found] == lengths.tolist()

    def loss(row, s, direction, epsilon):
        def move(module, given, embedded):
            moved = embedded.clone()
            if given[0].shape[0] == given[0].shape[1] == 1 or name == "transformer":
                moved[0, s] += epsilon * direction
            else:
                moved[s, 0] += epsilon * direction
            return moved

        alone = source[row : row + 1, : lengths[row]]
        handle = model.source_embedding.register_forward_hook(move)
        state = model.encode(alone)
        handle.remove()
        logits, _ = model(inputs[row : row + 1], state)
        return torch.nn.functional.cross_entropy(logits[0], targets[row], reduction="sum").item()

    row = B - 1
    size = model.source_embedding.embedding_dim
    for s in range(int(lengths[row])):
        slopes = [
            (loss(row, s, direction, 1e-6) - loss(row, s, direction, -1e-6)) / 2e-6
            for direction in torch.eye(size, dtype=torch.double)
        ]
        assert found[row][s] == pytest.approx(np.linalg.norm(slopes), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("name", CONFIGS)
def test_those_of_each_token_add_up_to_that_of_the_loss(name):
    model = make(name)
    source, inputs, targets = torch.randint(9, (5,)), torch.randint(9, (1,)), torch.randint(9, (1,))
    (whole,) = loss_gradients(model, source[None], torch.tensor([5]), inputs[None], targets[None])
    one = source_gradients(model, source, inputs, targets)
    assert one.shape == (1, 5)
    np.testing.assert_allclose(one[0], whole, rtol=1e-9)


def test_alignments_are_scored():
    uniform = np.full((4, 8), 1 / 8)
    assert score_alignment(uniform).entropy == pytest.approx(np.log(8))
    assert score_alignment(uniform).monotonicity == 0
    assert score_alignment(np.eye(4)[::-1]).monotonicity == -1
    assert score_alignment(np.eye(4)).entropy == 0
