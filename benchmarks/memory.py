"""The peak RAM of a training, on a small text and on a large one.

    python benchmarks/memory.py [--gigabytes 1] [--json]

The same model trains on a megabyte and on a gigabyte; the difference of the two peaks is the cost of the text.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import string
import sys
import tempfile
import time
from pathlib import Path


def write_text(path: Path, size: int) -> None:
    """Write lines of random words, `size` bytes in all."""
    draw = random.Random(1)
    words = ["".join(draw.choices(string.ascii_lowercase, k=draw.randint(2, 9))) for _ in range(5000)]
    block = "".join(" ".join(draw.choices(words, k=12)) + "\n" for _ in range(12_000)).encode()
    with path.open("wb") as file:
        for _ in range(size // len(block)):
            file.write(block)
        file.write(block[: size % len(block)])


def peak(text: Path, run: Path) -> tuple[float, float]:
    """The peak RAM of a training of 20 steps, in megabytes, and its seconds."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "elman", "train", str(text), "--steps", "20", "-o", str(run)]
    process = os.posix_spawn(sys.executable, command, dict(os.environ))
    _, status, usage = os.wait4(process, 0)
    if status:
        sys.exit("the training failed")
    return usage.ru_maxrss / 1024, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for label, size in (("1 MB", 10**6), (f"{arguments.gigabytes:g} GB", int(arguments.gigabytes * 10**9))):
            text = Path(name) / "text.txt"
            write_text(text, size)
            megabytes, seconds = peak(text, Path(name) / str(size))
            rows.append({"text": label, "peak_megabytes": megabytes, "seconds": seconds})
    if arguments.json:
        print(json.dumps(rows))
        return
    print("| text | peak RAM, MB | seconds |\n|---|---|---|")
    for row in rows:
        print(f"| {row['text']} | {row['peak_megabytes']:,.0f} | {row['seconds']:.0f} |")


if __name__ == "__main__":
    main()
