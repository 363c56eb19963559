"""How long the runner takes to import beyond onnxruntime, and how many tokens a second it and `elman generate` write.

    python benchmarks/runner.py [RUN]

RUN is a language model's run; without one, an LSTM of 256 units is trained for a few steps.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import elman
import elman_runner
from elman.export import export

TIMES = 9
TOKENS = 400
BEFORE = "import numpy, onnxruntime; "
PROGRAM = "import time; begin = time.perf_counter(); import elman_runner.{}; print(time.perf_counter() - begin)"
PARTS = ("language_model", "translation", "tagging", "classification", "forecasting", "command")


def import_seconds(part: str) -> float:
    """The median time of importing a part in a new process where onnxruntime is there already."""
    program = BEFORE + PROGRAM.format(part)
    found = [subprocess.run([sys.executable, "-c", program], check=True, capture_output=True) for _ in range(TIMES)]
    return statistics.median(float(each.stdout) for each in found)


def main() -> None:
    for part in PARTS:
        print(f"import elman_runner.{part:16} {1000 * import_seconds(part):7.1f} ms beyond onnxruntime")
    with tempfile.TemporaryDirectory() as place:
        if len(sys.argv) > 1:
            run = elman.load(sys.argv[1])
        else:
            run = elman.fit(
                "the cat sat on a mat.\n" * 200, model="lstm", hidden_size=256, budget="3 steps", progress=False
            )
        export(run, "onnx", Path(place) / "exported")
        model = elman_runner.load(Path(place) / "exported", threads=1)
        writers = {"elman": run.generate, "elman_runner": model.generate}
        texts, seconds = {}, {name: [] for name in writers}
        for _ in range(TIMES):  # in turns
            for name, write in writers.items():
                begin = time.perf_counter()
                texts[name], _ = write("", tokens=TOKENS, seed=1)
                seconds[name].append(time.perf_counter() - begin)
    for name, found in seconds.items():
        print(f"{name:14} {TOKENS / statistics.median(found):9.0f} tokens a second")
    print("the same text" if texts["elman"] == texts["elman_runner"] else "OTHER TEXT")


if __name__ == "__main__":
    main()
