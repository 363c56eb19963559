"""Sequence models whose memory you can see: from Elman's network to the Transformer.

    run = elman.fit("book.txt", budget="2m")       train the best model of two minutes
    run.evaluate("other.txt")                      measure its loss on another text
    run.generate("It was", tokens=100)             let it write
    run = elman.load("runs/book-lstm")             load a run from its folder

- `fit`, `training`: train a model; `training` gives the events one by one
- `import_model`: a run of a model of Keras, ONNX or torch
- `load`, `Run`: a trained model with its codecs, and its uses
- `SequenceClassifier`, `Forecaster`: estimators by the conventions of scikit-learn
- `UserError`: an error that a person can mend, in one line
- `cells`, `nn`, `kernels`: recurrent cells, recurrent and attention layers, and the backends that compute them
- `interop`: weights of other frameworks' recurrent layers
- `models`: language models and encoder-decoders
- `state`: the memory of a model, as a tree of tensors
- `data`: texts, pairs, tokenizers, batches
- `tasks`: each joins data, a model, a loss and a metric
- `metrics`: scores of what a model said
- `train`: the loop, truncated backpropagation through time, clipping, schedules, optimisers
- `decode`: generation of text and translation
- `lens`, `inspection`, `report`: the microscope, its looks at a run, and its pages
- `serve`: sessions with models, each with a memory of its own
- `export`: models for other programs
- `compare`, `lab`: models on the same terms, and classical claims

>>> import elman
>>> run = elman.load("runs/demo")
>>> run.generate("the c", tokens=8, temperature=0)[0]
'at sat o'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
"""The version of elman, as `elman --version` says it.

>>> import elman
>>> [int(part) >= 0 for part in elman.__version__.split(".")]
[True, True, True]
"""

if TYPE_CHECKING:
    from elman import (  # noqa: I001
        cells, compare, data, decode, export, inspection, interop, kernels, lab, lens, metrics, models, nn, report,
        serve, state, tasks, train,
    )  # fmt: skip
    from elman.errors import UserError
    from elman.estimators import Forecaster as Forecaster, SequenceClassifier as SequenceClassifier
    from elman.fitting import fit, training
    from elman.importing import import_model
    from elman.runs import Run, load

__all__ = [
    "Run", "UserError", "__version__", "cells", "compare", "data", "decode", "export", "fit", "import_model",
    "inspection", "interop", "kernels", "lab", "lens", "load", "metrics", "models", "nn", "report", "serve", "state",
    "tasks", "train", "training",
]  # fmt: skip
_FROM = {
    "fit": "fitting", "training": "fitting", "import_model": "importing", "load": "runs", "Run": "runs",
    "UserError": "errors",
}  # fmt: skip
# Not in `__all__`: they need scikit-learn, which not every installation has.
_FROM |= dict.fromkeys(("SequenceClassifier", "Forecaster"), "estimators")


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: `import elman` and `elman --help` do not wait for it.
    if name in _FROM:
        return getattr(importlib.import_module(f"elman.{_FROM[name]}"), name)
    if name in __all__:
        return importlib.import_module(f"elman.{name}")
    raise AttributeError(f"module 'elman' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_FROM})
