"""A training as one explicit value: everything that decides its next step, saved and restored together."""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from elman import state as states
from elman.errors import UserError
from elman.reading import parse_json
from elman.state import State
from elman.train import optimizers
from elman.train.checkpoints import Checkpoint
from elman.train.clipping import Clipped, Clipper
from elman.train.objective import Loss, Objective, Place
from elman.train.schedule import Budget, learning_rate
from elman.train.settings import Optimization
from elman.train.stored import Averaged, Counters, Values

if TYPE_CHECKING:
    from elman.train.averaging import Average


@dataclass
class Step:
    """What one optimiser step did."""

    step: int
    epoch: float
    progress: float
    loss: float
    targets: int
    learning_rate: float
    gradient: Clipped
    skipped: bool


@dataclass
class Training:
    """Model, optimiser, memory and counters, and one step of them all."""

    model: nn.Module
    objective: Objective
    settings: Optimization
    budget: Budget
    counters: Counters = field(default_factory=Counters)
    carried: State | None = None
    best: dict[str, Tensor] = field(default_factory=dict)  # weights: those of the best validation, on the CPU

    def __post_init__(self) -> None:
        s = self.settings
        self.optimizer = optimizers.optimizer(
            s.optimizer,
            self.model,
            learning_rate=s.learning_rate,
            weight_decay=s.weight_decay,
            momentum=s.momentum,
            beta1=s.beta1,
            beta2=s.beta2,
            muon_rate=s.muon_rate,
        )
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.clipper = Clipper(s.clip, s.clip_threshold, s.clip_percentile)
        self.trigger = optimizers.NonMonotonicTrigger(s.nonmonotone)
        self.average = self._average(s.average) if s.average else None
        self.resumed_at = time.perf_counter()
        self.resumed_step: int | None = None

    def _average(self, decay: float) -> Average:
        from elman.train.averaging import Average

        return Average(self.model, decay)

    @property
    def device(self) -> str:
        """`cpu` or `cuda`: where the model is, whatever else there may be."""
        return self.parameters[0].device.type

    @property
    def seconds(self) -> float:
        """Time spent training, over all sessions."""
        return self.counters.seconds + time.perf_counter() - self.resumed_at

    @property
    def progress(self) -> float:
        """The spent fraction of the budget; of a time budget, of what is left of it for steps."""
        c = self.counters
        return self.budget.progress(step=c.step, epochs=self.epochs, seconds=self.seconds, reserved=c.reserved)

    @property
    def epochs(self) -> float:
        """Passes over the training data so far."""
        return self.counters.epoch + self.counters.batch / self.objective.batches(self.counters.epoch)

    def step(self) -> Step:
        """Read the next batches, and update the weights.

        Raises:
            UserError: the loss or the gradient was not finite `max_bad_steps` times in a row.
        """
        c, s = self.counters, self.settings
        progress = self.progress
        rate = learning_rate(progress, s.learning_rate, warmup=s.warmup, final=s.final, shape=s.schedule)
        optimizers.set_learning_rate(self.optimizer, rate)
        self.optimizer.zero_grad()
        total, targets = 0.0, 0
        for _ in range(s.accumulate):
            loss = self._forward(progress)
            (loss.mean * loss.targets).backward()
            total += loss.mean.item() * loss.targets
            targets += loss.targets
        # Every target counts the same: the last stretch of an epoch may be shorter than the others.
        torch._foreach_div_([p.grad for p in self.parameters if p.grad is not None], targets)
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
        c.targets += targets
        return Step(c.step, self.epochs, progress, total / targets, targets, rate, clipped, skipped)

    def _forward(self, progress: float) -> Loss:
        c = self.counters
        if c.batch == self.objective.batches(c.epoch):
            c.epoch, c.batch, self.carried = c.epoch + 1, 0, None
        low = self.settings.precision == "bfloat16"
        with torch.autocast(self.device, torch.bfloat16) if low else nullcontext():
            loss = self.objective.loss(self.model, Place(c.epoch, c.batch, progress), self.carried)
        self.carried = loss.state
        c.batch += 1
        return loss

    def _skip(self) -> None:
        c = self.counters
        c.skipped += 1
        c.bad_in_a_row += 1
        # What was read with it may be in the memory: NaN would stay there for ever.
        self.carried = None
        self.optimizer.zero_grad()
        if c.bad_in_a_row >= self.settings.max_bad_steps:
            raise UserError(
                f"the loss or its gradient was not finite in {c.bad_in_a_row} steps in a row, up to step {c.step + 1}",
                remedy="train anew with a lower learning rate (--set learning_rate=...) or harder clipping "
                "(--set clip_threshold=...)",
            )

    @contextmanager
    def shipped_weights(self) -> Iterator[None]:
        """The weights that are validated and shipped: the average where there is one."""
        with self.average.in_place() if self.average else nullcontext():
            yield

    def keep_best(self) -> None:
        """Take the weights of now for the best. A tied matrix is kept once, under the name that it has first."""
        with self.shipped_weights():
            first: dict[int, str] = {}
            state = self.model.state_dict()
            for name, tensor in state.items():
                first.setdefault(tensor.data_ptr() if tensor.numel() else id(tensor), name)
            self.best = {name: state[name].detach().cpu().contiguous().clone() for name in first.values()}

    def validate(self) -> tuple[dict[str, float], bool]:
        """Metrics on the validation set, and whether they are the best so far."""
        c = self.counters
        self.model.eval()
        try:
            with self.shipped_weights(), torch.no_grad():
                metrics = self.objective.validate(self.model)
            if self.objective.adaptive:
                metrics |= self.objective.adaptive.adapt(self.model, self.carried)
        finally:
            self.model.train()
        c.validated_at = c.step
        cost = self.objective.cost(metrics)
        improved = cost < c.best
        if improved:
            self.keep_best()
        c.best = min(c.best, cost)
        c.since_best = 0 if improved else c.since_best + 1
        if self.settings.optimizer == "ntasgd" and not self.average and self.trigger(cost):
            self.average = self._average(decay=1.0)
        return metrics, improved

    def to_checkpoint(self) -> Checkpoint:
        """Everything, as tensors and plain values."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        optimizer = self.optimizer.state_dict()
        slots: dict[str, list[str]] = {}
        for index, slot in optimizer["state"].items():
            present = {k: v for k, v in slot.items() if isinstance(v, Tensor)}
            slots[str(index)] = sorted(present)
            tensors |= {f"optimizer.{index}.{k}": v for k, v in present.items()}
        tensors["random.cpu"] = torch.get_rng_state()
        if self.device == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        if self.carried is not None:
            tensors |= states.flatten(self.carried, "carried")
        values = Values(
            replace(self.counters, seconds=self.seconds),
            slots,
            list(self.clipper.norms),
            list(self.trigger.losses),
            self.carried is not None,
            self.objective.adaptive.values() if self.objective.adaptive else None,
            Averaged(self.average.updates, self.average.decay) if self.average else None,
        )
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        if self.average:
            tensors |= {f"average.{k}": v for k, v in self.average.tensors().items()}
        return Checkpoint(tensors, asdict(values))

    def restore(self, checkpoint: Checkpoint) -> None:
        """The inverse of `to_checkpoint`.

        Raises:
            ValueError, LookupError, RuntimeError: it is that of another training, or damaged.
        """
        values = parse_json(json.dumps(checkpoint.values), Values, "a checkpoint")
        if values.counters.batch > self.objective.batches(values.counters.epoch):
            raise ValueError(f"there is no batch {values.counters.batch} in an epoch")
        self.model.load_state_dict(checkpoint.part("model"))
        optimizer = self.optimizer.state_dict()
        optimizer["state"] = {
            int(index): {slot: checkpoint.tensors[f"optimizer.{index}.{slot}"] for slot in slots}
            for index, slots in values.optimizer.items()
        }
        self.optimizer.load_state_dict(optimizer)
        torch.set_rng_state(checkpoint.tensors["random.cpu"])
        if self.device == "cuda" and "random.cuda" in checkpoint.tensors:
            torch.cuda.set_rng_state(checkpoint.tensors["random.cuda"])
        self.best = checkpoint.part("best")
        self.carried = None
        if values.carried:
            like = self.objective.initial_state(self.model)
            assert like is not None
            self.carried = states.unflatten(checkpoint.tensors, like, "carried")
            self.carried = states.to(self.carried, self.parameters[0].device)
        self.counters = values.counters
        self.resumed_at, self.resumed_step = time.perf_counter(), self.counters.step
        self.clipper.norms = deque(values.norms)
        self.trigger.losses = list(values.losses)
        if self.objective.adaptive:
            if values.adaptive is None:
                raise ValueError("it does not say how far the gradient flowed back")
            self.objective.adaptive.restore(values.adaptive)
        if values.average:
            self.average = self._average(values.average.decay)
            self.average.load(checkpoint.part("average"), values.average.updates)
