"""Learning rates, searched equally for every model: as many trials, of the same factors to begin with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from elman.errors import missing_extra

LOW, HIGH = 1 / 4, 4.0  # times the recipe's


def check_optuna() -> None:
    """Raises `UserError` where it is not installed."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise missing_extra("optuna", "compare", "trials of learning rates") from None


def search_factor(
    trials: int, seed: int, known: Sequence[float | None], run: Callable[[int, float], float | None]
) -> float:
    """The factor on the learning rate that gave the least loss.

    Optuna's tree of Parzen estimators (Akiba et al. 2019) proposes them, on a logarithmic scale from a quarter to four
    times; the recipe's own, 1, comes first. What it proposes depends on the seed and the losses alone, so known losses
    lead a search that was interrupted to where it was.

    Args:
        trials: how many.
        seed: of the proposals.
        known: losses of the first trials, from an earlier session.
        run: the number of a trial and its factor -> its loss; None where the training broke off.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial({"factor": 1.0})
    best, least = 1.0, math.inf
    for number in range(trials):
        trial = study.ask()
        factor = float(f"{trial.suggest_float('factor', LOW, HIGH, log=True):.4g}")
        loss = known[number] if number < len(known) else run(number, factor)
        if loss is None or not math.isfinite(loss):
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        study.tell(trial, loss)
        if loss < least:
            best, least = factor, loss
    return best
