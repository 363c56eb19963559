"""Native attention beside torch's `scaled_dot_product_attention`, forward and backward.

    python benchmarks/attention.py [--threads 1] [--shapes B,N,T,D ...] [--types float32 bfloat16] [--seconds 5]
                                   [--clock cpu] [--json]

`causal`: N heads of D over T steps, nothing else. `memory`: a layer of a language model with a memory of as many steps
as are read, layer normalization and rotation of queries and keys; torch's side is the backend "torch", which
concatenates and masks. `token`: one step of one row, in place, after 512 others, without gradients. All contestants of
a line take turns in one process; a ratio over 1 says that the native kernel is faster.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.nn import functional as F

from elman.bench.timing import CLOCKS, Contestant, medians
from elman.kernels.attention.backends import attend
from elman.kernels.attention.seam import AttentionCall
from elman.kernels.attention.sight import Sight

TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Contest = dict[str, Callable[[], Any]]


def causal(B: int, N: int, T: int, D: int, dtype: torch.dtype) -> Contest:
    together = torch.randn(B, T, 3 * N, D, dtype=dtype, requires_grad=True)
    theirs = [torch.randn(B, N, T, D, dtype=dtype, requires_grad=True) for _ in range(3)]
    dy = torch.randn(B, T, N, D, dtype=dtype)
    call = AttentionCall(*together.detach().split(N, 2), None, Sight())

    def native() -> None:
        parts = together.split(N, 2)
        y, _ = attend(AttentionCall(*parts, None, Sight(), together=together), "native")
        torch.autograd.grad(y, together, dy)

    def torchs() -> None:
        y = F.scaled_dot_product_attention(*theirs, is_causal=True)
        torch.autograd.grad(y, theirs, dy.transpose(1, 2))

    return {
        "native": native,
        "torch": torchs,
        "native, forward": lambda: attend(call, "native"),
        "torch, forward": torch.no_grad()(lambda: F.scaled_dot_product_attention(*theirs, is_causal=True)),
    }


def with_memory(B: int, N: int, T: int, D: int, dtype: torch.dtype) -> AttentionCall:
    together = torch.randn(B, T, 3 * N, D, dtype=dtype, requires_grad=True)
    memory = torch.randn(B, N, T, D), torch.randn(B, N, T, D)
    gains = torch.ones(D, requires_grad=True), torch.ones(D, requires_grad=True)
    angle = torch.randn(1, T, D // 2)
    sight = Sight(window=T + 1, position=torch.full((B,), 10 * T))
    return AttentionCall(*together.split(N, 2), memory, sight, (angle.cos(), angle.sin()), gains, together=together)


def memory(B: int, N: int, T: int, D: int, dtype: torch.dtype) -> Contest:
    call = with_memory(B, N, T, D, dtype)

    def step(backend: str) -> None:
        together = call.together
        q, k, v = together.split(N, 2)
        y, _ = attend(call._replace(queries=q, keys=k, values=v), backend)
        torch.autograd.grad(y, [together, *call.gains], torch.ones_like(y))

    return {"native": lambda: step("native"), "torch": lambda: step("torch")}


def token(dtype: torch.dtype) -> Contest:
    call = with_memory(1, 4, 512, 32, dtype)
    one = call._replace(
        **{name: getattr(call, name)[:, :1].detach() for name in ("queries", "keys", "values", "together")},
        rotation=(call.rotation[0][:, :1], call.rotation[1][:, :1]),
        in_place=True,
    )
    return {name: torch.no_grad()(lambda name=name: attend(one, name)) for name in ("native", "torch")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--shapes", nargs="+", default=["32,4,64,32", "16,6,256,64", "4,8,2048,64"], help="B,N,T,D ...")
    parser.add_argument("--types", nargs="+", choices=TYPES, default=list(TYPES))
    parser.add_argument("--seconds", type=float, default=5.0, help="for each line")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    shapes = [tuple(map(int, shape.split(","))) for shape in options.shapes]
    rows = []
    for name in options.types:
        contests = [("causal", shape, partial(causal, *shape, TYPES[name])) for shape in shapes]
        contests += [("memory", shapes[0], partial(memory, *shapes[0], TYPES[name]))]
        contests += [("token", (1, 4, 1, 32), partial(token, TYPES[name]))]
        for kind, shape, contest in contests:
            times = medians(
                {n: Contestant(run) for n, run in contest().items()}, options.seconds, CLOCKS[options.clock]
            )
            rows.append({"type": name, "kind": kind, "shape": shape, "seconds": times})
            if not options.json:
                print(f"{name:9}{kind:7}{shape!s:>17}{times['native'] * 1e3:10.3f} ms", end="")
                print(f"   {times['torch'] / times['native']:.2f} times as fast as torch", end="")
                forward = times.get("native, forward")
                print(f", forward {times['torch, forward'] / forward:.2f}" if forward else "", flush=True)
    if options.json:
        print(json.dumps({"threads": options.threads, "rows": rows}))


if __name__ == "__main__":
    main()
