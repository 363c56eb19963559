"""Steps of language models on one core: the core's own, the usual ones, and onnxruntime's, in turns in one run.

    python benchmarks/step.py [--small RUN] [--large RUN] [--text TEXT] [--rounds 9] [--json FILE]

Without runs, models of the demo's size (an LSTM of 256 units) and of 2 x 1024 units are made, and trained for one step.
With TEXT, the loss of the large model on it is compared with that of its weights in bytes. Times are those of the
processor, in one thread, medians of the rounds; a ratio is the median of the rounds' ratios. Every step gives logits
and the state after it; "drawn and read" says that the token is also drawn, and read, in one call for all steps.
onnxruntime runs the exported model with its inputs and outputs bound.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

import elman
from elman.decode.arena import Draw, arena_of
from elman.decode.generation import generate
from elman.decode.sampling import sample
from elman.decode.stream import stream
from elman.decode.uniforms import uniforms
from elman.export import export
from elman.models.steps import Steps
from turns import Timed, in_turns

LANES = 16


def trained(sizes: dict[str, int], out: Path) -> Path:
    settings = [part for name, value in sizes.items() for part in ("--set", f"{name}={value}")]
    given = [
        "python-stdlib",
        "--valid",
        argparse.__file__,
        "--model",
        "lstm",
        "--steps",
        "1",
        "--set",
        "lanes=4",
        *settings,
        "-o",
        str(out),
    ]
    subprocess.run([sys.executable, "-m", "elman", "train", *given], check=True, stdout=subprocess.DEVNULL)
    return out


def timed(work: Callable[[], Any], count: int) -> float:
    """Seconds of one of `count` parts of the work."""
    begun = time.process_time()
    work()
    return (time.process_time() - begun) / count


@torch.inference_mode()
def by_steps(kind: Callable[..., Any], model: Any, rows: int, count: int) -> float:
    steps, tokens = kind(model.initial_state(rows)), torch.zeros(rows, dtype=torch.int64)

    def work() -> None:
        for _ in range(count):
            steps(tokens)

    return timed(work, count)


def by_arena(arena: Any, rows: int, count: int) -> float:
    slots = [arena.admit(None) for _ in range(rows)]
    arena.read(slots, [[0]] * rows)
    draws = [Draw(np.random.default_rng(row).random(count)) for row in range(rows)]
    seconds = timed(partial(arena.write, slots, draws, count), count)
    for slot in slots:
        arena.release(slot)
    return seconds


def by_onnxruntime(path: Path, rows: int, count: int) -> Timed:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    binding, value = session.io_binding(), onnxruntime.OrtValue.ortvalue_from_numpy
    [tokens, *states] = session.get_inputs()
    binding.bind_ortvalue_input(tokens.name, value(np.zeros((rows, 1), np.int64)))
    for output in session.get_outputs():
        binding.bind_output(output.name)
    for each in states:
        binding.bind_ortvalue_input(each.name, value(np.zeros((rows, *each.shape[1:]), np.float32)))

    def work() -> None:
        for _ in range(count):
            session.run_with_iobinding(binding)
            for each, after in zip(states, binding.get_outputs()[1:], strict=True):
                binding.bind_ortvalue_input(each.name, after)
            for output in session.get_outputs()[1:]:
                binding.bind_output(output.name)

    return partial(timed, work, count)


def writing(run: Any, count: int) -> dict[str, Timed]:
    """Seconds of a token that is written with temperature 0.8: as `elman generate` does, and token by token."""
    model = run.model

    def usual() -> None:
        numbers = uniforms(1)

        def choose(logits: torch.Tensor) -> torch.Tensor:
            return sample(logits, temperature=0.8, uniform=torch.tensor([next(numbers)], dtype=torch.double))

        model.steps = partial(Steps, model)
        for _ in islice(generate(model, [1], choose), count):
            pass
        del model.steps

    def now() -> None:
        for _ in stream(model, [1], uniforms(1), count, temperature=0.8):
            pass

    return {"usual": partial(timed, usual, count), "elman": partial(timed, now, count)}


def losses(run: Any, arenas: dict[str, Any], text: Path, most: int = 16_000) -> dict[str, float]:
    """Nats a token of the text's end."""
    tokens = np.asarray(run.tokenizer.encode(text.read_text(encoding="utf-8")[-most:]))
    lanes = tokens[: len(tokens) // LANES * LANES].reshape(LANES, -1).tolist()
    found = {}
    for name, arena in arenas.items():
        slots = [arena.admit(None) for _ in lanes]
        found[name] = -float(np.nanmean(arena.score(slots, lanes)))
    return found


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    small = elman.load(arguments.small or trained({"hidden_size": 256, "embedding_size": 64}, folder / "small"))
    sizes = {"hidden_size": 1024, "embedding_size": 1024, "num_layers": 2}
    large = elman.load(arguments.large or trained(sizes, folder / "large"))
    for name, run in (("small", small), ("large", large)):
        export(run, "onnx", folder / f"{name}.onnx")
    quantised = folder / "large.int8.onnx"
    quantize_dynamic(folder / "large.onnx", quantised, weight_type=QuantType.QInt8)
    arena, int8 = arena_of(large.model), arena_of(large.model, int8=True)
    demo = arena_of(small.model)
    parts: dict[str, dict[str, Timed]] = {}
    for rows, count in ((1, 300), (64, 30)):
        parts[f"LSTM 256, {rows} rows"] = {
            "usual": partial(by_steps, partial(Steps, small.model), small.model, rows, count),
            "onnxruntime": by_onnxruntime(folder / "small.onnx", rows, count),
            "elman": partial(by_steps, small.model.steps, small.model, rows, count),
            "elman, drawn and read": partial(by_arena, demo, rows, count),
        }
    parts["LSTM 2 x 1024, 1 row"] = {
        "usual": partial(by_steps, partial(Steps, large.model), large.model, 1, 20),
        "float32, drawn and read": partial(by_arena, arena, 1, 20),
        "onnxruntime, int8": by_onnxruntime(quantised, 1, 20),
        "elman": partial(by_arena, int8, 1, 20),
    }
    parts["writing, LSTM 256"] = writing(small, 1000)
    found: dict[str, Any] = {}
    for name, systems in parts.items():
        times = in_turns(systems, arguments.rounds)
        ratios = {
            other: statistics.median(x / y for x, y in zip(times[other], times["elman"], strict=True))
            for other in times
        }
        found[name] = {"seconds": {system: statistics.median(times[system]) for system in times}, "ratios": ratios}
    if arguments.text:
        found["loss"] = losses(large, {"float32": arena, "int8": int8}, arguments.text)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--small", "--large", "--text", "--json"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(arguments, Path(folder))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))
    for name, part in found.items():
        if name == "loss":
            change = 100 * (part["int8"] / part["float32"] - 1)
            print(f"loss, nats a token: {part['float32']:.4f}, of int8 {part['int8']:.4f} ({change:+.3f} %)")
            continue
        print(f"\n{name}\n\n| | us a step | of elman's time |\n|---|---|---|")
        for system, seconds in part["seconds"].items():
            print(f"| {system} | {1e6 * seconds:.1f} | {part['ratios'][system]:.2f} |")


if __name__ == "__main__":
    main()
