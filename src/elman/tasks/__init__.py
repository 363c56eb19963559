"""Tasks: each joins data, a model, a loss and a metric into something that can be trained and used.

>>> from elman.tasks import TASKS
>>> for task in TASKS.values():
...     print(f"{task.name}: {task.title}, {', '.join(task.models)}")
language-modelling: a language model, elman, gru, lstm, mingru, slstm, transformer
tagging: a tagger, elman, gru, lstm, mingru, slstm, transformer
classification: a classifier, elman, gru, lstm, mingru, slstm, transformer
forecasting: a forecaster, elman, gru, lstm, mingru, slstm, transformer
translation: a translation model, elman, gru, lstm, mingru, slstm, transformer
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from elman.errors import UserError
from elman.tasks.classification import Classification
from elman.tasks.exchange import Sources
from elman.tasks.forecasting import Forecasting
from elman.tasks.language_modelling import LanguageModelling
from elman.tasks.tagging import Tagging
from elman.tasks.task import Task
from elman.tasks.translation import Translation

__all__ = ["TASKS", "Recognition", "Task", "recognise"]

TASKS: dict[str, Task] = {
    task.name: task for task in (LanguageModelling(), Tagging(), Classification(), Forecasting(), Translation())
}
"""By name. Where nobody names a task, data belong to the last that recognises them: the first takes any text, and the
last takes any two files.

>>> from elman.tasks import TASKS
>>> [*TASKS], TASKS["tagging"].title
(['language-modelling', 'tagging', 'classification', 'forecasting', 'translation'], 'a tagger')
"""


@dataclass(frozen=True)
class Recognition:
    """The task of data for which nobody named one.

    >>> from pathlib import Path
    >>> from elman.tasks import recognise
    >>> _ = Path("pairs.jsonl").write_text('{"source": "one", "target": "eins"}')
    >>> found = recognise(["pairs.jsonl"])
    >>> found.task.name, found.reason
    ('translation', 'pairs.jsonl holds pairs')
    """

    task: Task
    reason: str
    others: tuple[tuple[Task, str], ...]  # tasks that the data may be meant for, each with what speaks for it

    def __str__(self) -> str:
        """One line for people."""
        others = [f"it could be {task.name} too (--task {task.name}): {reason}" for task, reason in self.others]
        return "; ".join([f"recognised as {self.task.name}: {self.reason}", *others])


def recognise(data: Sources, valid: Sources = ()) -> Recognition:
    """The task of data for which nobody named one.

    Raises:
        UserError: no task recognises the data: they look like something else.

    >>> from pathlib import Path
    >>> _ = Path("book.txt").write_text("It was the best of times. " * 9)
    >>> recognise(["book.txt"]).task.name
    'language-modelling'
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
        what, remedy = " and ".join(map(str, data)), "name the task, and the columns where they have other names"
        raise UserError(f"{what}: expected data for {', '.join(TASKS)}", remedy=remedy, exit_code=2)
    (task, reason), *others = found
    return Recognition(task, reason, tuple(others))
