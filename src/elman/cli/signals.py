"""Signals as a question: has anyone asked this process to stop?"""

from __future__ import annotations

import signal
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # SIGHUP is of Unix alone
SIGNALS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))


class Stop:
    """Notes SIGINT, SIGTERM and SIGHUP (a lost terminal), and the process goes on; a further signal kills as usual.

    A signal that the process was told to ignore (by `nohup`, or a shell's `&`) stays ignored.

    Args:
        most: how many signals are noted before one kills.
    """

    def __init__(self, most: int = 1) -> None:
        self.signal: int | None = None  # the first one
        self.count, self.most = 0, most

    def __enter__(self) -> Stop:
        wanted = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        self.before = {number: signal.signal(number, self._note) for number in wanted}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = self.signal or number
        self.count += 1
        if self.count >= self.most:
            for each in self.before:
                signal.signal(each, signal.SIG_DFL)

    def __call__(self) -> bool:
        """Whether a signal has come."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as a shell reports it; 0 if there was none."""
        return 128 + self.signal if self.signal else 0
