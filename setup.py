"""The native kernels are optional: without a C++ compiler elman is pure Python. All else is in pyproject.toml."""

import os
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

NATIVE = Path("src/elman/kernels/native")


class BuildCore(build_ext):
    """Names the core so that every version of Python finds it: it is no extension module, whatever it is built as."""

    def get_ext_filename(self, fullname: str) -> str:
        """The path of the library."""
        suffix = ".pyd" if os.name == "nt" else ".so"
        return str(Path(*fullname.split("."))) + suffix


class Wheel(bdist_wheel):
    """One wheel for every version of Python on a platform."""

    def get_tag(self) -> tuple[str, str, str]:
        """The versions of Python, of its interface, and the platform."""
        return "py3", "none", super().get_tag()[2]


setup(
    cmdclass={"build_ext": BuildCore, "bdist_wheel": Wheel},
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
            # A wheel must have the core, which its tag promises.
            optional="ELMAN_NEEDS_CORE" not in os.environ,
        )
    ],
)
