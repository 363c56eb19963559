"""Sessions with trained models: memory that belongs to a client, kept, forked, rolled back, saved and moved.

`Sessions` is the engine of `elman serve` without HTTP, for games, robots and notebooks.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elman.serve.batching import Job
    from elman.serve.errors import Busy, Closed, Full, Gone, ModelFailed, TooLarge, Unknown
    from elman.serve.handle import Generation, Session
    from elman.serve.limits import ServingLimits
    from elman.serve.sessions import Sessions

# Each in a module of its own, imported when somebody asks for it: torch takes seconds to import.
PLACES = {
    **dict.fromkeys(("Busy", "Closed", "ModelFailed", "Full", "Gone", "TooLarge", "Unknown"), "errors"),
    **dict.fromkeys(("Generation", "Session"), "handle"),
    "Job": "batching",
    "ServingLimits": "limits",
    "Sessions": "sessions",
}
__all__ = [
    "Busy",
    "Closed",
    "Full",
    "Generation",
    "Gone",
    "Job",
    "ModelFailed",
    "ServingLimits",
    "Session",
    "Sessions",
    "TooLarge",
    "Unknown",
]


def __getattr__(name: str) -> Any:
    if name in PLACES:
        return getattr(importlib.import_module(f"elman.serve.{PLACES[name]}"), name)
    raise AttributeError(f"module 'elman.serve' has no attribute {name!r}")
