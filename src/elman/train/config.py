"""Settings: validated, frozen, and nearest-name errors for what is unknown.

Settings come from defaults < `--config FILE.yaml` < `--set key=value`. What a person left open is a field that is
not in `model_fields_set`: `tasks.sizing` fills exactly those, and the resolved whole is written into the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from elman.errors import UserError, nearest
from elman.train.schedule import Budget


class Section(BaseModel):
    """A frozen group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class DataSettings(Section):
    """What is read, and in which units."""

    source: str = ""
    valid: str | None = None
    tokenizer: Literal["char", "byte", "word", "bpe"] = "char"
    vocab_size: int | None = Field(None, ge=2)  # at most; None: the tokenizer's own
    min_count: int = Field(1, ge=1)  # what occurs less often is unknown
    fingerprint: str = ""  # of the text, so that a run goes on with the same


class RecurrentSettings(Section):
    """A recurrent language model (`models.RecurrentLM`)."""

    embedding_size: int = Field(64, ge=1)
    hidden_size: int = Field(320, ge=1)
    num_layers: int = Field(1, ge=1)
    tied: bool = False
    residual: bool = False
    dropout_embedding: float = Field(0.0, ge=0, lt=1)
    dropout_input: float = Field(0.0, ge=0, lt=1)
    dropout_hidden: float = Field(0.1, ge=0, lt=1)
    dropout_output: float = Field(0.2, ge=0, lt=1)
    weight_dropout: float = Field(0.0, ge=0, lt=1)
    recurrent_dropout: float = Field(0.0, ge=0, lt=1)
    zoneout: float = Field(0.0, ge=0, lt=1)
    layer_norm: bool = False
    recompute: bool = False  # states between stored ones, in backward: less memory, about 4/3 of the time


class LSTMSettings(RecurrentSettings):
    """What the LSTM alone has."""

    zoneout_cell: float = Field(0.0, ge=0, lt=1)
    peepholes: bool = False


class TransformerSettings(Section):
    """A Transformer decoder language model (`models.TransformerLM`)."""

    hidden_size: int = Field(128, ge=1)
    num_layers: int = Field(4, ge=1)
    num_heads: int = Field(4, ge=1)
    feedforward_size: int | None = Field(None, ge=1)  # None: four times hidden_size
    positions: Literal["rotary", "sinusoidal"] = "rotary"
    window: int | None = Field(128, ge=1)  # None: attends to all that came before
    tied: bool = True
    dropout: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _heads_divide(self) -> TransformerSettings:
        if "num_heads" not in self.model_fields_set:  # then it will follow from hidden_size
            return self
        if self.hidden_size % self.num_heads or (self.hidden_size // self.num_heads) % 2:
            raise ValueError(
                f"num_heads: expected heads of an even size that divide hidden_size {self.hidden_size}, "
                f"got {self.num_heads} heads"
            )
        return self


class TrainSettings(Section):
    """How a model is trained."""

    seed: int = Field(1, ge=0, lt=2**63)  # what torch takes
    lanes: int = Field(32, ge=1)  # rows of the batch, each a contiguous part of the corpus
    k1: int = Field(64, ge=1)  # steps whose loss makes one update
    k2: int | Literal["k1", "full"] = "k1"  # steps the gradient flows back through
    accumulate: int = Field(1, ge=1)  # stretches of k1 a step sums the gradients of
    optimizer: Literal["adamw", "muon", "sgd", "ntasgd"] = "adamw"
    learning_rate: float = Field(4e-3, gt=0)
    muon_rate: float = Field(0.02, gt=0)  # muon: of the matrices between hidden states
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = Field(0.02, ge=0, le=1)  # fraction of the budget
    final: float = Field(0.0, ge=0, le=1)  # what is left of the learning rate at the end
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    momentum: float = Field(0.0, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    clip: Literal["norm", "value", "adaptive", "none"] = "norm"
    clip_threshold: float = Field(1.0, gt=0)  # norm: of the gradient; value: of a component
    clip_percentile: float = Field(10.0, ge=0, le=100)  # adaptive
    average: float = Field(0.0, ge=0, lt=1)  # decay of the exponential average of weights; 0: none
    nonmonotone: int = Field(5, ge=1)  # ntasgd: validations without a gain before averaging starts
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["cpu", "cuda"] = "cpu"
    patience: int = Field(0, ge=0)  # validations without a gain before training stops; 0: never
    max_bad_steps: int = Field(20, ge=1)  # in a row, with a loss or gradient that is not finite
    validate_every: int = Field(0, ge=0)  # steps; 0: about ten times in the budget
    checkpoint_every: int = Field(0, ge=0)  # steps; 0: at each validation and each half minute

    @model_validator(mode="after")
    def _lengths(self) -> TrainSettings:
        if isinstance(self.k2, int) and self.k2 < self.k1:
            raise ValueError(f"k2: expected at least k1 = {self.k1}, got {self.k2}")
        return self

    @property
    def backward_steps(self) -> int | None:
        """k2 as a number of steps; None is all the way back."""
        return {"k1": self.k1, "full": None}[self.k2] if isinstance(self.k2, str) else self.k2


MODEL_SETTINGS: dict[str, type[RecurrentSettings] | type[TransformerSettings]] = {
    "elman": RecurrentSettings,
    "gru": RecurrentSettings,
    "lstm": LSTMSettings,
    "transformer": TransformerSettings,
}
NOT_SETTABLE = {"source", "fingerprint"}  # the first has an argument of its own, the second follows from it


class Settings(Section):
    """All that defines a run."""

    kind: str = "lstm"
    budget: Budget
    data: DataSettings = DataSettings()
    model: LSTMSettings | RecurrentSettings | TransformerSettings
    train: TrainSettings = TrainSettings()

    def to_yaml(self) -> str:
        """The settings as `config.yaml` holds them."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def build(tree: dict[str, Any]) -> Settings:
    """Settings from a plain tree as YAML has it.

    Raises:
        UserError: an unknown kind of model, an unknown key (with the nearest known one), a value out of range.
    """
    tree = dict(tree)
    kind = tree.get("kind", "lstm")
    if kind not in MODEL_SETTINGS:
        raise UserError(f"model: no kind called {kind!r}", remedy=nearest(str(kind), MODEL_SETTINGS), exit_code=2)
    tree.setdefault("kind", kind)
    sections: dict[str, type[Section]] = {
        "data": DataSettings,
        "model": MODEL_SETTINGS[kind],
        "train": TrainSettings,
    }
    try:
        for name, section in sections.items():
            values = tree.get(name) or {}
            for key in values:
                if not isinstance(key, str):  # YAML takes `no` for false, and 1 for a number
                    raise UserError(f"no setting called {key!r}", remedy="write a name", exit_code=2)
            tree[name] = section(**values)
        return Settings(**tree)
    except ValidationError as error:
        raise _told(error, sections) from None


def set_values(tree: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """A tree with `key=value` or `section.key=value` assignments taken in; values are YAML.

    >>> set_values({"kind": "gru"}, ["hidden_size=64", "train.clip=none"])
    {'kind': 'gru', 'model': {'hidden_size': 64}, 'train': {'clip': 'none'}}
    """
    tree = {name: dict(value) if isinstance(value, dict) else value for name, value in tree.items()}
    kind = tree.get("kind", "lstm")
    sections: dict[str, type[Section]] = {
        "data": DataSettings,
        "model": MODEL_SETTINGS.get(kind, RecurrentSettings),
        "train": TrainSettings,
    }
    places = {key: name for name, section in sections.items() for key in section.model_fields.keys() - NOT_SETTABLE}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise UserError("--set", expected="key=value", got=repr(assignment), exit_code=2)
        section, dot, key = path.strip().rpartition(".")
        section = section if dot else places.get(key, "")
        if places.get(key) != section or not section:
            known = [*places, *(f"{name}.{k}" for k, name in places.items())]
            raise UserError(
                f"--set: no setting called {path!r} for --model {kind}",
                remedy=_remedy(key, sections, nearest(path, known)),
                exit_code=2,
            )
        try:
            tree.setdefault(section, {})[key] = yaml.safe_load(_number(text))
        except yaml.YAMLError:
            raise UserError(f"--set {path}", expected="a YAML value", got=repr(text), exit_code=2) from None
    return tree


def read_yaml(path: Path) -> dict[str, Any]:
    """A tree of settings from a file.

    Raises:
        UserError: no such file, or no YAML mapping in it.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file", exit_code=2) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}", expected="a YAML mapping of settings", got=type(tree).__name__)
    for name, expected in {"kind": str, "budget": dict, "data": dict, "model": dict, "train": dict}.items():
        if not isinstance(tree.get(name), expected | None):
            what = "a mapping" if expected is dict else "a name"
            raise UserError(f"{path}: {name}", expected=what, got=repr(tree[name]), exit_code=2)
    return {name: value for name, value in tree.items() if value is not None}


def _number(text: str) -> str:
    """YAML 1.1 reads 1e-3 as a word; people mean the number."""
    try:
        return repr(float(text)) if "e" in text.lower() else text
    except ValueError:
        return text


def _told(error: ValidationError, sections: dict[str, type[Section]]) -> UserError:
    """Pydantic's first complaint in one line."""
    first = error.errors()[0]
    key = str(first["loc"][-1]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        known = sections.get(error.title.removesuffix("Settings").lower(), Settings).model_fields
        for section in sections.values():
            if section.__name__ == error.title:
                known = section.model_fields
        return UserError(f"no setting called {key!r}", remedy=_remedy(key, sections, nearest(key, known)), exit_code=2)
    message = first["msg"].removeprefix("Value error, ")
    if not key or ":" in message:
        return UserError(message, exit_code=2)
    # pydantic names the member of a union last: the setting is the part before it
    names = [str(part) for part in first["loc"]]
    if first["type"] == "missing":
        return UserError(".".join(names), expected="a value", got="none", exit_code=2)
    return UserError(names[0], expected=_lower(message), got=repr(first["input"]), exit_code=2)


def _remedy(key: str, sections: dict[str, type[Section]], otherwise: str) -> str:
    """Which kinds of model have a setting that this one has not."""
    kinds = [kind for kind, section in MODEL_SETTINGS.items() if key in section.model_fields]
    if not kinds or any(key in section.model_fields for section in sections.values()):
        return otherwise
    return f"it is one of --model {', '.join(kinds)}"


def _lower(message: str) -> str:
    return (message[0].lower() + message[1:]).removeprefix("input should be ")
