"""A held unit, gate or head: its own value changes nothing, nothing else is held, and a formula says what follows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import elman.nn
from elman.cells import CELLS, Cell
from elman.decode.arena import StateRows, arena_of
from elman.errors import UserError
from elman.kernels.reference import kernel_of, project, recur
from elman.lens import Intervention, hold, interventions, places, visit_layers
from elman.lens.gates import gates_of
from elman.models import EncoderDecoder, LanguageModel, build, build_encoder_decoder, build_tagger
from elman.nn import layer_of
from elman.nn.attention import Attention
from elman.nn.recurrent import Recurrent
from leaky import LEAKY

Make = Callable[..., LanguageModel]
VARIANTS = [variant for cell in (*CELLS.values(), LEAKY) for variant in (cell, *cell.variants.values())]
UNIT = 3

every_variant = pytest.mark.parametrize("cell", VARIANTS, ids=lambda cell: cell.name)


@pytest.fixture(autouse=True)
def leaky(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CELLS, "leaky", LEAKY)


def layer_with(cell: Cell, *sizes: int, **options: Any) -> Recurrent:
    """A layer of a cell or of a variant, whose every parameter matters."""
    torch.manual_seed(0)
    base = next(own for own in CELLS.values() if cell in (own, *own.variants.values()))
    if cell is not base:
        options[base.chosen_by] = next(value for value, variant in base.variants.items() if variant is cell)
    layer = layer_of(base.name)(*(sizes or (5, 8)), **options).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer


def things(cell: Cell) -> list[dict[str, str]]:
    """All that can be held of a cell."""
    return [{"gate": name} for name in cell.gates] + [{"state": part.name} for part in cell.states if part.mixes]


def drawn(T: int, B: int = 2, D: int = 5) -> Tensor:
    return torch.randn(T, B, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@every_variant
@pytest.mark.parametrize("fresh", [True, False])
@torch.no_grad()
def test_a_value_held_where_it_is_changes_nothing(cell: Cell, fresh: bool) -> None:
    """Bit by bit beside the readable steps, and to rounding beside the layer's own kernel."""
    layer, x = layer_with(cell), drawn(1, B=1)
    hx = layer.state_form.nested(tuple(torch.zeros(1, 1, 8).double() for _ in cell.states))
    if not fresh:
        hx = layer(drawn(4, B=1))[1]
    state = tuple(part[0] for part in layer.state_form.flat(hx, "") or ())
    weights = layer.layer_weights(0, 0)
    after, gates = cell.step(project(x, weights)[0], recur(state[0], weights), state, weights)
    values = gates | {part.name: new for part, new in zip(cell.states, after, strict=True)}
    plain = kernel_of(cell.name)(x, state, weights)
    for what in things(cell):
        [name] = what.values()
        held = hold(layer, [Intervention(layer=1, unit=UNIT, value=float(values[name][0, UNIT]), **what)])
        outputs, final = held(x, hx)
        assert torch.equal(outputs, plain.h), what
        told = held.state_form.flat(final, "") or ()
        assert all(torch.equal(new[0], part) for new, part in zip(told, plain.final, strict=True)), what
        torch.testing.assert_close(outputs, layer(x, hx)[0], rtol=0, atol=1e-12)


@every_variant
@torch.no_grad()
def test_only_that_unit_is_held(cell: Cell) -> None:
    """At the first step, before what is held reaches other units through W_hh."""
    layer, x = layer_with(cell), drawn(1)
    hx = layer(drawn(4))[1]
    [plain] = visit_layers(layer, lambda: layer(x, hx))
    for what in things(cell):
        [name] = what.values()
        held = hold(layer, [Intervention(layer=1, unit=UNIT, value=0.25, **what)])
        [visit] = visit_layers(held, lambda held=held: held(x, hx))
        told = dict(zip((part.name for part in cell.states), visit.after, strict=True))
        told |= gates_of(visit) if cell.gates else {}
        assert told[name][..., UNIT].unique().tolist() == [0.25]
        others = torch.arange(8) != UNIT
        if (cell.name, name) == ("gru_reset_before", "r"):
            continue  # r_t h_{t-1} of one unit reaches the others at once
        for before, after in zip(plain.after, visit.after, strict=True):
            torch.testing.assert_close(before[..., others], after[..., others], rtol=0, atol=1e-12)
        if name not in ("h", "t"):  # nothing reads how many steps the leaky cell has counted
            assert not torch.equal(plain.after[0][..., UNIT], visit.after[0][..., UNIT])


@every_variant
@torch.no_grad()
def test_what_is_held_is_held_at_every_step(cell: Cell) -> None:
    """With padding, resets and zoneout; and reading in pieces equals reading whole."""
    layer, x = layer_with(cell, 5, 8, 2, zoneout=0.3).eval(), drawn(7, B=3)
    resets = torch.zeros(3, 7, dtype=torch.bool)
    resets[1, 4] = True
    held = hold(
        layer, [Intervention(layer=2, state="h", unit=UNIT, value=-0.5), Intervention(layer=1, state="h", value=2.0)]
    )
    outputs, final, every = held(x, lengths=[7, 6, 3], resets=resets, return_states=True)
    real = torch.arange(7)[:, None] < torch.tensor([7, 6, 3])
    assert outputs[real][:, UNIT].unique().tolist() == [-0.5]
    first = (every if isinstance(every, Tensor) else every[0])[0]
    assert first[real].unique().tolist() == [2.0]
    piece, state = held(x[:3], lengths=[3, 3, 3])
    rest, after = held(x[3:], state, lengths=[4, 3, 0], resets=resets[:, 3:])
    torch.testing.assert_close(torch.cat((piece, rest)), outputs, rtol=0, atol=1e-12)
    for one, other in zip(held.state_form.flat(after, "") or (), held.state_form.flat(final, "") or (), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"peepholes": True}, {"layer_norm": True}], ids=str)
@torch.no_grad()
def test_the_formulas_of_the_lstm(options: dict[str, bool]) -> None:
    """f = 0: c_t = i g. c = v: h_t = o tanh(v). o = 0: h_t = 0, though c_t goes on."""
    layer, x = layer_with(CELLS["lstm"], **options), drawn(6)
    if "layer_norm" not in options:
        held = hold(layer, [Intervention(layer=1, gate="f", unit=UNIT, value=0)])
        [visit] = visit_layers(held, lambda: held(x))
        gates, w = gates_of(visit), visit.weights
        row = 2 * 8 + UNIT
        g = visit.inputs @ w.weight_ih[row] + w.bias_ih[row] + visit.before[0] @ w.weight_hh[row] + w.bias_hh[row]
        torch.testing.assert_close(visit.after[1][..., UNIT], gates["i"][..., UNIT] * g.tanh(), rtol=0, atol=1e-12)
        held = hold(layer, [Intervention(layer=1, state="c", unit=UNIT, value=0.7)])
        [visit] = visit_layers(held, lambda: held(x))
        shown = gates_of(visit)["o"][..., UNIT] * math.tanh(0.7)
        torch.testing.assert_close(visit.after[0][..., UNIT], shown, rtol=0, atol=1e-12)
    held = hold(layer, [Intervention(layer=1, gate="o", unit=UNIT, value=0)])
    [visit] = visit_layers(held, lambda: held(x))
    assert not visit.after[0][..., UNIT].any()
    assert visit.after[1][..., UNIT].all()


@pytest.mark.parametrize(
    ("name", "gate", "value"),
    [("gru", "z", 1), ("mingru", "z", 1), ("slstm", "f", 1), ("slstm", "f", 0), ("leaky", "k", 1)],
)
@torch.no_grad()
def test_a_gate_that_keeps_all_keeps_all(name: str, gate: str, value: float) -> None:
    """And an sLSTM's memory c / n that keeps nothing is what was written, tanh(g)."""
    layer, x = layer_with(CELLS[name]), drawn(6)
    hx = layer(drawn(4))[1]
    held = hold(layer, [Intervention(layer=1, gate=gate, unit=UNIT, value=value)])
    [visit] = visit_layers(held, lambda: held(x, hx))
    before, after = ([part[..., UNIT] for part in parts] for parts in (visit.before, visit.after))
    if name != "slstm":
        torch.testing.assert_close(after[0], before[0], rtol=0, atol=1e-12)
        return
    told, w, row = after[1] / after[2], visit.weights, 2 * 8 + UNIT
    g = visit.inputs @ w.weight_ih[row] + w.bias_ih[row] + visit.before[0] @ w.weight_hh[row] + w.bias_hh[row]
    torch.testing.assert_close(told, before[1] / before[2] if value else g.tanh(), rtol=0, atol=1e-12)
    fresh = held(x)[0]  # nothing is kept of a fresh memory, whatever its share
    assert fresh.isfinite().all()
    assert bool(fresh[0, :, UNIT].any()) == (value == 0)


@pytest.mark.parametrize("name", ["gru", "lstm"])
@torch.no_grad()
def test_layers_of_torch_are_held_too(name: str) -> None:
    torch.manual_seed(0)
    theirs = getattr(nn, name.upper())(3, 4, 2, bidirectional=True, batch_first=True).double()
    own = nn.ModuleDict({"first": nn.Linear(3, 3).double(), "layer": theirs})
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    held = hold(own, [Intervention(layer=2, state="h", unit=1, value=0.5, direction="reverse")])
    outputs, _ = held["layer"](x)
    assert outputs[..., 4 + 1].unique().tolist() == [0.5]
    others = torch.arange(8) != 5
    mine = hold(own, [])["layer"](x)[0]
    torch.testing.assert_close(mine, theirs(x)[0])
    torch.testing.assert_close(outputs[..., :4], mine[..., :4], rtol=0, atol=1e-12)  # the other direction
    assert not torch.equal(outputs[..., others], mine[..., others])
    assert isinstance(own["layer"], nn.RNNBase)


@pytest.mark.parametrize("name", ["gru", "lstm", "slstm"])
@torch.no_grad()
def test_a_language_model_goes_on_otherwise_and_stays_as_it_was(make: Make, name: str) -> None:
    model = make(name).eval()
    tokens = torch.arange(9)[None] % 11
    before = model(tokens)[0]
    held = hold(model, interventions([{"layer": 1, "state": "h", "unit": 2, "value": 3.0}]))
    logits, _ = held(tokens)
    assert [p.data_ptr() for p in held.parameters()] == [p.data_ptr() for p in model.parameters()]
    assert torch.equal(model(tokens)[0], before)
    assert not torch.equal(logits, before)
    [first, _] = visit_layers(held, lambda: held(tokens))
    assert first.after[0][..., 2].unique().tolist() == [3.0]
    piece, half = held(tokens[:, :4])
    rest, _ = held(tokens[:, 4:], half)
    torch.testing.assert_close(torch.cat((piece, rest), 1), logits, rtol=0, atol=1e-12)
    assert type(arena_of(held)) is StateRows  # the core would know nothing of it
    arena = arena_of(held)
    slot = arena.admit(None)
    arena.read([slot], tokens.tolist())
    torch.testing.assert_close(arena.logits([slot]), logits[:, -1], rtol=0, atol=1e-12)
    one_step = held.steps(held.read(tokens[:, :-1])[1])(tokens[:, -1])
    torch.testing.assert_close(one_step, logits[:, -1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.7])
@torch.no_grad()
def test_a_head_is_held(value: float) -> None:
    """Against softmax(q k') v by hand, with the head's part of the heads side by side replaced."""
    torch.manual_seed(0)
    attention, x = Attention(12, 3).double(), torch.randn(2, 6, 12, dtype=torch.float64)
    v = attention.qkv(x).view(2, 6, 9, 4)[:, :, 6:].transpose(1, 2)  # (B, N, T, D)
    heads = attention.weights(x) @ v
    heads[:, 1] = value
    expected = attention.out(heads.transpose(1, 2).flatten(2))
    held = hold(attention, [Intervention(layer=1, head=2, value=value)])
    torch.testing.assert_close(held(x)[0], expected, rtol=0, atol=1e-12)
    assert not torch.equal(held(x)[0], attention(x)[0])


@torch.no_grad()
def test_a_transformers_head_is_held_in_every_way_of_reading(make: Make) -> None:
    model = make("rotary").eval()
    tokens = torch.arange(9)[None] % 11
    held = hold(model, [Intervention(layer=2, head=1)])
    logits = held(tokens)[0]
    assert not torch.allclose(logits, model(tokens)[0])
    steps = held.steps(held.initial_state(1))
    last = [steps(token) for token in tokens.T][-1]
    torch.testing.assert_close(last, logits[:, -1], rtol=0, atol=1e-12)
    found = [(place.name, place.address, place.heads) for place in places(model)]
    assert found == [(f"self-attention of layer {number}", {"layer": number}, 2) for number in (1, 2)]


def translator(kind: str, **options: Any) -> EncoderDecoder:
    torch.manual_seed(0)
    config = {"model": kind, "source_vocab_size": 7, "vocab_size": 9, "hidden_size": 8, **options}
    model = build_encoder_decoder(config).double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


SOURCE, TOKENS = torch.arange(5)[None], torch.arange(4)[None]


@torch.no_grad()
def test_the_decoder_of_a_translator_is_held() -> None:
    model = translator("gru", num_layers=2)
    for part in (None, "decoder"):
        held = hold(model, [Intervention(layer=1, state="h", unit=3, value=0.5, part=part)])
        memory = held.encode(SOURCE)
        assert torch.equal(memory.layers[0], model.encode(SOURCE).layers[0])
        _, after = held(TOKENS, memory)
        assert after.layers[0][0, 3] == 0.5


@torch.no_grad()
def test_the_encoder_of_a_translator_is_held() -> None:
    """In one direction of one layer, and nothing of the decoder."""
    model = translator("lstm", num_layers=2, bridge="copy")
    asked = {"part": "encoder", "layer": 1, "direction": "reverse", "state": "h", "unit": 2, "value": 0.5}
    held = hold(model, interventions([asked]))
    visits = visit_layers(held.encoder, lambda: held.encode(SOURCE))
    assert visits[1].after[0][..., 2].unique().tolist() == [0.5]
    assert torch.equal(visits[0].after[0], visit_layers(model.encoder, lambda: model.encode(SOURCE))[0].after[0])
    memory = model.encode(SOURCE)
    assert torch.equal(held(TOKENS, memory)[0], model(TOKENS, memory)[0])
    assert not torch.equal(held.encode(SOURCE).values, memory.values)


@pytest.mark.parametrize("value", [0.0, 0.7])
@pytest.mark.parametrize("input_feeding", [False, True])
@torch.no_grad()
def test_a_recurrent_decoders_attention_is_one_head(value: float, *, input_feeding: bool) -> None:
    """Its output is the context, whatever the source; a decoder that never looks has a context of zeros."""
    model = translator("gru", attention="additive", input_feeding=input_feeding)
    asked = [Intervention(layer=1, attention="cross", head=1, value=value)]
    held, memory = hold(model, asked), model.encode(SOURCE)
    constant = torch.full_like(memory.values, value)
    if not input_feeding:  # the context of values that are all alike
        torch.testing.assert_close(
            held(TOKENS, memory)[0], model(TOKENS, memory._replace(values=constant))[0], rtol=0, atol=1e-12
        )
    other = memory._replace(values=torch.randn_like(memory.values))
    torch.testing.assert_close(held(TOKENS, memory)[0], held(TOKENS, other)[0], rtol=0, atol=1e-12)
    assert not torch.allclose(held(TOKENS, memory)[0], model(TOKENS, memory)[0])


@pytest.mark.parametrize("value", [0.0, 0.7])
@torch.no_grad()
def test_a_head_that_looks_at_the_source_is_held(value: float) -> None:
    """Against a source whose values are such that the head says just that; other layers and heads stay."""
    model = translator("transformer", num_heads=2, encoder_layers=1, decoder_layers=2)
    held, memory = hold(model, [Intervention(layer=2, attention="cross", head=1, value=value)]), model.encode(SOURCE)
    values = [part.clone() for part in memory.source_values]
    values[1][:, 0] = value
    expected = model(TOKENS, memory._replace(source_values=tuple(values)))[0]
    torch.testing.assert_close(held(TOKENS, memory)[0], expected, rtol=0, atol=1e-12)
    assert not torch.allclose(expected, model(TOKENS, memory)[0])
    steps = held.steps(held.encode(SOURCE))
    torch.testing.assert_close([steps(token) for token in TOKENS.T][-1], expected[:, -1], rtol=0, atol=1e-12)
    both = [{"part": "encoder", "layer": 1, "head": 1}, {"part": "encoder", "layer": 1, "head": 2, "value": 0.25}]
    other = hold(model, interventions(both))
    torch.testing.assert_close(
        other.encoder[0].attention.out.bias,
        model.encoder[0].attention.out.bias + 0.25 * model.encoder[0].attention.out.weight[:, 4:].sum(1),
    )
    assert not other.encoder[0].attention.out.weight.any()
    assert torch.equal(other(TOKENS, memory)[0], model(TOKENS, memory)[0])


def test_a_translators_places_have_the_names_of_its_parts() -> None:
    recurrent, attention = translator("gru"), translator("transformer", num_heads=2, encoder_layers=1, decoder_layers=1)
    with pytest.raises(UserError) as caught:
        hold(recurrent, [Intervention(part="encoder", layer=2, state="h")])
    assert str(caught.value) == (
        "a place to hold: expected decoder layer 1 or attention to the source of decoder layer 1 or "
        "encoder layer 1 forward or encoder layer 1 reverse, got encoder layer 2"
    )
    assert [place.name for place in places(attention)] == [
        "self-attention of decoder layer 1",
        "attention to the source of decoder layer 1",
        "self-attention of encoder layer 1",
    ]
    for model in (recurrent, attention):
        for place in places(model):  # an address is what an intervention says
            what = {"head": place.heads} if place.heads else {"state": place.states[-1]}
            hold(model, interventions([{**place.address, **what}]))
    assert not any("source" in place.name for place in places(translator("gru", attention="none")))


def test_a_long_list_of_places_is_cut() -> None:
    with pytest.raises(UserError, match=r"layer 12 or … layer 20, got layer 21$"):
        hold(nn.GRU(2, 3, num_layers=20), [Intervention(layer=21, state="h")])


def test_layers_that_read_characters_are_none_of_a_taggers() -> None:
    """The first layer that is held is the encoder's, as in a session."""
    sizes = {"word_vocab_size": 9, "character_vocab_size": 9, "tags": ["O", "X"], "hidden_size": 8}
    tagger = build_tagger({"model": "gru", "character_size": 4, **sizes})
    assert [place.name for place in places(tagger)] == ["layer 1 forward", "layer 1 reverse"]
    held = hold(tagger, [Intervention(layer=1, state="h", unit=1, value=0.5)])
    [visit, _] = visit_layers(held.encoder, lambda: held(torch.ones(1, 3).long(), torch.zeros(1, 3).long(), [[1, 2]]))
    assert visit.after[0][..., 1].unique().tolist() == [0.5]


@pytest.mark.parametrize("name", ["elman", "gru", "lstm", "slstm"])
def test_layers_are_described_as_they_are_visited(make: Make, name: str) -> None:
    model = make(name, hidden_size=6)
    described = places(model)
    visits = visit_layers(model, lambda: model.read([[1, 2]]))
    assert [one.name for one in described] == [visit.name for visit in visits]
    assert [one.units for one in described] == [visit.after[0].shape[-1] for visit in visits]
    assert described[0].cell == name
    assert list(described[0].gates) == list(CELLS[name].gates)
    assert not any(place.heads for place in described)
    both = elman.nn.LSTM(2, 3, 2, bidirectional=True)
    x = torch.zeros(2, 1, 2)
    assert [one.name for one in places(both)] == [v.name for v in visit_layers(both, lambda: both(x))]
    assert places(nn.GRU(2, 3))[0].cell == "gru"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"layer": 3, "state": "h", "unit": 0}, "a place to hold: expected layer 1 or layer 2, got layer 3"),
        ({"layer": 1, "state": "c", "unit": 8}, "unit: expected from 0 to 7, of layer 1, got 8"),
        ({"layer": 1, "state": "n"}, "layer 1: expected state h or c, or gate i, f or o, got state 'n'"),
        ({"layer": 1, "gate": "z", "value": 1}, "layer 1: expected state h or c, or gate i, f or o, got gate 'z'"),
        ({"layer": 1, "gate": "f", "value": 1.5}, "a gate: expected a value from 0 to 1, got 1.5"),
        ({"layer": 1, "state": "h", "direction": "reverse"}, "expected layer 1 or layer 2, got layer 1 reverse"),
        ({"layer": 1, "head": 1}, "expected layer 1 or layer 2, got self-attention of layer 1"),
        ({"layer": 1, "state": "h", "part": "encoder"}, "expected layer 1 or layer 2, got encoder layer 1"),
        ({"layer": 1, "state": "h", "part": "decoder"}, "expected layer 1 or layer 2, got decoder layer 1"),
        ({"layer": 1, "head": 1, "unit": 1}, "a head: expected no unit"),
        ({"layer": 1, "unit": 1}, 'expected one of "state", "gate" and "head"'),
        ({"layer": 1, "state": "h", "gate": "f"}, 'expected one of "state", "gate" and "head"'),
        ({"layer": 0, "state": "h"}, "layer: expected greater than or equal to 1, got 0"),
        ({"state": "h"}, "layer: expected a value, got none"),
        ({"layer": 1, "state": "h", "value": float("nan")}, "value: expected a finite number, got nan"),
        ({"layer": 1, "state": "h", "wait": 1}, "wait"),
    ],
)
def test_what_cannot_be_held(asked: dict[str, Any], message: str) -> None:
    model = build({"model": "lstm", "vocab_size": 5, "hidden_size": 8, "num_layers": 2})
    with pytest.raises(UserError, match=message):
        hold(model, interventions([asked]))


def test_what_cannot_be_held_of_other_models() -> None:
    sizes = {"vocab_size": 5, "hidden_size": 8, "num_layers": 1}
    transformer, network = (build({"model": kind, **sizes}) for kind in ("transformer", "elman"))
    with pytest.raises(UserError, match="a place to hold: expected self-attention of layer 1, got layer 1"):
        hold(transformer, [Intervention(layer=1, state="h")])
    with pytest.raises(UserError, match="head: expected from 1 to"):
        hold(transformer, [Intervention(layer=1, head=99)])
    with pytest.raises(UserError, match="layer 1: expected state h, got gate 'f'"):
        hold(network, [Intervention(layer=1, gate="f")])
    with pytest.raises(UserError, match="expected a model with recurrent layers or attention, got layer 1"):
        hold(nn.Linear(2, 2), [Intervention(layer=1, state="h")])
