"""Experiments run one after another, and one report of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from elman import __version__
from elman.inspection.look import plain
from elman.lab.experiment import OUTCOMES, Experiment, Findings, Setting
from elman.report import Chapter, Report, render

Found = list[tuple[Experiment, Findings, float]]  # and the seconds that the experiment took


def run_all(experiments: Sequence[Experiment], setting: Setting) -> Found:
    """Run every experiment.

    >>> from elman.lab import choose
    >>> [(experiment, findings, seconds)] = run_all(choose("powers", with_data=False), Setting())
    >>> experiment.name, findings.outcome
    ('powers', 'holds')
    """
    found: Found = []
    for experiment in experiments:
        setting.progress(experiment.name, 0.0)
        begun = time.perf_counter()
        findings = experiment.run(setting)
        found.append((experiment, findings, time.perf_counter() - begun))
    return found


def verdict(experiment: Experiment, findings: Findings) -> str:
    """The outcome in words."""
    if not findings.control:
        return f"not decided: the control failed, which asks that {experiment.control}"
    return "holds" if findings.met else "does not hold as stated"


def html(found: Found, setting: Setting) -> str:
    """The report, one self-contained file."""
    sections = [
        Chapter(
            experiment.name,
            f"{experiment.claim} ({experiment.paper}.) Criterion: {experiment.criterion}. "
            f"Control, without which nothing is decided: {experiment.control}.",
            findings.figures,
            [f"Verdict: {verdict(experiment, findings)}.", *findings.words],
        )
        for experiment, findings, _ in found
    ]
    outcomes = [findings.outcome for _, findings, _ in found]
    facts = [
        ("experiments", str(len(found))),
        *((f"claims: {outcome}", str(outcomes.count(outcome))) for outcome in OUTCOMES),
        ("size", "quick" if setting.quick else "full"),
        ("seed", str(setting.seed)),
    ]
    text = (
        "Classical claims about sequence models, each run here and judged by a criterion stated beforehand; where the "
        "control fails, nothing is decided."
    )
    seconds = sum(seconds for _, _, seconds in found)
    return render(Report("The laboratory", text, facts, sections, f"Made by elman {__version__} in {seconds:.0f} s."))


def numbers(found: Found) -> dict[str, Any]:
    """The findings as JSON has them; `held` is null where nothing is decided."""
    return {
        experiment.name: {
            "claim": experiment.claim,
            "criterion": experiment.criterion,
            "control": experiment.control,
            "control_passed": bool(findings.control),  # JSON does not know numpy's booleans
            "outcome": findings.outcome,
            "held": bool(findings.met) if findings.control else None,
            "words": list(findings.words),
            "numbers": plain(findings.numbers),
            "seconds": round(seconds, 2),
        }
        for experiment, findings, seconds in found
    }
