"""`.keras` files: what Keras loads (tests/interop/record_exports.py runs it), and what comes in again."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from elman.errors import UserError
from elman.export import keras as of_keras
from elman.export.exported import Exported, write_files
from elman.export.layers import layers_of
from elman.export.options import ExportOptions
from elman.interop.imported import ImportOptions
from elman.interop.keras_files import read_keras
from elman.models.layered import LayeredModel
from exported_models import MODELS, NOT_IN_KERAS, chain, inputs_of, keras_content, made, rnn

IN_KERAS = [name for name in MODELS if name not in NOT_IN_KERAS]


def written(model: torch.nn.Module, path: Path) -> Exported:
    exported = of_keras.write(cast(Any, SimpleNamespace(model=model)), path, ExportOptions(), lambda line: None)
    write_files(exported.contents, overwrite=True, run=path / "run")
    return exported


@pytest.mark.parametrize("name", IN_KERAS)
def test_a_file_comes_in_again(name: str, tmp_path: Path) -> None:
    """The same in every bit, or the fold is recorded; a second time out, every byte is the same."""
    model, x, path = layers_of(made(name)).model, inputs_of(name), tmp_path / f"{name}.keras"
    exported = written(model, path)
    folded = [note for note in exported.notes if " is added to " in note]
    read = read_keras(path, ImportOptions())
    again = LayeredModel(read.config)
    again.load_state_dict(read.tensors)
    again.eval()
    torch.testing.assert_close(again(x)[0], model(x)[0], atol=1e-6, rtol=0)
    ours, theirs = ([tensor.numpy().tobytes() for tensor in each.state_dict().values()] for each in (model, again))
    if all(
        getattr(node, "layer", None) is None or getattr(node.layer, "bias", 1) is not False
        for node in model.nodes.values()
    ):
        assert (ours == theirs) != bool(folded), "a fold is recorded, and nothing else changes"
    content, folds = of_keras.keras_file(again)
    assert folds == []
    first, second = keras_content(path.read_bytes()), keras_content(content)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[key], second[key]) for key in first if key != "config")
    assert of_keras.keras_file(model)[0] == path.read_bytes(), "equal models give equal files"


def test_the_groups_are_named_as_keras_finds_them(tmp_path: Path) -> None:
    found = keras_content(of_keras.keras_file(layers_of(made("lm_lstm")).model)[0])
    assert [*found] == [
        "config", "layers/dense/vars/0", "layers/dense/vars/1", "layers/embedding/vars/0",
        *(f"layers/lstm{end}/cell/vars/{n}" for end in ("", "_1") for n in range(3)),
    ]  # fmt: skip
    model = chain({"op": "max", "size": 3}, outputs=3, per_step=False)
    with zipfile.ZipFile(io.BytesIO(of_keras.keras_file(model)[0])) as archive:
        assert b"global_max_pooling1d" in archive.read("model.weights.h5")
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}
        assert json.loads(archive.read("metadata.json")) == {"keras_version": "3.15.1"}


REFUSED: list[tuple[LayeredModel, str]] = [
    (layers_of(made("classifier_sum")).model, "keras has no layer for 'last', which is of the kind last"),
    (chain(rnn("slstm", 3, 2), outputs=2), "keras has no layer of the kind"),
    (chain(rnn("lstm", 3, 2, peepholes=True), outputs=2), "keras.LSTM has no equal of this LSTM: it has no array"),
    (chain(rnn("gru", 3, 2, direction="backward"), outputs=2), "keras leaves the outputs of 'recurrent_0' in"),
    (chain({"op": "activation", "function": "gelu_tanh"}, outputs=3), "keras has no function for 'activation_0'"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_what_keras_cannot_is_refused_and_nothing_is_written(model: LayeredModel, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{reason}"):
        written(model, tmp_path / "model.keras")
    assert [*tmp_path.iterdir()] == []


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected a name with the ending .keras"):
        written(made("relu"), tmp_path / "model.h5")
