"""What a session shows of itself: equal to what the microscope says of the same tokens read whole."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import elman
from elman.errors import UserError
from elman.lens import Intervention, attention_weights, hold, visit_layers
from elman.lens.gates import gates_of
from elman.lens.observe import twin
from elman.models import build
from elman.serve import Sessions
from elman.serve.session import Trail
from elman.serve.watching import CONTEXT, MOST_UNITS, TextOf, as_json, describe_memory, watch
from elman.tasks.exchange import Trained
from elman.tasks.listening import Memory

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


def texts(run: Trained) -> TextOf:
    return lambda units: [run.tokenizer.decode([token]) for token in units]


def watched(run: Trained, tokens: list[int], first: int, *, near: int | None = None, **asked: Any) -> dict[str, Any]:
    """A piece from `first` on, read from the memory at the same place, or from one at `near`."""
    start = Memory((), {})
    between = [memory_after(run, tokens[: first if near is None else near])]
    trail = Trail(start, memory_after(run, tokens), tokens, between if between[0].position else [])
    return watch(run, trail, texts(run), {"from": first} | asked)


@of_kinds("elman", "gru", "lstm", "mingru", "slstm")
@pytest.mark.parametrize("begin", [0, CUT, T - 1])
def test_states_and_gates_are_those_of_the_text_read_whole(run: Trained, begin: int) -> None:
    tokens, model = drawn(run), run.model
    visits = visit_layers(model, lambda: model.read([tokens]))
    for layer, visit in enumerate(visits, 1):
        found = watched(run, tokens, begin, near=begin // 2, layer=layer, unit=3, units=list(range(5)))
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
@pytest.mark.parametrize(("begin", "near"), [(0, 0), (CUT, CUT), (CUT, 4), (T - 1, 0)])
def test_surprise_and_candidates_are_those_of_the_text_read_whole(run: Trained, begin: int, near: int) -> None:
    tokens = drawn(run)
    with torch.no_grad():
        log_p = run.model(torch.tensor([tokens]))[0][0].log_softmax(-1)
    found = watched(run, tokens, begin, near=near, top=3)
    nats = [None, *(-log_p[:-1].gather(1, torch.tensor(tokens[1:])[:, None])[:, 0]).tolist()]
    assert found["surprise"] == pytest.approx(nats[begin:], abs=1e-6)
    assert found["pieces"] == [run.tokenizer.decode([token]) for token in tokens[begin:]]
    for candidates, row in zip(found["next"], log_p[begin:], strict=True):
        values, ids = row.exp().topk(3)
        assert [one["id"] for one in candidates] == ids.tolist()
        assert [one["token"] for one in candidates] == [run.tokenizer.symbol(int(token)) for token in ids]
        assert [one["text"] for one in candidates] == [run.tokenizer.decode([token]) for token in ids]
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


@of_kinds("lstm")
def test_the_units_that_vary_most_are_told(run: Trained) -> None:
    """Of the last state of a layer, so that a unit's h and c lie side by side."""
    every = watched(run, drawn(run), 0, units=8)["states"]
    found = watched(run, drawn(run), 0, units=3)["states"]
    for layer in ("layer 1", "layer 2"):
        units = sorted(np.argsort(-every[f"{layer} c"]["values"].std(1))[:3].tolist())
        for name in (f"{layer} h", f"{layer} c"):
            assert found[name]["units"] == units
            np.testing.assert_array_equal(found[name]["values"], every[name]["values"][units])
    nothing = watched(run, drawn(run), 0, units=[], top=0)
    assert nothing["states"] == {}
    assert "next" not in nothing


@of_kinds("gru")
def test_a_memory_that_holds_no_numbers_says_nothing(run: Trained) -> None:
    memory, tokens = memory_after(run, drawn(run, 4)), drawn(run)
    broken = Memory((tuple(part * torch.nan for part in memory.state[0]), memory.state[1] * torch.nan), {}, 4)
    trail = Trail(broken, Memory((), {}, 4 + T), tokens)
    found = watch(run, trail, texts(run), {"units": 4})
    assert found["surprise"] == [None] * T
    assert found["next"] == [[]] * T
    told = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert np.isnan(np.frombuffer(base64.b64decode(told["states"]["layer 1 h"]["data"]), "<f4")).all()


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
        ({"units": [1, 8]}, r"units: expected from 0 to 7, got \[1, 8\]"),
        ({"units": 5000}, "units: expected .*less than or equal to 1024, got 5000"),
        ({"from": 5, "to": 4}, f"a piece: expected from 0 or later, to {T} or earlier, got 5 to 4"),
        ({"from": 5, "to": T + 1}, "a piece: expected from 0 or later"),
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
    with pytest.raises(UserError, match="at most 2,000 units, got 2,001"):
        watched(run, drawn(run, MOST_UNITS + 1), 0)
    assert watched(run, drawn(run, MOST_UNITS + 1), 0, **{"from": None})["from"] == 1


@of_kinds("gru", "transformer")
@pytest.mark.parametrize("begin", [0, 2, 7, CUT + 1])
def test_what_was_read_while_units_were_held_is_shown_so(run: Trained, begin: int) -> None:
    """A trail of three stretches, in the second of which something is held."""
    tokens, first, last = drawn(run), 5, CUT
    asked = {"layer": 1} | ({"head": 1} if run.model.kind == "transformer" else {"gate": "z", "unit": 2, "value": 1.0})
    held, memories, parts = hold(run.model, [Intervention(**asked)]), [Memory((), {})], []
    for model, piece in ((run.model, tokens[:first]), (held, tokens[first:last]), (run.model, tokens[last:])):
        with torch.no_grad():
            hidden, state = model.read([piece], memories[-1].state[0] if memories[-1].state else None)
        parts.append(hidden[0])
        memories.append(Memory((state, hidden[:, -1]), {}, memories[-1].position + len(piece)))
    trail = Trail(memories[0], memories[0])
    for memory, begun, before in zip(memories[1:], (0, first, last), memories, strict=False):
        trail.extend(memory, tokens[begun : memory.position], held=[asked] if before.position == first else ())
    found = watch(run, trail, texts(run), {"from": begin, "units": list(range(8)), "unit": 2, "attention_at": T - 1})
    with torch.no_grad():
        log_p = run.model.output(torch.cat(parts)).log_softmax(-1)
    nats = [None, *(-log_p[:-1].gather(1, torch.tensor(tokens[1:])[:, None])[:, 0]).tolist()]
    assert found["surprise"] == pytest.approx(nats[begin:], abs=1e-6)
    if "gate" in asked:
        at = np.arange(begin, T)
        np.testing.assert_array_equal(found["gates"]["layer 1"]["z"] == 1, (at >= first) & (at < last))
    else:
        np.testing.assert_allclose(found["states"]["hidden state"]["values"].T, torch.cat(parts)[begin:], atol=1e-12)
        assert found["attention"]["at"] == T - 1


@of_kinds("gru", "transformer")
def test_what_can_be_watched_is_described(run: Trained) -> None:
    about = describe_memory(run)
    places = about.pop("places")
    assert [place["address"] for place in places] == [{"layer": 1}, {"layer": 2}]
    if run.model.kind == "transformer":
        assert about == {"layers": [], "heads": {"layers": 2, "heads": 2}}
        assert places[0]["name"] == "self-attention of layer 1"
        assert [place["heads"] for place in places] == [2, 2]
        return
    first = {"name": "layer 1", "cell": "gru", "units": 8, "states": ["h"], "gates": ["r", "z"]}
    assert about == {"layers": [first, first | {"name": "layer 2"}], "heads": None}
    assert places[0] == first | {"address": {"layer": 1}, "heads": 0}


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


HELD = [{"layer": 1, "state": "h", "unit": 2, "value": 40.0}]


def test_a_session_watches_itself(trained: Path) -> None:
    with Sessions(trained) as sessions:
        session = sessions.create(text="the cat sat on a mat")
        fed = session.feed(text=" and", top=3)
        found = session.watch(begin=3, unit=1, top=3, units=[0, 5])
        assert (found["from"], found["to"]) == (3, session.position)
        assert "".join(found["pieces"]) == session.text[3:]
        assert found["surprise"][-4:] == pytest.approx(fed["surprise"], abs=1e-4)
        assert [one["id"] for one in found["next"][-1]] == [one["id"] for one in fed["next"]]
        assert found["gates"]["layer 1"]["f"].shape == (session.position - 3,)
        model = sessions.models[session.model].describe()
        assert model["layers"][0] == {
            "name": "layer 1",
            "cell": "lstm",
            "units": 8,
            "states": ["h", "c"],
            "gates": ["i", "f", "o"],
        }


def test_a_request_with_held_units_goes_its_own_way(trained: Path) -> None:
    """The state says so, and afterwards nothing is held; forks, ways back and watching read again as it was read."""
    with Sessions(trained) as sessions:
        session = sessions.create(text="the cat sat")
        other = session.fork()
        plain = other.generate(tokens=30, seed=1, temperature=0.5).answer
        held = session.generate(tokens=30, seed=1, temperature=0.5, set=HELD).answer
        assert plain["text"] != held["text"]
        again = session.fork(at=11).generate(tokens=30, seed=1, temperature=0.5, set=HELD).answer
        assert held["text"] == again["text"]
        h = session.watch(units=[2])["states"]["layer 1 h"]["values"][0]
        assert (h[11:] == 40).all()
        assert (h[:11] != 40).all()
        after = session.watch()["surprise"][:20]
        session.feed(text=" on", set=HELD)
        session.feed(text=" a mat")
        h = session.watch(units=[2])["states"]["layer 1 h"]["values"][0]
        assert (np.flatnonzero(h == 40) == np.arange(11, 44)).all()
        session.rollback(20)
        assert session.watch()["surprise"] == after
        assert session.watch(units=[2])["states"]["layer 1 h"]["values"][0, -1] == 40


@pytest.mark.parametrize(
    ("kind", "asked"),
    [("feed", {"text": "a", "set": [{"layer": 2, "state": "h"}]}), ("generate", {"set": [{"layer": 1, "gate": "q"}]})],
)
def test_what_cannot_be_held_is_refused_at_once(trained: Path, kind: str, asked: dict[str, Any]) -> None:
    with Sessions(trained) as sessions:
        session = sessions.create(text="the cat")
        with pytest.raises(
            UserError, match=r"expected layer 1, got layer 2|layer 1: expected state h or c, or gate i, f or o"
        ):
            sessions.submit(session.id, kind, asked)
        assert not session.describe()["busy"]


def test_many_watch_while_a_text_is_written(trained: Path) -> None:
    """A twin of the model reads, so nobody meets another's hooks; the text is what it is without them."""
    with Sessions(trained) as sessions:
        session = sessions.create(text="the cat sat on a mat")
        expected = session.fork().generate(tokens=300, seed=4).answer["text"]
        seen = json.dumps(as_json(session.watch(unit=1)))
        with ThreadPoolExecutor(3) as threads:
            writing = sessions.submit(session.id, "generate", {"tokens": 300, "seed": 4})
            other = sessions.create(text="the cat sat on a mat")
            found = list(threads.map(lambda _: json.dumps(as_json(other.watch(unit=1))), range(9)))
        assert found == [seen] * 9
        assert writing.result()["text"] == expected


def test_the_text_of_a_piece_goes_on_from_what_is_before_it(trained: Path) -> None:
    """As that of the whole session, of which only a little is spelt again."""
    with Sessions(trained) as sessions:
        session = sessions.create(text="the dog ran to the é cat " * 9)
        for begin in (0, 40, CONTEXT + 50):
            assert session.watch(begin=begin, units=[], top=0)["pieces"] == session.pieces()[begin:]
