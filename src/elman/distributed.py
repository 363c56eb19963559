"""What more than one process changes: whose rows are mine, sums over all processes, and who decides and writes.

torch's launcher starts the processes of a training, its ranks. Each computes the gradient of its own rows of every
batch, and torch's DistributedDataParallel adds the gradients. Whatever is decided by the clock or from outside is
decided by rank 0, which alone writes files. One process is a rank among one: nothing is sent then.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from elman import launcher
from elman.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from torch.distributed.distributed_c10d import Store

    from elman.state import State

_works = itertools.count()  # of rank 0, for which the others have waited
Array = Any  # numpy's, of any shape
Item = TypeVar("Item")
Rows = TypeVar("Rows", bound="np.ndarray[tuple[int], np.dtype[np.int64]]")


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
    launch: str | None = None  # the name of the launch, which all attempts of a launcher have in common
    attempt: str | None = None  # the name of the attempt
    together: bool = False  # weights are gathered in every call of the model, so each rank must make the same calls
    store: Store | None = field(default=None, compare=False, repr=False)

    @property
    def first(self) -> bool:
        """Whether this process decides and writes."""
        return self.rank == 0

    @property
    def readers(self) -> Ranks:
        """The ranks that share data which each reads at its own pace; alone where all must make the same calls."""
        return ALONE if self.together else self

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

    def sums_and_each(self, values: Sequence[float], own: float | None) -> tuple[list[float], tuple[float, ...]]:
        """The sums over all processes, and the number of each one, in one message; no numbers where `own` is None."""
        if own is None:
            return self.sums(*values), ()
        every = self.sums(*values, *(own if rank == self.rank else 0.0 for rank in range(self.size)))
        return every[: len(values)], tuple(every[len(values) :])

    def most(self, value: float) -> float:
        """The greatest value of all processes."""
        return max(self.sums_and_each((), value)[1]) if self.size > 1 else value

    def told(self, *values: float) -> list[float]:
        """The values of rank 0."""
        return self.sums(*(value if self.first else 0.0 for value in values))

    def while_others_wait(self) -> AbstractContextManager[None]:
        """Rank 0 works within this, however long, and the other ranks wait in `wait_for_first`."""
        if self.store is None:
            return nullcontext()
        from elman import rendezvous

        return rendezvous.keep_waiting(self.store, f"work/{next(_works)}")

    def wait_for_first(self) -> None:
        """Wait for the work of rank 0, and leave where it fails, which says why. Raises `UserError` where it dies."""
        from elman import rendezvous

        assert self.store is not None
        if not rendezvous.wait_for(self.store, f"work/{next(_works)}"):
            raise SystemExit(1)

    def gathered(self, tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """The tensors of each rank, in their order, for rank 0; nothing for the others.

        All have the same names, dtypes and dimensions; their sizes may differ. A tensor is on a CPU.
        """
        if self.size == 1:
            return [dict(tensors)]
        from elman import messages

        return messages.gathered(tensors, self.rank, self.size)

    def mine(self, items: Iterable[Item]) -> Iterator[Item]:
        """Every N-th item of N processes: mine are spread over all of them."""
        return islice(items, self.rank, None, self.size)

    def exchanged(self, tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """The tensors of each rank, in their order, on every rank; names and sizes may differ. They are on a CPU."""
        if self.size == 1:
            return [dict(tensors)]
        from elman import messages

        whole = messages.packed(tensors)
        _, sizes = self.sums_and_each((), float(len(whole)))
        return [messages.broadcast(whole, rank, self.rank, int(size)) for rank, size in enumerate(sizes)]

    def columns(self, parts: Iterable[Sequence[Array]]) -> list[Array]:
        """The rows of all ranks' parts, column by column: a part has an array (B, ...) for each. One part at least."""
        import numpy as np
        import torch

        whole = [np.concatenate(column) for column in zip(*parts, strict=True)]
        every = self.exchanged({str(at): torch.from_numpy(column) for at, column in enumerate(whole)})
        filled = [[theirs[str(at)].numpy() for at in range(len(theirs))] for theirs in every if theirs]
        return [np.concatenate(column) for column in zip(*filled, strict=True)]

    def texts(self, mine: Sequence[str]) -> list[list[str]]:
        """The texts of each rank, in their order, on every rank."""
        import torch

        said = torch.frombuffer(bytearray(json.dumps(list(mine)).encode()), dtype=torch.uint8)
        return [json.loads(bytes(theirs["texts"].tolist())) for theirs in self.exchanged({"texts": said})]

    def rows(self, state: State) -> State:
        """The rows of each rank's state, in the order of the ranks, on every rank."""
        if self.size == 1:
            return state
        from elman import state as states

        device = next(states.leaves(state)).device
        every = self.exchanged(states.flatten(states.to(state, "cpu"), "state"))
        parts = [states.unflatten(theirs, state, "state") for theirs in every]
        return states.to(states.concatenate(parts), device)

    def listed(self, facts: Mapping[str, object]) -> list[dict[str, Any]]:
        """The facts of each rank, as JSON has them, in their order, on every rank."""
        return [json.loads(theirs) for [theirs] in self.texts([json.dumps(dict(facts), default=str)])]

    def check_same(self, facts: Mapping[str, object]) -> None:
        """Raise `UserError` on rank 0 where facts differ between ranks; the others leave."""
        if self.size == 1:
            return
        every = self.listed(facts)
        differing = [
            (rank, name) for rank, other in enumerate(every) for name in facts if other[name] != every[0][name]
        ]
        if differing:
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
_here = ALONE


def here() -> Ranks:
    """The ranks of this process within `joined`; alone elsewhere."""
    return _here


@contextmanager
def joined() -> Iterator[Ranks]:
    """The ranks of this process: alone, or one of those that torch's launcher has started, who wait for each other.

    Raises:
        UserError: another process has died, or has sent nothing for ten minutes.
    """
    if not launcher.is_launched():
        yield ALONE
        return
    from elman import rendezvous

    global _here
    before = _here
    with rendezvous.together() as (rank, size, launch, attempt, store):
        _here = Ranks(rank, size, launch, attempt, store=store)
        try:
            yield _here
        finally:
            _here = before
