"""Systems that take turns, so that other work of the machine slows down all of them."""

from __future__ import annotations

from collections.abc import Callable

Timed = Callable[[], float]  # does something, and returns the seconds that it took


def in_turns(systems: dict[str, Timed], rounds: int) -> dict[str, list[float]]:
    """The seconds of each system in each round, after a turn that does not count."""
    for system in systems.values():
        system()
    times: dict[str, list[float]] = {name: [] for name in systems}
    for _ in range(rounds):
        for name, system in systems.items():
            times[name].append(system())
    return times
