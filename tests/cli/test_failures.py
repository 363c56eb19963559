"""What libraries raise for numbers too large becomes one line for a person; every other error stays a fault."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from elman import runs
from elman.cli import run as command
from elman.cli.failures import explain

MEMORY: dict[str, Callable[[], object]] = {
    "torch": lambda: torch.empty(2**50),
    "torch, beyond 64 bits": lambda: torch.empty(2**62, 2**8),
    "numpy": lambda: np.empty(2**50),
    "python": lambda: bytearray(2**62),
}
NUMBERS: dict[str, Callable[[], object]] = {
    "torch": lambda: torch.empty(10**30),
    "torch, a seed": lambda: torch.Generator().manual_seed(2**64),
    "torch, a value": lambda: torch.zeros(2, dtype=torch.int8).fill_(1000),
    "torch, a product of sizes": lambda: torch.zeros(1).expand(2**40, 2**40),
    "numpy": lambda: np.int64(10**30),
    "numpy, a size": lambda: np.empty(2**70),
    "numpy, a product of sizes": lambda: np.empty((2**40, 2**40)),
    "a float": lambda: 10.0**400,
    "math": lambda: math.exp(1000),
    "an index": lambda: [0] * 10**30,
    "digits": lambda: int("1" * 5000),
}


def raised(call: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("call", MEMORY.values(), ids=MEMORY)
def test_out_of_memory(call: Callable[[], object]) -> None:
    said = explain(raised(call))
    assert said is not None
    assert said.startswith("out of memory")
    assert "smaller" in said


def test_how_much_was_asked_for() -> None:
    assert "out of memory: 4.5 PB were asked for" in (explain(raised(MEMORY["torch"])) or "")
    assert "out of memory: 8.00 PiB were asked for" in (explain(raised(MEMORY["numpy"])) or "")
    cuda = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a capacity of 4 GiB")
    assert "out of memory: 20.00 GiB were asked for" in (explain(cuda) or "")


@pytest.mark.parametrize("call", NUMBERS.values(), ids=NUMBERS)
def test_a_number_too_large(call: Callable[[], object]) -> None:
    said = explain(raised(call))
    assert said is not None
    assert said.startswith("a number is too large to compute with")


def fail(error: Exception) -> None:
    raise error


FAULTS: list[Callable[[], object]] = [
    lambda: torch.zeros(2) @ torch.zeros(3),
    lambda: 1 / 0,
    lambda: int("x"),
    lambda: [][1],
    lambda: len(5),  # type: ignore[arg-type]
    lambda: fail(RuntimeError("the overflow buffer has another size than the state")),
    lambda: fail(ValueError("invalid literal: 'overflow'")),
]


@pytest.mark.parametrize("call", FAULTS)
def test_what_is_no_such_thing_stays_a_fault(call: Callable[[], object]) -> None:
    assert explain(raised(call)) is None


def test_a_command_says_it_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for call, word in ((MEMORY["torch"], "memory"), (NUMBERS["digits"], "too large"), (FAULTS[0], "own fault")):
        monkeypatch.setattr(runs, "load", lambda run, call=call: call())
        assert command(["generate", str(tmp_path)]) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert word in err
