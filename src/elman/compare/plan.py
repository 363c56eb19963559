"""The plan of a comparison: what is compared, and what is the same for all models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal, Self, get_args

from elman.errors import UserError
from elman.tasks import configuration as config
from elman.train.schedule import Budget

Match = Literal["parameters", "time", "tokens", "flops"]

DEFAULT_BUDGET, DEFAULT_EPOCHS = Budget(120.0, "seconds"), Budget(1.0, "epochs")
TRIAL_SHARE = 0.25  # of the budget, for each trial of a learning rate


@dataclass(frozen=True)
class Plan:
    """What is compared.

    `match` says what is the same for all models besides data, tokenizer and validation:

    - `parameters`: their number, within 2 %, and the budget of each training (time, epochs or steps);
    - `time`: the wall time of each training; each model has the size that its own recipe chooses for that time;
    - `tokens`: the targets, such as tokens, that each training reads;
    - `flops`: the floating-point operations of each training: those of the first model in the budget.

    With `parameters` set to a number, all models have about that number of parameters, whatever is matched.

    >>> plan = Plan(data=("book.txt",), models=("gru", "lstm"), budget=Budget(100, "steps"), seeds=2)
    >>> list(plan.trainings())
    ['gru-1', 'lstm-1', 'gru-2', 'lstm-2']
    """

    data: tuple[str, ...]
    models: tuple[str, ...]
    match: Match = "parameters"
    budget: Budget = DEFAULT_BUDGET
    parameters: int | None = None  # None: from the budget
    seeds: int = 1
    trials: int = 0  # of learning rates, for each model; 0: the recipe's
    seed: int = 1  # the first
    valid: tuple[str, ...] = ()
    tokenizer: str | None = None  # None: the task's default
    settings: tuple[str, ...] = ()  # KEY=VALUE, for all models
    task: str = config.DEFAULT_TASK

    def __post_init__(self) -> None:
        refusal = partial(UserError, exit_code=2)
        models, timed = ", ".join(self.models), self.budget.unit == "seconds"
        if len(self.models) < 2:
            raise refusal("--models", expected="two or more", got=models or "none")
        if len(set(self.models)) < len(self.models):
            raise refusal("--models", expected="each model once", got=models)
        if self.match not in get_args(Match):
            raise refusal("--match", expected=", ".join(get_args(Match)), got=repr(self.match))
        if self.match == "time" and not timed:
            raise refusal("--match time", expected="a budget of time (--for)", got=self.budget)
        if self.match in ("tokens", "flops") and timed:
            what = f"--match {self.match}: a budget of time does not keep them equal"
            raise refusal(what, remedy="give --epochs or --steps")
        matched = self.match == "parameters" or self.parameters is not None
        size = config.find_task(self.task).size
        if matched and any(setting.partition("=")[0].strip().endswith(size) for setting in self.settings):
            remedy = "leave it out, or --match time, tokens or flops without --parameters"
            raise refusal(f"{size} follows from the number of parameters", remedy=remedy)
        for model in self.models:  # unknown kinds, unknown settings
            config.build(self.tree(model))

    def tree(self, model: str) -> dict[str, Any]:
        """The settings that are asked of a training of this model, as `config.build` takes them; the rest is open."""
        data = self.files | {"tokenizer": self.tokenizer}
        tree = {
            "task": self.task,
            "kind": model,
            "budget": asdict(self.budget),
            "data": {name: value for name, value in data.items() if value is not None},
            "train": {"seed": self.seed},
        }
        return config.set_values(tree, self.settings)

    @property
    def files(self) -> dict[str, Any]:
        """The settings that say where the data are."""
        return config.find_task(self.task).files(self.data, self.valid)

    def trainings(self) -> dict[str, tuple[str, int]]:
        """The model and the seed of every training, by the name of its run folder.

        Trainings run seed by seed, so that an interruption leaves a comparison of fewer seeds.
        """
        seeds = range(self.seed, self.seed + self.seeds)
        return {f"{model}-{seed}": (model, seed) for seed in seeds for model in self.models}

    def stored(self) -> dict[str, Any]:
        """The plan as JSON has it, its tokenizer named."""
        tokenizer = getattr(config.build(self.tree(self.models[0])).data, "tokenizer", None)
        values = asdict(self) | {"tokenizer": tokenizer}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> Self:
        """The plan of what `stored` gives."""
        values: dict[str, Any] = {key: tuple(part) if isinstance(part, list) else part for key, part in stored.items()}
        return cls(**values | {"budget": Budget(**stored["budget"])})

    def check_same(self, stored: dict[str, Any], folder: str) -> None:
        """See that a comparison goes on as it began, though with other seeds or with its data in another place.

        Raises:
            UserError: something else differs from the stored plan.
        """
        asked, stored = self.stored(), {"task": config.DEFAULT_TASK} | stored  # older plans do not name their task
        for key in asked:
            if key not in ("data", "valid", "seeds") and asked[key] != stored.get(key):
                expected, got = _words(stored.get(key)), _words(asked[key])
                remedy = "ask for the same to go on (--resume), or choose another place (-o)"
                what = f"{folder} was begun with another {key}"
                raise UserError(what, expected=expected, got=got, remedy=remedy, exit_code=2)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['amount']:g} {value['unit']}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
