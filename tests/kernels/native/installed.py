"""Whether an installed elman has its compiled core: `make wheels` runs this where there is no compiler.

    python tests/kernels/native/installed.py

Prints the instruction set, and compares every cell of the core with the readable loop, outputs and gradients.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch

import elman
from elman.kernels.native import IN_CORE, instruction_set
from elman.kernels.native.library import library
from elman.nn import GRU, LSTM, RNN


def difference(make: type, dtype: torch.dtype, **options: object) -> float:
    """The greatest difference of an output or a gradient between the core and the loop."""
    found = []
    for backend in ("native", "reference"):
        torch.manual_seed(0)
        layer = make(5, 7, dtype=dtype, backend=backend, **options)
        x = torch.randn(9, 3, 5, dtype=dtype, requires_grad=True)
        y, final = layer(x, lengths=[9, 0, 4])
        y.square().sum().backward()
        states = final if isinstance(final, tuple) else (final,)
        found.append([y, *states, x.grad, *(p.grad for p in layer.parameters())])
    return max((one - other).abs().max().item() for one, other in zip(*found, strict=True))


if __name__ == "__main__":
    core = library()
    assert core is not None, "the compiled core is not there"
    processor = Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else ""
    assert instruction_set() != "baseline" or " avx2 " not in processor, "the core does not see what the processor has"
    compilers = [name for name in ("cc", "gcc", "g++", "clang", "clang++", "zig") if shutil.which(name)]
    kinds = [(RNN, {}), (RNN, {"nonlinearity": "relu"}), (GRU, {}), (LSTM, {}), (LSTM, {"bidirectional": True})]
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        for make, options in kinds:
            found = difference(make, dtype, **options)
            assert found <= tolerance, f"{make.__name__}, {dtype}: {found}"
    print(f"elman {elman.__version__} in {elman.__path__[0]}")
    print(f"Python {sys.version.split()[0]}, torch {torch.__version__}, compilers: {', '.join(compilers) or 'none'}")
    print(f"the core runs {', '.join(IN_CORE)} with {instruction_set()}, equal to the loop in outputs and gradients")
