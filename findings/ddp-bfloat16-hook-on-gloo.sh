#!/usr/bin/env bash
# DDP's hook that halves the bytes of gradients in bfloat16 refuses gloo, which reduces bfloat16.
#
# One would guess: torch's two hooks that compress gradients, fp16_compress_hook and bf16_compress_hook, take the same
# backends, for both cast, all_reduce and cast back, and gloo's all_reduce takes both types.
#
# What happens: on gloo the hook of float16 is taken, and training with it works; register_comm_hook refuses that of
# bfloat16 with "BF16 all reduce communication hook required CUDA 11+ and NCCL 2.10+ or XPU and XCCL". A hook of three
# lines of one's own that does the same is taken, so the refusal goes by the hook's name alone.
#
# Versions: torch 2.13.0 (CPU), Linux. Public source: torch/nn/parallel/distributed.py, _check_comm_hook, which compares
# hook.__name__; the check came with the hook in pytorch/pytorch#63260, when gloo had no bfloat16.
# Remedy: a hook of one's own, under another name.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.3.5
cat > "$folder/hooks.py" <<'PYTHON'
import sys

import torch
import torch.distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook, fp16_compress_hook
from torch.nn.parallel import DistributedDataParallel


def own(state, bucket):
    return bf16_compress_hook(state, bucket)


dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=0, world_size=1)
for hook in (fp16_compress_hook, bf16_compress_hook, own):
    model = DistributedDataParallel(torch.nn.Linear(2, 1))
    try:
        model.register_comm_hook(None, hook)
        model(torch.ones(1, 2)).sum().backward()
        print(hook.__name__, model.module.weight.grad.tolist())
    except TypeError as error:
        print(hook.__name__, "is refused:", str(error)[:39])
dist.destroy_process_group()
PYTHON
"$folder/env/bin/python" -W ignore "$folder/hooks.py" "$folder/meet" | tee "$folder/seen.txt"
if diff "$folder/seen.txt" - <<'TEXT'
fp16_compress_hook [[1.0, 1.0]]
bf16_compress_hook is refused: BF16 all reduce communication hook requ
own [[1.0, 1.0]]
TEXT
then
    echo "as found: on gloo, DDP refuses its own hook of bfloat16 by its name"
else
    echo "this has changed" >&2
    exit 1
fi
