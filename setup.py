"""The native kernels are optional: without a C++ compiler elman is pure Python. All else is in pyproject.toml."""

from pathlib import Path

from setuptools import Extension, setup

NATIVE = Path("src/elman/kernels/native")

setup(
    ext_modules=[
        # A plain C library under the name of an extension module: it knows neither Python nor torch.
        Extension(
            "elman.kernels.native._core",
            sources=sorted(str(path) for path in NATIVE.glob("*.cpp")),
            depends=sorted(str(path) for path in NATIVE.glob("*.h")),
            language="c++",
            extra_compile_args=[
                "-std=c++17",
                "-O3",
                "-g0",
                "-fvisibility=hidden",
                "-ffp-contract=fast",
                "-fno-math-errno",
                "-fno-trapping-math",
                "-Wall",
                "-Wextra",
            ],
            optional=True,
        )
    ]
)
