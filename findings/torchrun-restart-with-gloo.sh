#!/usr/bin/env bash
# torchrun's restart of a training on CPUs fails: the new processes look for the dead ones.
#
# One would guess: `torchrun --max-restarts 1` starts all processes again after one was killed, and torch.distributed of the
# second attempt, on gloo, begins like that of the first. torch's documentation of elastic training names gloo and one
# machine as cases that work.
#
# What happens: most often the second attempt ends in init_process_group or in its first all_reduce, "Gloo connectFullMesh
# failed … Connection refused". torchrun keeps one store over all attempts, and processes of both attempts write their
# addresses under the same keys, so that a process of the second that looks before the other has written reads the address
# of one that is no more. A later attempt may fail likewise: restarts are spent, and the training ends.
#
# Versions: torch 2.13.0 (CPU), Python 3.11, Linux. Public source: torch/distributed/rendezvous.py, _create_c10d_store, whose
# comment says that a store is new for every retry and that no prefix for the attempt is needed; with the agent's own store
# (TORCHELASTIC_USE_AGENT_STORE) it is not new. pytorch/pytorch#191989 is about that store too, not about restarts.
# Remedy: init_process_group(store=PrefixStore(name, store), rank=…, world_size=…), with a name that the ranks of an attempt
# agree upon; on one machine TORCHELASTIC_RESTART_COUNT will do.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.3.5
cat > "$folder/training.py" <<'PYTHON'
import os
import signal
import sys
from datetime import timedelta

import torch
import torch.distributed as dist

attempt, limit = os.environ["TORCHELASTIC_RESTART_COUNT"], timedelta(seconds=20)
if sys.argv[1] == "plain":
    dist.init_process_group("gloo", timeout=limit)
else:
    store, rank, size = next(dist.rendezvous("env://", timeout=limit))
    prefixed = dist.PrefixStore(attempt, store)
    dist.init_process_group("gloo", store=prefixed, rank=rank, world_size=size, timeout=limit)
ones = torch.ones(1)
dist.all_reduce(ones)
if attempt == "0" and dist.get_rank() == 1:
    os.kill(os.getpid(), signal.SIGKILL)  # as where the machine is out of memory
dist.all_reduce(ones)
print("attempt", attempt, "rank", dist.get_rank(), "has ended well", flush=True)
dist.destroy_process_group()
PYTHON
run() {
    OMP_NUM_THREADS=1 timeout 180 "$folder/env/bin/python" -m torch.distributed.run --standalone --nproc-per-node 2 \
        --max-restarts 1 "$folder/training.py" "$1" > "$folder/$1.txt" 2>&1
}
failed() { echo "$1: $(grep -o -m 1 'Gloo connectFullMesh failed' "$folder/$1.txt")"; }
seen=""
for try in 1 2 3 4 5 6; do  # whether a process looks too early is chance
    run prefixed || { failed prefixed; echo "this has changed" >&2; exit 1; }
    run plain || { seen=$(failed plain); echo "$seen, in run $try"; break; }
done
if [ "$seen" = "plain: Gloo connectFullMesh failed" ]; then
    echo "as found: gloo's second attempt fails, unless its keys have a prefix of their own"
else
    echo "this has changed" >&2
    exit 1
fi
