"""The laboratory: the classical claims about sequence models, each run, drawn and judged by a stated criterion.

>>> from elman.lab import EXPERIMENTS, Setting
>>> powers = EXPERIMENTS["powers"]
>>> powers.run(Setting(quick=True)).outcome
'holds'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from elman.lazy import lazily

if TYPE_CHECKING:
    from elman.lab.catalogue import EXPERIMENTS, choose
    from elman.lab.experiment import Experiment, Findings, Setting
    from elman.lab.findings import run_all

__all__ = ["EXPERIMENTS", "Experiment", "Findings", "Setting", "choose", "run_all"]
__getattr__ = lazily(
    __name__,
    {
        **dict.fromkeys(("EXPERIMENTS", "choose"), ".catalogue"),
        **dict.fromkeys(("Experiment", "Findings", "Setting"), ".experiment"),
        "run_all": ".findings",
    },
)
