"""Encoder-decoders as two graphs in onnxruntime against the model; and the export of a run of every task."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import elman
from elman.cells import CELLS
from elman.errors import UserError
from elman.export import export
from elman.export.onnx import metadata
from elman.models import EncoderDecoder, RecurrentEncoderDecoder, TransformerEncoderDecoder
from graphs import Opened, arrays, assert_close, assert_trial, run_of

onnxruntime = pytest.importorskip("onnxruntime")
V = 10


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(1)


@torch.no_grad()
def check(model: EncoderDecoder) -> None:
    """Targets in pieces after sources with and without padding: logits, attention, and the states that change."""
    run = run_of(model)
    for lengths in (False, True):
        opened = Opened(run, lengths=lengths)
        for B, S, T in ((1, 1, 1), (3, 7, 6)):
            source, tokens = torch.randint(12, (B, S)), torch.randint(V, (B, T))
            ends = torch.randint(1, S + 1, (B,)) if lengths else None
            memory: Any = model.encode(source, ends)
            feeds = {"source": source.numpy()} | ({} if ends is None else {"lengths": ends.numpy()})
            first = opened("encoder", feeds)
            state = {
                name: first.get(f"next_{name}", zeros(shape, B, name, opened))
                for name, shape in opened.inputs("decoder").items()
                if name != "tokens"
            }
            for begin, end in ((0, 2), (2, 3), (3, T)):
                piece = tokens[:, begin:end]
                if not piece.shape[1]:
                    continue
                _, attention, _ = model.read_aligned(piece, memory)
                wanted, memory = model(piece, memory)
                found = opened("decoder", {"tokens": piece.numpy(), **state})
                assert_close(found["logits"], wanted)
                if attention is not None:
                    assert_close(found["attention"], attention)
                after = {name[len("next_") :]: array for name, array in found.items() if name.startswith("next_")}
                # The leaves that change are the first of the model's.
                for n, leaf in enumerate(arrays(memory)[: len(after)]):
                    assert_close(after[f"state_{n}"], leaf)
                state |= after
        assert_trial(opened)


def zeros(shape: list[Any], B: int, name: str, opened: Opened) -> np.ndarray:
    """A first state that the encoder does not give: without entries along an open size."""
    kinds = {value.name: value.type for value in opened.sessions["decoder"].get_inputs()}
    dtype = np.int64 if "int64" in kinds[name] else np.float32
    return np.zeros([B if size == "batch" else 0 if isinstance(size, str) else size for size in shape], dtype)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("attention", ["none", "dot", "general", "additive"])
def test_attention_and_input_feeding(attention: str, bidirectional: bool) -> None:
    for feeding in (False, True)[: 1 if attention == "none" else 2]:
        sizes = {"hidden_size": 6, "embedding_size": 6, "num_layers": 2, "tied": feeding}
        way = {"bidirectional": bidirectional, "input_feeding": feeding, "attention": attention}
        check(RecurrentEncoderDecoder("lstm", 12, V, **sizes, **way))


@pytest.mark.parametrize("cell", CELLS)
def test_cells(cell: str) -> None:
    for feeding in (False, True):
        check(RecurrentEncoderDecoder(cell, 12, V, hidden_size=6, embedding_size=5, input_feeding=feeding))


@pytest.mark.parametrize("bridge", ["copy", "none"])
def test_bridges(bridge: str) -> None:
    for cell in ("gru", "lstm"):
        check(RecurrentEncoderDecoder(cell, 12, V, hidden_size=6, embedding_size=5, bridge=bridge))


def test_one_embedding_for_both_sides() -> None:
    check(RecurrentEncoderDecoder("gru", 12, 12, joint=True, hidden_size=6, embedding_size=6, tied=True))


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_transformers(norm: str, positions: str) -> None:
    for qk_norm, tied in product((False, True), repeat=2):
        sizes = {"hidden_size": 8, "num_heads": 2, "encoder_layers": 2, "decoder_layers": 3, "max_positions": 20}
        own = {"norm": norm, "positions": positions, "qk_norm": qk_norm, "tied": tied}
        check(TransformerEncoderDecoder(12, V, **sizes, **own))


def test_what_does_not_change_is_told() -> None:
    """The keys of the source are given to every step of the decoder, and by none."""
    run = run_of(RecurrentEncoderDecoder("gru", 12, V, hidden_size=6, embedding_size=5, input_feeding=True))
    run.task, run.config = elman.tasks.TASKS["translation"], {"model": {"model": "gru"}}
    told = metadata.describe(run, Opened(run, lengths=True).drawing)
    constant = [entry.get("constant", False) for entry in told["state"]]
    assert constant == [False, False, True, True, True]  # h, what is fed, keys, values, lengths
    assert [entry["shape"][1:] for entry in told["state"]] == [[6], [6], ["source", 6], ["source", 6], []]
    assert told["ports"]["encoder"]["inputs"][1]["name"] == "lengths"


# Whole runs

WORDS = ["a b c", "b a", "c c a b", "a", "b c"] * 8
SERIES = [
    {"unique_id": n, "ds": t, "y": 500 + math.sin(t) + n * t / 9, "price": t % 7, "shop": "xy"[n % 2]}
    for n in range(3)
    for t in range(60)
]
RUNS: dict[str, Callable[[dict[str, Any]], elman.Run]] = {
    "classes": lambda rest: elman.fit(WORDS, list("ab") * 20, task="classification", bidirectional=False, **rest),
    "several labels": lambda rest: elman.fit(
        WORDS, ["p|q", "p", "q", "p", "q"] * 8, task="classification", multilabel=True, pooling="mean", **rest
    ),
    "numbers of series": lambda rest: elman.fit(
        [[[9e3 + t * n, None if t == 2 else t] for t in range(3 + n % 4)] for n in range(40)],
        [n / 7 for n in range(40)], task="classification", **rest,
    ),
    "tags": lambda rest: elman.fit(
        [line.split() for line in WORDS], [line.upper().split() for line in WORDS], task="tagging", crf=True, **rest
    ),
    "forecasts": lambda rest: elman.fit(
        SERIES, task="forecasting", horizon=4, form="segment", segment=3, future=["price"], identities=True, **rest
    ),
    "likelihood": lambda rest: elman.fit(SERIES, task="forecasting", horizon=4, form="likelihood", **rest),
    "translations": lambda rest: elman.fit(
        [(f"{line} {n}", line[::-1]) for n, line in enumerate(WORDS)], task="translation", input_feeding=True, embedding_size=8, **rest
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_checked_on_its_own_validation_data(name: str, tmp_path: Path) -> None:
    run = RUNS[name]({"budget": "1 steps", "hidden_size": 8, "progress": False, "out": tmp_path / "run"})
    for lengths in (False, True):
        said: list[str] = []
        folder = tmp_path / f"exported {lengths}"
        [made] = export(run, "onnx", folder, lengths=lengths, say=said.append).checks
        assert not said
        assert made.difference < 1e-5
        assert made.loss is not None
        assert made.runtime_loss == pytest.approx(made.loss, rel=1e-5)
        told = json.loads((folder / "config.json").read_text())
        graphs = {f"{graph}.onnx" for graph in (("encoder", "decoder") if name == "translations" else ("model",))}
        assert {path.name for path in folder.iterdir()} == {*graphs, "config.json", *told["codecs"].values()}
        assert set(told["codecs"]) == set(run.codecs)
        assert told["answer"]


def test_two_graphs_need_a_folder(tmp_path: Path) -> None:
    run = RUNS["translations"]({"budget": "1 steps", "hidden_size": 8, "progress": False, "out": tmp_path / "run"})
    with pytest.raises(UserError, match="expected a folder's name"):
        export(run, "onnx", tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
