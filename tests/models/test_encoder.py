"""Encoders of sequences: the state contract of causal ones, the whole of the others, padding, truncation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from elman.cells import CELLS
from elman.errors import UserError
from elman.models.configuration import RecurrentEncoderSettings, TransformerEncoderSettings
from elman.models.encoder import make_encoder
from elman.models.sequence_encoder import SequenceEncoder, read_truncated
from elman.remedies import in_python
from elman.state import leaves

D = 3
CAUSAL = {
    **{cell: (cell, {"bidirectional": False, "num_layers": 2, "residual": True}) for cell in CELLS},
    "rotary": ("transformer", {"is_causal": True, "num_heads": 2}),
    "window": ("transformer", {"is_causal": True, "num_heads": 2, "window": 4, "positions": "sinusoidal"}),
}
WHOLE = {
    **{f"{cell} both ways": (cell, {"num_layers": 2, "residual": True, "layer_norm": True}) for cell in CELLS},
    "attention": ("transformer", {"num_heads": 2}),
    "sinusoidal": ("transformer", {"num_heads": 2, "positions": "sinusoidal"}),
}
WHICH = {**CAUSAL, **WHOLE}


def make(name: str, **more: object) -> SequenceEncoder:
    """An encoder whose every parameter matters: some begin at zero, which would hide what they multiply."""
    kind, options = WHICH[name]
    of = TransformerEncoderSettings if kind == "transformer" else RecurrentEncoderSettings
    torch.manual_seed(0)
    encoder = make_encoder(kind, D, of(**{"hidden_size": 8, **options, **more})).double().eval()
    for parameter in encoder.parameters():
        nn.init.normal_(parameter, std=0.4)
    return encoder


def inputs(B: int, T: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(B, T, D, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", CAUSAL)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_pieces_equal_the_whole(name: str, data: st.DataObject) -> None:
    encoder, B = make(name), data.draw(st.integers(1, 3))
    sizes = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=4))
    x = inputs(B, T := sum(sizes))
    lengths = data.draw(st.none() | st.lists(st.integers(0, T), min_size=B, max_size=B).map(torch.tensor))
    resets = None
    if data.draw(st.booleans()):
        resets = torch.rand(B, T, generator=torch.Generator().manual_seed(2)) < 0.2
    whole, after = encoder(x, lengths=lengths, resets=resets)
    begin, state, pieces = 0, None, []
    for size in sizes:
        step = slice(begin, begin + size)
        left = None if lengths is None else (lengths - begin).clamp(0, size)
        hidden, state = encoder(x[:, step], state, lengths=left, resets=None if resets is None else resets[:, step])
        pieces.append(hidden)
        begin += size
    real = torch.ones(B, T, dtype=torch.bool) if lengths is None else torch.arange(T) < lengths[:, None]
    torch.testing.assert_close(torch.cat(pieces, 1)[real], whole[real])
    for one, other in zip(leaves(state), leaves(after), strict=True):
        if name not in ("rotary", "window"):  # slots that no step wrote may differ in number
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", WHICH)
def test_a_row_is_as_if_it_were_alone(name: str) -> None:
    """Whatever is padding, be it NaN, changes nothing; and all is finite, that of a row without a step too."""
    encoder, x = make(name), inputs(4, 7)
    lengths = torch.tensor([7, 0, 3, 1])
    spoilt = torch.where(torch.arange(7)[None, :, None] < lengths[:, None, None], x, 1e6)
    hidden, _ = encoder(spoilt, lengths=lengths)
    assert hidden.shape == (4, 7, encoder.output_size)
    assert hidden.isfinite().all()
    for row, length in enumerate(lengths.tolist()):
        if length:
            alone, _ = encoder(x[row : row + 1, :length])
            torch.testing.assert_close(hidden[row, :length], alone[0])


@pytest.mark.parametrize("name", [name for name in WHICH if WHICH[name][0] != "transformer" or name in CAUSAL])
def test_resets_are_borders(name: str) -> None:
    encoder, x = make(name), inputs(2, 9)
    resets = torch.zeros(2, 9, dtype=torch.bool)
    resets[:, 4] = True
    hidden, _ = encoder(x, resets=resets)
    torch.testing.assert_close(hidden[:, :4], encoder(x[:, :4])[0])
    torch.testing.assert_close(hidden[:, 4:], encoder(x[:, 4:])[0])


@pytest.mark.parametrize("name", WHICH)
def test_only_the_others_see_what_comes(name: str) -> None:
    encoder, x = make(name), inputs(1, 6)
    other = x.clone()
    other[:, 5] += 1
    same = torch.equal(encoder(x)[0][:, 0], encoder(other)[0][:, 0])
    assert same == encoder.causal == (name in CAUSAL)


@pytest.mark.parametrize("name", WHOLE)
def test_a_step_is_refused_where_the_whole_is_needed(name: str) -> None:
    encoder, x = make(name), inputs(1, 3)
    _, state = encoder(x)
    assert state == encoder.initial_state(1) == ()
    with pytest.raises(UserError, match=f"whole sequence.*{in_python(f'--set {encoder.one_directional}')}"):
        encoder(x, state)
    with pytest.raises(UserError, match="k2"):
        read_truncated(encoder, x, 2)


def test_wrong_inputs_are_refused() -> None:
    with pytest.raises(UserError, match=r"\(B, T, 3\)"):
        make("gru")(torch.zeros(1, 2, 4, dtype=torch.float64))
    with pytest.raises(UserError, match="resets"):
        make("attention")(inputs(1, 2), resets=torch.ones(1, 2, dtype=torch.bool))
    with pytest.raises(ValidationError, match="even"):
        RecurrentEncoderSettings(hidden_size=7)
    with pytest.raises(ValidationError, match="causal"):
        TransformerEncoderSettings(window=3)


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("k2", [1, 3, 7, None])
def test_truncation_cuts_the_gradient_and_nothing_else(name: str, k2: int | None) -> None:
    encoder, x = make(name), inputs(2, 7).requires_grad_()
    lengths = torch.tensor([7, 4])
    whole, _ = encoder(x, lengths=lengths)
    hidden, _ = read_truncated(encoder, x, k2, lengths=lengths)
    torch.testing.assert_close(hidden[0], whole[0])
    (gradient,) = torch.autograd.grad(hidden[0, -1].sum(), x)
    reached = gradient[0].abs().sum(-1) > 0
    assert reached[-1]
    begin = 0 if k2 is None else 6 // k2 * k2
    assert not reached[:begin].any()
    if name != "window":
        assert reached[begin:].all()
