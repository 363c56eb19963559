"""The time in which a translation run translates a file by beam search.

    python benchmarks/beam.py RUN LINES [--beam 5] [--batch 64] [--sentences 1000] [--threads 2] [--repeat 3] [--json]

Two builds are compared by calls in turn, with PYTHONPATH before each: their checksums of what was written must agree,
and their sums of scores to rounding. Beside the wall time stands the CPU time of all threads, which other work on the
machine disturbs less.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path
from statistics import median

import torch

from elman import runs
from elman.decode.translation import Beam, Translator, translate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("lines", type=Path)
    for name, default in (("beam", 5), ("batch", 64), ("sentences", 1000), ("threads", 2), ("repeat", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    run = runs.load(arguments.run)
    search = Beam(arguments.beam)
    translator = Translator(
        run.model.eval(), run.source_tokenizer, run.target_tokenizer, search, batch_size=arguments.batch
    )
    lines = arguments.lines.read_text(encoding="utf-8").splitlines()[: arguments.sentences]
    wall, cpu = [], []
    for _ in range(arguments.repeat):
        begun, worked = time.perf_counter(), time.process_time()
        found = list(translate(translator, lines))
        wall.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - worked)
    best = [line.candidates[0] for line in found]
    row = {
        "sentences": len(lines),
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "seconds": median(wall),
        "cpu_seconds": median(cpu),
        "tokens": sum(len(y.tokens) for y in best),
        "score": sum(y.score for y in best),
        "checksum": hashlib.sha256("\n".join(y.text for y in best).encode()).hexdigest()[:12],
    }
    print(json.dumps(row) if arguments.json else "\n".join(f"{name:12} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
