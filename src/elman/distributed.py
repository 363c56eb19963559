"""What more than one process changes: whose rows are mine, sums over all processes, and who decides and writes.

torch's launcher starts the processes of a training, its ranks. Each computes the gradient of its own rows of every
batch, and torch's DistributedDataParallel adds the gradients. Whatever is decided by the clock or from outside is
decided by rank 0, which alone writes files. One process is a rank among one: nothing is sent then.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from elman.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Rows = TypeVar("Rows", bound="np.ndarray[tuple[int], np.dtype[np.int64]]")

TIMEOUT = timedelta(minutes=10)  # of a message, after which a training ends in an error


@dataclass(frozen=True)
class Ranks:
    """This process among the processes of a training.

    >>> import numpy as np
    >>> [Ranks(rank, 3).share(np.arange(5)).tolist() for rank in range(3)]
    [[0, 1], [2, 3], [4]]
    >>> Ranks(2, 3).share(np.arange(2)).tolist(), Ranks(2, 3).counts(2)
    ([0], False)
    """

    rank: int = 0
    size: int = 1
    together: bool = False  # weights are gathered in every call of the model, so each rank must make the same calls

    @property
    def first(self) -> bool:
        """Whether this process decides and writes."""
        return self.rank == 0

    def share(self, rows: Rows) -> Rows:
        """My part of rows (B,): the parts follow each other, and none has two rows more than another.

        Where there are fewer rows than processes, some have the first row, which must not count for them: every
        process takes part in every step.
        """
        import numpy as np

        if self.size == 1:
            return rows
        mine = np.array_split(rows, self.size)[self.rank]
        return mine if len(mine) else rows[:1]  # type: ignore[return-value]

    def counts(self, rows: int) -> bool:
        """Whether my part of so many rows counts."""
        return self.rank < rows

    def sums(self, *values: float) -> list[float]:
        """The sums over all processes."""
        if self.size == 1:
            return list(values)
        import torch
        import torch.distributed

        total = torch.tensor(values, dtype=torch.float64)
        torch.distributed.all_reduce(total)
        return total.tolist()

    def told(self, *values: float) -> list[float]:
        """The values of rank 0."""
        return self.sums(*(value if self.first else 0.0 for value in values))

    def gathered(self, tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """The tensors of each rank, in their order, for rank 0; nothing for the others.

        All have the same names, dtypes and dimensions; their sizes may differ. A tensor is on a CPU.
        """
        import torch
        import torch.distributed as dist

        found = [dict(tensors)]
        if not self.first:
            for tensor in tensors.values():
                dist.send(torch.tensor(tensor.shape), 0)
                dist.send(tensor.contiguous(), 0)
            return []
        for source in range(1, self.size):
            theirs = {}
            for name, mine in tensors.items():
                shape = torch.zeros(mine.dim(), dtype=torch.int64)
                dist.recv(shape, source)
                theirs[name] = mine.new_empty(shape.tolist())
                dist.recv(theirs[name], source)
            found.append(theirs)
        return found

    def listed(self, facts: Mapping[str, object]) -> list[dict[str, Any]]:
        """The facts of each rank, as JSON has them, in their order, for rank 0; nothing for the others."""
        import torch

        said = torch.frombuffer(bytearray(json.dumps(dict(facts), default=str).encode()), dtype=torch.uint8)
        return [json.loads(bytes(other["facts"].tolist())) for other in self.gathered({"facts": said})]

    def check_same(self, facts: Mapping[str, object]) -> None:
        """Raise `UserError` on rank 0 where facts differ between ranks; the others leave."""
        if self.size == 1:
            return
        every = self.listed(facts)
        differing = [
            (rank, name) for rank, other in enumerate(every) for name in facts if other[name] != every[0][name]
        ]
        if not self.told(float(not differing))[0]:
            if not self.first:
                raise SystemExit(1)  # rank 0 says in what
            rank, name = differing[0]
            remedy = "start all processes with the same program, settings, data and threads"
            raise UserError(f"{name} of rank {rank}", expected=f"{every[0][name]}, as rank 0", got=every[rank][name],
                            remedy=remedy)  # fmt: skip

    def seed(self, seed: int) -> int:
        """The seed of this process's own noise: `seed` itself for rank 0, and an unrelated one for each other."""
        import numpy as np

        return (
            seed if self.first else int(np.random.SeedSequence([seed, self.rank]).generate_state(1, np.uint64)[0] >> 1)
        )


ALONE = Ranks()


def launched() -> int:
    """How many processes torch's launcher has started together, with this one among them; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def launched_here() -> int:
    """How many of them are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if is_launched() else 1


def is_launched() -> bool:
    """Whether torch's launcher has started this process as one of several."""
    return launched() > 1


def is_first() -> bool:
    """Whether this process is the one that speaks: rank 0, or a process alone."""
    return not is_launched() or os.environ["RANK"] == "0"


def left_to_launcher(error: str) -> bool:
    """Whether the launcher tells this process's error: rank 0 tells its own, and others have most errors in common."""
    place = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if is_first() or place is None:
        return False
    message = {"message": error, "extraInfo": {"py_callstack": error, "timestamp": str(int(time.time()))}}
    Path(place).write_text(json.dumps({"message": message}), encoding="utf-8")
    return True


@contextmanager
def joined() -> Iterator[Ranks]:
    """The ranks of this process: alone, or one of those that torch's launcher has started, who wait for each other.

    Raises:
        UserError: another process has died, or has sent nothing for ten minutes.
    """
    if not is_launched():
        yield ALONE
        return
    import torch
    import torch.distributed as dist

    cuda = torch.cuda.is_available() and dist.is_nccl_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    mine = not dist.is_initialized()  # a program of one's own may have begun already
    if mine:
        dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=TIMEOUT)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    except RuntimeError as error:
        if "gloo" not in str(error) and "Connection" not in str(error) and "NCCL" not in str(error):
            raise
        if dist.get_rank():
            raise SystemExit(1) from error  # one line is enough
        what = f"another process of the training has ended ({str(error).splitlines()[0][:120]})"
        raise UserError(what, remedy="what ended it is said above; go on with --resume") from error
    finally:
        if mine:
            dist.destroy_process_group()
