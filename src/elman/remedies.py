"""Remedies in the words of whoever reads them: options of a command, or arguments and settings in Python.

They are written as options, and said as such while a command runs; anywhere else `in_python` translates them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

FLAGS = {"resume", "overwrite", "stream", "replace", "sample", "alignments", "lengths", "int8"}
CALLED = {"from": "start", "for": "budget", "epochs": "budget", "steps": "budget"}  # where Python has another name
COMMANDS_ONLY = {"processes", "set", "port", "debug", "version", "help"}  # Python has nothing in their place
OPTION = re.compile(
    r"(?<![\w-])(?:--set (?:\w+\.)?(?P<setting>\w+)=(?P<chosen>[^\s,;)]+)"
    r"|-o\b(?P<place> [A-Z]+)?"
    # A word in small letters is the value of some options, and goes on with the sentence behind others.
    r"|--(?P<worded>task|model|to|match|format)(?![\w-])(?: (?P<word>[a-z][\w-]*))?"
    r"|--(?P<name>[a-z][a-z-]*)(?P<value>(?: [A-Z]+\b)+| \d\w*)?)"
)

_commands = 0  # that run now


@contextmanager
def of_a_command() -> Iterator[None]:
    """Within this, remedies name the options of commands."""
    global _commands
    _commands += 1
    try:
        yield
    finally:
        _commands -= 1


def remedy_for_reader(text: str) -> str:
    """A remedy that names options, as it is said now."""
    return text if _commands else in_python(text)


def subject_for_reader(text: str) -> str:
    """What a line is about, which may be an option, as it is said now."""
    return remedy_for_reader(text).removesuffix("=...") if text.startswith("-") else text


def in_python(text: str) -> str:
    """A text that names options of commands, with what they are in Python; commands between backquotes stay.

    >>> in_python("go on with it (--resume), or lower the learning rate (--set train.learning_rate=...)")
    'go on with it (resume=True), or lower the learning rate (learning_rate=...)'
    >>> in_python("give some with --valid, or --task tagging"), in_python("train one with `elman train DATA -o RUN`")
    ('give some with valid=..., or task="tagging"', 'train one with `elman train DATA -o RUN`')
    """
    parts = text.split("`")
    said = "`".join(part if at % 2 else OPTION.sub(_argument, part) for at, part in enumerate(parts))
    said = re.sub(r"budget=\.\.\.(?:(?:,| or) budget=\.\.\.)+", "budget=...", said)
    return re.sub(r"\bthe option (?=\w+=)", "the argument ", said)


def _argument(option: re.Match[str]) -> str:
    """An option as an argument of Python."""
    if option["setting"]:
        return f"{option['setting']}={_literal(option['chosen'])}"
    name = option["worded"] or option["name"]
    if name is None:
        return f"out={(option['place'] or ' ...')[1:]}"
    if name in COMMANDS_ONLY:
        return option[0]
    if name in FLAGS:
        return f"{name}=True{option['value'] or ''}"
    value, called = (option["word"] or option["value"] or "").strip(), CALLED.get(name, name.replace("-", "_"))
    if called == "budget" and value:
        return f'budget="{value if name == "for" else f"{value} {name}"}"'
    return f"{called}={_literal(value or '...')}"


def _literal(value: str) -> str:
    """A value of YAML, or a word in capitals that stands for one, as Python writes it."""
    constants = {"true": "True", "false": "False", "null": "None"}
    plain = value == "..." or re.fullmatch(r"-?\d+(\.\d+)?|[A-Z ]+", value)
    return constants.get(value) or (value if plain else f'"{value}"')
