"""A training as one value: all that decides its next step, saved and restored together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from elman.distributed import ALONE, Ranks
from elman.errors import UserError
from elman.state import State
from elman.train import checkpointing
from elman.train.averaging import Average, stopped_improving
from elman.train.checkpoints import Checkpoint, Counters
from elman.train.clipping import Clipper
from elman.train.events import Step
from elman.train.objective import Divisible, Loss, Objective, Place
from elman.train.optimizers import optimizer
from elman.train.replica import Replica, replica
from elman.train.schedule import Budget, learning_rate
from elman.train.settings import Optimization
from elman.train.sharding import local


@dataclass
class Training:
    """The model, the optimiser, the carried state and the counters of a training.

    >>> import elman
    >>> from contextlib import closing
    >>> with closing(elman.training("to be or not to be, " * 100, budget="4 steps", hidden_size=8)) as events:
    ...     training = next(events).training  # `elman.train.Objective` shows how to make one
    ...     step = training.step()
    ...     print(training.progress, training.counters.targets == step.targets, math.isfinite(step.loss))
    0.25 True True
    """

    model: nn.Module
    objective: Objective
    settings: Optimization
    budget: Budget
    counters: Counters = field(default_factory=Counters)
    carried: State | None = None
    best: dict[str, Tensor] = field(default_factory=dict)  # the weights of the best validation, on the CPU
    ranks: Ranks = ALONE

    def __post_init__(self) -> None:
        s = self.settings
        if self.ranks.size > 1:
            if not isinstance(self.objective, Divisible):
                raise UserError("several processes", expected="an objective that divides its batches", got="another")
            self.ranks = replace(self.ranks, together=s.sharded)
            self.objective.divide(self.ranks)
            torch.manual_seed(self.ranks.seed(s.seed))
        if self.ranks.together and self.objective.adaptive:
            raise UserError("k2", expected="a number with sharded", got="auto, which needs whole weights")
        device = next(self.model.parameters()).device.type
        self.replica: Replica = replica(self.model, self.objective, self.ranks, device, s.reduction)
        self.optimizer = optimizer(self.model, s)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.clipper = Clipper(s.clip, s.clip_threshold, s.clip_percentile)
        self.losses: list[float] = []  # ntasgd: the costs of all validations until averaging starts
        self.average = Average(self.model, s.average) if s.average else None
        self.resumed_at = time.perf_counter()
        self.resumed_step: int | None = None

    @property
    def device(self) -> str:
        """The type of the model's device: `cpu` or `cuda`."""
        return self.parameters[0].device.type

    @property
    def seconds(self) -> float:
        """Seconds spent in all sessions."""
        return self.counters.seconds + time.perf_counter() - self.resumed_at

    @property
    def progress(self) -> float:
        """The spent fraction of the budget; of a time budget, without the seconds that are kept for its end."""
        c = self.counters
        return self.budget.progress(step=c.step, epochs=self.epochs, seconds=self.seconds, reserved=c.reserved)

    @property
    def epochs(self) -> float:
        """Passes over the training data so far."""
        return self.counters.epoch + self.counters.batch / self.objective.batches(self.counters.epoch)

    def step(self, progress: float | None = None) -> Step:
        """Read the next batches, and update the weights; `progress` is that of all ranks where they are several.

        Raises `UserError` where the loss or the gradient was not finite `max_bad_steps` times in a row.
        """
        c, s = self.counters, self.settings
        progress = self.progress if progress is None else progress
        rate = learning_rate(progress, s.learning_rate, warmup=s.warmup, final=s.final, shape=s.schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        total, targets = 0.0, 0.0
        self.replica.begin()
        for part in range(s.accumulate):
            with self.replica.reducing(part == s.accumulate - 1):
                loss = self._forward(progress)
                (loss.mean * loss.targets).backward()
            total += loss.mean.item() * loss.targets if loss.targets else 0.0
            targets += loss.targets
        # Every target counts the same, although the last stretch of an epoch may be shorter than the others, and ranks
        # may have more targets or fewer. The gradients are means over the ranks.
        (total, targets), seconds = self.ranks.sums_and_each((total, targets), self.replica.seconds())
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        torch._foreach_div_(gradients, targets / self.ranks.size)
        clipped = self.clipper(self.parameters, taken=math.isfinite(total))
        skipped = not clipped.finite or not math.isfinite(total)
        if skipped:
            self._skip()
        else:
            c.bad_in_a_row = 0
            self.optimizer.step()
            if self.average:
                self.average.update()
        c.step += 1
        c.targets += int(targets)
        return Step(c.step, self.epochs, progress, total / targets, int(targets), rate, clipped, skipped, seconds)

    def _forward(self, progress: float) -> Loss:
        c = self.counters
        if c.batch == self.objective.batches(c.epoch):
            c.epoch, c.batch, self.carried = c.epoch + 1, 0, None
        low = self.settings.precision == "bfloat16"
        with torch.autocast(self.device, torch.bfloat16) if low else nullcontext():
            loss = self.replica(Place(c.epoch, c.batch, progress), self.carried)
        self.carried = loss.state
        c.batch += 1
        return loss

    def _skip(self) -> None:
        c = self.counters
        c.skipped += 1
        c.bad_in_a_row += 1
        # NaN in the carried state would stay there for ever.
        self.carried = None
        self.optimizer.zero_grad()
        if c.bad_in_a_row >= self.settings.max_bad_steps:
            raise UserError(
                f"the loss or its gradient was not finite in {c.bad_in_a_row} steps in a row, up to step {c.step + 1}",
                remedy="train anew with a lower learning rate (--set learning_rate=...) or harder clipping "
                "(--set clip_threshold=...)",
            )

    def _shipped_weights(self) -> AbstractContextManager[None]:
        """Give the model, while a block runs, the weights that are shipped: the average, if there is one."""
        return self.average.in_place() if self.average else nullcontext()

    def keep_best(self) -> None:
        """Keep the present weights as the best. A tied matrix is kept once, under the first of its names."""
        with self._shipped_weights():
            first: dict[int, str] = {}
            state = self.model.state_dict(keep_vars=True)
            for name, tensor in state.items():
                first.setdefault(tensor.data_ptr() or id(tensor), name)  # what is in parts has no place
            self.best = {name: local(state[name].detach()).cpu().contiguous().clone() for name in first.values()}

    def validate(self) -> tuple[dict[str, float], bool]:
        """Metrics on the validation set, and whether these weights are the best so far."""
        c = self.counters
        self.model.eval()
        try:
            with self._shipped_weights(), torch.no_grad():
                metrics = self.replica.read(self.objective.validate)
            if self.objective.adaptive:
                metrics |= self.objective.adaptive.adapt(self.model, self.carried)
        finally:
            self.model.train()
        told = self.ranks.told(*metrics.values())
        metrics = {name: type(own)(value) for (name, own), value in zip(metrics.items(), told, strict=True)}
        c.validated_at = c.step
        cost = self.objective.cost(metrics)
        c.since_best = 0 if cost < c.best else c.since_best + 1
        improved = cost <= c.best and cost < math.inf  # of weights that score alike the later ones are the surer
        if improved:
            self.keep_best()
        c.best = min(c.best, cost)
        if self.settings.optimizer == "ntasgd" and not self.average:
            self.losses.append(cost)
            if stopped_improving(self.losses, self.settings.nonmonotone):
                self.average = Average(self.model, decay=1.0)
        return metrics, improved

    def to_checkpoint(self) -> Checkpoint | None:
        """The whole training of all ranks, as tensors and plain values, for rank 0; None for the others.

        The carried states of the ranks are one state, as a single process has it: so another number of processes can go
        on with it. Where weights are sharded, every rank gets a checkpoint, of its parts.
        """
        return checkpointing.checkpoint_of(self)

    def restore(self, checkpoint: Checkpoint) -> None:
        """The inverse of `to_checkpoint`.

        Raises `ValueError`, `LookupError` or `RuntimeError` where the checkpoint belongs to another training.
        """
        checkpointing.restore(self, checkpoint)

    def layout(self) -> Callable[[str], Tensor | None]:
        """From the name of a checkpoint's tensor to the tensor here that is divided over the ranks as that one is."""
        return checkpointing.layout(self)
