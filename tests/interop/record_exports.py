"""Runs files that elman exported in Keras and Flax, and stores their outputs, which tests compare with elman's.

    python tests/exported_models.py FOLDER                 in elman's environment
    python tests/interop/record_exports.py FOLDER [-o OUT] in that of the frameworks

OUT/exported.json has the frameworks' versions, and for each model and framework the digest of the file and the numbers
of its output, in order, with eight digits. A Flax model that goes on from a state reads its input in two pieces, too.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
from pathlib import Path

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def of_keras(path: Path, x: np.ndarray) -> np.ndarray:
    import keras

    return np.asarray(keras.saving.load_model(path)(x))


def of_flax(path: Path, x: np.ndarray) -> np.ndarray:
    module = runpy.run_path(str(path))
    variables, model = module["parameters"](path.with_suffix(".npz")), module["Model"]()
    found = model.apply(variables, x)
    if not isinstance(found, tuple):
        return np.asarray(found)
    (whole, state), (first, between) = found, model.apply(variables, x[:, :2])
    rest, after = model.apply(variables, x[:, 2:], between)
    if whole.ndim == 3:
        np.testing.assert_allclose(np.concatenate([first, rest], 1), whole, atol=2e-6)
    else:
        np.testing.assert_allclose(rest, whole, atol=2e-6)
    for one, other in zip(np.hstack([*map(np.hstack, after)]), np.hstack([*map(np.hstack, state)]), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)
    return np.asarray(whole)


if __name__ == "__main__":
    import flax
    import keras

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).parent / "recorded")
    arguments = parser.parse_args()
    digests = json.loads((arguments.folder / "digests.json").read_text())
    found = {}
    for name, of in digests.items():
        x = np.load(arguments.folder / f"{name}.npy")
        for framework, digest in of.items():
            run, ending = {"keras": (of_keras, "keras"), "flax": (of_flax, "py")}[framework]
            y = run(arguments.folder / f"{name}.{ending}", x)
            numbers = [float(f"{value:.8g}") for value in y.ravel()]
            found.setdefault(name, {})[framework] = {"digest": digest, "shape": y.shape, "output": numbers}
    versions = {"keras": keras.__version__, "flax": flax.__version__}
    arguments.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"versions": versions, "models": found})
    (arguments.out / "exported.json").write_text(text + "\n")
    print(f"{sum(map(len, found.values()))} exported models, {versions}")
