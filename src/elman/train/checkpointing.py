"""A training as a checkpoint, and back; see `Training.to_checkpoint` and `Training.restore`."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from elman import state as states
from elman.state import State
from elman.train.averaging import Average
from elman.train.checkpoints import STATES, Averaged, Checkpoint, Values
from elman.train.sharding import as_part, local

if TYPE_CHECKING:
    from elman.train.training import Training

NOISE = {"random.cpu": "random", "random.cuda": "random.cuda"}  # names in a checkpoint, and on the way to rank 0


def checkpoint_of(training: Training) -> Checkpoint | None:
    """All tensors and plain values of a training; None for a rank that writes none."""
    own = {"random": torch.get_rng_state()}
    if training.device == "cuda":
        own["random.cuda"] = torch.cuda.get_rng_state()
    if training.carried is not None:
        own |= states.flatten(states.to(training.carried, "cpu"), "carried")
    every = training.ranks.gathered(own)
    if not (training.ranks.first or training.ranks.together):
        return None
    state = training.model.state_dict()
    tensors = {f"model.{k}": v for k, v in state.items()}
    for index, slots in training.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": v for k, v in slots.items() if isinstance(v, Tensor)}
    for rank, theirs in enumerate(every):
        tensors |= {_of_rank(name, rank): theirs[key] for name, key in NOISE.items() if key in theirs}
    if training.carried is not None and every:
        parts = [states.unflatten(theirs, training.carried, "carried") for theirs in every]
        tensors |= states.flatten(states.concatenate(parts), "carried")
    tensors |= {f"best.{k}": as_part(v, like=state[k]) for k, v in training.best.items()}
    averaged = None
    if training.average:
        averaged = Averaged(training.average.updates, training.average.decay)
        tensors |= {f"average.{index}": tensor for index, tensor in enumerate(training.average.average)}
    adaptive = training.objective.adaptive.values() if training.objective.adaptive else None
    counters, norms = replace(training.counters, seconds=training.seconds), list(training.clipper.norms)
    carried = training.carried is not None
    values = Values(counters, norms, list(training.losses), carried, adaptive, averaged, STATES)
    return Checkpoint(tensors, values)


def restore(training: Training, checkpoint: Checkpoint) -> None:
    """Give a training all that a checkpoint has."""
    values = checkpoint.values
    if values.counters.batch > training.objective.batches(values.counters.epoch):
        raise ValueError(f"there is no batch {values.counters.batch} in an epoch")
    training.model.load_state_dict(checkpoint.part("model"))
    slots: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in checkpoint.part("optimizer").items():
        index, _, slot = name.partition(".")
        slots[int(index)][slot] = tensor
    training.optimizer.load_state_dict(training.optimizer.state_dict() | {"state": slots})
    _restore_noise(training, checkpoint)
    training.best = {name: local(tensor).cpu() for name, tensor in checkpoint.part("best").items()}
    training.carried = _carried(training, checkpoint) if values.carried else None
    training.counters = replace(values.counters)
    training.resumed_at, training.resumed_step = time.perf_counter(), training.counters.step
    training.clipper.norms.clear()
    training.clipper.norms.extend(values.norms)
    training.losses = list(values.losses)
    if training.objective.adaptive:
        if values.adaptive is None:
            raise ValueError("the checkpoint does not say how far the gradient flowed back")
        training.objective.adaptive.restore(values.adaptive)
    if values.average:
        training.average = Average(training.model, values.average.decay)
        training.average.load(checkpoint.part("average"), values.average.updates)


def _carried(training: Training, checkpoint: Checkpoint) -> State:
    """This rank's rows of the state that the training carries from batch to batch."""
    like = training.replica.read(training.objective.initial_state)
    assert like is not None
    carried = states.unflatten(checkpoint.tensors, like, "carried")
    if checkpoint.values.states < STATES and hasattr(carried, "from_earlier_form"):
        carried = carried.from_earlier_form()
    if training.ranks.size > 1:
        lanes = np.arange(states.batch_size(carried))
        carried = states.select_rows(carried, torch.from_numpy(training.ranks.share(lanes)))
    return states.to(carried, training.parameters[0].device)


def layout(training: Training) -> Callable[[str], Tensor | None]:
    """From the name of a checkpoint's tensor to the tensor here that is divided over the ranks as that one is."""
    own = {f"{part}.{k}": v for part in ("model", "best") for k, v in training.model.state_dict().items()}
    own |= {f"average.{index}": p for index, p in enumerate(training.model.parameters())}
    optimized = [p for group in training.optimizer.param_groups for p in group["params"]]
    own |= {f"optimizer.{index}": p for index, p in enumerate(optimized)}
    return lambda name: own.get(name, own.get(name.rpartition(".")[0]))  # optimizer.INDEX.SLOT


def _restore_noise(training: Training, checkpoint: Checkpoint) -> None:
    """Go on with this rank's noise; a rank that was not there before begins one of its own."""
    cpu, cuda = (checkpoint.tensors.get(_of_rank(name, training.ranks.rank)) for name in NOISE)
    if cpu is None:
        torch.manual_seed(training.ranks.seed(training.settings.seed + checkpoint.values.counters.step))
    else:
        torch.set_rng_state(cpu)
    if cuda is not None and training.device == "cuda":
        torch.cuda.set_rng_state(cuda)


def _of_rank(name: str, rank: int) -> str:
    return f"{name}.{rank}" if rank else name
