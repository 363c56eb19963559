"""Writes networks by torch's newer exporter, which needs onnxscript, for tests/interop/test_onnx_files.py.

    python tests/interop/export_by_torch.py [FOLDER]

Of an LSTM or GRU that is time first, this exporter fixes the number of steps (torch 2.13.0, onnxscript 0.7.2).
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from torch_networks import NETWORKS, network

HERE = Path(__file__).parent / "recorded"

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name in NETWORKS:
        open_sizes = ({0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO},)
        tokens = torch.zeros(4, 3, dtype=torch.long)
        path = folder / f"torch_{name}.onnx"
        torch.onnx.export(network(name), (tokens,), path, dynamo=True, dynamic_shapes=open_sizes, external_data=False)
        print(path, path.stat().st_size)
