"""A step of an LSTM tagger as C against onnxruntime's step of one row, on one core, in turns; and the size of the code.

    python benchmarks/c_step.py [--units 64] [--words 2000] [--compiler gcc] [--int8] [--rounds 15] [--json]

Both read the same words, one by one, with the state passed on. onnxruntime runs with one thread and with its inputs and
outputs bound, which costs less than `session.run`; the C program is compiled as its header recommends.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import elman
from elman.export import export
from elman.export.c.compiling import STRICT, size_of_code
from elman.export.c.program import OPTIMIZE, CProgram, program

TIMER = """
#define _POSIX_C_SOURCE 199309L
#include "tagger.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int count, char **words)
{
    (void)count;
    const int steps = atoi(words[1]);
    static tagger_state state;
    float scores[TAGGER_TAGS], sum = 0;
    struct timespec begin, end;
    tagger_init(&state);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int t = 0; t < steps; t++) {
        tagger_step(&state, t % TAGGER_WORDS, scores);
        sum += scores[0];
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%.9g %g\\n", ((end.tv_sec - begin.tv_sec) + 1e-9 * (end.tv_nsec - begin.tv_nsec)) / steps, sum);
    return 0;
}
"""


def tagger(arguments: argparse.Namespace, folder: Path) -> elman.Run:
    sentences = [[f"w{at + part}" for part in range(20)] for at in range(0, arguments.words, 20)]
    tags = [[f"T{at % 17}" for at in range(20)] for _ in sentences]
    sizes = {"hidden_size": arguments.units, "embedding_size": arguments.units, "character_size": 0, "num_layers": 1}
    own = {"model": "lstm", "bidirectional": False, "crf": False, "min_count": 1}
    own |= {"budget": "1 steps", "progress": False, "out": folder / "run"}
    return elman.fit(sentences, tags, task="tagging", **sizes, **own)


def built(made: CProgram, compiler: str, folder: Path) -> Path:
    for name, text in (("tagger.h", made.header), ("tagger.c", made.source), ("timer.c", TIMER)):
        (folder / name).write_text(text)
    flags = (*STRICT, *OPTIMIZE, "-march=native")
    subprocess.run([compiler, *flags, "tagger.c", "timer.c", "-o", "timer", "-lm"], cwd=folder, check=True)
    return folder / "timer"


def bound(path: Path) -> tuple[Any, Any, np.ndarray]:
    """A session, its binding with the state's outputs in the places of its inputs, and the array of the word."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    binding, word = session.io_binding(), np.zeros((1, 1), np.int64)
    [tokens, *states] = session.get_inputs()
    binding.bind_ortvalue_input(tokens.name, onnxruntime.OrtValue.ortvalue_from_numpy(word))
    for output in session.get_outputs():
        binding.bind_output(output.name)
    for each in states:
        zeros = np.zeros((1, *each.shape[1:]), np.float32)
        binding.bind_ortvalue_input(each.name, onnxruntime.OrtValue.ortvalue_from_numpy(zeros))
    return session, binding, word


def onnxruntime_step(session: Any, binding: Any, steps: int) -> float:
    """Seconds of a step."""
    names = [each.name for each in session.get_inputs()][1:]
    begun = time.perf_counter()
    for _ in range(steps):
        session.run_with_iobinding(binding)
        for name, value in zip(names, binding.get_outputs()[1:], strict=True):
            binding.bind_ortvalue_input(name, value)
        for name in names:
            binding.bind_output(f"next_{name}")
    return (time.perf_counter() - begun) / steps


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    run = tagger(arguments, folder)
    made = program(run.model, Path("tagger"), int8=arguments.int8, codecs=run.codecs)
    export(run, "onnx", folder / "tagger.onnx")
    timer = built(made, arguments.compiler, folder)
    session, binding, _ = bound(folder / "tagger.onnx")
    times: dict[str, list[float]] = {"c": [], "onnxruntime": []}
    for _ in range(arguments.rounds):
        found = subprocess.run([timer, "5000"], capture_output=True, text=True, check=True).stdout
        times["c"].append(float(found.split()[0]))
        times["onnxruntime"].append(onnxruntime_step(session, binding, 500))
    seconds = {name: statistics.median(found) for name, found in times.items()}
    code = {flags: size_of_code(made, arguments.compiler, flags) for flags in (*OPTIMIZE, "-Os")}
    return {
        "seconds_of_a_step": seconds,
        "speed_ratio": seconds["onnxruntime"] / seconds["c"],
        "bytes_of_code": code,
        "bytes_of_weights": made.bytes_of_weights,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--words", type=int, default=2000)
    parser.add_argument("--compiler", default="gcc")
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(arguments, Path(folder))
    if arguments.json:
        print(json.dumps(found))
        return
    for name, seconds in found["seconds_of_a_step"].items():
        print(f"{name:12} {1e6 * seconds:8.2f} µs a step")
    print(f"C is {found['speed_ratio']:.1f} times as fast")
    for flags, size in found["bytes_of_code"].items():
        print(f"{size:,} bytes of code with {flags}, without {found['bytes_of_weights']:,} bytes of weights")


if __name__ == "__main__":
    main()
