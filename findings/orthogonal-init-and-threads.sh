#!/usr/bin/env bash
# A seed does not fix an orthogonal initialization: the number of threads has a say in it.
#
# One would guess: after torch.manual_seed(7), torch.nn.init.orthogonal_, the usual start of a recurrent network's
# hidden-to-hidden matrices, gives the same matrix however many threads torch has: drawing the random numbers does not
# depend on the threads (normal_ below gives the same bytes).
#
# What happens: orthogonal_ is a QR decomposition of a random matrix, and LAPACK's, on several threads, sums in another
# order. Matrices of 512 x 512, and of 64 x 64 too, differ in their last bits between one thread and two; two trainings
# of the same seed on machines with different numbers of cores begin from different weights, and part from there.
#
# Versions: torch 2.13.0 and numpy 2.3.5, CPU, x86-64 with MKL. Public source: torch/nn/init.py, orthogonal_, which calls
# torch.linalg.qr; torch's note on reproducibility names releases, commits, platforms and devices, not threads.
# Remedy: draw the weights on one thread (torch.set_num_threads(1)), then set the number back.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.3.5
cat > "$folder/draw.py" <<'PYTHON'
import hashlib
import sys

import torch

torch.set_num_threads(int(sys.argv[1]))
for name in ("normal_", "orthogonal_"):
    torch.manual_seed(7)
    matrix = getattr(torch.nn.init, name)(torch.empty(512, 512))
    print(name, hashlib.sha256(matrix.numpy().tobytes()).hexdigest()[:12], f"{matrix.abs().max().item():.9g}")
PYTHON
if [ "$(nproc)" -lt 2 ]; then
    echo "this machine has one core: nothing to see" >&2
    exit 1
fi
for threads in 1 2; do
    "$folder/env/bin/python" "$folder/draw.py" "$threads" | tee "$folder/$threads.txt" | sed "s/^/$threads threads: /"
done
same() { grep "^$1 " "$folder/1.txt" | cmp -s - <(grep "^$1 " "$folder/2.txt"); }
if same normal_ && ! same orthogonal_; then
    echo "as found: normal_ is the same on one thread and on two, orthogonal_ is not"
else
    echo "this has changed" >&2
    exit 1
fi
