"""How much of a long work is done in a round, so that rounds take about as long as they should."""

from __future__ import annotations

ROUND = 0.02  # seconds
MOST = 1 << 16  # steps, for a clock that stands still


class Pace:
    """The steps of a round that take about `ROUND` seconds, from how long those of the round before took."""

    def __init__(self, least: int = 1) -> None:
        self.least = least
        self._rows, self._seconds = 1, ROUND / 4 / least  # of a step

    def amount(self, rows: int = 1) -> int:
        """Steps for so many rows. More rows than before may take as much longer."""
        seconds = self._seconds * max(1.0, rows / self._rows)
        return max(self.least, min(int(ROUND / max(seconds, 1e-9)), MOST))

    def took(self, seconds: float, steps: int, rows: int = 1) -> None:
        """So many steps of so many rows took so long."""
        if steps:
            self._seconds, self._rows = seconds / steps, rows
