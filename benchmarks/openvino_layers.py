"""The recurrent layers' inference beside OpenVINO's, in float32.

    python benchmarks/openvino_layers.py [--threads 1] [--seconds 0.6] [--shapes grid]

Each line has a layer of one direction on inputs of its own size, in turns with the same layer as an ONNX model in
OpenVINO, which is told to compute in float32 (else it rounds to bfloat16 where the processor can) and for the least
latency. The outputs are compared first. Needs the packages openvino and onnx.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable

import openvino
import torch
from torch import Tensor, nn

from elman.bench import onnx_layer
from elman.bench.contest import SHAPES, torch_layer
from elman.bench.timing import CLOCKS, Contestant, medians
from elman.nn import layer_of

CELLS = "elman", "gru", "lstm"


def runner(cell: str, layer: nn.RNNBase, x: Tensor, threads: int) -> Callable[[], object]:
    """A call of OpenVINO that computes the layer's outputs of x (T, B, D), which are checked here."""
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    core = openvino.Core()
    model = core.read_model(onnx_layer.to_onnx(cell, layer, x).SerializeToString())
    request = core.compile_model(model, "CPU", options).create_infer_request()
    request.set_input_tensor(openvino.Tensor(x.numpy(), shared_memory=True))
    request.infer()
    found = torch.from_numpy(request.get_output_tensor(0).data)[:, 0]
    with torch.inference_mode():
        torch.testing.assert_close(found, layer(x)[0], rtol=0, atol=onnx_layer.TOLERANCE)
    return request.infer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.6, help="for each line")
    parser.add_argument("--shapes", default="grid", choices=SHAPES)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    say = (lambda line: None) if given.json else (lambda line: print(line, flush=True))
    say("| T, B, H | " + " | ".join(CELLS) + " |\n|---|---|---|---|")
    columns: dict[str, list[float]] = {cell: [] for cell in CELLS}
    for T, B, H in SHAPES[given.shapes]:
        x, row = torch.randn(T, B, H), []
        for cell in CELLS:
            layer, other = layer_of(cell)(H, H), torch_layer(cell, H, H)
            other.load_state_dict(layer.state_dict())
            sides = {
                "elman": Contestant(lambda layer=layer, x=x: layer(x)),
                "openvino": Contestant(runner(cell, other, x, given.threads)),
            }
            with torch.inference_mode():
                times = medians(sides, given.seconds, CLOCKS["wall"])
            row.append(times["openvino"] / times["elman"])
            columns[cell].append(row[-1])
        say(f"| {T}, {B}, {H} | " + " | ".join(f"{ratio:.2f}" for ratio in row) + " |")
    means = {cell: statistics.geometric_mean(ratios) for cell, ratios in columns.items()}
    say("| geometric mean | " + " | ".join(f"{mean:.2f}" for mean in means.values()) + " |")
    if given.json:
        print(json.dumps({"shapes": SHAPES[given.shapes], "ratios": columns, "geometric means": means}))


if __name__ == "__main__":
    main()
