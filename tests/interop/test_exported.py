"""Files that elman wrote, as Keras and Flax ran them (record_exports.py), against elman's own numbers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import recordings
from elman.export.layers import layers_of
from exported_models import MODELS, digest, exported, inputs_of, made

RECORDED: dict[str, dict[str, Any]] = json.loads((recordings.FOLDER / "exported.json").read_text())["models"]


def test_every_model_that_goes_out_was_run() -> None:
    assert {name: [*found] for name, found in RECORDED.items()} == {name: [*exported(name)] for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_keras_and_flax_give_the_model_s_own_output(name: str) -> None:
    expected = layers_of(made(name)).model(inputs_of(name))[0].detach().numpy()
    for framework, content in exported(name).items():
        found = RECORDED[name][framework]
        assert digest(content) == found["digest"], f"{framework} did not run the file that is written today"
        theirs = np.array(found["output"]).reshape(found["shape"])
        np.testing.assert_allclose(theirs, expected, atol=3e-6, rtol=0)
        assert np.ptp(theirs) > 0.05
