"""Learning rates, searched equally for every model: as many trials, of the same factors to begin with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.compare.ongoing import Ongoing
from elman.compare.plan import TRIAL_SHARE
from elman.compare.training import RATES, train, tree_of_training
from elman.errors import UserError, missing_extra
from elman.tasks import configuration as config
from elman.tasks.configuration import Settings

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import FloatDistribution
    from optuna.trial import FrozenTrial

LOW, HIGH = 1 / 4, 4.0  # times the recipe's


def check_optuna(purpose: str) -> None:
    """Raises `UserError` where optuna is not installed."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise missing_extra("optuna", "compare", purpose) from None


def search_factor(ongoing: Ongoing, model: str, settings: Settings) -> float:
    """The factor on the recipe's learning rate that gave the least loss: 1 without trials.

    Optuna's tree of Parzen estimators (Akiba et al. 2019) proposes factors on a logarithmic scale from a quarter to
    four; the recipe's own rate, factor 1, comes first. A proposal depends on the seed, the place of the trial and the
    losses before it alone, so that the stored losses lead an interrupted search to where it was.
    """
    plan, store = ongoing.plan, ongoing.store
    if not plan.trials:
        return 1.0
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tried = store.known["trials"].setdefault(model, [])
    study = optuna.create_study()
    for found in tried:
        study.add_trial(as_trial(found))
    left = set(range(plan.trials)) - {found["place"] for found in tried}  # several processes may leave any of them
    for place in sorted(left):
        if not place:
            study.enqueue_trial({"factor": 1.0})
        trial = study.ask()
        factor = propose(study, trial, plan.seed + place)
        found = try_factor(ongoing, model, settings, factor, place)
        finite = found["loss"] is not None
        study.tell(trial, found["loss"], None if finite else optuna.trial.TrialState.FAIL)
        tried.append(found)
        tried.sort(key=itemgetter("place"))
        store.save()
    return best_factor(tried)


def factors() -> FloatDistribution:
    """Where factors are looked for."""
    from optuna.distributions import FloatDistribution

    return FloatDistribution(LOW, HIGH, log=True)


def propose(study: Study, trial: Trial, seed: int) -> float:
    """The factor of a trial, by the trials that are done; the draw has a seed of its own, whichever process does it."""
    import optuna

    study.sampler = optuna.samplers.TPESampler(seed=seed)
    return trial.suggest_float("factor", LOW, HIGH, log=True)


def try_factor(ongoing: Ongoing, model: str, settings: Settings, factor: float, place: int) -> dict[str, Any]:
    """Train with a factor on the learning rate, and return what `comparison.json` has of it; no loss: not finite."""
    tree = tree_of_training(settings, ongoing.plan.seed, factor, TRIAL_SHARE)
    folder = ongoing.store.folder / "trials" / f"{model}-{place}"
    stage = partial(ongoing.progress, f"{model}, trial {place + 1} of {ongoing.plan.trials}")
    try:
        loss = train(tree, folder, ongoing.stop, stage, anew=_has_other_rates(folder, tree))[0].best
    except UserError as error:
        if "not finite" not in str(error):
            raise
        loss = math.inf
    known = loss if math.isfinite(loss) else None
    return {"place": place, "factor": factor, "learning_rate": tree["train"]["learning_rate"], "loss": known}


def _has_other_rates(folder: Path, tree: Mapping[str, Any]) -> bool:
    """Whether a trial was begun with other learning rates: its factor came of trials that ended in another order."""
    if not (folder / "config.yaml").exists():
        return False
    begun = config.read_settings(folder).train
    return any(getattr(begun, name) != tree["train"][name] for name in RATES)


def best_factor(tried: Sequence[Mapping[str, Any]]) -> float:
    """The first factor of the least loss; 1 where no loss was finite."""
    finite = [found for found in tried if found["loss"] is not None and math.isfinite(found["loss"])]
    return min(finite, key=lambda found: found["loss"])["factor"] if finite else 1.0


def as_trial(found: Mapping[str, Any], attributes: dict[str, Any] | None = None) -> FrozenTrial:
    """A trial as Optuna has it, of what `comparison.json` has."""
    import optuna
    from optuna.trial import TrialState

    loss = found["loss"]
    return optuna.trial.create_trial(
        state=TrialState.FAIL if loss is None else TrialState.COMPLETE, value=loss, user_attrs=attributes,
        params={"factor": found["factor"]}, distributions={"factor": factors()},
    )  # fmt: skip
