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

from collections.abc import Iterable
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


def recognise(data: Sources, valid: Sources = (), named: Iterable[str] = ()) -> Recognition:
    """The task of data for which nobody named one.

    `named` are settings that a person gave. Where the data look like those of no task, the task that alone has such
    settings of data is meant: the name of a column says what it holds.

    Raises:
        UserError: no task recognises the data: they look like something else.

    >>> from pathlib import Path
    >>> _ = Path("book.txt").write_text("It was the best of times. " * 9)
    >>> recognise(["book.txt"]).task.name
    'language-modelling'
    """
    found: list[tuple[Task, str]] = []
    refusal = None
    for task in reversed(TASKS.values()):
        try:
            reason = task.recognises(data, valid)
        except UserError as error:  # what one task recognises, another may refuse
            if not found:
                refusal = error
                break
            continue
        if reason is not None:
            found.append((task, reason))
    if found:
        (task, reason), *others = found
        return Recognition(task, reason, tuple(others))
    if (meant := _of_settings(named)) is not None:
        return meant
    what, remedy = " and ".join(map(str, data)), "name the task, and the columns where they have other names"
    raise refusal or UserError(f"{what}: expected data for {', '.join(TASKS)}", remedy=remedy, exit_code=2)


def _of_settings(named: Iterable[str]) -> Recognition | None:
    """The task that alone has the settings of data that a person named; None where there is no such task.

    >>> _of_settings(["label", "hidden_size"]).reason, _of_settings(["hidden_size"])
    ('no other has the setting label', None)
    """
    fields = {task: task.data.model_fields.keys() for task in TASKS.values()}
    names = {name.removeprefix("data.") for name in named} & {name for every in fields.values() for name in every}
    able = [task for task in TASKS.values() if names and names <= fields[task]]
    return (
        Recognition(able[0], f"no other has the setting {' and '.join(sorted(names))}", ()) if len(able) == 1 else None
    )
