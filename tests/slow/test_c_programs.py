"""Every model as C by every compiler, as the header recommends, against the model itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from c_programs import MODELS, Together, made, programs
from elman.export.c.checking import example
from elman.export.c.compiling import compilers
from elman.export.quantisation import quantised

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not compilers(), reason="neither gcc nor clang is installed")]
FLAGS = [("-O3", "-march=native"), ("-Os",), ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")]


# One compiler takes all flags, any other the usual ones.
BUILDS = [
    (compiler, flags) for place, compiler in enumerate(compilers()) for flags in (FLAGS if place == 0 else FLAGS[:1])
]


@pytest.mark.parametrize(
    ("compiler", "flags"), BUILDS, ids=lambda part: part if isinstance(part, str) else " ".join(part)
)
@pytest.mark.parametrize("int8", [False, True], ids=["float", "int8"])
def test_programs(tmp_path: Path, compiler: str, flags: tuple[str, ...], int8: bool) -> None:
    together = Together(programs(int8=int8), compiler, tmp_path, *flags)
    for name in MODELS:
        model = made(name)
        asked = example(quantised(model) if int8 else model, MODELS[name][1], steps=66)
        assert together.difference(name, asked) < 1e-5, name
