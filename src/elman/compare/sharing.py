"""A comparison that several processes work on, on one machine or many: what is left to do and what was found.

They share one of Optuna's storages, a journal file or a database, which hands out each trial once: of a learning rate,
and likewise of a training. A process that holds a trial gives signs of life there. Where they end, others take the
trial anew; what a process does not finish it gives back.

NAME                     turns: who has the lowest number prepares     its attribute `known`: sizes and settings
NAME/MODEL               trials of the model's learning rate
NAME/MODEL/trainings     its trainings, seed by seed
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from elman.compare.liveness import Heard, in_state, living, turn
from elman.compare.plan import Plan
from elman.compare.search import as_trial
from elman.errors import UserError

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial


class Taken(NamedTuple):
    """A trial that this process holds: of a learning rate, with its place in the search, or of a training."""

    study: Study
    trial: Trial
    model: str
    place: int | None = None
    training: str | None = None


class Shared:
    """A comparison in a storage.

    Args:
        address: a file, or the address of a database, such as "postgresql://host/name".

    Raises:
        UserError: there is no such storage.
    """

    def __init__(self, address: str, plan: Plan) -> None:
        self.plan, self.address = plan, address
        self.storage = _open(address)
        self.turns = self._study("")
        self.searches = {model: self._study(f"/{model}") for model in plan.models}
        self.trainings = {model: self._study(f"/{model}/trainings") for model in plan.models}
        self.heard = Heard()

    def _study(self, part: str) -> Study:
        import optuna

        return optuna.create_study(storage=self.storage, study_name=_name(self.plan) + part, load_if_exists=True)

    @property
    def known(self) -> dict[str, Any] | None:
        """What was decided before the first training, as `comparison.json` has it; None: nothing yet."""
        text = self.turns.user_attrs.get("known")
        return None if text is None else json.loads(text)

    def turn(self, stop: Callable[[], bool] = lambda: False) -> AbstractContextManager[None]:
        """One process at a time is within this, in the order in which they ask. Raises `Stopped` where `stop()`."""
        return turn(self.turns, self.heard, stop)

    def publish(self, known: dict[str, Any]) -> None:
        """Tell all what was decided, and list what is to be done that is not known or listed yet; in a `turn`."""
        import optuna

        self.turns.set_user_attr("known", json.dumps({**known, "trials": {}, "runs": {}}))
        for model, study in self.searches.items():
            listed = _listed(study, "place")
            found = {each["place"]: each for each in known["trials"].get(model, [])}
            for place in sorted(set(range(self.plan.trials)) - listed):
                if place in found:
                    study.add_trial(as_trial(found[place], {"place": place, "result": json.dumps(found[place])}))
                else:
                    study.enqueue_trial({} if place else {"factor": 1.0}, user_attrs={"place": place})
        for name, (model, _) in self.plan.trainings().items():
            study = self.trainings[model]
            if name not in _listed(study, "training"):
                attributes = {"training": name}
                if name in known["runs"]:
                    done = attributes | {"result": json.dumps([known["runs"][name], None])}
                    study.add_trial(optuna.trial.create_trial(value=0.0, user_attrs=done))
                else:
                    study.enqueue_trial({}, user_attrs=attributes)

    def take(self) -> Taken | None:
        """Something that is to be done and that nobody else does; None: nothing at present."""
        for model, study in self.searches.items():
            self._give_back_of_the_dead(study)
            if (trial := self._pop(study)) is not None:
                return Taken(study, trial, model, place=trial.user_attrs["place"])
        ready = [model for model in self.plan.models if len(self.tried(model)) == self.plan.trials]
        for model in ready:
            self._give_back_of_the_dead(self.trainings[model])
        for name, (model, _) in self.plan.trainings().items():  # in this order
            waiting = in_state(self.trainings[model], "WAITING") if model in ready else []
            if any(trial.user_attrs["training"] == name for trial in waiting):
                trial = self._pop(self.trainings[model])
                if trial is not None:
                    return Taken(self.trainings[model], trial, model, training=trial.user_attrs["training"])
        return None

    def _give_back_of_the_dead(self, study: Study) -> None:
        for other in in_state(study, "RUNNING"):
            if self.heard.is_dead(other):
                _give_back(study, other)

    def _pop(self, study: Study) -> Trial | None:
        if not in_state(study, "WAITING"):
            return None
        trial = study.ask()
        if not trial.user_attrs:  # others were quicker, and this one is new
            _end(study, trial._trial_id)
            return None
        return trial

    @contextmanager
    def holding(self, job: Taken) -> Iterator[None]:
        """Work on a job; where an error ends the work, the job is given back."""
        with living(job.trial):
            try:
                yield
            except BaseException:
                _give_back(job.study, job.study.trials[job.trial.number])
                raise

    def finish(self, job: Taken, result: Any, loss: float | None) -> None:
        """The job is done, with a result as JSON has it; a loss of None was not finite. Too late, nothing is told."""
        import optuna

        state = optuna.trial.TrialState
        with suppress(optuna.exceptions.UpdateFinishedTrialError):
            job.trial.set_user_attr("result", json.dumps(result))
            job.study.tell(job.trial, loss, state.FAIL if loss is None else state.COMPLETE)

    def tried(self, model: str) -> list[dict[str, Any]]:
        """The trials of a model's learning rate that are done, in the order of their places."""
        found = _results(self.searches[model], "place")
        return [found[place] for place in sorted(found)]

    @property
    def done(self) -> float:
        """Which part of all trials and trainings is done, 0 to 1."""
        count = sum(len(self.tried(model)) for model in self.plan.models) + len(self.trained())
        return count / (self.plan.trials * len(self.plan.models) + len(self.plan.trainings()))

    def trained(self) -> dict[str, tuple[dict[str, Any], dict[str, Any] | None]]:
        """The result and the clock of each training that is done, by name; None: its clock is not known."""
        found = {name: each for study in self.trainings.values() for name, each in _results(study, "training").items()}
        return {name: tuple(found[name]) for name in self.plan.trainings() if name in found}


def _open(address: str) -> BaseStorage:
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        if "://" in address:
            return optuna.storages.RDBStorage(address)
        Path(address).parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(address))
    except Exception as error:  # of whichever library the address asks for
        what = f"storage {address}: {' '.join(str(error).split())[:200]}"
        raise UserError(what, expected="a file, or the address of a database", exit_code=2) from error


def _name(plan: Plan) -> str:
    """One for all commands that ask for the same, however many seeds, and wherever their data lie."""
    stored = plan.stored() | {key: [Path(place).name for place in getattr(plan, key)] for key in ("data", "valid")}
    del stored["seeds"]
    return f"elman-{hashlib.sha256(json.dumps(stored, sort_keys=True).encode()).hexdigest()[:16]}"


def _results(study: Study, key: str) -> dict[Any, Any]:
    done = [trial for trial in in_state(study, "COMPLETE", "FAIL") if "result" in trial.user_attrs]
    return {trial.user_attrs[key]: json.loads(trial.user_attrs["result"]) for trial in done}


def _listed(study: Study, key: str) -> set[Any]:
    """What is done, or will be; not what a process ended and died before it was listed anew."""
    waiting = in_state(study, "WAITING", "RUNNING")
    return {trial.user_attrs[key] for trial in waiting if key in trial.user_attrs} | _results(study, key).keys()


def _give_back(study: Study, trial: FrozenTrial) -> None:
    """List a trial anew, if nobody has done so."""
    if _end(study, trial._trial_id) and trial.user_attrs:
        kept = {key: value for key, value in trial.user_attrs.items() if key in ("place", "training")}
        study.enqueue_trial(trial.params or trial.system_attrs.get("fixed_params", {}), user_attrs=kept)


def _end(study: Study, number: int) -> bool:
    import optuna

    try:
        return study._storage.set_trial_state_values(number, optuna.trial.TrialState.FAIL)
    except optuna.exceptions.UpdateFinishedTrialError:
        return False
