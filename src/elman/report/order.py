"""Orders of the rows of a matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from elman.report.chart import finite


def likeness(values: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """An order (R,) of the rows of (R, C) in which those that go together stand beside each other.

    Rows are compared by their correlation, and ordered by the Fiedler vector of their graph: the order that makes
    neighbours alike with the least total of weighted squared distances (Atkins, Boman, Hendrickson 1998, "A spectral
    algorithm for seriation and the consecutive ones problem").

    >>> up, down = np.arange(5.0), -np.arange(5.0)
    >>> likeness(np.stack([up, down, 2 * up, down + 1])).tolist() in ([0, 2, 1, 3], [1, 3, 0, 2], [2, 0, 1, 3])
    True
    """
    centred = finite(np.asarray(values, np.float64))
    centred = centred - centred.mean(1, keepdims=True)
    sizes = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = np.divide(centred, sizes, out=np.zeros_like(centred), where=sizes > 0)
    weights = (1 + unit @ unit.T) / 2
    laplacian = np.diag(weights.sum(1)) - weights
    if len(laplacian) < 3:
        return np.arange(len(laplacian))
    fiedler = np.linalg.eigh(laplacian)[1][:, 1]
    return np.argsort(np.round(fiedler * np.sign(fiedler[np.argmax(np.abs(fiedler))]), 9), kind="stable")
