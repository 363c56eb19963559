"""Run the folders that `elman export` writes, without torch.

    model = elman_runner.load("FOLDER")
    text, state = model.generate("def ", tokens=200, seed=1)

`load` gives a `LanguageModel`, `Translator`, `Tagger`, `Classifier` or `Forecaster`, by the folder's task.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from elman_runner.errors import RunnerError

__version__ = "0.1.0"
__all__ = ["TASKS", "RunnerError", "load"]

TASKS = {
    "language-modelling": "language_model:LanguageModel",
    "translation": "translation:Translator",
    "tagging": "tagging:Tagger",
    "classification": "classification:Classifier",
    "forecasting": "forecasting:Forecaster",
}


def load(folder: str | Path, *, threads: int | None = None) -> Any:
    """The model in an exported folder; `threads` are those of onnxruntime, its own choice where None.

    Raises `RunnerError`, in one line, where the folder is none that `elman export` wrote, or is damaged.
    """
    from elman_runner.folder import Folder

    opened = Folder(Path(folder), threads)
    module, _, name = TASKS[opened.one_of("task", TASKS)].partition(":")
    return getattr(import_module(f"{__name__}.{module}"), name)(opened)
