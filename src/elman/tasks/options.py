"""Which options a command takes for a task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elman.errors import UserError
from elman.tasks import TASKS
from elman.tasks.configuration import make_section
from elman.tasks.task import Task
from elman.wording import either


def options_of(task: Task, command: str, given: Mapping[str, Any], run: str | Path) -> Any:
    """The options of a command for a run of a task, from those that were given by name; see `Task.options_of`."""
    sections = {other.title: other.options[command] for other in TASKS.values() if command in other.options}
    if command not in task.options:
        remedy = "use it with " + " and ".join(f"`elman {use} {run}`" for use in task.options)
        raise UserError(f"{run}", expected=either(sections), got=task.title, remedy=remedy, exit_code=2)
    section = task.options[command]
    for name in given:
        owners = {
            (use, other.title): f"`elman {use}` for {other.title}"
            for other in TASKS.values()
            for use, options in other.options.items()
            if name in options.model_fields
        }
        if owners and name not in section.model_fields:
            here = [words for (use, _), words in owners.items() if use == command]
            what = f"{name} is an option of {' and '.join(here or owners.values())}"
            raise UserError(what, got=f"{run}, {task.title}", remedy="leave it out", exit_code=2)
    return make_section(section, given)
