"""What `elman bench` measures with, and what it makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from elman.bench import contest, onnx_layer, timing
from elman.bench.contest import DTYPES, TORCH_CELLS, Contest, Measurement, Rate, measure
from elman.bench.report import report, table
from elman.bench.timing import Contestant
from elman.interop import convention_named
from elman.nn import layer_of

PLAN = Contest(["gru"], [(3, 2, 4)], ["inference"], ["float32"], [1], seconds=0.0)


class Clock:
    """Time that passes only where a call says so."""

    def __init__(self) -> None:
        self.now = 100.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def call(self, name: str, times: list[float]) -> Contestant:
        durations = iter(times)

        def run() -> None:
            self.log.append(name)
            self.now += next(durations)

        return Contestant(run)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", clock)
    return clock


def test_contestants_take_turns_and_the_first_call_of_each_does_not_count(clock: Clock) -> None:
    contestants = {"a": clock.call("a", [9, 2, 8, 1, 7, 5]), "b": clock.call("b", [9, 3, 9, 3, 9, 3])}
    assert timing.medians(contestants, seconds=0, clock=clock) == {"a": 2, "b": 3}
    assert "".join(clock.log) == "aabb" * timing.LEAST_ROUNDS


def test_rounds_go_on_until_the_time_is_over(clock: Clock) -> None:
    timing.medians({"a": clock.call("a", [1.0] * 20), "b": clock.call("b", [1.0] * 20)}, seconds=16.5, clock=clock)
    assert "".join(clock.log) == "aabb" * 5


def test_short_calls_are_repeated_within_a_turn(clock: Clock) -> None:
    short = clock.call("a", [timing.TURN / 4] * 100)
    medians = timing.medians({"a": short, "b": clock.call("b", [1.0] * 20)}, 0, clock)
    assert medians["a"] == pytest.approx(timing.TURN / 4)
    assert "".join(clock.log).startswith("aaaaabb")


def test_a_pause_comes_before_each_turn(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr(timing.time, "sleep", lambda seconds: clock.log.append(f"sleep {seconds}"))
    a, b = clock.call("a", [1.0] * 6), clock.call("b", [1.0] * 6)
    timing.medians({"a": a, "b": b._replace(pause=0.5)}, 0, clock)
    assert clock.log == ["a", "a", "sleep 0.5", "b", "b"] * 3


@pytest.mark.parametrize("dtype", DTYPES.values())
def test_a_matmul_has_a_rate(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    monkeypatch.setattr(timing, "MATMUL_SIZES", (16, 32))
    assert timing.matmul_rate(dtype, seconds=0.0, clock=timing.CLOCKS["wall"]) > 0


@pytest.mark.parametrize("cell", TORCH_CELLS)
def test_operations_are_those_of_the_matmuls(cell: str) -> None:
    """The oracle is torch's own counter over the readable loop."""
    T, B, H = 5, 3, 8
    layer, x = layer_of(cell)(H, H, backend="reference"), torch.randn(T, B, H)
    counted = {}
    for pass_, make in contest.PASSES.items():
        call = make(layer, x, "float32")
        with FlopCounterMode(display=False) as counter:
            call()
        counted[pass_] = counter.get_total_flops()
    lines = {pass_: Measurement(1, "float32", pass_, cell, (T, B, H), {"elman": 1.0}) for pass_ in counted}
    assert lines["inference"].gflops * 1e9 == pytest.approx(counted["inference"])
    # No gradient is wanted of the first state.
    rows = len(TORCH_CELLS[cell].rows)
    assert lines["training"].gflops * 1e9 == pytest.approx(counted["training"] + 2 * B * rows * H * H)


@pytest.mark.parametrize("cell", TORCH_CELLS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_training_step_is_forward_and_backward(cell: str, dtype: str) -> None:
    layer, x = contest.torch_layer(cell, 8, 8), torch.randn(3, 2, 8)
    call = contest.training(layer, x, dtype)
    call(), call()
    gradients = [parameter.grad for parameter in layer.parameters()]
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
        outputs = layer(x)[0]
    expected = torch.autograd.grad(outputs, list(layer.parameters()), torch.ones_like(outputs))
    torch.testing.assert_close(gradients, list(expected))


@pytest.mark.parametrize("cell", TORCH_CELLS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_everyone_computes_the_same(cell: str, dtype: str) -> None:
    sides = contest.contestants(None, 1, dtype, "inference", cell, (7, 3, 16))
    results = {name: side.call() for name, side in sides.items()}
    onnx = results.pop("onnxruntime", None)
    assert list(results) == (["elman", "torch"] if dtype == "float32" else ["elman", "torch", "elman_float32"])
    outputs = [result[0].float() for result in results.values()]  # type: ignore[index]
    if onnx is not None:
        outputs.append(torch.from_numpy(onnx[0][:, 0]))  # type: ignore[index]
    for other in outputs[1:]:
        torch.testing.assert_close(outputs[0], other, atol=1e-5 if dtype == "float32" else 2e-2, rtol=0)


def measured() -> Iterator[Measurement | Rate]:
    """By hand: two shapes of several steps and one of a single one, each with its ratios."""
    yield Rate(2, "float32", 50.0)
    for shape, ours, theirs, onnx in (((4, 8, 16), 2.0, 1.0, 8.0), ((8, 8, 16), 1.0, 8.0, 2.0), ((1, 1, 16), 1, 3, 5)):
        yield Measurement(2, "float32", "training", "gru", shape, {"elman": ours, "torch": theirs, "onnxruntime": onnx})
    yield Rate(2, "float32", 100.0)


def test_a_report() -> None:
    asked = Contest(["gru"], [(4, 8, 16), (8, 8, 16), (1, 1, 16)], ["training"], ["float32"], [2], "native", 0.25)
    made = report(asked, measured())
    assert (made["backend"], made["seconds"], made["threads"], made["complete"]) == ("native", 0.25, [2], True)
    assert made["matmul"] == [{"threads": 2, "dtype": "float32", "gflops": 100.0}]
    first = made["lines"][0]
    assert first["shape"] == [4, 8, 16]
    assert first["ratios"] == {"torch": 0.5, "onnxruntime": 4.0}
    assert first["gflops"] == pytest.approx(3 * 4 * 8 * 3 * 2 * (16 * 16 + 16 * 16) / 2.0 / 1e9)
    assert first["fraction"] == pytest.approx(first["gflops"] / 100)
    (mean,) = made["means"]
    assert (mean["pass"], mean["dtype"], mean["threads"], mean["cell"]) == ("training", "float32", 2, "gru")
    assert mean["grid"] == pytest.approx({"torch": 2.0, "onnxruntime": 8.0**0.5})
    assert mean["step"] == pytest.approx({"torch": 3.0, "onnxruntime": 5.0})
    assert (mean["worst"]["shape"], mean["worst"]["ratio"]) == ([4, 8, 16], 0.5)
    assert made["worst"]["torch"] == mean["worst"]
    assert (made["worst"]["onnxruntime"]["shape"], made["worst"]["onnxruntime"]["ratio"]) == ([8, 8, 16], 2.0)
    lines = list(table(made))
    assert lines[0] == "training, float32, 2 threads; torch.mm reaches 100 GFLOP/s"
    assert lines[2].split()[:5] == ["gru", "4,8,16", "2,000.000", "1,000.000", "0.50"]
    assert "worst against torch.nn: 0.50 (training, float32, 2 threads, gru 4,8,16)" in lines
    assert any(line.split()[-6:] == ["2.00", "3.00", "2.83", "5.00", "0.50", "4,8,16"] for line in lines)


def test_what_was_not_measured_to_its_end_is_not_complete() -> None:
    made = report(PLAN, [Rate(1, "float32", 50.0)])
    assert (made["complete"], made["lines"], made["means"], made["worst"]) == (False, [], [], {})
    assert list(table(made)) == []


def test_the_number_of_threads_is_set_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    seen = []

    def medians(*args: Any) -> dict[str, float]:
        seen.append(torch.get_num_threads())
        return {"elman": 1.0, "torch": 1.0}

    monkeypatch.setattr(contest, "medians", medians)
    monkeypatch.setattr(timing, "MATMUL_SIZES", (8,))
    asked = Contest(["gru"], [(2, 1, 4)], ["training"], ["float32", "bfloat16"], [before + 1, 1], seconds=0.0)
    assert len([it for it in measure(asked) if isinstance(it, Measurement)]) == len(asked) == 4
    assert seen == [before + 1] * 2 + [1] * 2
    assert torch.get_num_threads() == before


@pytest.fixture
def layers() -> dict[str, nn.RNNBase]:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    return {cell: contest.torch_layer(cell, 6, 5) for cell in TORCH_CELLS}


@pytest.mark.parametrize("cell", TORCH_CELLS)
def test_onnxruntime_agrees(layers: dict[str, nn.RNNBase], cell: str) -> None:
    x = torch.randn(7, 3, 6)
    results = onnx_layer.runner(cell, layers[cell], x, threads=1)()
    with torch.inference_mode():
        outputs, final = layers[cell](x)
    expected = [outputs[:, None], *(final if cell == "lstm" else (final,))]
    assert len(results) == len(expected)
    for ours, theirs in zip(results, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-6)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_gates_in_a_wrong_order_are_noticed(
    layers: dict[str, nn.RNNBase], monkeypatch: pytest.MonkeyPatch, cell: str
) -> None:
    torch_s = convention_named(onnx_layer.CONVENTIONS[cell], gates="".join(TORCH_CELLS[cell].rows))
    monkeypatch.setitem(onnx_layer.CONVENTIONS, cell, torch_s)
    with pytest.raises(AssertionError, match=f"onnxruntime's {cell} is not torch's"):
        onnx_layer.runner(cell, layers[cell], torch.randn(7, 3, 6), threads=1)
