"""A report of the measurements, for JSON and as a table: fractions of the machine's speed, means, the worst ratios."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from elman import environment
from elman.bench.contest import Contest, Measurement, Rate
from elman.report import aligned
from elman.wording import percent

NAMES = {"torch": "torch.nn", "onnxruntime": "onnxruntime", "elman_float32": "our float32"}


def report(contest: Contest, measured: Iterable[Measurement | Rate]) -> dict[str, Any]:
    """All measurements and what follows from them, ready for JSON.

    Ratios are the others' times over elman's. Their geometric means are over the shapes of several steps (`grid`) and
    of one step (`step`), in which nothing recurs.
    """
    lines, peaks = list[Measurement](), dict[tuple[int, str], float]()
    for it in measured:
        if isinstance(it, Measurement):
            lines.append(it)
        else:
            peaks[it[:2]] = max(it.gflops, peaks.get(it[:2], 0.0))
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
    return _group(line) | {"shape": list(line.shape)} | figures


def _group(line: Measurement) -> dict[str, Any]:
    return {"pass": line.pass_, "dtype": line.dtype, "threads": line.threads, "cell": line.cell}


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
        groups.setdefault(tuple(_group(line).values()), []).append(line)
    return [
        _group(group[0])
        | {"grid": _mean([line for line in group if line.shape[0] > 1])}
        | {"step": _mean([line for line in group if line.shape[0] == 1])}
        | {"worst": worst(group, "torch")}
        for group in groups.values()
    ]


def _mean(lines: Sequence[Measurement]) -> dict[str, float]:
    names = lines[0].ratios if lines else ()
    return {name: statistics.geometric_mean(line.ratios[name] for line in lines) for name in names}


def worst(lines: Iterable[Measurement], opponent: str) -> dict[str, Any]:
    """The line with elman's worst ratio against an opponent, and the ratio."""
    line = min((line for line in lines if opponent in line.ratios), key=lambda line: line.ratios[opponent])
    return _group(line) | {"shape": list(line.shape), "ratio": line.ratios[opponent]}


def table(report: dict[str, Any]) -> Iterator[str]:
    """The lines of text of a `report`: every measurement, the means, the worst ratios."""
    peaks = {(it["threads"], it["dtype"]): it["gflops"] for it in report["matmul"]}
    for (pass_, dtype, threads), group in itertools.groupby(
        report["lines"], lambda line: (line["pass"], line["dtype"], line["threads"])
    ):
        yield f"{pass_}, {dtype}, {_threads(threads)}; torch.mm reaches {peaks[threads, dtype]:,.0f} GFLOP/s"
        yield from aligned(_measurements(list(group)))
        yield ""
    if not report["means"]:
        return
    yield "geometric means of the ratios: the others' time over elman's, above 1 where elman is faster"
    yield from aligned(_means(report["means"]))
    yield ""
    for opponent, worst in report["worst"].items():
        where = f"{worst['pass']}, {worst['dtype']}, {_threads(worst['threads'])}, {worst['cell']} {_shape(worst)}"
        yield f"worst against {NAMES[opponent]}: {worst['ratio']:.2f} ({where})"


def _measurements(lines: Sequence[dict[str, Any]]) -> list[list[str]]:
    opponents = list(lines[0]["ratios"])
    head = ["cell", "T,B,H", "elman ms", *(text for name in opponents for text in (f"{NAMES[name]} ms", "ratio"))]
    rows = [[*head, "GFLOP/s", "of torch.mm"]]
    for line in lines:
        row = [line["cell"], _shape(line), _milliseconds(line["seconds"]["elman"])]
        for name in opponents:
            row += [_milliseconds(line["seconds"][name]), _ratio(line["ratios"], name)]
        rows.append([*row, f"{line['gflops']:,.1f}", percent(line["fraction"])])
    return rows


def _means(means: Sequence[dict[str, Any]]) -> list[list[str]]:
    found = {name for mean in means for part in ("grid", "step") for name in mean[part]}
    opponents = [name for name in NAMES if name in found]
    head = ["pass", "dtype", "threads", "cell"]
    rows = [[*head, *(text for name in opponents for text in (NAMES[name], "one step")), "worst", "T,B,H"]]
    for mean in means:
        row = [str(mean[key]) for key in head]
        for name in opponents:
            row += [_ratio(mean["grid"], name), _ratio(mean["step"], name)]
        rows.append([*row, _ratio(mean["worst"], "ratio"), _shape(mean["worst"])])
    return rows


def _threads(number: int) -> str:
    return f"{number} thread{'s'[: number - 1]}"


def _shape(line: dict[str, Any]) -> str:
    return ",".join(map(str, line["shape"]))


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.3f}"


def _ratio(ratios: dict[str, float], name: str) -> str:
    return f"{ratios[name]:.2f}" if name in ratios else "-"
