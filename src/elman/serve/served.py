"""A model that is served."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch

from elman.runs import Run
from elman.serve.batching import Batcher
from elman.serve.counts import ServingCounts
from elman.serve.watching import describe_memory


class Served:
    """A model that is served: its run, its listener, its thread and its counts."""

    def __init__(self, name: str, run: Run, options: Mapping[str, Any]) -> None:
        self.id, self.run = name, run
        self.listener = run.task.listener(run, options)
        self.counts = ServingCounts()
        self.batcher: Batcher | None = None

    @property
    def writes(self) -> bool:
        """Whether a session can `generate`."""
        return self.listener.writes

    @property
    def completes(self) -> bool:
        """Whether what is written goes on with what was read."""
        return self.listener.completes

    @cached_property
    def mark(self) -> str:
        """A hash of the configuration and the weights."""
        found = hashlib.sha256(repr(self.run.config).encode())
        for name, x in sorted(self.run.model.state_dict().items()):
            found.update(name.encode())
            found.update(x.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return found.hexdigest()

    def describe(self) -> dict[str, Any]:
        """What people and programs must know to use the model."""
        return {
            "task": self.run.task.name,
            "kind": self.run.config["model"].get("model"),
            "parameters": sum(p.numel() for p in self.run.model.parameters()),
            "writes": self.writes,
            "completes": self.completes,
            **self.listener.about(),
            **describe_memory(self.run),
        }
