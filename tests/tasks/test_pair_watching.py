"""What a session of an encoder-decoder is shown: how each token of its target was chosen, whatever was read before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from elman.data.tokenizers import train_tokenizer
from elman.lens import visit_layers
from elman.lens.gates import gates_of
from elman.models import build_encoder_decoder
from elman.serve.session import Trail
from elman.serve.watching import describe_memory, watch
from elman.tasks import TASKS
from elman.tasks.exchange import Trained
from elman.tasks.listening import Memory
from elman.tasks.translation.target_rows import TargetRows

SIZES = {"hidden_size": 8, "num_layers": 2}
KINDS: dict[str, dict[str, Any]] = {
    "additive": {"model": "gru", "attention": "additive", **SIZES},
    "input feeding": {"model": "lstm", "attention": "general", "input_feeding": True, **SIZES},
    "no attention": {"model": "lstm", "attention": "none", **SIZES},
    "transformer": {"model": "transformer", "hidden_size": 8, "num_heads": 2, "encoder_layers": 1, "decoder_layers": 2},
}
FIRST, SOURCE, TARGET = [1, 2], [3, 1, 4, 1], [2, 0, 3, 3, 1]
UNITS: list[Any] = [FIRST, 4, 4, SOURCE, *TARGET]  # the session has another pair before


@pytest.fixture(params=KINDS)
def run(request: pytest.FixtureRequest) -> Trained:
    tokenizer = train_tokenizer("char", ["abcde"], eod=True)
    sizes = {"source_vocab_size": tokenizer.vocab_size, "vocab_size": tokenizer.vocab_size}
    torch.manual_seed(0)
    model = build_encoder_decoder(sizes | KINDS[request.param]).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    codecs = {"source_tokenizer": tokenizer, "target_tokenizer": tokenizer}
    return Trained(Path("pairs"), TASKS["translation"], model, codecs, {})


def memory_at(run: Trained, position: int) -> Memory:
    """That of a session which has read so many of the units."""
    if not position:
        return Memory((), {})
    rows, end, target = TargetRows(run.model, run.target_tokenizer.eod, []), run.source_tokenizer.eod, UNITS[4:position]
    state: Any = rows.go_on(rows.encode([[*SOURCE, end]])[0], target)
    return Memory(state, {"source": SOURCE, "target": target}, position)


@pytest.mark.parametrize("near", [0, 4, 6])
@pytest.mark.parametrize("begin", [0, 2, 5, 7])
@torch.no_grad()
def test_a_target_is_watched(run: Trained, near: int, begin: int) -> None:
    """The steps read <eod> and the target but for its last token, after the source and its end."""
    model, end = run.model, run.source_tokenizer.eod
    trail = Trail(Memory((), {}), Memory((), {}, len(UNITS)), UNITS, [memory_at(run, near)])
    found = watch(
        run,
        trail,
        lambda units: list(map(str, units)),
        {"from": begin, "units": [0, 3], "unit": 3, "layer": 2 if model.kind != "transformer" else 1},
    )
    state, inputs = model.encode([[*SOURCE, end]]), [[end, *TARGET[:-1]]]
    logits, alignment = model(inputs, state)[0][0], model.read_aligned(inputs, state)[1]
    nats = -logits.log_softmax(-1).gather(1, torch.tensor(TARGET)[:, None])[:, 0]
    before = max(0, 4 - begin)  # units that are none of the target's
    step = max(0, begin - 4)
    assert found["surprise"] == pytest.approx([None] * before + nats[step:].tolist(), abs=1e-6)
    if alignment is None:
        assert "alignment" not in found
    else:
        assert np.isnan(found["alignment"][:before]).all()
        np.testing.assert_allclose(found["alignment"][before:], alignment[0, step:], rtol=0, atol=1e-12)
    if model.kind == "transformer":
        hidden = model.read(inputs, state)[0][0, step:, [0, 3]]
        np.testing.assert_allclose(found["states"]["hidden state"]["values"].T[before:], hidden, rtol=0, atol=1e-12)
        about = describe_memory(run)
        assert about["heads"] == {"layers": 2, "heads": 2}
        assert [(place["name"], place["heads"]) for place in about["places"]][-1:] == [
            ("self-attention of encoder layer 1", 2)
        ]
        return
    visit = visit_layers(model.decoder, lambda: model.read(inputs, state))[1]
    values = found["states"]["layer 2 h"]["values"].T
    assert np.isnan(values[:before]).all()
    np.testing.assert_allclose(values[before:], visit.after[0][step:, 0, [0, 3]], rtol=0, atol=1e-12)
    for name, gate in gates_of(visit).items():
        np.testing.assert_allclose(found["gates"]["layer 2"][name][before:], gate[step:, 0, 3], rtol=0, atol=1e-12)
    assert [layer["name"] for layer in describe_memory(run)["layers"]] == ["layer 1", "layer 2"]
