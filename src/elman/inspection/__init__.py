"""What `elman inspect` does: a run and a text under the lens, drawn as a report."""

from elman.inspection.inspect import PARTS, Inspection, inspect

__all__ = ["PARTS", "Inspection", "inspect"]
