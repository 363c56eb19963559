"""onnxruntime running an exported language model beside the run's own model: tokens a second, in turns.

    python benchmarks/exported.py RUN [--threads 1] [--seconds 2] [--json]

Both read the same tokens from the same state, which is not fresh: one token of each row, as in writing, or 128. A ratio
over 1 says that onnxruntime is faster.
"""

from __future__ import annotations

import argparse
import json
from functools import partial

import onnxruntime
import torch

import elman
from elman.bench.timing import CLOCKS, Contestant, medians
from elman.export.onnx.drawing import draw
from elman.export.onnx.trials import named
from elman.export.options import ExportOptions
from elman.state import leaves

SHAPES = ((1, 1), (16, 1), (1, 128), (16, 128))  # rows and tokens of a call
READ = 64  # tokens before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each line")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    run = elman.load(given.run)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = given.threads, 1
    options.add_session_config_entry("session.force_spinning_stop", "1")  # else its threads slow down the other's turns
    graph = draw(run, ExportOptions()).graphs["model"].model({}).SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    rows = []
    with torch.inference_mode():
        for B, T in SHAPES:
            past, tokens = torch.randint(run.model.vocab_size, (B, READ + T)).split((READ, T), 1)
            state = run.model(past)[1]
            feeds = {"tokens": tokens.numpy(), **named([leaf.numpy() for leaf in leaves(state)])}
            contest = {"onnxruntime": partial(session.run, None, feeds), "elman": partial(run.model, tokens, state)}
            times = medians({name: Contestant(call) for name, call in contest.items()}, given.seconds, CLOCKS["wall"])
            speeds = {name: B * T / seconds for name, seconds in times.items()}
            rows.append({"rows": B, "tokens": T, **speeds, "ratio": speeds["onnxruntime"] / speeds["elman"]})
    if given.json:
        print(json.dumps(rows))
        return
    print("  rows  tokens  onnxruntime tokens/s  elman tokens/s  ratio")
    for row in rows:
        print("{rows:6}{tokens:8}{onnxruntime:22,.0f}{elman:16,.0f}{ratio:7.2f}".format(**row))


if __name__ == "__main__":
    main()
