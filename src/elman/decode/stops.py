"""Stop strings of a text that is written token by token: what of the text may be shown, and which tokens are kept."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence


def whole_tokens(ends: Sequence[int], length: int) -> int:
    """How many tokens the first `length` characters of a text hold, without those that only begin the next character.

    >>> whole_tokens([1, 1, 2, 5], 1), whole_tokens([1, 1, 2, 5], 4), whole_tokens([0, 0, 1], 0)
    (1, 3, 0)
    """
    last = bisect_right(ends, length)
    return bisect_left(ends, ends[last - 1]) + 1 if last and ends[last - 1] else 0


def beginning(text: str, stops: Sequence[str]) -> str:
    """The longest end of a text with which a stop string begins, but for whole ones.

    >>> beginning("to be or", ["orange", "r"]), beginning("to be", ["x"])
    ('or', '')
    """
    longest = min(len(text), max(map(len, stops)) - 1)
    ends = (text[len(text) - length :] for length in range(longest, 0, -1))
    return next((end for end in ends if any(stop.startswith(end) for stop in stops)), "")
