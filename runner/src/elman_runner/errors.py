"""The error that is meant for people."""

from __future__ import annotations


class RunnerError(ValueError):
    """What is wrong, in one line: a folder that cannot be run, or an input that a model does not take."""

    def __init__(self, text: str) -> None:
        super().__init__(" ".join(text.split()))
