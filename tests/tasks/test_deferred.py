"""The members of a task that are imported when they are used are what `Task` says of them."""

from __future__ import annotations

import inspect
from types import FunctionType

import pytest

from elman.tasks import TASKS, Task
from elman.tasks.task import deferred

DEFERRED = [
    (task, name)
    for task in TASKS.values()
    for name, member in vars(type(task)).items()
    if isinstance(member, property) and isinstance(vars(Task)[name], FunctionType)
]


@pytest.mark.parametrize(("task", "name"), DEFERRED, ids=lambda x: getattr(x, "name", x))
def test_a_function_takes_the_arguments_of_its_method(task: Task, name: str) -> None:
    """In their order and by their names, with the same defaults."""
    _, *expected = inspect.signature(getattr(Task, name)).parameters.values()
    found = inspect.signature(getattr(task, name)).parameters.values()
    assert [(p.name, p.default) for p in found] == [(p.name, p.default) for p in expected]


def test_every_task_defers_something() -> None:
    assert {task for task, _ in DEFERRED} == set(TASKS.values())


def test_a_place_of_another_package_and_a_place_that_is_none() -> None:
    class Some:
        join = deferred("posixpath.join")
        nothing = deferred(".no_such_module.name")

    assert Some().join("a", "b") == "a/b"
    with pytest.raises(ImportError):
        _ = Some().nothing
