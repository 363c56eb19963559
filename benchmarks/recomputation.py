"""The RAM that recomputation saves and the time that it costs: a training step of one layer with it and without.

    python benchmarks/recomputation.py [--threads 1] [--shapes T,B,H ...] [--backend native] [--clock cpu] [--json]

`kept` are the megabytes kept from forward for backward, without the weights; the number in brackets includes the input
x and the outputs h, which a caller holds anyway. The ratio is the time of a step with recomputation over that of a step
without, from the medians of interleaved runs.
"""

from __future__ import annotations

import argparse
import json

import torch
from torch import Tensor, nn

from elman.bench.contest import training
from elman.bench.timing import CLOCKS, Contestant, medians
from elman.nn import GRU, LSTM, Elman

LAYERS = {"elman": Elman, "gru": GRU, "lstm": LSTM}


def kept(layer: nn.Module, x: Tensor) -> tuple[int, int]:
    """The bytes kept for backward, weights aside: without x and the outputs, and with both."""
    storages: dict[int, int] = {}
    holding: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        holding.append(tensor)  # so that no address comes twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = layer(x)[0]
    for weight in layer.parameters():
        storages.pop(weight.untyped_storage().data_ptr(), None)
    held = [part.untyped_storage() for part in (x, outputs)]
    for storage in held:
        storages.pop(storage.data_ptr(), None)
    alone = sum(storages.values())
    return alone, alone + sum(storage.nbytes() for storage in held)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--shapes", nargs="+", default=["1000,32,256"], help="T,B,H ...")
    parser.add_argument("--cells", nargs="+", choices=LAYERS, default=list(LAYERS))
    parser.add_argument("--backend", default="native")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each line")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    rows = []
    if not options.json:
        print(f"{'cell':7}{'T,B,H':>14}{'kept, MB':>18}{'recomputing':>18}{'saved':>14}{'ms':>8}{'ms':>8}{'ratio':>7}")
    for shape in options.shapes:
        T, B, H = map(int, shape.split(","))
        for cell in options.cells:
            torch.manual_seed(0)
            x = torch.randn(T, B, H, requires_grad=True)
            layers = [LAYERS[cell](H, H, backend=options.backend, recompute=flag) for flag in (False, True)]
            plain, ours = (kept(layer, x) for layer in layers)
            calls = [Contestant(training(layer, x.detach(), "float32")) for layer in layers]
            sides = dict(zip(("plain", "ours"), calls, strict=True))
            times = list(medians(sides, options.seconds, CLOCKS[options.clock]).values())
            saved = [1 - less / more for less, more in zip(ours, plain, strict=True)]
            row = {"cell": cell, "shape": [T, B, H], "kept": plain, "recomputing": ours, "seconds": times}
            rows.append(row | {"saved": saved, "ratio": times[1] / times[0]})
            if not options.json:
                numbers = (f"{alone / 1e6:.1f} ({both / 1e6:.1f})" for alone, both in (plain, ours))
                print(
                    f"{cell:7}{shape:>14}" + "".join(f"{text:>18}" for text in numbers),
                    f"{f'{saved[0]:.0%} ({saved[1]:.0%})':>13}{times[0] * 1e3:8.1f}{times[1] * 1e3:8.1f}"
                    f"{times[1] / times[0]:7.2f}",
                    flush=True,
                )
    if options.json:
        print(json.dumps({"threads": options.threads, "backend": options.backend, "rows": rows}))


if __name__ == "__main__":
    main()
