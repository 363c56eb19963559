"""Every model as C, in one executable under the sanitizers, against the model itself."""

from __future__ import annotations

import pytest

from c_programs import MODELS, Together, made, programs
from elman.export.c.checking import example
from elman.export.c.compiling import compilers
from elman.export.quantisation import quantised

INSTALLED = compilers()
SANITIZE = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
pytestmark = pytest.mark.skipif(not INSTALLED, reason="neither gcc nor clang is installed")


@pytest.fixture(scope="module", params=[False, True], ids=["float", "int8"])
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[bool, Together]:
    folder = tmp_path_factory.mktemp("c")
    return request.param, Together(programs(int8=request.param), INSTALLED[-request.param], folder, *SANITIZE)


@pytest.mark.parametrize("name", MODELS)
def test_a_program_computes_its_model(compiled: tuple[bool, Together], name: str) -> None:
    int8, together = compiled
    model = made(name)
    asked = example(quantised(model) if int8 else model, MODELS[name][1], steps=66)
    assert together.difference(name, asked) < 1e-5
