"""All looks at a run, as one report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from elman import __version__, runs
from elman.cells import CELLS
from elman.environment import one_thread
from elman.errors import UserError, nearest
from elman.inspection import attention, clipping, gates, gradients, memory, translation, truncation
from elman.inspection.pairs import open_pairs
from elman.inspection.part import Part, plain
from elman.inspection.subject import Subject, open_subject
from elman.models import TransformerLM
from elman.report import Report, render

S = TypeVar("S")


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
    cell = CELLS.get(subject.run.model.kind)
    return None if cell is not None and cell.gates else "it has no gates"


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
        data: the text, or the pairs; None are those that the run was validated on.
        parts: which of `PARTS`, or of `translation.PARTS`; none is all that the run has.
        progress: told which part is being looked at, and how much is done.

    Raises:
        UserError: no such run, text or part, they do not fit each other, or weights that are not finite.
    """
    begun = time.perf_counter()
    loaded = runs.load(run)
    _check_finite(loaded.model, run)
    if isinstance(loaded, runs.TranslationRun):
        pairs = open_pairs(loaded, data)
        found = _look(pairs, translation.PARTS, parts, run, progress)
        facts = [("pairs", pairs.name), ("pairs there are", f"{len(pairs.part):,}")]
        about = {"data": pairs.name, "untrained": pairs.fresh_name}
    else:
        subject = open_subject(loaded, data)
        found = _look(subject, PARTS, parts, run, progress)
        facts = [
            ("text", subject.text_name),
            ("tokens looked at", f"{len(subject.tokens):,}, {subject.run.model.vocab_size:,} different"),
        ]
        about = {"text": subject.text, "untrained": subject.fresh_name}
    return _inspection(loaded, facts, about, found, time.perf_counter() - begun)


def _check_finite(model: nn.Module, run: str | Path) -> None:
    for name, weights in model.named_parameters():
        if not weights.isfinite().all():
            remedy = "its training diverged: train it again with clipping, or a lower learning rate"
            raise UserError(f"{run}: {name}", expected="finite weights", got="infinities or NaN", remedy=remedy)


def _look(
    subject: S,
    known: Mapping[str, tuple[Callable[[S], Part], Callable[[S], str | None]]],
    parts: Sequence[str],
    run: str | Path,
    progress: Callable[[str, float], None],
) -> dict[str, Part]:
    for name in parts:
        if name not in known:
            raise UserError(f"--parts: no part called {name!r}", remedy=nearest(name, known), exit_code=2)
    chosen = []
    for name, (look, why_not) in known.items():
        if parts and name not in parts:
            continue
        if (reason := why_not(subject)) is None:
            chosen.append((name, look))
        elif parts:
            has = ", ".join(other for other, (_, refusal) in known.items() if refusal(subject) is None)
            raise UserError(f"{run}: --parts {name}: {reason}", remedy=f"this run has {has}")
    found: dict[str, Part] = {}
    with one_thread():
        for index, (name, look) in enumerate(chosen):
            progress(f"looking at its {name}", index / len(chosen))
            found[name] = look(subject)
    return found


def _inspection(
    run: runs.Run | runs.TranslationRun,
    facts: list[tuple[str, str]],
    about: dict[str, Any],
    found: dict[str, Part],
    seconds: float,
) -> Inspection:
    count = sum(parameter.numel() for parameter in run.model.parameters())
    config = run.model.config
    depth = config.get("num_layers") or f"{config['encoder_layers']}+{config['decoder_layers']}"
    shown = [("model", f"{run.model.kind}, {depth} × {config['hidden_size']} units"), ("parameters", f"{count:,}")]
    report = Report(
        f"{run.path.resolve().name}, looked at closely",
        f"What was looked at: its {', '.join(found)}.",
        [*shown, *facts],
        [part.section for part in found.values()],
        f"Made by elman {__version__} in {seconds:.0f} seconds.",
    )
    numbers = {"run": str(run.path), "model": config, "parameters": count, "elman": __version__} | about
    numbers |= {name: part.numbers for name, part in found.items()} | {"seconds": seconds}
    return Inspection(report, plain(numbers), [line for part in found.values() for line in part.lines])
