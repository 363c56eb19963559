"""An alignment for the eye: a line for each target token, a column for each source token, the weight as a shade."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

SHADES = "·░▒▓█"  # of the weights nearest to 0, 1/4, 1/2, 3/4 and 1


def alignment_lines(weights: Sequence[Sequence[float]], target: Sequence[str], source: Sequence[str]) -> Iterator[str]:
    """The lines of a matrix of weights, each from 0 to 1, with the tokens beside and above it.

    >>> print(*alignment_lines([[0.9, 0.1], [0.2, 0.5]], ["la", "casa"], ["the", "house"]), sep="\\n")
          the house
      la  ███ ·····
    casa  ░░░ ▒▒▒▒▒
    """
    left = max(map(cell_len, target), default=0)
    yield " " * left + "  " + " ".join(source)
    for token, row in zip(target, weights, strict=True):
        cells = [SHADES[round(4 * min(1.0, x))] * cell_len(name) for x, name in zip(row, source, strict=True)]
        yield " " * (left - cell_len(token)) + token + "  " + " ".join(cells)
