"""Learning rates, searched equally for every model: as many trials, of the same factors to begin with."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from elman.compare.plan import TRIAL_SHARE, Plan
from elman.compare.store import Store
from elman.compare.training import TellStage, train, tree_of_training
from elman.errors import UserError, missing_extra
from elman.tasks.configuration import Settings

LOW, HIGH = 1 / 4, 4.0  # times the recipe's


def check_optuna() -> None:
    """Raises `UserError` where optuna is not installed."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise missing_extra("optuna", "compare", "trials of learning rates") from None


def search_factor(
    plan: Plan, store: Store, model: str, settings: Settings, progress: TellStage, stop: Callable[[], bool]
) -> float:
    """The factor on the recipe's learning rate that gave the least loss: 1 without trials.

    Optuna's tree of Parzen estimators (Akiba et al. 2019) proposes factors on a logarithmic scale from a quarter to
    four; the recipe's own rate, factor 1, comes first. A proposal depends on the seed and the losses alone, so that
    the stored losses lead an interrupted search to where it was.
    """
    if not plan.trials:
        return 1.0
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=plan.seed))
    study.enqueue_trial({"factor": 1.0})
    tried = store.known["trials"].setdefault(model, [])
    best, least = 1.0, math.inf
    for number in range(plan.trials):
        trial = study.ask()
        factor = float(f"{trial.suggest_float('factor', LOW, HIGH, log=True):.4g}")
        if number == len(tried):
            tree = tree_of_training(settings, plan.seed, factor, TRIAL_SHARE)
            stage = partial(progress, f"{model}, trial {number + 1} of {plan.trials}")
            try:
                loss = train(tree, store.folder / "trials" / f"{model}-{number}", stop, stage)[0].best
            except UserError as error:
                if "not finite" not in str(error):
                    raise
                loss = math.inf
            rate, known = tree["train"]["learning_rate"], loss if math.isfinite(loss) else None
            tried.append({"factor": factor, "learning_rate": rate, "loss": known})
            store.save()
        loss = tried[number]["loss"]
        if loss is None or not math.isfinite(loss):
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        study.tell(trial, loss)
        if loss < least:
            best, least = factor, loss
    return best
