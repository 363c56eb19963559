"""Tasks: each joins data, a model, a loss and a metric into something that can be trained and used."""

from __future__ import annotations

from elman.errors import UserError
from elman.tasks.classification import Classification
from elman.tasks.language_modelling import LanguageModelling
from elman.tasks.task import Sources, Task
from elman.tasks.translation import Translation

__all__ = ["TASKS", "Task", "recognise"]

TASKS: dict[str, Task] = {task.name: task for task in (LanguageModelling(), Classification(), Translation())}
"""By name. Where nobody names a task, data belong to the last that recognises them: the first takes any text."""


def recognise(data: Sources, valid: Sources = ()) -> Task:
    """The task of data for which nobody named one.

    Raises:
        UserError: no task recognises the data: they look like something else.
    """
    for task in reversed(TASKS.values()):
        if task.recognises(data, valid) is not None:
            return task
    raise UserError("DATA", expected=f"data for {', '.join(TASKS)}", got=" and ".join(map(str, data)), exit_code=2)
