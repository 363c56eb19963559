"""The functions of a program that others call, and the words in its header about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Init(NamedTuple):
    """What makes a fresh state, beside that all its fields are zeros."""

    words: str = "A fresh memory."
    arguments: tuple[str, ...] = ()  # declarations
    lines: tuple[str, ...] = ()
    call: str = "PREFIX_init(&state);"  # as in `Interface.main`


@dataclass(frozen=True)
class Interface:
    """What a model's writer says of the program that it made. PREFIX stands for the program's prefix everywhere."""

    summary: str  # a sentence: what the model is, and its sizes
    functions: Mapping[str, str]  # declarations, with a comment on each
    usage: str  # lines of C
    main: tuple[
        str, ...
    ]  # of each function: statements that GET its inputs, call it, and PUT its outputs; see `compiling`
    constants: Mapping[str, int] = field(default_factory=dict)  # macros, without the prefix
    names: Sequence[str] = ()  # of the outputs
    init: Init = field(default_factory=Init)
