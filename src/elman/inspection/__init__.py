"""`elman inspect`: a model and its data under the lens, drawn as a report. One look a file.

>>> import elman
>>> inspection = elman.load("runs/demo").inspect()
>>> [name for name in LOOKS if name not in inspection.numbers]  # an LSTM has none
['attention']
"""

from __future__ import annotations

from elman.inspection import attention, clipped_steps, gates, gradients, memory, surprise, truncation
from elman.inspection.inspect import Inspection, inspect
from elman.inspection.look import Look, Observed, Part
from elman.inspection.subject import Subject
from elman.models import TransformerLM

__all__ = ["LOOKS", "Inspection", "Look", "Observed", "Part", "Subject", "inspect"]


def _has_no_attention(subject: Subject) -> str | None:
    return None if isinstance(subject.model, TransformerLM) else "the model has no attention"


LOOKS: dict[str, Look] = {
    "gradients": Look(gradients.look),
    "gates": Look(gates.look, gates.has_no_gates),
    "memory": Look(memory.look),
    "surprise": Look(surprise.look),
    "attention": Look(attention.look, _has_no_attention),
    "truncation": Look(truncation.look),
    "clipping": Look(clipped_steps.look, clipped_steps.has_no_journal),
}
"""The looks at a `Subject`: a language model and a text.

>>> from elman.inspection import LOOKS
>>> [*LOOKS]
['gradients', 'gates', 'memory', 'surprise', 'attention', 'truncation', 'clipping']
"""
