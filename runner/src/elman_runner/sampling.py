"""Drawing a token by a number: the generator and the rule of `elman generate`."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from elman_runner.errors import RunnerError

Floats = npt.NDArray[np.float64]
AT_ONCE = 16


@dataclass(frozen=True)
class Drawing:
    """How tokens are drawn; temperature 0 takes the most probable one."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None

    def __post_init__(self) -> None:
        bounds = {"temperature": (0, math.inf), "top_k": (1, math.inf), "top_p": (0, 1), "min_p": (0, 1)}
        for name, (least, most) in bounds.items():
            value = getattr(self, name)
            if value is not None and not (least <= value <= most and math.isfinite(value)):
                expected = f"{least} or more" if most == math.inf else f"a number from {least} to {most}"
                raise RunnerError(f"{name}: expected {expected}, got {value}")


def uniforms(seed: int, row: int = 0, sample: int = 0, step: int = 0) -> Iterator[float]:
    """Yield u(seed, row, sample, step) in [0, 1), then that of the next step, without end.

    ⌊w / 2^11⌋ / 2^53, where w is word step mod 4 of the block of Philox 4x64-10 (NumPy's `Philox`) with the key
    (seed, 0) and the counter (⌊step / 4⌋ + 1, row, sample, 0).
    """
    block, word = divmod(step, 4)
    generator = np.random.Generator(np.random.Philox(key=seed, counter=[block, row, sample, 0]))
    generator.random(word)
    while True:
        yield from generator.random(AT_ONCE).tolist()


def any_seed() -> int:
    """A seed that nobody chose."""
    return secrets.randbelow(1 << 31)


def draw(logits: npt.NDArray[np.floating], uniform: float, how: Drawing) -> int:
    """The token that a number in [0, 1) draws from logits (V,), -inf where a token is ruled out.

    z = (x − max x) / temperature; top-k, top-p and min-p each rule out of what is left; p = softmax(z); the token is
    the first i with p_0 + … + p_i > u Σ p. All in float64; of equal logits, the smaller token is the more probable one.
    """
    largest = logits.max()
    if not np.isfinite(largest):
        raise RunnerError("the model gives no token a probability: its weights are not numbers (NaN)")
    if how.temperature == 0:
        return int(logits.argmax())
    with np.errstate(over="ignore"):
        z = (logits.astype(np.float64) - float(largest)) / how.temperature
    if how.top_k is not None:
        z[z < np.partition(z, -min(how.top_k, len(z)))[-min(how.top_k, len(z))]] = -np.inf
    if how.top_p is not None:
        order = np.argsort(-z, kind="stable")
        p = softmax(z)[order]
        beyond = p.cumsum() - p >= how.top_p
        beyond[0] = False
        z[order[beyond]] = -np.inf
    if how.min_p is not None:
        z[z < (math.log(how.min_p) if how.min_p else -math.inf)] = -np.inf
    cumulative = softmax(z).cumsum()
    number = min(uniform * cumulative[-1], np.nextafter(cumulative[-1], 0))
    return int(np.searchsorted(cumulative, number, side="right"))


def softmax(x: npt.NDArray[np.floating]) -> Floats:
    """Probabilities along the last axis, in float64."""
    exponentials = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def log_softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Log-probabilities along the last axis, in the type of the logits."""
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
