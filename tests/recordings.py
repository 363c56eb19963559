"""The numbers that record.py stored, read back; `ELMAN_RECORDED` names a folder with others."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np

FOLDER = Path(os.environ.get("ELMAN_RECORDED") or Path(__file__).parent / "interop" / "recorded")


def read() -> dict[str, dict[str, np.ndarray]]:
    """Every case; its version is under "version", its arrays by their names are under "weights"."""
    found = {}
    for path in sorted(FOLDER.glob("*.npz")):
        with np.load(path) as stored:
            about, values = json.loads(str(stored["index"])), stored["values"]
        start = 0
        for case, shapes in about["cases"].items():
            parts = {"version": about["version"], "weights": {}}
            for name, shape in shapes.items():
                stop = start + math.prod(shape)
                target, key = (parts["weights"], name.partition("|")[2]) if "|" in name else (parts, name)
                target[key], start = values[start:stop].reshape(shape), stop
            found[case] = parts
        assert start == len(values), path
    return found
