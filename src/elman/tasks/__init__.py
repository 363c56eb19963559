"""Tasks: each joins data, a model, a loss and a metric into something that can be trained and used."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from elman.errors import UserError
from elman.tasks.classification import Classification
from elman.tasks.forecasting import ForecastingTask
from elman.tasks.language_modelling import LanguageModelling
from elman.tasks.tagging import Tagging
from elman.tasks.task import Sources, Task
from elman.tasks.translation import Translation

__all__ = ["TASKS", "Recognition", "Task", "recognise"]

TASKS: dict[str, Task] = {
    task.name: task for task in (LanguageModelling(), Tagging(), Classification(), ForecastingTask(), Translation())
}
"""By name. Where nobody names a task, data belong to the last that recognises them: the first takes any text, and the
last takes any two files."""


@dataclass(frozen=True)
class Recognition:
    """The task of data for which nobody named one."""

    task: Task
    reason: str
    others: tuple[tuple[Task, str], ...]  # tasks that the data may be meant for, each with what speaks for it

    def __str__(self) -> str:
        """One line for people."""
        words = [f"--task {task.name} where {reason}" for task, reason in self.others]
        return "; ".join([f"the task is {self.task.name}: {self.reason}", *words])


def recognise(data: Sources, valid: Sources = ()) -> Recognition:
    """The task of data for which nobody named one.

    Raises:
        UserError: no task recognises the data: they look like something else.
    """
    found: list[tuple[Task, str]] = []
    for task in reversed(TASKS.values()):
        if not found:
            reason = task.recognises(data, valid)
        else:
            reason = None
            with suppress(UserError):  # that of a task which refuses the data
                reason = task.recognises(data, valid)
        if reason is not None:
            found.append((task, reason))
    if not found:
        raise UserError("DATA", expected=f"data for {', '.join(TASKS)}", got=" and ".join(map(str, data)), exit_code=2)
    (task, reason), *others = found
    return Recognition(task, reason, tuple(others))
