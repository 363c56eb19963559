"""All looks at a model and its data, as one report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elman import __version__
from elman.environment import one_thread
from elman.errors import UserError, nearest
from elman.inspection.look import Look, Observed, Part, plain
from elman.report import Report, render


@dataclass(frozen=True)
class Inspection:
    """The outcome of all looks.

    >>> import elman
    >>> found = elman.load("runs/demo").inspect(parts="gates")
    >>> found.lines[0].split()[:3], sorted(found.numbers["gates"])
    (['layer', '1,', 'trained:'], ['trained', 'untrained'])
    >>> found.html().startswith("<!doctype html>")
    True
    """

    report: Report
    numbers: dict[str, Any]  # plain values, ready for `json.dumps`
    lines: Sequence[str]  # for a terminal

    def html(self) -> str:
        """The report as one HTML file."""
        return render(self.report)

    def _repr_html_(self) -> str:
        """The report within a notebook."""
        return self.report._repr_html_()


def inspect(
    observed: Observed,
    looks: Mapping[str, Look],
    *,
    parts: Sequence[str] = (),
    progress: Callable[[str, float], None] = lambda name, done: None,
) -> Inspection:
    """Look at a model while it reads.

    Args:
        observed: the model and its data.
        looks: all looks, by name.
        parts: the names of the wanted looks; none is every look that is possible.
        progress: called with a message and the share of the looks that are done.

    Raises:
        UserError: an unknown or impossible part, or weights that are not finite.

    >>> import elman
    >>> from elman.inspection import LOOKS
    >>> run = elman.load("runs/demo")
    >>> inspect(run.task.observe(run, []), LOOKS, parts=["truncation"]).numbers.keys() & LOOKS.keys()
    {'truncation'}
    """
    begun = time.perf_counter()
    for name, weights in observed.model.named_parameters():
        if not weights.isfinite().all():
            remedy = "its training diverged: train it again with clipping, or a lower learning rate"
            what = f"{observed.path}: {name}"
            raise UserError(what, expected="finite weights", got="infinities or NaN", remedy=remedy)
    chosen = _chosen(observed, looks, parts)
    found: dict[str, Part] = {}
    with one_thread():
        for index, (name, look) in enumerate(chosen.items()):
            progress(f"looking at the {name}", index / len(chosen))
            found[name] = look.look(observed)
    return _inspection(observed, found, time.perf_counter() - begun)


def _chosen(observed: Observed, looks: Mapping[str, Look], parts: Sequence[str]) -> dict[str, Look]:
    for name in parts:
        if name not in looks:
            raise UserError(f"parts: no part called {name!r}", remedy=nearest(name, looks), exit_code=2)
    refusals = {name: look.why_not(observed) for name, look in looks.items()}
    possible = [name for name, refusal in refusals.items() if refusal is None]
    for name in parts:
        if name not in possible:
            remedy = f"this run has {', '.join(possible)}"
            raise UserError(f"{observed.path}: {refusals[name]}", remedy=remedy)
    return {name: looks[name] for name in possible if not parts or name in parts}


def _inspection(observed: Observed, found: dict[str, Part], seconds: float) -> Inspection:
    model = observed.model
    count, config = sum(parameter.numel() for parameter in model.parameters()), model.config
    summaries = [part.summary for part in found.values() if part.summary]
    report = Report(
        f"{observed.path.resolve().name}, looked at closely",
        " ".join(summaries),
        [
            ("model", ", ".join(filter(None, (config.get("model", "a model"), shape(config))))),
            ("parameters", f"{count:,}"),
            *observed.facts,
        ],
        [part.chapter for part in found.values()],
        f"Made by elman {__version__} in {seconds:.0f} seconds.",
    )
    numbers = {"run": str(observed.path), "model": config, "parameters": count, "elman": __version__}
    numbers |= {**observed.about, **{name: part.numbers for name, part in found.items()}, "seconds": seconds}
    return Inspection(report, plain(numbers), [*summaries, *(line for part in found.values() for line in part.lines)])


def shape(config: Mapping[str, Any]) -> str:
    """Such as "2 × 64 units"; empty where a model has no such sizes."""
    depth = config.get("num_layers") or "+".join(
        str(config[n]) for n in ("encoder_layers", "decoder_layers") if n in config
    )
    return f"{depth} × {config['hidden_size']} units" if depth and "hidden_size" in config else ""
