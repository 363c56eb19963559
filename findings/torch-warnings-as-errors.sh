#!/usr/bin/env bash
# torch 2.14.1: where warnings are errors (`python -W error`, pytest's `filterwarnings = error`), torch.compile and
# torch.library.opcheck raise for correct code, because of a warning that torch itself provokes and means to hide.
#
# One would guess: a compiled function takes what the function takes, and opcheck passes an operator that is right, with
#     warnings as errors too: the caller does nothing that torch warns of, and without `-W error` no warning is shown.
# What happens: a compiled function raises InternalTorchDynamoError as soon as its input is no leaf, that is, as soon as
#     a layer with parameters stands before it. opcheck fails for every differentiable operator. Both say "The .grad
#     attribute of a Tensor that is not a leaf Tensor is being accessed", which no line of the caller does.
# Why: tracing reads the .grad of every input (safe_grad in torch/_subclasses/meta_utils.py) under hide_warnings of
#     torch/_logging/_internal.py, which replaces warnings.showwarning for the time. A filter "error" raises before
#     showwarning is ever called. opcheck hands tracing copies, hence no leaves, since 2.14
#     (torch/testing/_internal/optests/aot_autograd.py).
# Seen with: torch.compile on 2.13.0, 2.14.1 and 2.15.0; opcheck on 2.14.1 and 2.15.0, while 2.13.0's passes.
# Source: https://github.com/pytorch/pytorch/tree/v2.14.1
#
# Needs Python 3.11 to 3.13 and, where the index holds CUDA builds alone, 6 GB in $TMPDIR. Exits 1 once this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-cache-dir torch==2.14.1 numpy==2.4.6 expecttest==0.3.0

cat >"$folder/see.py" <<'PYTHON'
import torch


@torch.library.custom_op("seen::double", mutates_args=())
def double(x: torch.Tensor) -> torch.Tensor:
    return 2 * x


double.register_fake(torch.empty_like)
double.register_autograd(lambda ctx, gradient: 2 * gradient)
compiled = torch.compile(torch.sin, backend="aot_eager")
leaf = torch.ones(3, requires_grad=True)
calls = {
    "compiled, of a leaf": lambda: compiled(leaf),
    "compiled, of no leaf": lambda: compiled(2 * leaf),
    "opcheck": lambda: torch.library.opcheck(double, (leaf,)),
}
for name, call in calls.items():
    torch.compiler.reset()
    try:
        call()
        print(f"{name}: passes")
    except Exception as error:
        about = "of .grad" if "The .grad attribute of a Tensor that is not a leaf" in str(error) else str(error)
        print(f"{name}: {type(error).__name__} {about}")
PYTHON

see() { "$folder/venv/bin/python" "$@" "$folder/see.py" 2>&1; }
echo "warnings as warnings:"
shown=$(see)
echo "$shown"
echo "warnings as errors:"
raised=$(see -W error)
echo "$raised"

[ "$shown" = "compiled, of a leaf: passes
compiled, of no leaf: passes
opcheck: passes" ] && [ "$raised" = "compiled, of a leaf: passes
compiled, of no leaf: InternalTorchDynamoError of .grad
opcheck: OpCheckError of .grad" ]
