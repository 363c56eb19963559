"""Sessions with trained models: memory that belongs to a client, kept, forked, rolled back, saved and moved.

`Sessions` is the engine of `elman serve` without HTTP, for games, robots and notebooks.

>>> from elman.serve import Sessions
>>> with Sessions("runs/demo") as sessions:
...     session = sessions.create(text="the c")
...     session.generate(tokens=8, temperature=0).answer["text"]
...     session.rollback(to=4), session.text
'at sat o'
(4, 'the ')
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from elman.lazy import lazily

if TYPE_CHECKING:
    from elman.serve.batching import Job
    from elman.serve.errors import Busy, Closed, Full, Gone, ModelFailed, TooLarge, Unknown
    from elman.serve.handle import Generation, Session
    from elman.serve.limits import ServingLimits
    from elman.serve.sessions import Sessions

# Each in a module of its own, imported when somebody asks for it: torch takes seconds to import.
PLACES = {
    **dict.fromkeys(("Busy", "Closed", "ModelFailed", "Full", "Gone", "TooLarge", "Unknown"), ".errors"),
    **dict.fromkeys(("Generation", "Session"), ".handle"),
    "Job": ".batching",
    "ServingLimits": ".limits",
    "Sessions": ".sessions",
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
__getattr__ = lazily(__name__, PLACES)
