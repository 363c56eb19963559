"""Training: the loop, truncated backpropagation through time, clipping, schedules, checkpoints.

`elman.fit` does all of this; here are the parts for a loop of one's own, which knows no model and no data, only an
`Objective`. The parts work by themselves, too:

>>> import torch
>>> from elman.train import Clipper, learning_rate
>>> model = torch.nn.Linear(3, 1)
>>> optimizer, clipper = torch.optim.SGD(model.parameters()), Clipper("norm", threshold=0.1)
>>> for progress in (0.0, 0.5, 1.0):
...     optimizer.param_groups[0]["lr"] = learning_rate(progress, peak=0.5, warmup=0.1, final=0.01)
...     model(torch.ones(8, 3)).square().mean().backward()
...     assert clipper([*model.parameters()]).norm_after <= 0.1
...     optimizer.step()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from elman.lazy import lazily

if TYPE_CHECKING:
    from elman.kernels.orthogonal import orthogonal
    from elman.train import bptt
    from elman.train.averaging import Average
    from elman.train.clipping import Clipped, Clipper
    from elman.train.events import Finished, Resumed, Step, Validated, Warned
    from elman.train.loop import fit, steps
    from elman.train.muon import Muon
    from elman.train.objective import Loss, Objective, Place
    from elman.train.optimizers import optimizer
    from elman.train.schedule import Budget, learning_rate, parse_budget
    from elman.train.settings import Optimization
    from elman.train.training import Training

__all__ = [
    "Average",
    "Budget",
    "Clipped",
    "Clipper",
    "Finished",
    "Loss",
    "Muon",
    "Objective",
    "Optimization",
    "Place",
    "Resumed",
    "Step",
    "Training",
    "Validated",
    "Warned",
    "bptt",
    "fit",
    "learning_rate",
    "optimizer",
    "orthogonal",
    "parse_budget",
    "steps",
]
__getattr__ = lazily(
    __name__,
    {
        "Average": ".averaging",
        **dict.fromkeys(("Budget", "learning_rate", "parse_budget"), ".schedule"),
        **dict.fromkeys(("Clipped", "Clipper"), ".clipping"),
        **dict.fromkeys(("Finished", "Resumed", "Step", "Validated", "Warned"), ".events"),
        **dict.fromkeys(("fit", "steps"), ".loop"),
        **dict.fromkeys(("Loss", "Objective", "Place"), ".objective"),
        "Muon": ".muon",
        "optimizer": ".optimizers",
        "Optimization": ".settings",
        "Training": ".training",
        "orthogonal": "elman.kernels.orthogonal",
        "bptt": "",
    },
)
