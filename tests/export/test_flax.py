"""Parameters of Flax linen, and the module beside (tests/interop/record_exports.py runs it)."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from elman.errors import UserError
from elman.export import flax as of_flax
from elman.export.exported import write_files
from elman.export.layers import layers_of
from elman.export.options import ExportOptions
from elman.interop import from_arrays
from elman.nn import LSTM
from exported_models import made


def written(name: str, path: Path) -> Any:
    run = cast(Any, SimpleNamespace(model=made(name)))
    exported = of_flax.write(run, path, ExportOptions(), lambda line: None)
    write_files(exported.contents, overwrite=True, run=path / "run")
    return exported


def test_the_arrays_are_those_of_linen_s_tree(tmp_path: Path) -> None:
    exported = written("tagger_lstm", tmp_path / "tagger.npz")
    assert [Path(file).name for file in exported.files] == ["tagger.npz", "tagger.py"]
    assert [note for note in exported.notes if "lstm_1" in note] == [
        f"lstm_1: bias_ih_l0{end} of i, f, g, o is added to bias_hh_l0{end}" for end in ("", "_reverse")
    ]
    with np.load(tmp_path / "tagger.npz") as file:
        arrays = {name: file[name] for name in file}
    layers = layers_of(made("tagger_lstm")).model.named_nodes
    layer = from_arrays("flax.linen.LSTMCell", {name: part for name, part in arrays.items() if "lstm_1" in name})
    assert isinstance(layer, LSTM)
    x = torch.randn(4, 2, 4)
    ours = layers["lstm_1"].layer(x.transpose(0, 1))[0].transpose(0, 1)
    torch.testing.assert_close(layer(x)[0], ours, atol=1e-6, rtol=0)
    h = torch.randn(2, 6)
    dense = h @ torch.from_numpy(arrays["output/kernel"]) + torch.from_numpy(arrays["output/bias"])
    torch.testing.assert_close(dense, layers["output"].layer(h), atol=1e-6, rtol=0)
    assert arrays["embedding/embedding"].shape == (11, 4)
    module = ast.parse((tmp_path / "tagger.py").read_text())
    imported = {node.module for node in ast.walk(module) if isinstance(node, ast.ImportFrom)}
    assert imported == {"flax", "flax.traverse_util", "jax"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("reset_before", "flax.linen.GRUCell has no equal of this GRU: its reset_after is True, the layer's False"),
        ("backward", "flax.linen has no layer for 'batch_norm_2', which is of the kind batch_norm"),
    ],
)
def test_what_linen_cannot_is_refused_and_nothing_is_written(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{reason}"):
        written(name, tmp_path / "model.npz")
    with pytest.raises(UserError, match=r"expected a name with the ending .npz"):
        written("relu", tmp_path / "model.msgpack")
    assert [*tmp_path.iterdir()] == []
