"""Progress for people, on a terminal, in a notebook or as plain lines on stderr; and JSON for programs on stdout."""

from __future__ import annotations

import contextlib
import html
import importlib
import sys
import time
from collections.abc import Callable
from typing import Any, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from elman.remedies import remedy_for_reader
from elman.strict_json import dumps
from elman.wording import percent

PLAIN_SECONDS = 10.0  # between two plain lines
NOTEBOOK_SECONDS = 0.2  # between two states of the bar in a notebook
DRAWING_SECONDS = 1.0  # between two states of what is drawn there


def say(line: str) -> None:
    """Print a line on stderr. A terminal that is gone stops nothing."""
    if sys.stderr is None:  # stderr was closed before this process began: print would take stdout for it
        return
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def print_json(value: Any, *, ensure_ascii: bool = True) -> None:
    """Print one line of JSON on stdout; a number that is not finite becomes null."""
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
    """The progress of a training: a live line on a terminal or in a notebook, a plain line now and then elsewhere."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet)
        self.live: Progress | None = None
        self.notebook: Notebook | None = None
        self.task = TaskID(0)
        self.name = ""
        self.started = self.last = time.monotonic()
        self.at_start = 0.0

    def __enter__(self) -> Display:
        if self.console.quiet:
            return self
        if self.console.is_jupyter:
            self.notebook = Notebook()
        elif self.console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=10, table_column=Column(min_width=10)),
                TextColumn("{task.percentage:3.0f} %", table_column=Column(min_width=5)),
                TimeRemainingColumn(table_column=Column(min_width=7)),
                # A narrow terminal cuts off the end of this column.
                TextColumn("{task.fields[text]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
            )
            self.live = Progress(*columns, console=self.console, transient=True, refresh_per_second=5)
            self.live.start()
            self.task = self.live.add_task("", total=1.0, text="")
        return self

    def __exit__(self, *error: object) -> None:
        if self.notebook:
            self.notebook.close()
        if self.live:
            with contextlib.suppress(OSError):
                self.live.stop()

    def stage(self, name: str, progress: float, text: str = "") -> None:
        """Show how far the stage `name` is, 0 to 1, and a few words."""
        if self.console.quiet:
            return
        if self.notebook:
            self.notebook.show(name, progress, text)
            return
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
            say(f"{name} {percent(progress):>5}  {text}{left}")

    def say(self, line: str) -> None:
        """Show a line that stays, above the live one."""
        if self.console.quiet:
            return
        line = remedy_for_reader(line)
        if self.notebook:
            self.notebook.say(line)
        elif self.live:
            with contextlib.suppress(OSError):
                self.live.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            say(line)

    def draw(self, draw: Callable[[], str]) -> None:
        """In a notebook, show the markup that `draw` gives, anew every second and at the end."""
        if self.notebook:
            self.notebook.draw = draw


class Notebook:
    """One output of a notebook's cell, written anew a few times a second: a drawing, the lines said, and a bar."""

    def __init__(self) -> None:
        ipython = importlib.import_module("IPython.display")
        self.html: Callable[[str], object] = ipython.HTML
        self.handle: Any = ipython.display(self.html(""), display_id=True)
        self.lines: list[str] = []
        self.bar = ""
        self.draw: Callable[[], str] = str
        self.drawing = ""
        self.shown = self.drawn = 0.0

    def show(self, name: str, progress: float, text: str) -> None:
        """Show how far the stage `name` is."""
        words = html.escape(f"{name} {percent(progress)}  {text}")
        self.bar = f'<progress value="{progress:.4f}" max="1"></progress> <code>{words}</code>'
        if time.monotonic() - self.shown >= NOTEBOOK_SECONDS:
            self._write()

    def say(self, line: str) -> None:
        """Add a line that stays."""
        self.lines.append(html.escape(line))
        self._write()

    def close(self) -> None:
        """Remove the bar; the drawing and the lines stay."""
        self.bar, self.drawn = "", 0.0
        self._write()

    def _write(self) -> None:
        self.shown = now = time.monotonic()
        if not self.drawn or now - self.drawn >= DRAWING_SECONDS:
            self.drawn, self.drawing = now, self.draw()
        lines = "\n".join(self.lines)
        self.handle.update(self.html(f'{self.drawing}<pre style="white-space:pre-wrap">{lines}</pre>{self.bar}'))


class View:
    """Shows a training's events to a person."""

    def __init__(self, display: Display) -> None:
        from elman.train.running_loss import RunningLoss

        self.display = display
        self.describe: Callable[[dict[str, float]], str] = str  # puts metrics in the words of the task
        self.targets = "targets"  # which a loss is a mean over, in the word of the task
        self.loss = RunningLoss()
        self.validation = ""
        self.since = 0.0  # when the step before ended, by the clock; 0 where no step came just before
        self.rate = 0.0
        self.unit = "nats"
        self.steps: list[tuple[int, float]] = []  # each with its loss
        self.validations: list[tuple[int, float]] = []
        self.computing: list[float] = []  # of several processes: seconds of each in a step, a mean of the last ones
        display.draw(self.learning_curve)

    def learning_curve(self) -> str:
        """The course of the training so far, for a notebook."""
        import numpy as np

        from elman.report.learning import learning_curve
        from elman.report.notebook import still, styled

        if not self.steps:
            return ""
        (steps, losses), (at, validated) = (
            np.array(points, np.float64).reshape(-1, 2).T for points in (self.steps, self.validations)
        )
        return styled(still(learning_curve(steps, losses, at, validated, y=self.unit)))

    @property
    def slowest(self) -> tuple[int, float] | None:
        """The rank that computes longest, and by how much longer than all do on average: 0.1 is a tenth."""
        if not self.computing:
            return None
        longest = max(self.computing)
        return self.computing.index(longest), longest * len(self.computing) / sum(self.computing) - 1

    def show(self, event: object) -> None:
        """Show one event."""
        from elman.tasks import TASKS
        from elman.train.events import Resumed, Step, Validated, Warned
        from elman.train.training import Training

        if isinstance(training := getattr(event, "training", None), Training):
            self.describe = training.objective.describe
            task = TASKS[cast(Any, event).settings.task]
            self.targets, self.unit = f"{task.target}s", task.loss_unit
        elif isinstance(event, Step):
            self.loss.add(event.loss)
            if self.display.notebook:
                self.steps.append((event.step, event.loss))
            now = time.perf_counter()
            if self.since:
                rate = event.targets / (now - self.since)
                self.rate = rate if not self.rate else self.rate + 0.05 * (rate - self.rate)
            self.since = now
            before = self.computing or event.seconds
            self.computing = [old + 0.05 * (new - old) for old, new in zip(before, event.seconds, strict=True)]
            text = f"loss {self.loss.mean:.3f}{self.validation}  {self.rate:,.0f} {self.targets}/s  step {event.step:,}"
            if slowest := self.slowest:
                text += f"  slowest rank {slowest[0]} (+{percent(slowest[1])})"
            self.display.stage("training", min(event.progress, 1.0), text)
            if event.skipped:
                self.display.say(f"step {event.step:,}: the loss or its gradient was not finite; skipped")
        elif isinstance(event, Validated):
            from elman.metrics.words import words

            self.validation = f"  valid {words(event.metrics['loss'], 3)}"
            self.since = 0.0
            self.validations.append((event.step, event.metrics["loss"]))
            mark = "  best so far" if event.improved else ""
            text = self.describe(event.metrics)
            self.display.say(f"step {event.step:>6,}  train {self.loss.mean:.4f}  valid {text}{mark}")
        elif isinstance(event, Resumed):
            self.display.say(f"resuming from step {event.step:,}")
        elif isinstance(event, Warned):
            self.display.say(f"warning: {event.text}")
