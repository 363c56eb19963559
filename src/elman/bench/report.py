"""What the measurements come to: fractions of the machine's speed, geometric means, the worst ratios."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from elman import environment
from elman.bench.contest import Contest, Measurement, Rate, Shape


def report(contest: Contest, measured: Iterable[Measurement | Rate]) -> dict[str, Any]:
    """Everything that was measured and follows from it, ready for JSON.

    Ratios are the others' times over elman's. Their geometric means are over the shapes of more than one step
    (`grid`) and of one step (`step`), which is another thing: there is nothing to recur over.
    """
    measured = list(measured)
    lines = [it for it in measured if isinstance(it, Measurement)]
    peaks: dict[tuple[int, str], float] = {}
    for rate in measured:
        if isinstance(rate, Rate):
            peaks[rate[:2]] = max(rate.gflops, peaks.get(rate[:2], 0.0))
    opponents = dict.fromkeys(name for line in lines for name in line.ratios)
    return {
        "environment": environment.describe(),
        "backend": contest.backend,
        "seconds": contest.seconds,
        "clock": contest.clock,
        "threads": list(contest.threads),
        "complete": len(lines) == len(contest),
        "matmul": [{"threads": threads, "dtype": dtype, "gflops": peak} for (threads, dtype), peak in peaks.items()],
        "lines": [_line(line, peaks[line.threads, line.dtype]) for line in lines],
        "means": means(lines),
        "worst": {name: worst(lines, name) for name in opponents},
    }


def _line(line: Measurement, peak: float) -> dict[str, Any]:
    figures = {"seconds": line.seconds, "ratios": line.ratios, "gflops": line.gflops, "fraction": line.gflops / peak}
    return _identity(line) | figures


def _identity(line: Measurement) -> dict[str, Any]:
    names = {"pass": line.pass_, "dtype": line.dtype, "threads": line.threads, "cell": line.cell}
    return names | {"shape": list(line.shape)}


def means(lines: Iterable[Measurement]) -> list[dict[str, Any]]:
    """The geometric mean of every ratio for each pass, dtype, number of threads and cell.

    >>> def line(T, ours, theirs):
    ...     return Measurement(1, "float32", "training", "gru", (T, 8, 16), {"elman": ours, "torch": theirs})
    >>> (mean,) = means([line(10, 1.0, 2.0), line(20, 1.0, 8.0), line(1, 2.0, 1.0)])
    >>> mean["grid"], mean["step"]
    ({'torch': 4.0}, {'torch': 0.5})
    """
    groups: dict[tuple, list[Measurement]] = {}
    for line in lines:
        groups.setdefault((line.pass_, line.dtype, line.threads, line.cell), []).append(line)
    return [
        dict(zip(("pass", "dtype", "threads", "cell"), key, strict=True))
        | {"grid": _mean([line for line in group if _steps(line.shape) > 1])}
        | {"step": _mean([line for line in group if _steps(line.shape) == 1])}
        | {"worst": worst(group, "torch")}
        for key, group in groups.items()
    ]


def _steps(shape: Shape) -> int:
    return shape[0]


def _mean(lines: Sequence[Measurement]) -> dict[str, float]:
    names = lines[0].ratios if lines else ()
    return {name: statistics.geometric_mean(line.ratios[name] for line in lines) for name in names}


def worst(lines: Iterable[Measurement], opponent: str) -> dict[str, Any]:
    """The line on which elman does worst against someone who took part, and its ratio."""
    line = min((line for line in lines if opponent in line.ratios), key=lambda line: line.ratios[opponent])
    return _identity(line) | {"ratio": line.ratios[opponent]}
