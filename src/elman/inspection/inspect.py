"""All looks at a run, as one report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elman import __version__
from elman.errors import UserError, nearest
from elman.inspection import attention, clipping, gates, gradients, memory, truncation
from elman.inspection.part import Part, plain
from elman.inspection.subject import Subject, open_subject
from elman.lens.gates import GATES
from elman.models import TransformerLM
from elman.report import Report, render


@dataclass(frozen=True)
class Inspection:
    """What was found."""

    report: Report
    numbers: dict[str, Any]  # plain values, ready for `json.dumps`
    lines: Sequence[str]  # for a terminal

    def html(self) -> str:
        """The report as one HTML file."""
        return render(self.report)


def _has_no_gates(subject: Subject) -> str | None:
    return None if subject.run.model.kind in GATES else "it has no gates"


def _has_no_attention(subject: Subject) -> str | None:
    return None if isinstance(subject.run.model, TransformerLM) else "it has no attention"


def _has_no_journal(subject: Subject) -> str | None:
    return None if (subject.run.path / "metrics.jsonl").is_file() else "it has no metrics.jsonl"


def _always(subject: Subject) -> None:
    return None


PARTS: dict[str, tuple[Callable[[Subject], Part], Callable[[Subject], str | None]]] = {
    "gradients": (gradients.look, _always),
    "gates": (gates.look, _has_no_gates),
    "memory": (memory.look, _always),
    "attention": (attention.look, _has_no_attention),
    "truncation": (truncation.look, _always),
    "clipping": (clipping.look, _has_no_journal),
}
"""Each part: what looks, and why it cannot look at a run (None: it can)."""


def inspect(
    run: str | Path,
    data: str | None = None,
    *,
    parts: Sequence[str] = (),
    progress: Callable[[str, float], None] = lambda name, done: None,
) -> Inspection:
    """Look at a run's model while it reads a text.

    Args:
        run: a run folder.
        data: the text; None is the one that the run was validated on.
        parts: which of `PARTS`; none is all that the run has.
        progress: told which part is being looked at, and how much is done.

    Raises:
        UserError: no such run, text or part, or they do not fit each other.
    """
    for name in parts:
        if name not in PARTS:
            raise UserError(f"--parts: no part called {name!r}", remedy=nearest(name, PARTS), exit_code=2)
    begun = time.perf_counter()
    subject = open_subject(run, data)
    chosen = []
    for name, (look, why_not) in PARTS.items():
        if parts and name not in parts:
            continue
        if (reason := why_not(subject)) is None:
            chosen.append((name, look))
        elif parts:
            has = ", ".join(other for other, (_, refusal) in PARTS.items() if refusal(subject) is None)
            raise UserError(f"{run}: --parts {name}: {reason}", remedy=f"this run has {has}")
    found: dict[str, Part] = {}
    for index, (name, look) in enumerate(chosen):
        progress(f"looking at its {name}", index / len(chosen))
        found[name] = look(subject)
    return _inspection(subject, found, time.perf_counter() - begun)


def _inspection(subject: Subject, found: dict[str, Part], seconds: float) -> Inspection:
    run = subject.run
    count = sum(parameter.numel() for parameter in run.model.parameters())
    config = run.model.config
    shape = f"{config['num_layers']} × {config['hidden_size']}"
    facts = [
        ("model", f"{run.model.kind}, {shape} units"),
        ("parameters", f"{count:,}"),
        ("text", subject.text),
        ("tokens looked at", f"{len(subject.tokens):,}, {run.model.vocab_size:,} different"),
    ]
    report = Report(
        f"{run.path.resolve().name}, looked at closely",
        "What this model remembers, how far its gradients reach, and what training changed.",
        facts,
        [part.section for part in found.values()],
        f"Made by elman {__version__} in {seconds:.0f} seconds.",
    )
    about = {"run": str(run.path), "model": config, "parameters": count, "text": subject.text, "elman": __version__}
    numbers = about | {name: part.numbers for name, part in found.items()} | {"seconds": seconds}
    return Inspection(report, plain(numbers), [line for part in found.values() for line in part.lines])
