"""Whole models from Keras's files, against numbers of Keras (record_keras_models.py), and what is refused."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from elman.errors import UserError
from elman.interop.imported import ImportOptions
from elman.interop.keras_files import read_keras
from elman.models.layered import LayeredModel

h5py = pytest.importorskip("h5py")
FOLDER = Path(__file__).parent / "recorded" / "keras_models"
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in (".keras", ".h5"))
CAUSAL = {"cells", "greatest", "language_model", "nested", "values", "zeros_for_masked"}


def model_in(path: Path) -> LayeredModel:
    read = read_keras(path)
    with torch.device("meta"):
        model = LayeredModel(read.config)
    model.load_state_dict(read.tensors, assign=True)
    return model.eval()


def recorded(name: str) -> tuple[torch.Tensor, np.ndarray]:
    with np.load(FOLDER / f"{name}.npz") as stored:
        x = torch.from_numpy(stored["x"])
        return x if x.is_floating_point() else x.long(), stored["y"]


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_a_model_gives_keras_s_numbers_on_every_form_of_mask(path: Path) -> None:
    x, y = recorded(path.stem)
    model = model_in(path)
    with torch.no_grad():
        found = model(x)[0].numpy()
    there = np.isfinite(y)  # Keras's average of no step is 0 / 0
    assert there.all() or (path.stem == "values" and (~there).sum() == y.shape[1])
    np.testing.assert_allclose(found[there], y[there], atol=1e-6, rtol=0)
    assert np.ptp(y[:5], axis=0).min() > 1e-3, "what is compared differs from row to row"
    assert model.causal == (path.stem in CAUSAL)
    if model.settings.logits:
        before = model.logits(x)[0]
        how = torch.sigmoid if path.stem == "two_classes" else lambda z: z.softmax(-1)
        torch.testing.assert_close(how(before), torch.from_numpy(found), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", sorted(CAUSAL))
def test_reading_in_pieces_is_reading_whole(name: str) -> None:
    x, _ = recorded(name)
    model = model_in(FOLDER / f"{name}.keras").double()
    x = x.double() if x.is_floating_point() else x
    whole, after = model(x)
    for split in range(x.shape[1] + 1):
        first, state = model(x[:, :split])
        second, state = model(x[:, split:], state)
        if model.settings.per_step:
            second = torch.cat((first, second), 1)
        if split < x.shape[1]:  # the zeros of a masked last step are no state
            torch.testing.assert_close(second, whole)
        torch.testing.assert_close(state, after)


def test_kinds_of_outputs() -> None:
    kinds = {path.stem: read_keras(path).config["output_kind"] for path in FILES}
    assert kinds["tagger"] == kinds["greatest"] == kinds["two_classes"] == "probabilities"
    assert kinds["language_model"] == "logits"  # its loss says so
    assert kinds["values"] == kinds["zeros_for_masked"] == "numbers"


def test_leading_masked_steps_from_a_state_as_asked_for() -> None:
    read = read_keras(FOLDER / "cells.keras", ImportOptions(leading="zero"))
    assert {node["leading"] for node in read.config["nodes"] if node["op"] == "recurrent"} == {"zero"}


Change = Callable[[dict[str, Any]], None]


def changed(tmp_path: Path, name: str, change: Change) -> Path:
    """A copy of a file, whose configuration is another one."""
    path = tmp_path / f"{name}.keras"
    with zipfile.ZipFile(FOLDER / path.name) as given, zipfile.ZipFile(path, "w") as made:
        for member in given.namelist():
            content = given.read(member)
            if member == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            made.writestr(member, content)
    return path


def setting(index: int, **values: Any) -> Change:
    return lambda config: config["config"]["layers"][index]["config"].update(values)


def of_class(name: str, registered: str | None = None) -> Change:
    return lambda config: config["config"]["layers"][2].update(class_name=name, registered_name=registered)


FUNCTION = {"class_name": "function", "config": "f"}
TWO_OUTPUTS = {"output_layers": [["a", 0, 0], ["b", 0, 0]]}
REFUSED: list[tuple[str, Change, str]] = [
    ("cells", of_class("ConvLSTM1D"), "'encoder': .* got ConvLSTM1D; known are"),
    ("cells", of_class("LSTM", "mine>LSTM"), "'encoder': expected a layer"),
    ("cells", setting(2, recurrent_activation="hard_sigmoid"), r"'encoder' \(LSTM\): its activations are hard_sigmoid"),
    ("cells", setting(2, activation=FUNCTION), "'encoder' .*activation: expected a word"),
    ("cells", setting(2, units=5), r"'encoder' \(LSTM\): units: expected 5, got weights of shape \(4, 16\)"),
    ("cells", setting(2, use_bias=False), r"'encoder' \(LSTM\): weights: expected 2 arrays, got 3"),
    ("cells", setting(2, return_state=True), "'encoder' .*return_state: expected False, got True"),
    ("cells", setting(1, input_dim=10**12), r"'embedding' .* expected an array of shape \(1000000000000, 3\)"),
    ("cells", setting(1, quantization_config={"mode": "int8"}), "'embedding' .*quantization_config"),
    ("cells", setting(6, activation="softmaxx"), r"'dense' \(Dense\): activation: .* did you mean 'softmax'\?"),
    ("cells", setting(3, return_sequences=False), r"'gru_1' .*expected a value of shape \(B, T, 3\), got \(B, 3\)"),
    ("directions", setting(2, merge_mode=None), "'bidirectional' .*expected concat, sum, mul, ave, got None"),
    ("tagger", setting(4, name="bidirectional"), "damaged|expected one that no other"),
    ("values", setting(3, axis=1), "'layer_normalization' .*axis: expected the last one, got 1"),
    ("values", setting(3, rms_scaling=True), "rms_scaling"),
    ("cells", lambda c: c.update(class_name="Mine"), "expected Sequential or Functional, got 'Mine'"),
    ("cells", lambda c: c["config"]["layers"].clear(), "damaged"),
    ("half_masked", lambda c: c["config"].update(TWO_OUTPUTS), "one input and one output, got 2"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "words"), REFUSED, ids=[words for _, _, words in REFUSED])
def test_what_is_refused_is_named(tmp_path: Path, name: str, change: Change, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        read_keras(changed(tmp_path, name, change))
    assert "\n" not in str(caught.value)


def test_a_mask_that_does_not_flow_by_itself_is_refused(tmp_path: Path) -> None:
    def other(config: dict[str, Any]) -> None:
        layer = next(each for each in config["config"]["layers"] if each["class_name"] == "NotEqual")
        layer["inbound_nodes"][0]["args"][1] = 3

    with pytest.raises(UserError, match="expected the mask of embeddings and masking layers before, got another"):
        read_keras(changed(tmp_path, "merges", other))


def test_a_stateful_layer_is_said(tmp_path: Path) -> None:
    read = read_keras(changed(tmp_path, "cells", setting(2, stateful=True)))
    assert read.notes == ("encoder is stateful: its state is in no file, and a run begins with a fresh one",)


def test_real_names_are_those_of_attributes(tmp_path: Path) -> None:
    """Two layers of one class in another order than their groups."""

    def swapped(config: dict[str, Any]) -> None:
        first, second = (config["config"]["layers"][index]["config"] for index in (3, 4))
        first["name"], second["name"] = second["name"], first["name"]

    with pytest.raises(UserError, match=r"'gru_1' \(GRU\): units: expected 3, got weights of shape \(4, 12\)"):
        read_keras(changed(tmp_path, "cells", swapped))


def hostile(path: Path, tmp_path: Path) -> list[bytes]:
    """Files cut short, with flipped bytes, and of other kinds."""
    content, random = path.read_bytes(), np.random.default_rng(0)
    made = [content[: len(content) // part] for part in (2, 3, 50)] + [b"", b"PK\3\4", b"\x89HDF\r\n\x1a\n" + bytes(99)]
    for _ in range(25):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 30):
            damaged[place] = random.integers(256)
        made.append(bytes(damaged))
    return made


@pytest.mark.parametrize("name", ["nested.keras", "nested.h5"])
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    refused = []
    for content in hostile(FOLDER / name, tmp_path):
        path = tmp_path / name
        path.write_bytes(content)
        try:
            read_keras(path)
        except UserError as error:
            refused.append(str(error))
    assert len(refused) >= 6
    assert not any("\n" in words for words in refused)


def with_weights(tmp_path: Path, change: Callable[[Any], None]) -> Path:
    path = tmp_path / "made.keras"
    with zipfile.ZipFile(FOLDER / "nested.keras") as given, zipfile.ZipFile(path, "w") as made:
        for member in ("config.json", "metadata.json"):
            made.writestr(member, given.read(member))
        weights = io.BytesIO(given.read("model.weights.h5"))
        with h5py.File(weights, "r+") as file:
            change(file["layers/embedding/vars"])
        made.writestr("model.weights.h5", weights.getvalue())
    return path


EMBEDDINGS = "/model_weights/embedding/sequential/embedding/embeddings"


def linked(tmp_path: Path) -> Callable[[Any], None]:
    def link(group: Any) -> None:
        shutil.copy(FOLDER / "nested.h5", tmp_path / "other.h5")
        del group["0"]
        group["0"] = h5py.ExternalLink(
            str(tmp_path / "other.h5"), "/model_weights/embedding/sequential/embedding/embeddings"
        )

    return link


def huge(group: Any) -> None:
    del group["0"]
    group.create_dataset("0", (1 << 40, 3), "f4", chunks=(1 << 10, 3))


def outside(group: Any) -> None:
    del group["0"]
    group.create_dataset("0", (7, 3), "f4", external=[("/etc/passwd", 0, 84)])


def integers(group: Any) -> None:
    del group["0"]
    group["0"] = np.zeros((7, 3), np.int8)


def test_weights_that_are_not_in_the_file_are_refused(tmp_path: Path) -> None:
    for change, words in (
        (linked(tmp_path), "damaged .*no 0 in"),
        (huge, "expected no more numbers than the file holds"),
        (outside, "expected numbers in the file, got none"),
        (integers, "numbers of 16, 32 or 64 bits"),
    ):
        with pytest.raises(UserError, match=words):
            read_keras(with_weights(tmp_path, change))


def test_a_member_that_claims_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("config.json", "{}")
        made.writestr("metadata.json", "{}")
        made.writestr("model.weights.h5", bytes(1 << 26))
    with pytest.raises(UserError, match=r"damaged .*model\.weights\.h5 claims"):
        read_keras(path)


def test_other_versions_and_weights_alone_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    shutil.copy(FOLDER / "nested.h5", path)
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = "2.15.0"
    with pytest.raises(UserError, match=r"expected a file of Keras 3, got one of 2\.15\.0; load and save"):
        read_keras(path)
    with h5py.File(path, "r+") as file:
        del file.attrs["model_config"]
    with pytest.raises(UserError, match="weights alone"):
        read_keras(path)


@pytest.mark.parametrize("steps", [None, 12])
def test_a_number_of_steps_that_a_file_fixes_is_told(tmp_path: Path, steps: int | None) -> None:
    fixed = tmp_path / "fixed.keras"
    with zipfile.ZipFile(FOLDER / "values.keras") as old, zipfile.ZipFile(fixed, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["layers"][0]["config"]["batch_shape"][1] = steps
                content = json.dumps(config).encode()
            new.writestr(name, content)
    assert read_keras(fixed).steps == steps
