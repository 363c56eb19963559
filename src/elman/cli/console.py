"""What goes to a person: logs and progress on stderr, as a live display or, where there is no terminal, plain lines."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from elman.strict_json import dumps

PLAIN_SECONDS = 10.0  # between two plain lines


def say(line: str = "") -> None:
    """A line on stderr. A terminal that is gone stops nothing."""
    if sys.stderr is None:  # closed before we began: print would take stdout for it
        return
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def print_json(value: Any, *, ensure_ascii: bool = True) -> None:
    """One line of JSON on stdout, for whoever reads with a program; a number that is not finite is null."""
    print(dumps(value, ensure_ascii=ensure_ascii), flush=True)


def clock(seconds: float) -> str:
    """A duration as people write it.

    >>> clock(3.21), clock(61), clock(3720)
    ('3.2s', '1m01s', '1h02m')
    """
    if seconds < 60:
        return f"{seconds:.1f}s"
    if seconds < 3600:
        return f"{int(seconds) // 60}m{int(seconds) % 60:02d}s"
    return f"{int(seconds) // 3600}h{int(seconds) % 3600 // 60:02d}m"


class Display:
    """The progress of a training: one live line on a terminal, a plain line now and then elsewhere."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.live: Progress | None = None
        self.task = TaskID(0)
        self.name = ""
        self.started = self.last = time.monotonic()
        self.at_start = 0.0

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=10, table_column=Column(min_width=10)),
                TextColumn("{task.percentage:3.0f}%", table_column=Column(min_width=4)),
                TimeRemainingColumn(table_column=Column(min_width=7)),
                # What a narrow terminal cuts off is the end of this.
                TextColumn("{task.fields[text]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
            )
            self.live = Progress(*columns, console=self.console, transient=True, refresh_per_second=5)
            self.live.start()
            self.task = self.live.add_task("", total=1.0, text="")
        return self

    def __exit__(self, *error: object) -> None:
        if self.live:
            with contextlib.suppress(OSError):
                self.live.stop()

    def stage(self, name: str, progress: float, text: str = "") -> None:
        """Bring the progress (0 to 1) of what is being done up to date."""
        now = time.monotonic()
        if name != self.name:
            self.name, self.at_start, self.started = name, progress, now
            if self.live:
                self.live.reset(self.task, description=name)
        if self.live:
            self.live.update(self.task, completed=progress, text=text)
        elif now - self.last >= PLAIN_SECONDS:
            self.last = now
            done = progress - self.at_start
            left = f"  {clock((now - self.started) / done * (1 - progress))} left" if done > 0 else ""
            say(f"{name} {progress:4.0%}  {text}{left}")

    def say(self, line: str) -> None:
        """A line that stays, above the live one."""
        if self.live:
            with contextlib.suppress(OSError):
                self.live.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            say(line)
