"""Elman's recurrent layers side by side with others', in one process: what `elman bench` measures."""

from elman.bench.contest import CELLS, DTYPES, PASSES, SHAPES, Contest, Measurement, Rate, Shape, measure
from elman.bench.report import report
from elman.bench.table import table
from elman.bench.timing import CLOCKS

__all__ = [
    "CELLS",
    "CLOCKS",
    "DTYPES",
    "PASSES",
    "SHAPES",
    "Contest",
    "Measurement",
    "Rate",
    "Shape",
    "measure",
    "report",
    "table",
]
