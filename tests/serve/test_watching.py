"""What a session shows of itself: equal to what the microscope says of the same tokens read whole."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import elman
from elman.errors import UserError
from elman.lens import attention_weights, visit_layers
from elman.lens.gates import gates_of
from elman.lens.observe import twin
from elman.models import build
from elman.serve.watching import MOST_UNITS, as_json, watch, watch_options
from elman.tasks.listening import Memory
from elman.tasks.task import Trained

T, CUT = 23, 9
CONFIGS = {
    "elman": {"model": "elman"},
    "gru": {"model": "gru", "residual": True},
    "lstm": {"model": "lstm", "embedding_size": 5, "tied": True},
    "mingru": {"model": "mingru"},
    "slstm": {"model": "slstm"},
    "transformer": {"model": "transformer", "num_heads": 2},
    "window": {"model": "transformer", "num_heads": 2, "window": 5, "positions": "sinusoidal"},
}


@pytest.fixture
def run(trained: Path, request: pytest.FixtureRequest) -> Trained:
    """A run whose model is of a kind, drawn anew in float64, with the tokenizer of a training."""
    loaded = elman.load(trained)
    torch.manual_seed(0)
    sizes = {"vocab_size": loaded.tokenizer.vocab_size, "hidden_size": 8, "num_layers": 2}
    model = build(sizes | CONFIGS[request.param]).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return replace(loaded, model=model)


def of_kinds(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("run", kinds, indirect=True)


def drawn(run: Trained, count: int = T) -> list[int]:
    return torch.randint(run.model.vocab_size, (count,), generator=torch.Generator().manual_seed(1)).tolist()


@torch.no_grad()
def memory_after(run: Trained, tokens: Sequence[int]) -> Memory:
    if not tokens:
        return Memory((), {})
    hidden, state = run.model.read([tokens])
    return Memory((state, hidden[:, -1]), {}, len(tokens))


def watched(run: Trained, tokens: list[int], begin: int, **asked: Any) -> dict[str, Any]:
    pieces = [run.tokenizer.decode([token]) for token in tokens]
    return watch(run, memory_after(run, tokens[:begin]), tokens[begin:], pieces[begin:], watch_options(asked))


@of_kinds("elman", "gru", "lstm", "mingru", "slstm")
@pytest.mark.parametrize("begin", [0, CUT, T - 1])
def test_states_and_gates_are_those_of_the_text_read_whole(run: Trained, begin: int) -> None:
    tokens, model = drawn(run), run.model
    visits = visit_layers(model, lambda: model.read([tokens]))
    for layer, visit in enumerate(visits, 1):
        found = watched(run, tokens, begin, layer=layer, unit=3, units=list(range(5)))
        assert found["states"].keys() >= {"layer 1 h", "layer 2 h"}
        for name, part in zip(("h", "c"), visit.after, strict=False):
            states = found["states"][f"layer {layer} {name}"]["values"]
            np.testing.assert_allclose(states, part[begin:, 0, :5].T, rtol=0, atol=1e-12)
        if run.model.kind == "elman":
            assert found["gates"] == {}
            continue
        gates = gates_of(visit)
        assert list(found["gates"]) == [f"layer {layer}"]
        assert found["gates"][f"layer {layer}"].keys() == gates.keys()
        for name, gate in found["gates"][f"layer {layer}"].items():
            np.testing.assert_allclose(gate, gates[name][begin:, 0, 3].detach(), rtol=0, atol=1e-12)


@of_kinds("lstm", "transformer", "window")
@pytest.mark.parametrize("begin", [0, CUT, T - 1])
def test_surprise_and_candidates_are_those_of_the_text_read_whole(run: Trained, begin: int) -> None:
    tokens = drawn(run)
    with torch.no_grad():
        log_p = run.model(torch.tensor([tokens]))[0][0].log_softmax(-1)
    found = watched(run, tokens, begin, top=3)
    nats = [None, *(-log_p[:-1].gather(1, torch.tensor(tokens[1:])[:, None])[:, 0]).tolist()]
    assert found["surprise"] == pytest.approx(nats[begin:], abs=1e-6)
    assert found["pieces"] == [run.tokenizer.decode([token]) for token in tokens[begin:]]
    for candidates, row in zip(found["next"], log_p[begin:], strict=True):
        values, ids = row.exp().topk(3)
        assert [one["token"] for one in candidates] == [run.tokenizer.symbol(int(token)) for token in ids]
        assert [one["probability"] for one in candidates] == pytest.approx(values.tolist(), abs=1e-6)


@of_kinds("transformer", "window")
@pytest.mark.parametrize("begin", [0, CUT])
@pytest.mark.parametrize("at", [CUT, T - 4, T - 1])
def test_attention_is_that_of_the_text_read_whole(run: Trained, begin: int, at: int) -> None:
    tokens = drawn(run)
    whole = np.stack([layer[0, :, at] for layer in attention_weights(run.model, lambda: run.model.read([tokens]))])
    found = watched(run, tokens, begin, attention_at=at)
    seen = found["attention"]
    assert (seen["at"], seen["layers"], seen["heads"]) == (at, 2, 2)
    np.testing.assert_allclose(seen["values"], whole[..., seen["from"] : at + 1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(seen["values"].sum(-1), 1)  # so nothing that is seen is left out
    assert list(found["states"]) == ["hidden state"]


@of_kinds("lstm")
def test_a_document_begins_with_a_fresh_memory(documents: Path, run: Trained) -> None:
    from elman.data.tokenizers import train_tokenizer

    tokenizer = train_tokenizer("char", ["the cat"], eod=True)
    model = build({"model": "lstm", "vocab_size": tokenizer.vocab_size, "hidden_size": 8}).double().eval()
    run = replace(run, model=model, codecs={"tokenizer": tokenizer})
    first, second = tokenizer.encode("at the").tolist(), [tokenizer.eod, *tokenizer.encode("cat").tolist()]
    both, alone = watched(run, first + second, 0), watched(run, second, 0)
    every = slice(len(first), None)
    for name, part in watched(run, first + second, 0, units=list(range(8)))["states"].items():
        expected = watched(run, second, 0, units=list(range(8)))["states"][name]["values"]
        np.testing.assert_allclose(part["values"][:, every], expected, rtol=0, atol=1e-12)
    assert both["next"][every] == alone["next"]
    assert alone["surprise"][0] is None
    assert both["surprise"][len(first)] > 0  # the end of a document surprises, too


@of_kinds("gru")
def test_the_units_that_vary_most_are_told(run: Trained) -> None:
    every = watched(run, drawn(run), 0, units=8)["states"]["layer 1 h"]["values"]
    found = watched(run, drawn(run), 0, units=3)["states"]["layer 1 h"]
    assert found["units"] == sorted(np.argsort(-every.std(1))[:3].tolist())
    np.testing.assert_array_equal(found["values"], every[found["units"]])
    assert watched(run, drawn(run), 0, units=0)["states"]["layer 1 h"]["values"].shape == (0, T)


@of_kinds("lstm")
def test_arrays_are_float32_in_base64(run: Trained) -> None:
    found = watched(run, drawn(run), CUT, unit=2)
    told = json.loads(json.dumps(as_json(found)))
    part = told["states"]["layer 2 c"]
    assert part["shape"] == [len(part["units"]), T - CUT]
    values = np.frombuffer(base64.b64decode(part["data"]), "<f4").reshape(part["shape"])
    np.testing.assert_array_equal(values, found["states"]["layer 2 c"]["values"].astype(np.float32))
    assert told["gates"]["layer 1"]["f"]["shape"] == [T - CUT]
    assert (told["from"], told["to"], told["attention"]) == (CUT, T, None)


@of_kinds("lstm")
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"layer": 3, "unit": 0}, "layer: expected from 1 to 2, got 3"),
        ({"unit": 8}, "unit: expected from 0 to 7, a unit of layer 1, got 8"),
        ({"units": [1, 8]}, r"units: expected from 0 to \d, units of layer . ., got"),
        ({"units": 5000}, "units: expected .*less than or equal to 1024, got 5000"),
        ({"attention_at": CUT - 1}, f"attention_at: expected a place from {CUT} to {T - 1}, got {CUT - 1}"),
        ({"attention_at": T}, "attention_at: expected a place from"),
        ({"lair": 1}, "lair"),
    ],
)
def test_what_cannot_be_watched(run: Trained, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        watched(run, drawn(run), CUT, **asked)


@of_kinds("elman")
def test_a_long_piece_is_refused(run: Trained) -> None:
    with pytest.raises(UserError, match="at most 2,000 units, got 2001"):
        watched(run, drawn(run, MOST_UNITS + 1), 0)


@of_kinds("lstm", "transformer")
def test_a_twin_shares_weights_and_no_hooks(run: Trained) -> None:
    model, calls = run.model, []
    other = twin(model)
    assert [p.data_ptr() for p in other.parameters()] == [p.data_ptr() for p in model.parameters()]
    for part in other.modules():
        part.register_forward_hook(lambda *_: calls.append(1))
    model.read([drawn(run)])
    assert not calls
    other.train().read([drawn(run)])
    assert calls
    assert not model.training
