"""Tasks: what joins data, a model, a loss and a metric into something that can be trained and used."""

from __future__ import annotations

from elman.errors import UserError
from elman.tasks.language_modelling import LanguageModelling
from elman.tasks.task import Sources, Task
from elman.tasks.translation import Translation

__all__ = ["TASKS", "Task", "recognise"]

_TASKS: tuple[Task, ...] = (LanguageModelling(), Translation())
TASKS: dict[str, Task] = {task.name: task for task in _TASKS}
"""By name. Data of which nobody says a task belong to the last that recognises them: the first takes any text."""


def recognise(data: Sources, valid: Sources = ()) -> Task:
    """The task of data that nobody says a task of.

    Raises:
        UserError: none does: they look like something else.
    """
    for task in reversed(TASKS.values()):
        if task.recognises(data, valid):
            return task
    raise UserError("DATA", expected=f"data for {', '.join(TASKS)}", got=" and ".join(map(str, data)), exit_code=2)
