import pytest
import torch

from elman.errors import UserError
from elman.kernels import BACKENDS, choose, native, report
from elman.kernels.native import IN_CORE
from elman.kernels.native.options import EVERY

built = pytest.mark.skipif(native.instruction_set() is None, reason="the native kernels are not built")


def test_automatic_choice_falls_through_to_a_backend_that_can():
    assert choose("lstm", "meta") == "torch"
    assert choose("lstm", "meta", every_state=True) == "reference"
    assert choose("gru", "meta", every_state=True) == "torch"


@built
def test_on_a_cpu_the_native_kernels_serve_what_they_can():
    for cell in IN_CORE:
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            assert choose(cell, "cpu", dtype=dtype, every_state=True) == "native"
        assert choose(cell, "cpu", dtype=torch.float16) == "torch"
        with torch.autocast("cpu", torch.bfloat16):
            assert choose(cell, "cpu") == "native"
        with torch.autocast("cpu", torch.float16):
            assert choose(cell, "cpu") == "torch"
    assert choose("lstm", "meta", variations=("projection",)) == "torch"
    wide = native.instruction_set().startswith("avx512")
    bare = {"size": (2, 8, 64), "whole": True}
    assert choose("lstm", "cpu", **bare) == "native"
    with torch.no_grad():
        assert choose("lstm", "cpu", **bare) == ("native" if wide else "torch")  # oneDNN
        assert choose("lstm", "cpu", **bare, every_state=True) == choose("gru", "cpu", **bare) == "native"
        assert choose("lstm", "cpu", size=(1, 8, 64), whole=True) == choose("lstm", "cpu", size=(2, 8, 64)) == "native"
        assert choose("lstm", "cpu", "native", **bare) == "native"


@pytest.mark.parametrize(
    ("size", "backend"), [((64, 8, 64), "scan"), ((2, 4, 32), "reference"), ((1000, 64, 256), "reference")]
)
def test_a_linear_recurrence_is_read_by_the_faster_of_scan_and_loop(size, backend):
    assert choose("mingru", "cpu", size=size) == backend
    assert choose("mingru", "meta", size=size) == choose("mingru", "cpu", "scan", size=size) == "scan"


@built
@pytest.mark.parametrize(
    ("device", "dtype", "reason"), [("meta", torch.float32, "CPU"), ("cpu", torch.float16, "not float16")]
)
def test_the_native_kernels_say_why_not(device, dtype, reason):
    with pytest.raises(UserError, match=f"'native' cannot serve this gru call on {device}: .*{reason}"):
        choose("gru", device, "native", dtype=dtype)


def test_a_forced_backend_is_the_one_or_an_error():
    assert choose("gru", "cpu", "reference") == "reference"
    with pytest.raises(UserError, match=r"'torch' cannot serve this lstm call on cpu: .* every c_t; .*'reference'"):
        choose("lstm", "cpu", "torch", every_state=True)


def test_an_unknown_backend_is_named_with_its_neighbour():
    with pytest.raises(
        UserError, match=r"expected one of native, torch, scan, reference, got 'troch'; did you mean 'torch'"
    ):
        choose("gru", "cpu", "troch")


def test_the_report_has_a_line_for_every_cell_and_agrees_with_the_choice():
    rows = report(["cpu", "meta"])
    assert [(row.device, row.cell) for row in rows] == [(d, c.name) for d in ("cpu", "meta") for c in EVERY]
    for row in rows:
        assert row.backend == choose(row.cell, torch.device(row.device))
        assert row.why


def test_every_backend_has_every_cell():
    for backend in BACKENDS.values():
        assert all(callable(backend.kernel(cell)) for cell in IN_CORE)
