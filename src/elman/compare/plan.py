"""What is compared, and what is the same for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from elman.errors import UserError
from elman.tasks import configuration as config
from elman.train.schedule import Budget

Match = Literal["parameters", "time", "tokens", "flops"]

DEFAULT_BUDGET, DEFAULT_EPOCHS = Budget(120.0, "seconds"), Budget(1.0, "epochs")
TRIAL_SHARE = 0.25  # of the budget, for each trial of a learning rate


@dataclass(frozen=True)
class Planned:
    """One training of a comparison."""

    name: str  # of its run folder
    model: str
    seed: int


@dataclass(frozen=True)
class Plan:
    """What is compared.

    `match` says what is the same for all models besides data, tokenizer and validation:

    - `parameters`: their number, within 2 %, and the budget of each training (time, epochs or steps);
    - `time`: the wall time of each training; each model has the size that its own recipe chooses for that time;
    - `tokens`: the tokens that each training reads;
    - `flops`: the floating-point operations of each training: those of the first model in the budget.

    With `parameters` set to a number, all have about so many, whatever is matched.
    """

    data: str
    models: tuple[str, ...]
    match: Match = "parameters"
    budget: Budget = DEFAULT_BUDGET
    parameters: int | None = None  # None: from the budget
    seeds: int = 1
    trials: int = 0  # of learning rates, for each model; 0: the recipe's
    seed: int = 1  # the first
    valid: str | None = None
    tokenizer: str = "char"
    settings: tuple[str, ...] = ()  # KEY=VALUE, for all models

    def __post_init__(self) -> None:
        if len(self.models) < 2:
            raise UserError("--models", expected="two or more", got=", ".join(self.models) or "none", exit_code=2)
        if len(set(self.models)) < len(self.models):
            raise UserError("--models", expected="each once", got=", ".join(self.models), exit_code=2)
        if self.match not in get_args(Match):
            expected = ", ".join(get_args(Match))
            raise UserError("--match", expected=expected, got=repr(self.match), exit_code=2)
        timed = self.budget.unit == "seconds"
        if self.match == "time" and not timed:
            raise UserError("--match time", expected="a budget of time (--for)", got=str(self.budget), exit_code=2)
        if self.match in ("tokens", "flops") and timed:
            remedy = "give --epochs or --steps"
            raise UserError(f"--match {self.match}: no budget of time can hold", remedy=remedy, exit_code=2)
        matched = self.match == "parameters" or self.parameters is not None
        if matched and any(setting.partition("=")[0].strip().endswith("hidden_size") for setting in self.settings):
            remedy = "leave it out, or --match time, tokens or flops without --parameters"
            raise UserError("hidden_size follows from the number of parameters", remedy=remedy, exit_code=2)
        for model in self.models:  # unknown kinds, unknown settings
            config.build(self.tree(model))

    def tree(self, model: str) -> dict[str, Any]:
        """What is asked of a training of this model, as `config.build` takes it; what is left open is not in it."""
        data = {"source": self.data, "tokenizer": self.tokenizer} | ({"valid": self.valid} if self.valid else {})
        tree: dict[str, Any] = {
            "task": "language-modelling",
            "kind": model,
            "budget": {"amount": self.budget.amount, "unit": self.budget.unit},
            "data": data,
            "train": {"seed": self.seed},
        }
        return config.set_values(tree, self.settings)

    def trainings(self) -> Iterator[Planned]:
        """Seed by seed, so that what is there after an interruption is a comparison of fewer seeds."""
        for seed in range(self.seed, self.seed + self.seeds):
            for model in self.models:
                yield Planned(f"{model}-{seed}", model, seed)

    def stored(self) -> dict[str, Any]:
        """As JSON has it."""
        values = asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def check_same(stored: dict[str, Any], plan: Plan, folder: str) -> None:
    """See that a comparison goes on as it began; only more seeds may be asked for, and the data may have moved.

    Raises:
        UserError: it was begun with something else.
    """
    asked = plan.stored()
    for key in asked:
        if key not in ("data", "valid", "seeds") and asked[key] != stored.get(key):
            raise UserError(
                f"{folder} was begun with another {key}",
                expected=_words(stored.get(key)),
                got=_words(asked[key]),
                remedy="ask for the same to --resume, or choose another place (-o)",
                exit_code=2,
            )


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['amount']:g} {value['unit']}"
    return ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
