"""The search and the marginals of a linear-chain conditional random field."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from elman_runner.errors import RunnerError
from elman_runner.reading import take

Floats = npt.NDArray[np.float64]


class CRF:
    """Scores of paths of K tags: those of the steps, and W[before, after]; row K begins a path, column K ends one."""

    def __init__(self, data: dict[str, Any], tags: int, where: str) -> None:
        weight = take(data, "weight", list[list[float]], where)
        allowed = take(data, "allowed", list[list[bool]], where)
        if any(len(each) != tags + 1 or {*map(len, each)} != {tags + 1} for each in (weight, allowed)):
            raise RunnerError(f"{where} is damaged (expected matrices of {tags + 1} rows and columns)")
        self.weight: Floats = np.where(allowed, np.array(weight, np.float64), -np.inf)

    def best(self, scores: npt.NDArray[Any]) -> list[int]:
        """The allowed path of the highest score, of scores (T, K) with T > 0 (Viterbi 1967)."""
        x, (within, begin, end) = scores.astype(np.float64), self._parts
        highest, back = begin + x[0], []
        for step in x[1:]:
            values = highest[:, None] + within
            back.append(values.argmax(0))
            highest = values.max(0) + step
        path = [int((highest + end).argmax())]
        for before in back[::-1]:
            path.append(int(before[path[-1]]))
        return path[::-1]

    def marginals(self, scores: npt.NDArray[Any]) -> Floats:
        """The probability (T, K) that an allowed path has tag k at step t."""
        x, (within, begin, end) = scores.astype(np.float64), self._parts
        forward, backward = [begin + x[0]], [end]
        for step in x[1:]:
            forward.append(_log_sum(forward[-1][:, None] + within, 0) + step)
        for step in x[:0:-1]:
            backward.append(_log_sum(within + (step + backward[-1])[None], 1))
        total = np.array(forward) + np.array(backward[::-1])
        return np.exp(total - _log_sum(total, 1)[:, None])

    @property
    def _parts(self) -> tuple[Floats, Floats, Floats]:
        return self.weight[:-1, :-1], self.weight[-1, :-1], self.weight[:-1, -1]


def _log_sum(x: Floats, axis: int) -> Floats:
    top = x.max(axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(x - top).sum(axis)) + top.squeeze(axis)
