from __future__ import annotations

import io
import math
import os
import signal
import sys
from typing import Any

import pytest
from rich.console import Console

from elman import display as console
from elman.cli.signals import SIGNALS, Stop
from elman.display import Display, View
from elman.train.clipping import Clipped
from elman.train.events import Step


class Lost(io.StringIO):
    """A terminal that is gone."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def test_plain_lines_come_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with Display() as display:
        for second in range(45):
            now[0] = 100.0 + second
            display.stage("training", 0.2 + second / 100, f"loss {second}")
        display.say("a line")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert lines[0] == "training  30 %  loss 10  1m09s left"
    assert lines[-1] == "a line"


def test_a_live_display(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()

    def terminal(**options: Any) -> Console:
        return Console(file=screen, force_terminal=True, width=100)

    monkeypatch.setattr(console, "Console", terminal)
    with Display() as display:
        display.stage("reading", 0.5)
        display.stage("training", 0.25, "loss 1.5")
        display.say("[a line] that stays")
        assert display.live is not None
        display.live.refresh()
    assert "training" in screen.getvalue()
    assert "loss 1.5" in screen.getvalue()
    assert "[a line] that stays" in screen.getvalue()


@pytest.mark.parametrize("stream", [Lost(), None], ids=["lost", "closed"])
def test_a_lost_terminal_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stream: io.StringIO | None
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    with Display() as display:
        display.say("nobody reads this")
    console.say("nor this")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_and_a_second_one_kills(number: int) -> None:
    before = signal.getsignal(number)
    with Stop() as stop:
        assert (stop(), stop.exit_code) == (False, 0)
        os.kill(os.getpid(), number)
        assert (stop(), stop.exit_code) == (True, 128 + number)
        assert signal.getsignal(number) == signal.SIG_DFL
    assert signal.getsignal(number) == before


def test_the_slowest_of_several_processes_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with Display() as display:
        view, display.last = View(display), -math.inf
        for step in range(1, 3):
            clipped = Clipped(1.0, 1.0, clipped=False)
            view.show(Step(step, 0.1, 0.1, 2.0, 8, 0.01, clipped, skipped=False, seconds=(1.0, 2.0, 1.0 + step % 2)))
    assert view.slowest is not None
    assert view.slowest[0] == 1
    assert view.slowest[1] == pytest.approx(2 * 3 / (1 + 2 + 1.95) - 1)
    assert "slowest rank 1 (+20 %)" in capsys.readouterr().err
