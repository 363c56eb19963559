"""A report as text for a person."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from elman.report import aligned

NAMES = {"torch": "torch.nn", "onnxruntime": "onnxruntime", "elman_float32": "our float32"}
ABSENT = "-"


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
    head = ["cell", "T,B,H", "elman ms"]
    head += [text for name in opponents for text in (f"{NAMES[name]} ms", "ratio")]
    rows = [[*head, "GFLOP/s", "of torch.mm"]]
    for line in lines:
        row = [line["cell"], _shape(line), _milliseconds(line["seconds"]["elman"])]
        for name in opponents:
            row += [_milliseconds(line["seconds"][name]), _ratio(line["ratios"], name)]
        rows.append([*row, f"{line['gflops']:,.1f}", f"{line['fraction']:.0%}"])
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
    return f"{ratios[name]:.2f}" if name in ratios else ABSENT
