"""Labels as numbers: the names of classes, numbers to estimate, or several labels of each example, or none."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from elman.data.lanes import NOT_COUNTED
from elman.data.table import number
from elman.errors import UserError
from elman.reading import Unreadable, read_json

Label: TypeAlias = "str | float | tuple[str, ...]"  # of a class, a number, of several classes
Kind = Literal["class", "number", "several"]
Form = Literal["text", "boolean", "whole"]  # of the values that name classes

FORMS: dict[type, Form] = {bool: "boolean", int: "whole"}
FORMS_OF_NAMES: dict[Form, re.Pattern[str]] = {
    "text": re.compile(".*", re.DOTALL), "boolean": re.compile("false|true"), "whole": re.compile("-?[0-9]{1,4000}")
}  # fmt: skip
FEW = 20  # different numbers: so few may be classes, whatever they are


@dataclass(frozen=True)
class LabelCodec:
    """Labels to the targets of a model and back; fitted on the training part alone.

    `names` are those of the K classes, in order; `counts` say how often each is among the training labels. A number is
    standardised by the `mean` and the `deviation` of the training labels. A label that training has not seen is
    NOT_COUNTED as a class; among several labels it is left out. `form` is that of the labels where they came from.
    """

    kind: Kind
    names: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    mean: float = 0.0
    deviation: float = 1.0
    form: Form = "text"

    @property
    def size(self) -> int:
        """How many outputs a model needs: a score for each class, or one number."""
        return 1 if self.kind == "number" else len(self.names)

    def encode(self, labels: Sequence[Label]) -> npt.NDArray[Any]:
        """Targets: classes (N,) int64, standardised numbers (N,) float32, or 0 and 1 for each class (N, K) float32."""
        if self.kind == "number":
            return ((np.array(labels, np.float64) - self.mean) / self.deviation).astype(np.float32)
        places = {name: at for at, name in enumerate(self.names)}
        if self.kind == "class":
            return np.array([places.get(str(label), NOT_COUNTED) for label in labels], np.int64)
        targets = np.zeros((len(labels), len(self.names)), np.float32)
        for row, several in enumerate(labels):
            assert isinstance(several, tuple)
            targets[row, [places[name] for name in several if name in places]] = 1
        return targets

    def number(self, standardised: float) -> float:
        """A model's output as a number of the labels' own scale."""
        return self.mean + self.deviation * standardised

    def given(self, label: Any) -> Any:
        """A label in the form that labels were given in: True for the class true of a column of booleans.

        >>> LabelCodec("class", ("false", "true"), form="boolean").given("true")
        True
        """
        if isinstance(label, tuple):
            return tuple(map(self.given, label))
        if self.form == "boolean" and isinstance(label, str):
            return label == "true"
        return int(label) if self.form == "whole" and isinstance(label, str) else label

    def to_json(self) -> dict[str, Any]:
        """Everything that the codec is made from."""
        return {name: value for name, value in asdict(self).items() if name != "form" or value != "text"}

    @classmethod
    def read(cls, path: Path) -> LabelCodec:
        """The inverse of `to_json`, from a file. Raises `UserError` where it is missing or damaged."""
        codec = read_json(path, cls)
        sound = len(codec.names) == len(codec.counts) and math.isfinite(codec.mean) and 0 < codec.deviation < math.inf
        named = all(FORMS_OF_NAMES[codec.form].fullmatch(name) for name in codec.names)
        if not sound or not named or (codec.kind != "number" and not codec.names):
            raise Unreadable(f"{path} is damaged (no labels)")
        return codec

    @property
    def fingerprint(self) -> str:
        """Equal only for codecs of the same targets."""
        return json.dumps(self.to_json(), sort_keys=True)


def learn_labels(labels: Sequence[Label], kind: Kind, name: str) -> LabelCodec:
    """The codec of the training labels in a file of this name. Raises `UserError` where they leave nothing to learn."""
    if kind == "number":
        values = np.array(labels, np.float64)
        deviation = float(values.std()) if len(values) else 0.0
        if not 0 < deviation < math.inf:
            got = f"{values[0]:g} alone" if len(values) else "none"
            raise UserError(f"{name}, labels of the training part", expected="different numbers", got=got)
        return LabelCodec(kind, mean=float(values.mean()), deviation=deviation)
    counts = Counter(name for label in labels for name in (label if isinstance(label, tuple) else (str(label),)))
    names = in_order(counts)
    if len(names) < (2 if kind == "class" else 1):
        got = f"{names[0]!r} alone" if names else "none"
        expected = "at least two different ones" if kind == "class" else "at least one"
        raise UserError(f"{name}, labels of the training part", expected=expected, got=got)
    return LabelCodec(kind, names, tuple(counts[name] for name in names))


def form_of(cells: Sequence[Any]) -> Form:
    """The form of the labels in cells, or of the several in each; text, unless all are booleans, or whole numbers.

    >>> form_of([True, False]), form_of([3, 1]), form_of([True, 1]), form_of([[1, 2], []])
    ('boolean', 'whole', 'text', 'whole')
    """
    kinds = {type(label) for cell in cells for label in (cell if isinstance(cell, list | tuple) else [cell])}
    return FORMS.get(next(iter(kinds)), "text") if len(kinds) == 1 else "text"


def in_order(names: Any) -> tuple[str, ...]:
    """Names of classes in order: by their values where all are numbers, else by their characters.

    >>> in_order({"10", "9"}), in_order({"b", "A", "10"})
    (('9', '10'), ('10', 'A', 'b'))
    """
    values = {name: number(name) for name in sorted(names)}
    if any(value is None or math.isnan(value) for value in values.values()):
        return tuple(values)
    return tuple(sorted(values, key=lambda name: (values[name], name)))


def are_numbers(cells: Sequence[Any]) -> bool:
    """Whether labels are numbers to estimate rather than classes, where nobody says which.

    They are where all that are there are numbers, and either not all are whole and more than 20, or most, are
    different, or all are whole, and more than 20, and every fifth, are different. A missing one, empty or NaN, says
    nothing: whoever reads it as a number refuses it, with its line.
    """
    found = [number(cell) for cell in cells]
    values = [value for value in found if value is not None and not math.isnan(value)]
    if None in found:
        return False
    different = len({*values})
    if all(value == int(value) for value in values):
        return different > FEW and 5 * different > len(values)
    return different > min(FEW, len(values) / 2)
