"""What a training needs of its task, beside the objective: data, sizes, a model, and words for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from torch import nn

from elman.data.corpus import Progress
from elman.data.tokenizers import Tokenizer
from elman.settings import Section
from elman.train.config import Settings
from elman.train.objective import Objective

Say = Callable[[str], None]
S = TypeVar("S", bound=Section)


@dataclass(frozen=True)
class Choice:
    """Settings with nothing left open, and why they are what they are."""

    settings: Settings
    reason: str


class Task(Protocol):
    """The modules `text_task` and `pair_task` are such tasks. A corpus is what the task itself makes of the data."""

    def check(self, settings: Settings) -> None:
        """See that the data is there. Raises `UserError` where it is not."""
        ...

    def corpus(self, settings: Settings, cache: Path, say: Say, progress: Progress | None) -> Any:
        """Read the data into a cache. Raises `UserError` where it is not usable."""
        ...

    def choose(self, settings: Settings, corpus: Any) -> Choice:
        """Fill in what was left open."""
        ...

    def build(self, settings: Settings, corpus: Any) -> nn.Module:
        """The model, its parameters drawn anew."""
        ...

    def objective(self, settings: Settings, corpus: Any) -> Objective:
        """What is learnt."""
        ...

    def tokenizers(self, corpus: Any) -> Mapping[str, Tokenizer]:
        """Those that a model needs to be used, by the names of their files."""
        ...

    def describe(self, corpus: Any) -> str:
        """How much data there is."""
        ...

    def usage(self, folder: Path) -> str:
        """How a model is used, for its card."""
        ...


def fill(section: S, asked: Section, **values: Any) -> S:
    """A section with these values, except where something was asked for."""
    return section.model_copy(update={key: v for key, v in values.items() if key not in asked.model_fields_set})
