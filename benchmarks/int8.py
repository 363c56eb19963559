"""An LSTM language model with weights of one byte against the same in float32: size, loss and speed in onnxruntime.

    python benchmarks/int8.py TEXT [--run RUN] [--cell lstm] [--units 512] [--steps 1500]
                              [--threads 1] [--rounds 9] [--json]

Trains a model of two layers on TEXT (or takes RUN, a run on TEXT), exports it twice, and reads the validation part of
the training with both files in onnxruntime: the loss of each, and the time of a step of one row, in turns in one run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

LANES, PIECE = 32, 64


def trained(arguments: argparse.Namespace, folder: Path) -> Path:
    if arguments.run:
        return arguments.run
    run = folder / "run"
    sizes = {"hidden_size": arguments.units, "embedding_size": arguments.units, "num_layers": 2}
    settings = [part for name, value in sizes.items() for part in ("--set", f"{name}={value}")]
    given = [str(arguments.text), "--model", arguments.cell, *settings, "--steps", str(arguments.steps), "-o", str(run)]
    subprocess.run([sys.executable, "-m", "elman", "train", *given], check=True, stdout=subprocess.DEVNULL)
    return run


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def fresh(session: onnxruntime.InferenceSession, rows: int) -> dict[str, np.ndarray]:
    shapes = {each.name: each.shape[1:] for each in session.get_inputs() if each.name.startswith("state_")}
    return {name: np.zeros((rows, *shape), np.float32) for name, shape in shapes.items()}


def loss(session: onnxruntime.InferenceSession, tokens: np.ndarray) -> float:
    """Nats a token of lanes (B, T + 1), read in pieces with the state passed on."""
    state, total, count = fresh(session, len(tokens)), 0.0, 0
    for begin in range(0, tokens.shape[1] - 1, PIECE):
        piece = tokens[:, begin : begin + PIECE + 1]
        logits, *after = session.run(None, {"tokens": piece[:, :-1], **state})
        state = dict(zip(state, after, strict=True))
        logits = logits.astype(np.float64)
        top = logits.max(-1, keepdims=True)
        normaliser = np.log(np.exp(logits - top).sum(-1)) + top[..., 0]
        total += (normaliser - np.take_along_axis(logits, piece[:, 1:, None], 2)[..., 0]).sum()
        count += piece[:, 1:].size
    return total / count


def step_time(session: onnxruntime.InferenceSession, steps: int) -> float:
    """Seconds of one step of one row."""
    feeds = {"tokens": np.zeros((1, 1), np.int64), **fresh(session, 1)}
    begun = time.perf_counter()
    for _ in range(steps):
        session.run(None, feeds)
    return (time.perf_counter() - begun) / steps


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    import elman
    from elman.export import export

    run = elman.load(trained(arguments, folder))
    files = {"float32": folder / "float32.onnx", "int8": folder / "int8.onnx"}
    for name, path in files.items():
        export(run, "onnx", path, **({"int8": True} if name == "int8" else {}))
    sessions = {name: open_session(path, arguments.threads) for name, path in files.items()}
    text = arguments.text.read_text(encoding="utf-8")
    tokens = np.array(run.tokenizer.encode(text[-len(text) // 10 :]), np.int64)  # the part that a training holds out
    tokens = tokens[: len(tokens) // LANES * LANES].reshape(LANES, -1)
    times: dict[str, list[float]] = {name: [] for name in files}
    for _ in range(arguments.rounds):
        for name, session in sessions.items():
            times[name].append(step_time(session, 200))
    seconds = {name: statistics.median(found) for name, found in times.items()}
    losses = {name: loss(session, tokens) for name, session in sessions.items()}
    sizes = {name: path.stat().st_size for name, path in files.items()}
    return {
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "bytes": sizes,
        "loss": losses,
        "seconds_of_a_step": seconds,
        "size_ratio": sizes["int8"] / sizes["float32"],
        "loss_change_per_cent": 100 * (losses["int8"] / losses["float32"] - 1),
        "speed_ratio": seconds["float32"] / seconds["int8"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--cell", default="lstm")
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(arguments, Path(folder))
    if arguments.json:
        print(json.dumps(found))
        return
    print("| | bytes | loss, nats a token | a step of one row |\n|---|---|---|---|")
    for name in ("float32", "int8"):
        micro = 1e6 * found["seconds_of_a_step"][name]
        print(f"| {name} | {found['bytes'][name]:,} | {found['loss'][name]:.4f} | {micro:.0f} µs |")
    change = found["loss_change_per_cent"]
    print(f"| ratio | {found['size_ratio']:.3f} | {change:+.2f} % | {found['speed_ratio']:.2f} times as fast |")


if __name__ == "__main__":
    main()
