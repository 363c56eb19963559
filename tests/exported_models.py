"""Models of every kind that other frameworks have layers for, with the same numbers on every machine."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from elman.export.flax import WRITERS, module_text
from elman.export.keras import keras_file
from elman.export.layers import layers_of
from elman.export.source import source_of
from elman.models.classifier import Classifier
from elman.models.forecaster import SeriesForecaster
from elman.models.layered import LayeredModel
from elman.models.recurrent import RecurrentLM
from elman.models.tagger import Tagger

V, T, B = 11, 6, 3
LM: dict[str, Any] = {"vocab_size": V, "hidden_size": 5}
ONE_WAY: dict[str, Any] = {"outputs": 4, "hidden_size": 6, "bidirectional": False}
VALUES: dict[str, Any] = {"input": {"kind": "values", "channels": 3}, "output_kind": "numbers"}


def chain(*nodes: dict[str, Any], outputs: int, per_step: bool = True, **config: Any) -> LayeredModel:
    """Nodes each of which reads the one before."""
    named = [
        {"name": f"{node['op']}_{n}", "inputs": [f"{nodes[n - 1]['op']}_{n - 1}" if n else "input"], **node}
        for n, node in enumerate(nodes)
    ]
    return LayeredModel(
        {**VALUES, **config, "nodes": named, "output": named[-1]["name"], "outputs": outputs, "per_step": per_step}
    )


def rnn(cell: str, D: int, H: int, **options: Any) -> dict[str, Any]:
    return {"op": "recurrent", "cell": cell, "input_size": D, "hidden_size": H, **options}


MODELS: dict[str, Callable[[], nn.Module]] = {
    "lm_lstm": lambda: RecurrentLM("lstm", num_layers=2, tied=True, residual=True, **LM),
    "lm_gru": lambda: RecurrentLM("gru", **LM),
    "lm_elman": lambda: RecurrentLM("elman", num_layers=2, **LM),
    "tagger_lstm": lambda: Tagger("lstm", V, 3, ["B", "I", "O"], character_size=0, hidden_size=6, embedding_size=4),
    "classifier_last": lambda: Classifier("gru", vocab_size=V, outputs=4, hidden_size=6, pooling="last"),
    "classifier_mean": lambda: Classifier("lstm", channels=3, pooling="mean", residual=True, num_layers=2, **ONE_WAY),
    "classifier_max": lambda: Classifier("elman", channels=2, outputs=4, missing=True, hidden_size=6, pooling="max"),
    "classifier_sum": lambda: Classifier("gru", vocab_size=V, pooling="last", residual=True, **ONE_WAY),
    "forecaster": lambda: SeriesForecaster("lstm", 12, 3, hidden_size=6, segment=2),
    "reset_before": lambda: chain(rnn("gru", 3, 4, reset_after=False), outputs=4),
    "relu": lambda: chain(rnn("elman", 3, 4, nonlinearity="relu", bias=False), outputs=4),
    "merged": lambda: chain(
        rnn("lstm", 3, 4, direction="both", merge="sum", padding="zero"),
        rnn("gru", 4, 2, direction="both", merge="ave", padding="zero"),
        {"op": "layer_norm", "size": 2, "epsilon": 1e-3}, {"op": "activation", "function": "softmax"},
        outputs=2, output_kind="probabilities",
    ),
    "backward": lambda: chain(
        rnn("lstm", 3, 4, direction="backward", in_time_order=False),
        rnn("gru", 4, 3, direction="backward", reads="last"),
        {"op": "batch_norm", "size": 3, "epsilon": 1e-3}, {"op": "activation", "function": "gelu"},
        outputs=3, per_step=False,
    ),
}  # fmt: skip


def made(name: str) -> nn.Module:
    """A model in evaluation, its numbers drawn from its name."""
    random, model = np.random.default_rng(zlib.crc32(name.encode())), MODELS[name]().eval()
    for tensor in [*model.parameters(), *(buffer for _, buffer in model.named_buffers() if buffer.dim() == 1)]:
        drawn = random.standard_normal(tensor.shape) * 0.6
        positive = any(tensor is buffer for key, buffer in model.named_buffers() if key.endswith("variance"))
        tensor.data[...] = torch.from_numpy(np.abs(drawn) + 0.1 if positive else drawn)
    return model


def inputs_of(name: str) -> torch.Tensor:
    """Tokens (B, T), or values (B, T, channels)."""
    layers, random = layers_of(MODELS[name]()).model, np.random.default_rng(zlib.crc32(name.encode()) + 1)
    if layers.reads_tokens:
        return torch.from_numpy(random.integers(0, V, (B, T)))
    return torch.from_numpy(random.standard_normal((B, T, layers.settings.input.channels)).astype(np.float32))


def digest(parts: Mapping[str, np.ndarray | bytes]) -> str:
    """A hash of named arrays and texts."""
    whole = hashlib.sha256()
    for name in sorted(parts):
        part = parts[name]
        whole.update(name.encode() + (part if isinstance(part, bytes) else np.ascontiguousarray(part).tobytes()))
    return whole.hexdigest()


def keras_content(content: bytes) -> dict[str, np.ndarray | bytes]:
    """What a `.keras` file says, whatever version of HDF5 wrote the arrays."""
    import h5py

    with (
        zipfile.ZipFile(io.BytesIO(content)) as archive,
        h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file,
    ):
        found: dict[str, np.ndarray | bytes] = {"config": archive.read("config.json")}
        file.visititems(lambda path, item: found.update({path: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return found


def exported(name: str) -> dict[str, dict[str, np.ndarray | bytes]]:
    """The contents of the files by framework, those that have the model's layers."""
    model = layers_of(made(name)).model
    found = {"keras": keras_content(keras_file(model)[0])} if name not in NOT_IN_KERAS else {}
    if name not in NOT_IN_FLAX:
        source = source_of(model, WRITERS, "flax.linen", "/")
        found["flax"] = {"module": module_text(source, f"{name}.npz").encode(), **source.arrays}
    return found


NOT_IN_KERAS = {"classifier_sum"}  # the last step of a sum
NOT_IN_FLAX = {"reset_before", "backward"}  # batch normalisation has a state of its own

if __name__ == "__main__":  # write all files for record_exports.py into a folder
    import sys
    from pathlib import Path

    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    digests = {}
    for name in MODELS:
        np.save(folder / f"{name}.npy", inputs_of(name).numpy())
        digests[name] = {framework: digest(content) for framework, content in exported(name).items()}
        if name not in NOT_IN_KERAS:
            (folder / f"{name}.keras").write_bytes(keras_file(layers_of(made(name)).model)[0])
        if (found := exported(name).get("flax")) is not None:
            (folder / f"{name}.py").write_bytes(found.pop("module"))
            np.savez(folder / f"{name}.npz", **found)
    (folder / "digests.json").write_text(json.dumps(digests))
