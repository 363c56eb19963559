"""The RAM of each process of a training, with the whole model in each and with its part alone; and under a limit.

    python benchmarks/larger_than_memory.py [--gigabytes 2] [--model lstm,transformer] [--steps 2] [--keep FOLDER]

Each row is a training by `elman train` with AdamW, of a model of about 100 million parameters on random text, in
processes of one thread: it validates, saves, and writes its model. RSS is the peak of the pages that a process had in
RAM. Of the rows with a limit, every process may have so many bytes of data (RLIMIT_DATA: what it allocates for itself;
a limit of its addresses, RLIMIT_AS, counts what torch only reserves), and ends where it asks for more.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SIZES = {
    "lstm": {"hidden_size": 1440, "embedding_size": 256, "num_layers": 6, "k1": 16, "lanes": 4, "recompute": True},
    "transformer": {"hidden_size": 1024, "num_layers": 8, "num_heads": 8, "k1": 16, "lanes": 4, "recompute": True},
}


def worker(text: str, run: str, model: str, steps: int, sharded: bool, limit: float) -> None:
    """Train by the command as one of the ranks, and print the peak of this process and its exit code."""
    from elman.cli import run as command

    if limit:
        resource.setrlimit(resource.RLIMIT_DATA, (int(limit * 1e9),) * 2)
    settings = {"optimizer": "adamw", "sharded": str(sharded).lower(), "seed": 1, **SIZES[model]}
    arguments = ["train", text, "-o", run, "--model", model, "--steps", str(steps), "--overwrite"]
    code = command([*arguments, *(part for name, value in settings.items() for part in ("--set", f"{name}={value}"))])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"rank": int(os.environ.get("RANK", "0")), "peak": peak, "code": code}), flush=True)
    sys.exit(code)


def row(folder: Path, model: str, steps: int, processes: int, sharded: bool, limit: float) -> None:
    """Start the processes of one training, and print what each of them says."""
    run = folder / "run"
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    own = [__file__, "--worker", json.dumps([str(folder / "text.txt"), str(run), model, steps, sharded, limit])]
    command = [sys.executable, *(launcher if processes > 1 else []), *own]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    shutil.rmtree(run, ignore_errors=True)
    way = "alone" if processes == 1 else f"{processes} processes, {'a part' if sharded else 'all'} in each"
    bound = f"{limit:g} GB" if limit else "none"
    for one in sorted(said, key=lambda one: one["rank"]):
        ended = "trained" if one["code"] == 0 else "ended in an error"
        print(f"| {model} | {way} | {one['rank']} | {bound} | {one['peak'] / 1e9:.2f} GB | {ended} |", flush=True)
    print("\n".join(f"  {line}" for line in done.stderr.splitlines() if "parameters" in line or "memory" in line))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--model", default="lstm,transformer")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--worker")
    given = parser.parse_args()
    if given.worker:
        text, run, *rest = json.loads(given.worker)
        worker(text, run, *rest)
        return
    folder = given.keep or Path(tempfile.mkdtemp())
    folder.mkdir(exist_ok=True)
    letters = np.random.default_rng(1).integers(97, 123, 20_000).astype(np.uint8)
    (folder / "text.txt").write_bytes(letters.tobytes())
    print("| model | processes | rank | limit | peak RSS | ended |\n|---|---|---|---|---|---|")
    for model in given.model.split(","):
        for limit in (0, given.gigabytes):
            for processes, sharded in ((1, False), (2, False), (2, True)):
                row(folder, model, given.steps, processes, sharded, limit)
    if not given.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
