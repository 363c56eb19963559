"""The options of commands that come from the settings of tasks."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest
import typer
from pydantic import Field
from pydantic.fields import FieldInfo

from elman.cli.task_options import _help, with_task_options
from elman.errors import UserError
from elman.settings import Section
from elman.tasks import TASKS
from elman.tasks.language_modelling import LanguageModelling
from elman.tasks.translation import Translation


class Some(Section):
    """Options of every kind."""

    mode: Literal["slow", "fast"] = "slow"
    share: float = Field(0.5, ge=0, lt=1, description="Of all.")
    rate: float = Field(0.5, gt=0)
    number: int = Field(5, gt=4, lt=9)
    either: int = 1


class Others(Section):
    """Two of the same names."""

    number: int = Field(2, ge=2)
    either: Literal["all"] | None = None


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    class First(LanguageModelling):
        options: ClassVar[dict[str, type[Section]]] = {"try": Some}  # type: ignore[misc]

    class Second(Translation):
        options: ClassVar[dict[str, type[Section]]] = {"try": Others}  # type: ignore[misc]

    monkeypatch.setitem(TASKS, "language-modelling", First())
    monkeypatch.setitem(TASKS, "translation", Second())


def attempt(*arguments: str, task: str = "language-modelling") -> Any:
    found: dict[str, Any] = {}

    def command(options: dict[str, Any]) -> None:
        found.update(TASKS[task].options_of("try", options, "run").model_dump())

    app = typer.Typer()
    app.command()(with_task_options("try", command))
    app(list(arguments), standalone_mode=False)
    return found


@pytest.mark.usefixtures("tasks")
def test_words_and_open_bounds() -> None:
    assert attempt() == {"mode": "slow", "share": 0.5, "rate": 0.5, "number": 5, "either": 1}
    assert attempt("--mode", "fast", "--share", "0.75", "--rate", "1e-3")["share"] == 0.75
    for arguments, message in (
        (["--mode", "fsat"], "did you mean 'fast'"),
        (["--share", "1"], "share: expected less than 1"),
        (["--rate", "0"], "rate: expected greater than 0"),
    ):
        with pytest.raises(UserError, match=message):
            attempt(*arguments)
    with pytest.raises(Exception, match=r"or equal to 1|x<=1"):
        attempt("--share", "1.5")


@pytest.mark.usefixtures("tasks")
def test_one_name_with_other_bounds_and_kinds_in_two_tasks() -> None:
    assert attempt("--number", "2", "--either", "all", task="translation") == {"number": 2, "either": "all"}
    assert attempt("--number", "50", task="translation")["number"] == 50
    assert attempt("--number", "8", "--either", "3")["either"] == 3
    with pytest.raises(UserError, match="number: expected greater than 4, got 3"):
        attempt("--number", "3")
    with pytest.raises(Exception, match=r"or equal to 2|x>=2"):
        attempt("--number", "1", task="translation")


def test_the_help_of_a_name_that_tasks_share_tells_what_each_means() -> None:
    few, many = (FieldInfo(default=default, description="At once.") for default in (4, 64))
    fields = {"first-task": few, "second": many, "third": many}
    assert _help(fields, everyone=True) == "First-task: At once. Default 4. Second and third: At once. Default 64."
    assert _help({"second": many, "third": many}, everyone=True) == "At once. Default 64."
    assert (
        _help({"one": many, "two": many, "three": many}, everyone=False) == "One, two and three: At once. Default 64."
    )
