"""A trained model with its uses."""

from __future__ import annotations

import contextlib
import shutil
import time
import warnings
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.torch

from elman import atomic, data_in_memory, model_folders, run_folders
from elman.data.frames import as_frame, is_frame, plain, with_rows
from elman.errors import UserError
from elman.models.weights import refuse_held
from elman.tasks import configuration
from elman.tasks.configuration import OWN
from elman.tasks.exchange import Answer, Evaluation, Inputs, Progress, Say, Trained

if TYPE_CHECKING:
    from elman.inspection import Inspection
    from elman.report import Figure
    from elman.train.course import Metrics


class Run(Trained):
    """A trained model with all that is needed to use it, and its uses.

    `run.model` is a torch module; `run.tokenizer`, or whatever codecs the task has, turn data into tensors and back.

    >>> import elman
    >>> run = elman.load("runs/demo")
    >>> run.evaluate("the cat sat on the mat. " * 9)["tokens"]
    215
    >>> text, state = run.generate("the c", tokens=8, temperature=0)
    >>> text
    'at sat o'
    >>> run.generate(state=state, tokens=8, temperature=0)[0]  # goes on exactly
    'n the ma'
    >>> run.metrics.loss.shape, sorted(run.metrics.validations)
    ((40,), ['bits_per_character', 'loss', 'perplexity', 'step', 'tokens'])
    >>> run.save("runs/copy").path.name
    'copy'
    """

    def evaluate(self, data: Any, targets: Any = None, **options: Any) -> dict[str, Any]:
        """Evaluate the model on data in any form that `elman.fit` takes: the dict that `elman evaluate --json` prints.

        Raises:
            UserError: the data do not fit the run, or an option is not its task's.
        """
        with data_in_memory.in_memory() as made:
            places = data_in_memory.places(data, targets, made, task=self.task.name)
            return self.evaluation(places, options, memory=made).report

    def evaluation(
        self,
        data: Sequence[str],
        options: Mapping[str, Any],
        *,
        memory: Path | None = None,
        say: Say = lambda line: None,
        progress: Progress = lambda name, done: None,
    ) -> Evaluation:
        """As `evaluate`, with lines for people. The report names the places of data, but for those in `memory`."""
        chosen = self.task.options_of("evaluate", options, self.path)
        begun = time.perf_counter()
        with self._in_eval_mode():
            found = self.task.evaluate(self, data, chosen, say, progress)
        seconds = round(time.perf_counter() - begun, 3)
        named = [None if memory is not None and Path(name).parent == memory else name for name in data]
        places = named if len(named) > 1 else named[0]
        report = {"run": str(self.path), "data": places, **found.report, "seconds": seconds}
        return Evaluation(report, found.lines, found.complete)

    def predict(self, inputs: Any, **options: Any) -> Any:
        """The model's answers: a list for a list or an array of inputs, one result for one input.

        One input is a `str`, a dict, a row of a pandas frame, or a data frame, which is given back with a column
        `predicted`, or of series with their forecasts. An input that has no answer gives None in a list, with a warning
        that says why.

        Raises:
            UserError: the task does not predict, an option is not the task's, or the only input has no answer.
        """
        inputs = with_rows(inputs, self.task.keys(self))
        answers = self._answers(inputs, options)
        if _is_one(inputs):
            [answer] = answers
            if answer.error:
                raise UserError(answer.error)
            return as_frame(answer.result, inputs) if is_frame(inputs) and _is_table(answer.result) else answer.result
        for answer in answers:
            if answer.error:
                warnings.warn(f"input {answer.number}: {answer.error}", stacklevel=2)
        return [None if answer.error else answer.result for answer in answers]

    def answers(self, inputs: Any, **options: Any) -> list[Answer]:
        """As `predict`, with all that `elman predict --json` tells of each input. Errors are those of `predict`."""
        return self._answers(with_rows(inputs, self.task.keys(self)), options)

    def _answers(self, inputs: Any, options: Mapping[str, Any]) -> list[Answer]:
        """Of inputs whose rows of frames are objects."""
        chosen = self.task.options_of("predict", options, self.path)
        given = plain(inputs, "inputs")
        asked = Inputs("inputs", memory=[given] if _is_one(inputs) else list(given))
        with self._in_eval_mode():
            return list(self.task.predict(self, asked, chosen, warnings.warn))

    def generate(self, prompt: str = "", state: Any = None, **options: Any) -> tuple[str, Any]:
        """Write the text that follows a prompt, which follows all that `state` has read; and return the state after it.

        With that state and an empty prompt the text goes on exactly as if it had been written at once. A character
        whose last bytes are not written yet belongs to the text that follows.

        Raises:
            UserError: the task does not generate, or an option is not the task's.
        """
        chosen = self.task.options_of("generate", options, self.path)
        if not isinstance(prompt, str):
            raise UserError("prompt", expected="a text", got=type(prompt).__name__)
        with self._in_eval_mode():
            writing = self.task.generate(self, prompt, chosen, state)
            return "".join([piece.text for piece in writing if piece.token is not None]), writing.state

    def inspect(
        self,
        data: Any = None,
        targets: Any = None,
        *,
        parts: str | Sequence[str] = (),
        progress: Progress | None = None,
    ) -> Inspection:
        """Look at the model while it reads data, by default those of its validation: `.numbers`, `.lines`, `.html()`.

        Raises:
            UserError: there is no such part, or the data do not fit the run.
        """
        if self.config["model"].get("model") == OWN:
            what = f"{self.path}: inspect looks at elman's own models"
            raise UserError(what, remedy="elman.lens has functions for the layers in run.model")
        parts = [parts] if isinstance(parts, str) else parts
        told = progress or (lambda name, done: None)
        with data_in_memory.in_memory() as made:
            places = [] if data is None else data_in_memory.places(data, targets, made, task=self.task.name)
            with self._in_eval_mode():
                return self.task.inspect(self, places, parts=parts, progress=told)

    @property
    def metrics(self) -> Metrics:
        """The course of the training. Raises `UserError` where there is a model folder alone."""
        from elman.train.course import course

        return course(self.path)

    def save(self, path: str | Path) -> Run:
        """Write the run into a folder that every command takes, with the weights that the model has now.

        Returns:
            The run in its new place.

        Raises:
            UserError: the folder is not empty, or something is held of the model.
        """
        refuse_held(self.model)
        folder = Path(path)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder}", expected="a new folder, or an empty one", got="a file or a folder with files")
        model = folder / "model"
        with atomic.told(folder):
            for file in run_folders.contents(self.path):
                if file.is_file():
                    copy = folder / file.relative_to(self.path)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, copy)
            if not model.is_dir():
                shutil.copytree(model_folders.find(self.path), model)
            safetensors.torch.save_model(self.model, str(model / "model.safetensors"))
            if (self.path / "config.yaml").exists():  # the card has the name of the run
                settings = configuration.read_settings(self.path)
                model_folders.write(model, settings, self.config["model"], self.codecs)
        return Run(folder, self.task, self.model, self.codecs, self.config)

    def _in_eval_mode(self) -> contextlib.AbstractContextManager[None]:
        """The mode in which a run is read, whatever mode its model is in."""
        from elman.models.modes import in_eval_mode

        return in_eval_mode(self.model)

    def remove_with_me(self) -> None:
        """Remove the folder of `place_of(None)` when nothing refers to this object any more, or when Python ends."""
        weakref.finalize(self, shutil.rmtree, self.path.parent, ignore_errors=True)

    @property
    def facts(self) -> dict[str, str]:
        """Names and words for people: the sizes of the model, its data, and its best validation."""
        from elman.run_card import facts

        return facts(self)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}: {', '.join(f'{name} {value}' for name, value in self.facts.items())})"

    def _repr_html_(self) -> str:
        """A card for a notebook, with the learning curve where the run has one."""
        from elman.run_card import card

        with contextlib.suppress(UserError):  # a model folder alone has no course
            return card(self) + self.learning_curve()._repr_html_()
        return card(self)

    def learning_curve(self) -> Figure:
        """The losses of the training's steps and of its validations, as a figure that shows itself in a notebook.

        Raises `UserError` where there is a model folder alone.
        """
        from elman.report.learning import learning_curve

        found = self.metrics
        validated = found.validations.get("step", np.zeros(0))
        losses = found.validations.get("loss", np.zeros(0))
        arrays = (np.asarray(each, np.float64) for each in (found.step, found.loss, validated, losses))
        return learning_curve(*arrays, y=self.task.loss_unit)


def _is_one(inputs: object) -> bool:
    """Whether a person gives one input, and not several in a list or an array."""
    return isinstance(inputs, str | Mapping) or is_frame(inputs) or not isinstance(inputs, Iterable)


def _is_table(result: object) -> bool:
    return isinstance(result, list) and all(isinstance(row, Mapping) for row in result)
